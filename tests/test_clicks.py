"""Clicks: the file, and the way between full and working resolution."""

import json

import numpy as np
import pytest

from jnerf.scenes import clicks
from jnerf.structs import Click, Clicks, Scene


def scene_of(size, full_size):
  width, height = size
  return Scene(
      name="s", frames=("rgb_3", "rgb_12"), images=np.zeros((2, height, width, 3)),
      cam_to_world=np.tile(np.eye(4), (2, 1, 1)), intrinsics=np.ones((2, 4)),
      full_size=full_size, near=0.1, far=1.0, bounds=np.zeros((2, 3)),
      train=np.array([0]), test=np.array([1]))


CLICKS = Clicks(
    classes={1: "wall", 7: "chair"},
    positive=(Click("rgb_12", 10, 20, 1), Click("rgb_3", 0, 0, 7)),
    negative=(Click("rgb_12", 39, 29, 7),))


def test_the_file_has_the_documented_form(tmp_path):
  path = tmp_path / "clicks.json"
  clicks.write_clicks(path, CLICKS)
  raw = json.loads(path.read_text())
  assert raw["classes"] == {"1": "wall", "7": "chair"}
  assert raw["clicks"][0] == {"frame": "rgb_12", "x": 10, "y": 20, "class": 1}
  assert raw["negative"] == [{"frame": "rgb_12", "x": 39, "y": 29, "class": 7}]
  assert clicks.read_clicks(path, scene_of((20, 15), (40, 30))) == CLICKS
  assert [p.name for p in tmp_path.iterdir()] == ["clicks.json"]  # no partial file


def test_numpy_integers_are_written_and_negative_may_be_absent(tmp_path):
  path = tmp_path / "c.json"
  one = Clicks({1: "wall"}, (Click("rgb_3", np.int64(1), np.int32(2), np.int64(1)),))
  clicks.write_clicks(path, one)
  raw = json.loads(path.read_text())
  del raw["negative"]
  path.write_text(json.dumps(raw))
  assert clicks.read_clicks(path, scene_of((4, 4), (4, 4))).positive[0].x == 1


def test_pixels_at_working_resolution():
  pixels = clicks.click_pixels(CLICKS, scene_of((20, 15), (40, 30)))
  np.testing.assert_array_equal(pixels, [[1, 10, 5], [0, 0, 0]])
  negative = clicks.click_pixels(CLICKS, scene_of((20, 15), (40, 30)), negative=True)
  np.testing.assert_array_equal(negative, [[1, 14, 19]])
  none = clicks.click_pixels(Clicks({}, ()), scene_of((4, 4), (4, 4)))
  assert none.shape == (0, 3)


def test_a_negative_click_is_a_label_of_what_it_is_not():
  pixels, ids = clicks.labelled_pixels(CLICKS, scene_of((20, 15), (40, 30)))
  np.testing.assert_array_equal(pixels, [[1, 10, 5], [0, 0, 0], [1, 14, 19]])
  np.testing.assert_array_equal(ids, [1, 7, -7])


@pytest.mark.parametrize("size, full", [
    ((300, 170), (600, 340)), ((320, 240), (320, 240)), ((200, 113), (600, 340)),
    ((299, 169), (600, 340)), ((1, 1), (7, 5)), ((150, 85), (601, 341))])
def test_every_working_pixel_comes_back(size, full):
  scene = scene_of(size, full)
  for column in range(size[0]):
    row = column % size[1]
    x, y = clicks.full_resolution_xy(row, column, scene)
    assert 0 <= x < full[0] and 0 <= y < full[1]
    # The full-resolution pixel holds the working pixel's centre.
    assert x <= (column + 0.5) * full[0] / size[0] <= x + 1
    found = clicks.click_pixels(Clicks({1: "a"}, (Click("rgb_3", x, y, 1),)), scene)
    np.testing.assert_array_equal(found, [[0, row, column]])


def test_no_click_leaves_the_working_image():
  scene = scene_of((299, 169), (600, 340))
  corner = Clicks({1: "a"}, (Click("rgb_3", 599, 339, 1),))
  np.testing.assert_array_equal(clicks.click_pixels(corner, scene), [[0, 168, 298]])
