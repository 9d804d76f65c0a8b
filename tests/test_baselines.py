"""Baselines and visibility: closed forms, and captures made to go wrong."""

import numpy as np
import pytest
import tiny_replica

from jnerf.inspecting import inspection, visibility
from jnerf.inspecting.baselines import baselines
from jnerf.scenes.formats import replica
from jnerf.scenes.room import room


@pytest.fixture
def scene(tmp_path):
  """Ten cameras in a row, 0.1 apart, before a wall 2 away."""
  return replica.load_replica(tiny_replica.write(tmp_path / "cap", num=10))


def test_figures_of_cameras_in_a_row(scene):
  found = baselines(scene)
  assert found["depth"] == "measured" and found["isolated"] == []
  rows = {row["frame"]: row for row in found["views"]}
  middle = rows["rgb_5"]  # beside rgb_4 and rgb_6; test frames are 0 and 8
  assert middle["nearest"] in ("rgb_4", "rgb_6") and middle["turn"] == 0
  assert middle["distance"] == pytest.approx(0.1)
  assert middle["baseline"] == pytest.approx(0.05) and middle["depth"] == 2
  assert rows["rgb_9"]["nearest"] == "rgb_7" and rows["rgb_8"]["is_test"]
  # From rgb_1 all others see the same wall; the widest pair is rgb_1 and rgb_9.
  assert 0.8 * 22 < rows["rgb_1"]["triangulation"] < 22 < np.degrees(
      np.arctan2(0.9, 2.0))
  assert rows["rgb_8"]["nearest_angle"] == pytest.approx(
      np.degrees(np.arctan2(0.1, 2.0)), rel=0.3)
  assert found["test_shared"] > 0.9


def test_without_depth_the_focus_stands_in_for_it():
  measured = room.make_room(width=40, height=30, num_train=16, num_test=4)
  assumed = baselines(measured.replace(depth=None))
  assert assumed["depth"] == "assumed" and assumed["isolated"] == []
  typical = np.median([row["depth"] for row in baselines(measured)["views"]])
  guess = np.median([row["depth"] for row in assumed["views"]])
  assert 0.5 * typical < guess < 2 * typical


def test_a_view_that_looks_elsewhere_is_isolated_and_named(scene):
  poses = scene.cam_to_world.copy()
  poses[3, :3, :3] = np.diag([-1.0, 1, -1])  # turns its back on the wall
  turned = scene.replace(cam_to_world=poses)
  assert baselines(turned)["isolated"] == ["rgb_3"]
  warnings = inspection.inspect_scene(turned.replace(depth=None))["warnings"]
  assert any(w.startswith("1 frame looks at nothing that another training frame sees: "
                          "rgb_3; ") for w in warnings)


def test_test_views_that_share_nothing_are_warned_of(scene):
  poses = scene.cam_to_world.copy()
  poses[scene.test, :3, :3] = np.diag([-1.0, 1, -1])
  turned = inspection.inspect_scene(scene.replace(cam_to_world=poses, depth=None))
  assert turned["baselines"]["test_shared"] == 0
  assert any("turned to only 0% of what test views" in w for w in turned["warnings"])


def test_cameras_in_one_place_have_no_parallax(scene):
  poses = scene.cam_to_world.copy()
  poses[:, 0, 3] = 1e-4 * np.arange(10)
  for depth in (scene.depth, None):
    found = inspection.inspect_scene(scene.replace(cam_to_world=poses, depth=depth))
    assert any("nearly in one place" in w for w in found["warnings"])
  assert not any("one place" in w for w in inspection.inspect_scene(scene)["warnings"])


def test_masked_and_transparent_pixels_do_not_count(scene):
  mask = np.ones(scene.images.shape[:3], bool)
  mask[3] = False
  rows = baselines(scene.replace(mask=mask))["views"]
  assert rows[3]["shared"] == 0 and rows[3]["triangulation"] is None
  assert rows[2]["shared_by_three"] > 0.8
  alone = np.zeros_like(mask)
  alone[5] = True
  assert all(row["shared"] == 0 for row in baselines(
      scene.replace(alpha=alone.astype(np.float32)))["views"][:5])


def test_one_training_view_has_no_neighbour(scene):
  found = baselines(scene.replace(train=np.array([2]), test=np.array([3])))
  assert found["views"][2]["nearest"] is None and found["views"][3]["nearest"] == "rgb_2"


def test_visible_tells_behind_outside_and_hidden():
  depth, intrinsics = np.full((8, 12), 2.0), np.array([6.0, 6.0, 6.0, 4.0])
  points = np.array([[0, 0, 2.0], [0, 0, -2.0], [5, 0, 2.0], [0, 0, 3.0], [0, 0, 1.0],
                     [0, 0, 0.0]])
  found = visibility.visible(points, depth, np.eye(4), intrinsics)
  assert found.tolist() == [True, False, False, False, False, False]


def test_points_where_a_lens_folds_back_are_outside():
  lens = np.array([6.0, 6.0, 6.0, 4.0, -0.1, 0, 0, 0, 0])
  points = np.array([[0.3, 0.0, 1], [3.1, 0.0, 1]])  # the second lands at (7.2, 4)
  inside, row, column, _ = visibility.project_into(points, np.eye(4), lens, (12, 8))
  assert inside.tolist() == [True, False] and (row[0], column[0]) == (4, 7)
