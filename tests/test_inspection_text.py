"""An inspection as text: what every line says, and when it is left out."""

import copy

import pytest

from jnerf.viewing.inspection_text import INDENT, WIDTH, format_inspection, line


def view(frame, is_test=False, **changes):
  return {"frame": frame, "is_test": is_test, "depth": 2.0, "nearest": "a",
          "distance": 0.1, "turn": 4.0, "baseline": 0.05, "shared": 1.0,
          "shared_by_three": 0.5, "triangulation": 12.0, "nearest_angle": 3.0} | changes


RESULT = {
    "name": "fox", "source": "nerfstudio [DATA/fox]",
    "views": {"all": 3, "train": 2, "test": 1}, "size": [12, 8], "full_size": [24, 16],
    "intrinsics": [6.0, 6.5, 6.0, 4.0], "one_camera": True, "hfov": 90.0, "near": 0.1,
    "far": 7.0, "bounds": [[-1, -2, -3], [1, 2, 3]], "unbounded": False, "masked": 0.25,
    "extent_from": {"near": "cameras", "far": "cameras", "bounds": "given"},
    "cameras": {"low": [0, 0, 0], "high": [1, 0, 0.5], "spacing": 0.1,
                "outside_bounds": []},
    "baselines": {"views": [view("a"), view("b", triangulation=0.52),
                            view("c", True, nearest_angle=20.0)],
                  "depth": "assumed", "isolated": [], "test_shared": 0.8,
                  "test_shared_by_three": 0.3},
    "photos": {"blurred": [{"frame": "a"}], "exposed": [], "clipped": [0.1, None, 0.3]},
    "warnings": ["mend this"]}


def lines_of(*args, **changes):
  """Subject to text of the inspection with some of its parts changed."""
  text = format_inspection(copy.deepcopy(RESULT) | changes, *args)
  joined = text.replace("\n" + INDENT * " ", " ")
  return {row[:INDENT].strip(): row[INDENT:] for row in joined.splitlines()}


def test_every_subject_has_its_line():
  lines = lines_of()
  assert lines["views"] == "3: 2 train, 1 test"
  assert lines["size"] == "12x8 (files 24x16), 25.0% of pixels masked"
  assert lines["intrinsics"] == (
      "fx 6.00  fy 6.50  cx 6.00  cy 4.00  (90.0 degrees wide)")
  assert lines["cameras"] == (
      "within (0.00, 0.00, 0.00) to (1.00, 0.00, 0.50), neighbours 0.1 apart")
  assert lines["near, far"] == "0.1, 7 (guessed from the cameras)"
  assert lines["bounds"] == ("(-1.00, -2.00, -3.00) to (1.00, 2.00, 3.00) (given by the "
                             "config or the capture)")
  assert lines["baselines"] == (
      "nearest training view 0.1 away and turned by 4.0 degrees: 5% of the distance to "
      "what is seen, taken to be 2 away (medians)")
  assert lines["parallax"].endswith("12 degrees apart (median; least in b, 0.5 degrees)")
  assert lines["coverage"].startswith("80% of what the test views are turned to is ")
  assert lines["test views"] == ("20 degrees from the nearest training view that sees "
                                 "the same (median; most in c, 20 degrees)")
  assert lines["photos"] == ("compared with the frames around: 1 blurred, none exposed "
                             "otherwise; 20.0% of pixels are pure white or black")
  assert {"lens", "depth", "instances"}.isdisjoint(lines)
  assert format_inspection(RESULT).endswith("\n\nwarning: mend this\n")


def test_lines_follow_what_is_known():
  lines = lines_of(
      extent_from={"near": "depth", "far": "given", "bounds": "depth"}, unbounded=True,
      one_camera=False, full_size=[12, 8], masked=None,
      intrinsics=[6.0, 6.0, 6.0, 4.0, 0.05, 0, 0, -0.2],
      depth={"known": 0.5, "low": 1.0, "high": 3.0, "median": 2.0}, instances=4,
      coverage={"seen": 0.9, "seen_by_three": 0.6, "median_views": 4.0,
                "in_bounds": 1.0})
  assert lines["near, far"] == (
      "0.1 (from depth), 7 (given by the config or the capture)")
  assert lines["bounds"].endswith("and all of space beyond (from depth)")
  assert lines["size"] == "12x8" and lines["intrinsics"].endswith("wide), median")
  assert lines["lens"] == "k1 0.05  k2 0  k3 0  k4 -0.2"
  assert lines["depth"] == "50.0% of pixels, 1 to 3, median 2"
  assert lines["coverage"].startswith("90.0% of the test views' surface is seen")
  assert lines["instances"] == "4"


def test_a_single_camera_has_no_baselines():
  alone = {"views": [{"frame": "a", "is_test": False, "nearest": None, "depth": 1.0,
                      "triangulation": None, "nearest_angle": None}],
           "depth": "assumed", "isolated": [], "test_shared": None,
           "test_shared_by_three": None}
  assert {"baselines", "parallax", "coverage", "test views"}.isdisjoint(
      lines_of(baselines=alone))


def test_classes_are_listed_by_their_share():
  classes = [dict(id=1, name="wall", pixels=0.2, train_frames=2, test_frames=1),
             dict(id=30, name="long sofa", pixels=0.7, train_frames=1, test_frames=0)]
  table = format_inspection(RESULT | {"classes": classes}).split("\n\n")[2].splitlines()
  assert [row.split() for row in table[1:]] == [
      ["30", "long", "sofa", "70.00%", "1", "0"], ["1", "wall", "20.00%", "2", "1"]]
  assert len({row.index("%") for row in table[1:]}) == 1  # aligned
  assert "instances" not in table[0]


def test_needs_and_cost_are_blocks_of_their_own():
  text = format_inspection(RESULT, [("labels", "give clicks")], [("fit", "about 3 min")])
  assert "\n\nlabels       give clicks\n\nfit          about 3 min\n\nwarning" in text


@pytest.mark.parametrize("subject", ["labels", ""])
def test_text_is_wrapped_but_not_what_is_to_be_copied(subject):
  text = "word " * 40 + "--config.scene.path=a-very/long-name"
  rows = line(subject, text).splitlines()
  if subject:
    assert max(map(len, rows)) <= WIDTH and rows[0].startswith("labels       word")
    assert all(row.startswith(INDENT * " ") for row in rows[1:])
    assert rows[-1].endswith("--config.scene.path=a-very/long-name")
  else:
    assert rows == [INDENT * " " + text]
