"""What a view sees: which points project into its image and are not hidden there."""

from __future__ import annotations

import numpy as np

from jnerf.geometry import cameras
from jnerf.scenes import bounds
from jnerf.structs import Scene

COVERAGE_POINTS = 4000  # surface points of the test views that are looked for
DEPTH_TOLERANCE = 0.03  # relative; two views see the same surface within it


def project_into(points: np.ndarray, cam_to_world: np.ndarray, intrinsics: np.ndarray,
                 size: tuple[int, int]):
  """`(inside [M] bool, row [M], column [M], z [M])` of `points [M, 3]` in one view.

  cam_to_world: `[4, 4]`; intrinsics: as of one view of a `Scene`; size: `(width,
    height)`. Row and column are 0 outside the image.
  """
  with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
    xy, z = cameras.project(points, cam_to_world, intrinsics, xnp=np)
  inside = (z > 0) & ((xy >= 0) & (xy < np.array([size]))).all(axis=1)
  if intrinsics.shape[-1] > 4:
    # Far outside the image a lens's model folds back into it.
    away = points - cam_to_world[None, :3, 3]
    cosine = away @ cam_to_world[:3, 2] / np.maximum(
        np.linalg.norm(away, axis=1), 1e-12)
    inside &= cosine >= _border_cosine(intrinsics, size) - 0.01
  column, row = np.where(inside[:, None], xy, 0).astype(np.int64).T
  return inside, row, column, z


def visible(points: np.ndarray, depth: np.ndarray, cam_to_world: np.ndarray,
            intrinsics: np.ndarray) -> np.ndarray:
  """`[M]` bool: which `points [M, 3]` one view with `depth [H, W]` sees.

  cam_to_world, intrinsics: as in `project_into`.
  """
  inside, row, column, z = project_into(points, cam_to_world, intrinsics,
                                        depth.shape[::-1])
  return inside & (np.abs(depth[row, column] - z) < DEPTH_TOLERANCE * z)


def coverage(scene: Scene) -> dict:
  """How much of what the test views see the training views see too; needs depth.

  A surface point of a test view is seen by a training view where it projects
  into the image and the depth there agrees, so that nothing hides it.
  """
  test = scene.test
  if not len(test):
    return {}
  points, _ = bounds.surface_points(
      scene.depth[test], scene.cam_to_world[test], scene.intrinsics[test],
      COVERAGE_POINTS)
  if not len(points):
    return {}
  num_views = np.zeros(len(points), np.int64)
  for view in scene.train:
    num_views += visible(points, scene.depth[view], scene.cam_to_world[view],
                    scene.intrinsics[view])
  inside = ((points >= scene.bounds[:1]) & (points <= scene.bounds[1:])).all(axis=1)
  return {"seen": float((num_views > 0).mean()),
          "seen_by_three": float((num_views > 2).mean()),
          "median_views": float(np.median(num_views)),
          "in_bounds": float(inside.mean())}


def _border_cosine(intrinsics: np.ndarray, size: tuple[int, int]) -> float:
  """Cosine of the widest angle with the optical axis, over the image's border."""
  width, height = size
  at = np.linspace(0, 1, 9)
  edges = [(at, 0 * at), (at, 0 * at + 1), (0 * at, at), (0 * at + 1, at)]
  xy = np.concatenate([np.stack([x * width, y * height], axis=1) for x, y in edges])
  directions = cameras.pixel_directions(
      xy, np.broadcast_to(intrinsics, (len(xy), len(intrinsics))), np)
  return float((directions[:, 2] / np.linalg.norm(directions, axis=1)).min())
