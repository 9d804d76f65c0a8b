"""Warnings of an inspection: which values call for one, and what it says."""

import copy

import pytest
from test_inspection_text import RESULT, view

from jnerf.inspecting.inspection_warnings import warnings_of

CALM = RESULT | {
    "depth": {"known": 0.9, "low": 1.0, "high": 3.0, "median": 2.0},
    "coverage": {"seen": 0.95, "seen_by_three": 0.6, "median_views": 4.0,
                 "in_bounds": 1.0},
    "equal_frames": [], "classes": [],
    "photos": {"blurred": [], "exposed": [], "clipped": [0.0] * 6, "clipped_frames": []}}


def warnings(**changes) -> list[str]:
  return warnings_of(copy.deepcopy(CALM) | changes)


def test_a_good_capture_is_not_warned_of():
  assert warnings() == []


def test_guesses_are_named_by_their_keys():
  result = {key: value for key, value in CALM.items() if key not in ("depth", "coverage")}
  warning, *others = warnings_of(result)
  assert warning == (
      "no depth: depth is not evaluated, and guesses from the cameras must do: look at "
      "cameras.png, and set scene.near, scene.far where they are wrong")
  assert others == ["training views are turned to only 80% of what test views are turned "
                    "to"]
  given = dict.fromkeys(("near", "far", "bounds"), "given")
  assert warnings_of(result | {"extent_from": given})[0] == (
      "no depth: depth is not evaluated")


def test_cameras_outside_count_where_they_are_not_all_and_space_ends():
  cameras = CALM["cameras"] | {"outside_bounds": ["a", "b"]}
  assert warnings(cameras=cameras) == ["2 cameras are outside scene.bounds: a, b"]
  assert warnings(cameras=cameras, unbounded=True) == []
  everyone = CALM["cameras"] | {"outside_bounds": ["a", "b", "c"]}
  assert warnings(cameras=everyone) == []


@pytest.mark.parametrize("changes, warning", [
    ({"seen": 0.5}, "training views see only 50% of what test views see"),
    ({"in_bounds": 0.9}, "10% of the test views' surface is outside scene.bounds")])
def test_coverage(changes, warning):
  assert warnings(coverage=CALM["coverage"] | changes) == [warning]


def test_many_equal_frames_are_counted():
  pairs = [[f"a{i}", f"b{i}"] for i in range(7)]
  lines = warnings(equal_frames=pairs)
  assert lines[0] == "frames a0 and b0 are nearly equal" and len(lines) == 6
  assert lines[-1] == "2 more pairs are nearly equal"


def test_no_parallax_and_isolation():
  beside = CALM["baselines"] | {
      "views": [view("a", triangulation=0.4), view("b", triangulation=0.6)],
      "isolated": ["a", "b", "c", "d"]}
  parallax, isolated = warnings(baselines=beside)
  assert "at most 0.5 degrees apart): no parallax" in parallax
  assert isolated.startswith("4 frames look at nothing that another training frame sees: "
                             "a, b, c, ...; ")


def test_photographs():
  blurred = [{"frame": "a", "lost": 0.456}]
  exposed = [{"frame": "a", "stops": 1.26}, {"frame": "b", "stops": -0.9}]
  photos = CALM["photos"] | {"blurred": blurred, "exposed": exposed}
  first, second = warnings(photos=photos)
  assert first.startswith("1 frame is blurred beside the frames around: a (46% of fine")
  assert second.startswith("2 frames are exposed unlike the frames around: a (1.3 stops "
                           "brighter), b (0.9 stops darker); ")


@pytest.mark.parametrize("num, expected", [(0, 0), (2, 1), (3, 0)])
def test_clipping_of_half_the_frames_is_the_backgrounds_colour(num, expected):
  clipped = [{"frame": f"f{i}", "share": 0.5} for i in range(num)]
  lines = warnings(photos=CALM["photos"] | {"clipped_frames": clipped})
  assert len(lines) == expected
  assert all("f0 (50%), f1 (50%)" in text for text in lines)


def test_classes_that_are_seen_on_one_side_alone():
  def row(class_id, train, test):
    return {"id": class_id, "name": "lamp", "train_frames": train, "test_frames": test}

  lines = warnings(classes=[row(1, 2, 1), row(2, 0, 1), row(3, 2, 0)])
  assert lines == ["class 2 (lamp) is seen in test frames only",
                   "class 3 (lamp) is seen in no test frame"]
  alone = warnings(classes=[row(3, 2, 0)], views={"all": 2, "train": 2, "test": 0})
  assert alone == ["no test views: nothing can be evaluated; set scene.test_every"]
