"""The report's numbers: which are shown, in which unit, and which are bold."""

import re

import numpy as np
import pytest

from jnerf.viewing import report_tables
from jnerf.viewing.panels import Report, ViewPanel

ONES = np.ones((2, 2), int)


def row(**changes):
  return {"method": "cosine", "field": "plain", "pairs": None, "protocol": "sparse",
          "clicks": 3, "seed": 0, "dimension": "2d", "miou": 0.5, "miou_all": 0.4,
          "class_accuracy": 0.6, "total_accuracy": 0.7,
          "per_class_iou": {"1": 0.25, "40": None}, "seconds": 1.0, **changes}


def cells(table) -> list[list[str]]:
  """Text of the cells of every line of the body."""
  body = re.search(r"<tbody>(.*?)</tbody>", str(table)).group(1)
  return [[re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<td.*?</td>", line)]
          for line in re.findall(r"<tr.*?</tr>", body)]


def test_a_table_for_every_protocol_and_dimension():
  tables = str(report_tables.score_tables([
      row(), row(protocol="dense"), row(dimension="3d"), row(seed=1)]))
  assert re.findall(r"<caption><b>(.*?)</b>(.*?)</caption>", tables) == [
      ("sparse", " in 2D"), ("dense", " in 2D"), ("sparse", " in 3D")]


def test_clicks_that_differ_between_seeds_are_a_range():
  line, = cells(report_tables.score_tables([
      row(clicks=8), row(seed=1, clicks=6, miou=0.7), row(seed=2, clicks=7, miou=None)]))
  assert line == ["cosine", "plain", "–", "0.600 ± 0.141", "0.400 ± 0.000",
                  "0.600 ± 0.000", "0.700 ± 0.000", "6–8", "3"]


def test_unscored_is_a_dash_and_never_best():
  table = report_tables.score_tables([
      row(miou=None), row(field="shaped", miou=float("nan")),
      row(method="knn", field="none", miou=0.1)])
  assert [line[3] for line in cells(table)] == ["–", "–", "0.100"]
  assert 'class="best"' not in str(table)  # one alone is no competition


def test_best_is_the_fair_one_also_where_truth_hides_in_the_field():
  table = str(report_tables.score_tables([
      row(miou=0.3), row(field="shaped", pairs="dino", miou=0.4),
      row(field="shaped-oracle", pairs=None, miou=0.9)]))
  best, = re.findall(r'<tr class="best">(.*?)</tr>', table)
  assert "<td>shaped</td>" in best and table.count("uses ground truth") == 1


def test_stages_are_in_units_that_read_well():
  line, other = cells(report_tables.stage_table({"stages": {
      "fit": {"seconds": 125.0, "compile_seconds": 4.25, "steps": 1500,
              "rays_per_second": 20480.7, "peak_memory_bytes": 3 * 2**29},
      "evaluate": {"seconds": None}}}))
  assert line == ["fit", "2 min 05 s", "4.2 s", "1,500", "20,481", "1.50 GiB"]
  assert other == ["evaluate", "–", "–", "–", "–", "–"]
  assert report_tables.stage_table({}) is None


@pytest.mark.parametrize("summary, values", [
    ({"psnr": {"plain": 30.04, "shaped": 29.0}}, ["0.500", "29.0 dB"]),
    ({"depth_error_m": {"plain": 0.0312}}, ["0.500", "0.031 m"]),
    ({"stages": {"fit": {"seconds": 3600}, "shape": {"seconds": 120}}},
     ["0.500", "1 h 02 min"])])
def test_tiles_show_the_shaped_field_first(summary, values):
  view = ViewPanel("f", np.zeros((2, 2, 3)), labels={"plain / cosine": ONES})
  report = Report("t", summary=summary, rows=[row()], views=[view])
  assert re.findall(r'<p class="value">(.*?)</p>', str(report_tables.tiles(report))) == (
      values)


def test_legend_bars_are_as_long_as_the_iou():
  view = ViewPanel("f", np.zeros((2, 2, 3)), labels={
      "plain / cosine": np.array([[0, 1], [40, 40]]), "shaped / other": ONES})
  legend = str(report_tables.legend(Report(
      "t", rows=[row(), row(seed=1, per_class_iou={"1": 0.75})], views=[view],
      class_names={1: "wall"})))
  void, wall, unnamed = re.findall(r"<li>.*?</li>", legend)
  assert "not scored" in void
  assert "--share:50.0%" in wall and "0.50" in wall and "<b>wall</b>" in wall
  assert "--share:0.0%" in unnamed and "–" in unnamed and "class 40" in unnamed
  assert "shaped / other" not in legend  # no row of it was scored
