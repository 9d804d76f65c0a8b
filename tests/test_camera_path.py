"""Camera paths: rigid, smooth, and where they were asked to be."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from jnerf.geometry.poses import focus_point, look_at
from jnerf.viewing.camera_path import interpolate_path, orbit_path, up_direction


def _assert_rigid(poses):
  rotations = poses[:, :3, :3]
  np.testing.assert_allclose(np.einsum("vij,vkj->vik", rotations, rotations),
                             np.broadcast_to(np.eye(3), rotations.shape), atol=1e-9)
  np.testing.assert_allclose(np.linalg.det(rotations), 1, atol=1e-9)
  np.testing.assert_array_equal(poses[:, 3], np.tile([[0, 0, 0, 1]], (len(poses), 1)))


def _steps(poses, closed):
  """How far the camera moves and turns between frames."""
  after = np.roll(poses, -1, axis=0) if closed else poses[1:]
  before = poses if closed else poses[:-1]
  turn = Rotation.from_matrix(after[:, :3, :3]) * Rotation.from_matrix(
      before[:, :3, :3]).inv()
  return (np.linalg.norm(after[:, :3, 3] - before[:, :3, 3], axis=1),
          turn.magnitude())


def _ring(angles, radii=(3.0, 2.0), target=(1.0, -2.0, 0.5), height=1.5):
  target = np.array(target)
  return np.stack([look_at(target + [radii[0] * np.cos(a), radii[1] * np.sin(a),
                                     height], target) for a in angles])


def _random_poses(count, seed=0):
  rng = np.random.default_rng(seed)
  poses = np.tile(np.eye(4), (count, 1, 1))
  poses[:, :3, :3] = Rotation.random(count, random_state=seed).as_matrix()
  poses[:, :3, 3] = rng.normal(size=(count, 3))
  return poses


def test_what_is_circled_is_the_focus_that_everything_else_uses():
  noise = np.random.default_rng(3)
  poses = np.stack([look_at((3 * np.cos(a), 2 * np.sin(a), 1.5),
                            noise.normal(scale=0.3, size=3))
                    for a in np.arange(20) / 20 * 2 * np.pi])
  focus = focus_point(poses)
  path = orbit_path(poses, 12)
  toward = (focus - path[:, :3, 3])
  toward /= np.linalg.norm(toward, axis=1, keepdims=True)
  np.testing.assert_allclose(path[:, :3, 2], toward, atol=1e-9)


def test_nearly_parallel_cameras_without_a_focus_are_swung_over():
  poses = np.stack([look_at((x, 0, 0), (0, 200.0, 0)) for x in np.linspace(-2, 2, 9)])
  assert focus_point(poses) is None
  path = orbit_path(poses, 40)
  _assert_rigid(path)
  assert path[:, 0, 3].min() == pytest.approx(-2, abs=0.01)
  assert path[:, 0, 3].max() == pytest.approx(2, abs=0.01)
  assert (path[:, 1, 2] > 0.99).all()  # all look along y


def test_orbit_runs_on_the_ellipse_of_the_cameras():
  target = np.array([1.0, -2.0, 0.5])
  path = orbit_path(_ring(np.arange(24) / 24 * 2 * np.pi), 40)
  assert path.shape == (40, 4, 4)
  _assert_rigid(path)
  offset = path[:, :3, 3] - target
  np.testing.assert_allclose((offset[:, 0] / 3) ** 2 + (offset[:, 1] / 2) ** 2, 1,
                             atol=1e-6)
  np.testing.assert_allclose(offset[:, 2], 1.5, atol=1e-6)
  aim = -offset / np.linalg.norm(offset, axis=1, keepdims=True)
  np.testing.assert_allclose(path[:, :3, 2], aim, atol=1e-9)
  assert (path[:, 2, 1] < 0).all()  # y points down: upright
  move, turn = _steps(path, closed=True)
  assert move.max() < 2 * move.min() and turn.max() < 0.5


def test_cameras_on_one_side_are_not_left_behind():
  target = np.array([1.0, -2.0, 0.5])
  path = orbit_path(_ring(np.linspace(-0.8, 0.8, 9), radii=(3, 3)), 50)
  _assert_rigid(path)
  offset = path[:, :3, 3] - target
  angle = np.arctan2(offset[:, 1], offset[:, 0])
  assert angle.min() == pytest.approx(-0.8, abs=0.01)
  assert angle.max() == pytest.approx(0.8, abs=0.01)
  np.testing.assert_allclose(np.linalg.norm(offset[:, :2], axis=1), 3, atol=1e-3)
  move, _ = _steps(path, closed=True)
  assert move.max() < 0.5


@pytest.mark.parametrize("poses", [
    np.stack([look_at((0.2 * np.cos(a), 0.2 * np.sin(a), 1),
                      (5 * np.cos(a), 5 * np.sin(a), 1))
              for a in np.arange(12) / 12 * 2 * np.pi]),
    _random_poses(30), np.tile(np.eye(4), (3, 1, 1)), np.eye(4)[None]],
    ids=["outward", "random", "one pose", "one camera"])
def test_other_captures_get_a_flight(poses):
  path = orbit_path(poses, 200)
  assert path.shape == (200, 4, 4)
  _assert_rigid(path)
  move, turn = _steps(path, closed=True)
  reach = np.linalg.norm(np.ptp(poses[:, :3, 3], axis=0))
  assert move.max() <= 0.25 * reach + 1e-9 and turn.max() < 0.35
  # It stays where the cameras were.
  lo, hi = poses[:, :3, 3].min(axis=0), poses[:, :3, 3].max(axis=0)
  assert (path[:, :3, 3] > lo - 0.5 * reach - 1e-9).all()
  assert (path[:, :3, 3] < hi + 0.5 * reach + 1e-9).all()


def test_interpolation_hits_its_ends_and_passes_its_poses():
  poses = _random_poses(5)
  path = interpolate_path(poses, 4001)
  _assert_rigid(path)
  np.testing.assert_allclose(path[[0, -1]], poses[[0, -1]], atol=1e-9)
  for pose in poses:
    assert np.abs(path - pose[None]).max(axis=(1, 2)).min() < 0.01


def test_interpolation_has_no_kinks():
  path = interpolate_path(_random_poses(6), 3000)
  move, turn = _steps(path, closed=False)
  # Speeds of neighbouring frames differ by little: no jump at the key poses.
  assert np.abs(np.diff(move)).max() < 0.02 * move.max()
  assert np.abs(np.diff(turn)).max() < 0.02 * turn.max()


def test_two_poses_make_a_straight_even_move():
  poses = np.tile(np.eye(4), (2, 1, 1))
  poses[1, :3, :3] = Rotation.from_rotvec([0, 0, 1.0]).as_matrix()
  poses[1, :3, 3] = [2, 0, 0]
  path = interpolate_path(poses, 5)
  np.testing.assert_allclose(path[:, 0, 3], [0, 0.5, 1, 1.5, 2], atol=1e-9)
  turned = Rotation.from_matrix(path[:, :3, :3]).as_rotvec()[:, 2]
  np.testing.assert_allclose(turned, [0, 0.25, 0.5, 0.75, 1], atol=1e-6)


def test_repeated_poses_are_passed_once():
  poses = _random_poses(3)
  np.testing.assert_allclose(interpolate_path(poses.repeat(2, axis=0), 50),
                             interpolate_path(poses, 50), atol=1e-9)


def test_up_does_not_lean_when_all_look_down_from_one_side():
  poses = _ring(np.linspace(-0.5, 0.5, 7), height=4.0)
  np.testing.assert_allclose(up_direction(poses), [0, 0, 1], atol=1e-2)
  # All x axes parallel: what the cameras themselves hold up decides.
  np.testing.assert_allclose(up_direction(poses[:1]), -poses[0, :3, 1], atol=1e-6)
