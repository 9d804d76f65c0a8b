"""The pictures of an inspection: frames with their labels, cameras where they stand."""

import numpy as np
import pytest
import tiny_replica

from jnerf.geometry.poses import focus_point, look_at
from jnerf.scenes.formats import replica
from jnerf.viewing import frustums
from jnerf.viewing.camera_path import orbit_path
from jnerf.viewing.contact_sheet import contact_sheet

PALETTE = np.array([[0, 0, 0], [250, 0, 0], [0, 250, 0]], np.uint8)


@pytest.fixture
def scene(tmp_path):
  return replica.load_replica(tiny_replica.write(tmp_path / "cap", num=10))


def test_contact_sheet_shows_frames_and_labels(scene):
  plain = contact_sheet(scene, columns=5)
  sheet = contact_sheet(scene, PALETTE, columns=5)
  assert plain.dtype == np.uint8 and plain.shape[1] == sheet.shape[1] == 5 * 16 + 4
  assert sheet.shape[0] == plain.shape[0] + 2 * 8  # two rows, each with its overlay
  # First photograph, pixel for pixel; below it the labels over it.
  np.testing.assert_allclose(sheet[18:26, 4:16] / 255, scene.images[0], atol=0.003)
  overlay = sheet[26:34, 4:16].astype(int)
  assert (overlay[1:, :6, 0] > overlay[1:, :6, 1]).all()  # class 1 is red
  assert (overlay[1:, 6:, 1] > overlay[1:, 6:, 0]).all()  # class 2 is green


def test_long_captures_are_thinned_evenly(scene):
  few = contact_sheet(scene, columns=9, max_frames=3)
  assert few.shape == (4 + 8 + 18, 3 * 16 + 4, 3)


def ring(num: int, height: float = 1.0) -> np.ndarray:
  """`[num, 4, 4]` cameras around the z axis, looking at the origin."""
  angles = 2 * np.pi * np.arange(num) / num
  return np.stack([look_at((3 * np.cos(a), 2 * np.sin(a), height), (0, 0, 0))
                   for a in angles])


@pytest.mark.parametrize("turn", [np.eye(3), np.diag([1.0, -1, -1]),
                                  np.array([[0, 0, 1.0], [1, 0, 0], [0, 1, 0]])])
def test_plot_axes_are_the_worlds_where_cameras_stand_upright_in_it(turn):
  poses = ring(12)
  poses[:, :3] = turn @ poses[:, :3]
  axes = frustums.plot_axes(poses, poses[:, :3, 3])
  np.testing.assert_allclose(axes[2], turn @ [0, 0, 1], atol=1e-9)
  np.testing.assert_allclose(np.abs(axes[0]), np.abs(turn @ [1, 0, 0]), atol=1e-9)
  np.testing.assert_allclose(np.cross(axes[0], axes[1]), axes[2], atol=1e-9)


def test_plot_axes_follow_cameras_that_stand_askew():
  leaning, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
  leaning *= np.sign(np.linalg.det(leaning))
  poses = ring(12)
  poses[:, :3] = leaning @ poses[:, :3]
  axes = frustums.plot_axes(poses, poses[:, :3, 3])
  np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-9)
  np.testing.assert_allclose(axes[2], leaning @ [0, 0, 1], atol=1e-9)
  assert abs(axes[0] @ leaning @ [1, 0, 0]) == pytest.approx(1)  # the ring is wider there


def colour_at(picture, colour) -> np.ndarray:
  """`[n, 2]` columns and rows of the pixels that are nearly of a colour."""
  near = np.abs(picture.astype(int) - np.array(colour)).max(axis=-1) < 30
  return np.argwhere(near)[:, ::-1]


def test_camera_plot_shows_every_part_at_its_place(scene):
  picture = frustums.camera_plot(scene)
  assert picture.dtype == np.uint8 and picture.shape[1] == frustums.WIDTH
  body = picture[frustums.HEAD + 40:]  # the legend has all colours
  for colour in (frustums.TRAIN, frustums.TEST, frustums.BOX):
    assert len(colour_at(body, colour)) > 20
  # A wall straight ahead, seen from above: its points lie on one row.
  axes = frustums.plot_axes(scene.cam_to_world, scene.bounds)
  (above, side), size = frustums._panels(axes, scene.bounds)
  assert size[0] == frustums.WIDTH and above.scale == side.scale
  corners = np.stack([panel.place(scene.bounds) for panel in (above, side)])
  np.testing.assert_allclose(corners[0, :, 0], corners[1, :, 0])  # under one another
  assert corners.min() > 0 and (corners < size).all()


def test_the_cross_is_what_a_film_circles(scene):
  inward, aside = ring(12), look_at((0, -6, 0), (4, 0, 3))  # a test view looks elsewhere
  scene = scene.replace(
      frames=tuple("abcdefghijklm"), images=np.zeros((13, 8, 12, 3), np.float32),
      cam_to_world=np.concatenate([inward, aside[None]]), depth=None, semantic=None,
      instance=None, intrinsics=np.repeat(scene.intrinsics[:1], 13, axis=0),
      train=np.arange(12), test=np.array([12]), bounds=np.array([[-6.0] * 3, [6.0] * 3]))
  body = frustums.camera_plot(scene)[frustums.HEAD + 40:]
  column = colour_at(body, frustums.FOCUS)[:, 0]
  film = orbit_path(scene.cam_to_world[scene.train], 8)
  middle = focus_point(film)
  np.testing.assert_allclose(middle, 0, atol=1e-6)
  box = colour_at(body, frustums.BOX)[:, 0]
  assert abs(column.mean() - (box.min() + box.max()) / 2) < 2


def test_camera_plot_of_few_many_and_unmeasured_cameras(scene):
  one = scene.replace(frames=("only",), images=scene.images[:1], depth=None,
                      cam_to_world=scene.cam_to_world[:1], semantic=None, instance=None,
                      intrinsics=scene.intrinsics[:1], train=np.array([0]),
                      test=np.array([], np.int64))
  assert len(colour_at(frustums.camera_plot(one)[110:], frustums.TRAIN)) > 10
  chosen = np.arange(600) % 10
  many = scene.replace(frames=tuple(f"frame_{i:05}" for i in range(600)), depth=None,
                       images=scene.images[chosen],
                       cam_to_world=scene.cam_to_world[chosen],
                       intrinsics=scene.intrinsics[chosen], semantic=None, instance=None,
                       train=np.arange(599), test=np.array([599]))
  assert frustums.camera_plot(many, named=["frame_00007"]).shape[1] == frustums.WIDTH
  assert (frustums.camera_plot(scene) != frustums.camera_plot(
      scene.replace(depth=0 * scene.depth))).any()


@pytest.mark.parametrize("length, expected", [(1.0, 1), (1.99, 1), (2.3, 2), (0.07, 0.05),
                                              (731, 500)])
def test_scale_bars_are_round(length, expected):
  assert frustums._round_length(length) == pytest.approx(expected)
