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
  near = np.abs(picture.astype(int) - [int(colour[i:i + 2], 16) for i in (1, 3, 5)])
  return np.argwhere(near.max(axis=-1) < 30)[:, ::-1]


def test_camera_plot_shows_every_part_at_its_place(scene):
  figure = frustums.camera_figure(scene)
  picture = frustums.camera_plot(scene)
  assert picture.dtype == np.uint8 and picture.shape[2] == 3
  axes = frustums.plot_axes(scene.cam_to_world, scene.bounds)
  above, side = figure.axes
  texts = [text.get_text() for text in figure.legends[0].get_texts()]
  assert texts == ["8 training", "2 test", "bounds", "measured surface"]
  centres = scene.cam_to_world[:, :3, 3] @ axes.T
  box = np.sort(scene.bounds @ axes.T, axis=0)
  for view, rows in ((above, [0, 1]), (side, [0, 2])):
    origin, one = view.transData.transform([(0, 0), (1, 1)])
    assert one[0] - origin[0] == pytest.approx(one[1] - origin[1])  # no side is squeezed
    # In pixels of the picture, whose rows count from above.
    low, high = (view.transData.transform(end[rows]) for end in box)
    (left, bottom), (right, top) = low.astype(int), high.astype(int)
    part = picture[len(picture) - top - 3:len(picture) - bottom + 3, left - 3:right + 3]
    for colour in (frustums.TRAIN, frustums.TEST, frustums.BOX):
      assert len(colour_at(part, colour)) > 20
    marks = [spot for cameras in view.collections if len(cameras.get_offsets()) in (2, 8)
             for spot in cameras.get_offsets()]
    np.testing.assert_allclose(np.sort(marks, axis=0), np.sort(centres[:, rows], axis=0))
    corners = colour_at(part, frustums.BOX)
    np.testing.assert_allclose(np.ptp(corners, axis=0), high - low, atol=4)
  scales = [view.transData.transform(box[:, [0, 1]])[:, 0] for view in (above, side)]
  np.testing.assert_allclose(*scales)  # under one another


def test_ticks_are_the_scenes_coordinates(scene):
  poses = ring(12)
  turned = np.diag([-1.0, -1, 1])  # seen so, x and y grow to the left and downwards
  poses[:, :3] = turned @ poses[:, :3]
  scene = scene.replace(cam_to_world=poses[:10], depth=None)
  figure = frustums.camera_figure(scene)
  axes = frustums.plot_axes(scene.cam_to_world, scene.bounds)
  for view, rows in zip(figure.axes, ([0, 1], [0, 2])):
    for axis, row in zip((view.xaxis, view.yaxis), axes[rows]):
      name = axis.get_label_text()
      point = np.eye(3)["xyz".index(name)] * 1.5
      assert axis.get_major_formatter()(row @ point, 0) == "1.5"
  assert frustums._combination(np.array([0.6, 0, -0.8])) == "0.60 x − 0.80 z"
  assert frustums._combination(np.array([0, -1.0, 1e-12])) == "− y"


@pytest.mark.parametrize("size", [(90, 1, 1), (1, 1, 90), (3, 2, 1e-9)])
def test_long_and_flat_scenes_fit(scene, size):
  box = np.array([[0, 0, 0], size], float)
  picture = frustums.camera_plot(scene.replace(bounds=box, depth=None))
  assert picture.shape[1] == 1000 and 200 < picture.shape[0] < 1300
  assert len(colour_at(picture[80:], frustums.BOX)) > 100


@pytest.mark.parametrize("name", ["$\\frac{", "部屋"])
def test_names_of_any_letters_are_written_as_they_are(scene, name):
  named = scene.replace(name=name, frames=tuple(f"{name}{i}" for i in range(10)))
  assert frustums.camera_plot(named).ndim == 3  # neither a formula nor a warning


def test_the_cross_is_what_a_film_circles(scene):
  inward, aside = ring(12), look_at((0, -6, 0), (4, 0, 3))  # a test view looks elsewhere
  scene = scene.replace(
      frames=tuple("abcdefghijklm"), images=np.zeros((13, 8, 12, 3), np.float32),
      cam_to_world=np.concatenate([inward, aside[None]]), depth=None, semantic=None,
      instance=None, intrinsics=np.repeat(scene.intrinsics[:1], 13, axis=0),
      train=np.arange(12), test=np.array([12]), bounds=np.array([[-6.0] * 3, [6.0] * 3]))
  body = frustums.camera_plot(scene)[80:]  # the legend has all colours
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
  assert len(colour_at(frustums.camera_plot(one)[80:], frustums.TRAIN)) > 10
  chosen = np.arange(600) % 10
  many = scene.replace(frames=tuple(f"frame_{i:05}" for i in range(600)), depth=None,
                       images=scene.images[chosen],
                       cam_to_world=scene.cam_to_world[chosen],
                       intrinsics=scene.intrinsics[chosen], semantic=None, instance=None,
                       train=np.arange(599), test=np.array([599]))
  figure = frustums.camera_figure(many, named=["frame_00007"])
  assert "250 of them drawn" in figure.legends[0].get_title().get_text()
  names = [text.get_text() for text in figure.axes[0].texts]
  assert names[0] == "frame_00007" and 1 < len(names) <= frustums.SHOWN_NAMES
  assert len(set(names)) == len(names)
  assert (frustums.camera_plot(scene) != frustums.camera_plot(
      scene.replace(depth=0 * scene.depth))).any()
