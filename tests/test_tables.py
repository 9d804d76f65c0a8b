"""Tables: means over seeds, alignment, and a README that equals its json."""

import pytest

from jnerf.evaluating.label_groups import aggregate, group_rows
from jnerf.evaluating.tables import (
  aggregate_calibration,
  benchmark_table,
  calibration_table,
  click_table,
  format_table,
  label_table,
  quality_table,
  update_readme,
)


def row(seed, miou, **changed):
  return {"method": "cosine", "field": "shaped", "pairs": "local", "protocol": "sparse",
          "clicks": 8, "seed": seed, "dimension": "2d", "miou": miou, "miou_all": 0.5,
          "class_accuracy": 0.25, "total_accuracy": None, "per_class_iou": {},
          "seconds": 1.5} | changed


METRICS = {
    "scene": "room", "psnr": {"plain": 30.0, "shaped": 29.755},
    "ssim": {"plain": 0.9, "shaped": 0.8}, "depth_error_m": {"plain": 0.0312},
    "labels": [row(0, 0.6), row(0, 0.9, protocol="dense", clicks=900),
               row(1, 0.8), row(0, 0.2, field="plain", pairs=None, dimension="3d")]}


def test_rows_merge_over_seeds_alone():
  merged = aggregate(METRICS["labels"])
  assert [(m["protocol"], m["field"], m["seeds"]) for m in merged] == [
      ("sparse", "shaped", 2), ("dense", "shaped", 1), ("sparse", "plain", 1)]
  assert merged[0]["miou"] == pytest.approx((0.7, 0.02**0.5))  # n - 1
  assert merged[1]["miou"] == (0.9, None)
  assert merged[0]["total_accuracy"] == (None, None)
  assert merged[0]["clicks"] == 8 and "rows" not in merged[0]


def test_a_class_s_iou_is_the_mean_over_the_seeds_that_scored_it():
  group, = group_rows([row(0, 0.2, per_class_iou={"1": 0.25, "40": None}),
                       row(1, float("nan"), per_class_iou={"1": 0.75}), row(1, 0.4)])
  assert group.class_iou() == {1: 0.5}
  assert group.num_seeds == 2
  assert group.score("miou") == pytest.approx((0.3, 0.02**0.5))  # NaN counts for nothing
  assert not group.uses_truth
  assert group_rows([row(0, 1, pairs="oracle")])[0].uses_truth
  assert group_rows([row(0, 1, field="shaped-oracle")])[0].uses_truth


def test_the_label_table_reads_as_markdown_and_as_text():
  lines = label_table(METRICS["labels"]).splitlines()
  assert len(lines) == 5 and len({len(line) for line in lines}) == 1
  cells = [cell.strip() for cell in lines[2].strip("|").split("|")]
  assert cells == ["sparse", "8", "shaped", "local", "cosine", "0.700 ± 0.141",
                   "0.500 ± 0.000", "0.250 ± 0.000", "", "2"]
  assert "sparse (3d)" in lines[4] and "None" not in "".join(lines)
  text = label_table(METRICS["labels"], markdown=False)
  assert "|" not in text and "0.700 ± 0.141" in text


def test_the_quality_table_lists_every_field():
  lines = quality_table(METRICS).splitlines()
  cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines[2:]]
  assert cells == [["plain", "30.00", "0.900", "3.1"], ["shaped", "29.75", "0.800", ""]]
  assert quality_table({"labels": []}).count("\n") == 1  # no image scores yet


def test_columns_are_as_wide_as_their_widest_cell():
  assert format_table(["a", "bb"], [["ccc", "d"]], markdown=False) == (
      "a    bb\n---  --\nccc  d")


def test_the_readme_is_generated_and_a_stale_one_differs():
  readme = ("# jnerf\n<!-- table:room.labels -->\nold | numbers\n<!-- /table -->\n"
            "between\n<!-- table:room.quality -->\n<!-- /table -->\nend\n")
  fresh = update_readme(readme, {"room": METRICS})
  assert label_table(METRICS["labels"]) in fresh and quality_table(METRICS) in fresh
  assert "old | numbers" not in fresh
  assert fresh.startswith("# jnerf\n") and fresh.endswith("<!-- /table -->\nend\n")
  assert "\nbetween\n" in fresh
  assert update_readme(fresh, {"room": METRICS}) == fresh
  other = METRICS | {"labels": [row(0, 0.123)]}
  assert update_readme(fresh, {"room": other}) != fresh


