"""Features of one place, seen by several views, become one."""

import numpy as np
import pytest

from jnerf.geometry import cameras, surfaces
from jnerf.geometry.poses import look_at
from jnerf.shaping import fusion

GRID = (12, 8)
CAMERA = cameras.pinhole_from_fov(*GRID, 70.0)
V, F, WALL = 4, 5, 2.0


def views(num=V):
  """Cameras in a row along x, half a cell's view apart, that look along z."""
  poses = np.tile(np.eye(4), (num, 1, 1))
  poses[:, 0, 3] = 0.5 * WALL / CAMERA[0] * np.arange(num)
  return poses, np.tile(CAMERA, (num, 1))


def features(num=V, seed=0):
  return np.random.default_rng(seed).normal(size=(num, *GRID[::-1], F))


def slow_twin(features, depth, poses, intrinsics, tolerance):
  """The definition, one point and one view at a time."""
  unit = features / np.linalg.norm(features, axis=-1, keepdims=True)
  fused = np.zeros_like(unit)
  height, width = depth.shape[1:]
  for view, row, column in np.ndindex(depth.shape):
    own = depth[view, row, column]
    if own == 0:
      fused[view, row, column] = unit[view, row, column]
      continue
    ray = np.array([(column + 0.5 - intrinsics[view, 2]) / intrinsics[view, 0],
                    (row + 0.5 - intrinsics[view, 3]) / intrinsics[view, 1], 1.0])
    point = poses[view, :3, :3] @ (ray * own) + poses[view, :3, 3]
    total, weight = np.zeros(F), 0.0
    for other in range(len(depth)):
      x, y, z = poses[other, :3, :3].T @ (point - poses[other, :3, 3])
      if z <= 0:
        continue
      u = x / z * intrinsics[other, 0] + intrinsics[other, 2]
      v = y / z * intrinsics[other, 1] + intrinsics[other, 3]
      if not (0 < u < width and 0 < v < height):
        continue
      for j in (int(np.floor(u - 0.5)), int(np.floor(u - 0.5)) + 1):
        for i in (int(np.floor(v - 0.5)), int(np.floor(v - 0.5)) + 1):
          share = (1 - abs(u - 0.5 - j)) * (1 - abs(v - 0.5 - i)) / z
          if (0 <= i < height and 0 <= j < width
              and abs(depth[other, i, j] - z) < tolerance * z):
            total += share * unit[other, i, j]
            weight += share
    fused[view, row, column] = total / weight if weight else unit[view, row, column]
  return fused


def scattered():
  """Views that look at a bumpy wall from several sides; some depth is not known."""
  rng = np.random.default_rng(3)
  poses = np.stack([look_at((x, 0.2 * x, 0.0), (0.3, 0.1, 2.0), up=(0, -1, 0))
                    for x in (-0.6, 0.0, 0.7, 1.2)])
  intrinsics = np.tile(CAMERA, (V, 1))
  depth = np.stack([_depth_of_wall(pose) for pose in poses])
  depth *= 1 + 0.02 * rng.normal(size=depth.shape)
  depth[rng.random(depth.shape) < 0.05] = 0
  return features(), depth, poses, intrinsics


def _depth_of_wall(pose):
  xy = cameras.pixel_centres(*GRID)
  rays = cameras.pixel_directions(xy, np.broadcast_to(CAMERA, (*xy.shape[:2], 4)), np)
  rays = rays @ pose[:3, :3].T
  return (WALL - pose[2, 3]) / rays[..., 2]


@pytest.mark.parametrize("tolerance", [0.01, 0.05])
def test_fusing_equals_its_definition(tolerance):
  grid, depth, poses, intrinsics = scattered()
  fused = fusion.fuse(grid, depth, poses, intrinsics, tolerance)
  assert fused.dtype == np.float16 and fused.shape == grid.shape
  expected = slow_twin(grid, depth, poses, intrinsics, tolerance)
  assert np.mean(np.abs(expected - grid / np.linalg.norm(grid, axis=-1, keepdims=True))
                 > 0.05) > 0.5  # most cells are seen by others too
  close = np.abs(fused - expected).max(axis=-1) < 4e-3
  assert close.mean() > 0.995  # a depth at the tolerance's edge may fall either way


def test_a_view_alone_keeps_its_features():
  grid, (poses, intrinsics) = features(1), views(1)
  fused = fusion.fuse(grid, np.full((1, *GRID[::-1]), WALL), poses, intrinsics)
  np.testing.assert_allclose(
      fused, grid / np.linalg.norm(grid, axis=-1, keepdims=True), atol=2e-3)


def test_views_from_one_place_share_their_mean():
  grid, (poses, intrinsics) = features(2), views(2)
  poses[1] = poses[0]
  depth = np.full((2, *GRID[::-1]), WALL)
  fused = fusion.fuse(grid, depth, poses, intrinsics)
  unit = grid / np.linalg.norm(grid, axis=-1, keepdims=True)
  np.testing.assert_allclose(fused[0], unit.mean(0), atol=2e-3)
  np.testing.assert_array_equal(fused[0], fused[1])
  depth[1] *= 1.5  # now the second sees another surface
  apart = fusion.fuse(grid, depth, poses, intrinsics)
  np.testing.assert_allclose(apart, unit, atol=2e-3)


def test_noise_of_single_views_is_averaged_away():
  """Ten views of one wall: the share of a feature that is noise falls by its root."""
  rng, num = np.random.default_rng(1), 10
  poses, intrinsics = views(num)
  poses[:, 0, 3] *= 0.02
  truth = np.zeros(F)
  truth[0] = 1.0
  grid = truth + 0.3 * rng.normal(size=(num, *GRID[::-1], F))
  fused = fusion.fuse(grid, np.full((num, *GRID[::-1]), WALL), poses, intrinsics)

  def angles(rows):
    rows = np.asarray(rows, np.float64)
    unit = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.median(np.arccos(np.clip(unit[..., 0], -1, 1)))

  assert angles(fused) < 0.5 * angles(grid)


def test_a_part_of_the_image_may_carry_the_grid():
  extent = (0.1, 0.0, 0.9, 1.0)
  cells = surfaces.cells_as_pixels(CAMERA, GRID, GRID, extent)
  assert cells[0] == pytest.approx(CAMERA[0] / 0.8)
  assert cells[2] == pytest.approx(GRID[0] / 2) and cells[1] == CAMERA[1]