@pytest.mark.parametrize("readme, message", [
    ("<!-- table:office.labels -->\n<!-- /table -->", "no table 'office.labels'"),
    ("<!-- table:room.psnr -->\n<!-- /table -->", "known are room.labels, room.quality"),
    ("<!-- table:room.labels -->\n", "not closed"), ("nothing", "missing")])
def test_a_readme_that_cannot_be_filled_says_why(readme, message):
  with pytest.raises(ValueError, match=message):
    update_readme(readme, {"room": METRICS})


def test_benchmark_table_has_a_line_a_method_and_marks_the_best():
  def group(method, protocol, miou, pairs=None, field="plain", dimension="2d"):
    return {"method": method, "field": field, "pairs": pairs, "protocol": protocol,
            "dimension": dimension, "miou": miou, "miou_all": (miou[0] / 2, None)}

  groups = [group("knn", "sparse", (0.2, 0.01)), group("knn", "dense", (0.5, None)),
            group("regions", "sparse", (0.3, 0.02), "dino", "shaped"),
            group("regions", "sparse", (0.9, 0.02), "oracle", "shaped-oracle"),
            group("knn", "sparse", (0.7, 0.1), dimension="3d")]
  lines = benchmark_table(groups, "2d").splitlines()
  assert [cell.strip() for cell in lines[0].strip("|").split("|")] == [
      "field", "pairs", "method", "sparse", "dense"]
  table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
  assert table == [["plain", "", "knn", "0.200 ± 0.010", "**0.500**"],
                   ["shaped", "dino", "regions", "**0.300 ± 0.020**", ""],
                   ["shaped-oracle", "oracle", "regions", "0.900 ± 0.020", ""]]
  short = benchmark_table(groups, "2d", "miou_all", ["dense"], markdown=False)
  assert [line.split() for line in short.splitlines()[2:]] == [["plain", "knn", "0.250"]]


def test_calibration_is_averaged_over_seeds_and_laid_out_by_protocol():
  rows = [{"method": "bayes", "field": "plain", "pairs": None, "protocol": protocol,
           "seed": seed, "ece": ece}
          for protocol, seed, ece in (("sparse", 0, 0.1), ("sparse", 1, 0.3),
                                      ("dense", 0, 0.05))]
  groups = aggregate_calibration(rows)
  assert [(g["protocol"], g["seeds"]) for g in groups] == [("sparse", 2), ("dense", 1)]
  table = calibration_table(groups, markdown=False).splitlines()
  assert table[0].split() == ["field", "pairs", "method", "sparse", "dense"]
  assert table[2].split() == ["plain", "bayes", "0.20", "0.05"]


def test_a_benchmark_s_short_table_leaves_out_methods_and_protocols():
  groups = [{"field": "plain", "pairs": None, "method": method, "protocol": protocol,
             "dimension": dimension, "miou": (0.25, None)}
            for method in ("regions", "cosine") for protocol in ("sparse", "clicks-5")
            for dimension in ("2d", "3d")]
  text = update_readme("<!-- table:labels-x.short -->\n<!-- /table -->\n",
                       {"labels-x": {"labels": groups}})
  lines = [line for line in text.splitlines() if line.startswith("|")]
  assert [cell.strip() for cell in lines[0].strip("|").split("|")] == [
      "field", "pairs", "method", "sparse"]
  assert len(lines) == 3 and "regions" in lines[2]


def test_clicks_needed_are_a_bound_where_a_seed_falls_short():
  seed = lambda needed, *curve: {"needed": needed, "curve": curve}  # noqa: E731
  results = {"clicks": 20, "miou": 0.5, "rules": {
      "best": [seed(8, [8, 0.5], [10, 0.6], [12, 0.7]), seed(12, [8, 0.1], [11, 0.2],
                                                            [12, 0.5])],
      "worse": [seed(None, [9, 0.1], [20, 0.4]), seed(20, [10, 0.3], [20, 0.5])]}}
  best, worse = click_table(results, markdown=False).splitlines()[2:]
  assert best.split() == ["best", "10", "0.50", "0.400"]
  assert worse.split() == ["worse", ">", "20", ">", "1.00", "0.350"]
