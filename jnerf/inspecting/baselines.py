"""How the cameras stand to one another: who sees the same, and from how far apart.

Depth can be found where two views see one point from two places. So everything here is
measured at points: a few pixels of every view, at their measured depth. Where none was
measured, a view is taken to see things as far away as the point that all cameras look
at; where they look at no one point, half the longest side of the scene's box. Only
training views count as others, for a field is fitted to nothing else.

Notation: V views, M points over all of them.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from jnerf.geometry import cameras
from jnerf.geometry.poses import focus_point
from jnerf.host_arrays import unit_rows
from jnerf.inspecting.visibility import DEPTH_TOLERANCE, project_into
from jnerf.structs import Scene

MAX_POINTS, PER_VIEW = 20_000, (6, 30)  # points of all views, of one view
ISOLATED = 0.1  # share of a view's points; one that shares less stands alone
NO_PARALLAX = 1.0  # degrees under which a point seen twice has no depth


def baselines(scene: Scene) -> dict:
  """Figures of every view, and the outliers by name.

  `views`: for each view `frame`, `is_test`, `nearest` (training frame), `distance` to
  it, `turn` (degrees between the two viewing directions), `baseline` (that distance
  over the view's `depth`), and of its points `shared` (share that a training view
  sees), `shared_by_three`, `triangulation` (degrees: the widest angle between this and
  another camera at a point) and `nearest_angle` (the narrowest); medians, None where
  nothing is shared. `isolated`: frames that share less than `ISOLATED`.
  `depth`: `measured` or `assumed`. `test_shared`, `test_shared_by_three`: means over
  the test views.
  """
  points, owner, depth, is_measured = _points_of_views(scene)
  shared, widest, narrowest = _seen_from_elsewhere(scene, points, owner)
  nearest, distance = _nearest_training_view(scene)
  forward = scene.cam_to_world[:, :3, 2]
  rows = []
  for view, frame in enumerate(scene.frames):
    mine = owner == view
    row = {"frame": frame, "is_test": view in scene.test, "depth": float(depth[view]),
           "nearest": None,
           "shared": float((shared[mine] > 0).mean()) if mine.any() else 0.0,
           "shared_by_three": float((shared[mine] > 2).mean()) if mine.any() else 0.0,
           "triangulation": _median_degrees(widest[mine & (shared > 0)]),
           "nearest_angle": _median_degrees(narrowest[mine & (shared > 0)])}
    if nearest[view] >= 0:
      cosine = np.clip(forward[view] @ forward[nearest[view]], -1, 1)
      row |= {"nearest": scene.frames[nearest[view]], "distance": float(distance[view]),
              "turn": float(np.degrees(np.arccos(cosine))),
              "baseline": float(distance[view] / depth[view])}
    rows.append(row)
  test = [rows[view] for view in scene.test]
  return {
      "views": rows, "depth": "measured" if is_measured else "assumed",
      "isolated": [row["frame"] for row in rows if row["shared"] < ISOLATED],
      "test_shared": float(np.mean([row["shared"] for row in test])) if test else None,
      "test_shared_by_three": (
          float(np.mean([row["shared_by_three"] for row in test])) if test else None)}


def median_of(rows: list[dict], key: str) -> float | None:
  """Median of a figure over those views that have it; None where none has."""
  values = [row[key] for row in rows if row.get(key) is not None]
  return float(np.median(values)) if values else None


def _points_of_views(scene: Scene):
  """`(points [M, 3], owner [M] view, depth [V] of the views, whether measured)`."""
  width, height = scene.size
  assumed = _assumed_depth(scene)
  num = int(np.clip(MAX_POINTS // len(scene.frames), *PER_VIEW))
  rows = max(1, round(np.sqrt(num * height / width)))
  columns = max(1, num // rows)
  row, column = (grid.ravel() for grid in np.meshgrid(
      ((np.arange(rows) + 0.5) * height / rows).astype(np.int64),
      ((np.arange(columns) + 0.5) * width / columns).astype(np.int64), indexing="ij"))
  xy = np.stack([column, row], axis=1) + 0.5
  points, owner, depths = [], [], assumed.copy()
  for view, pose in enumerate(scene.cam_to_world):
    used, z = _used(scene, view)[row, column], np.full(len(row), assumed[view])
    if scene.depth is not None and scene.depth[view].any():
      z = scene.depth[view][row, column]
      depths[view] = np.median(scene.depth[view][scene.depth[view] > 0])
    used &= z > 0
    directions = cameras.pixel_directions(
        xy[used], np.broadcast_to(scene.intrinsics[view],
                                  (used.sum(), scene.intrinsics.shape[1])), np)
    points.append(directions * z[used, None] @ pose[:3, :3].T + pose[None, :3, 3])
    owner.append(np.full(used.sum(), view))
  is_measured = scene.depth is not None and bool(scene.depth.any())
  return np.concatenate(points), np.concatenate(owner), depths, is_measured


def _assumed_depth(scene: Scene) -> np.ndarray:
  """`[V]` depth at which each view is taken to see things; see above."""
  fallback = float(np.max(scene.bounds[1] - scene.bounds[0])) / 2
  focus = focus_point(scene.cam_to_world)
  if focus is None:
    return np.full(len(scene.frames), fallback)
  z = np.einsum("vi,vi->v", focus[None] - scene.cam_to_world[:, :3, 3],
                scene.cam_to_world[:, :3, 2])
  return np.where(z > 0.1 * np.median(z), z, fallback)


def _used(scene: Scene, view: int) -> np.ndarray:
  """`[H, W]` bool: pixels that are neither masked nor transparent."""
  used = np.ones(scene.images.shape[1:3], bool)
  if scene.mask is not None:
    used &= scene.mask[view]
  if scene.alpha is not None:
    used &= scene.alpha[view] > 0.5
  return used


def _seen_from_elsewhere(scene: Scene, points: np.ndarray, owner: np.ndarray):
  """How many training views besides its owner see each point, and from which angles.

  Returns `(count [M], widest [M], narrowest [M])`; the last two are cosines of angles at
  the point, between its owner and the other views that see it.
  """
  centres = scene.cam_to_world[:, :3, 3]
  to_owner = unit_rows(centres[owner] - points)
  count = np.zeros(len(points), np.int64)
  widest, narrowest = np.full(len(points), np.inf), np.full(len(points), -np.inf)
  for view in scene.train:
    sees, row, column, z = project_into(
        points, scene.cam_to_world[view], scene.intrinsics[view], scene.size)
    sees &= owner != view
    if scene.mask is not None:
      sees &= scene.mask[view][row, column]
    if scene.depth is not None:
      measured = scene.depth[view][row, column]
      sees &= (measured == 0) | (np.abs(measured - z) < DEPTH_TOLERANCE * z)
    count += sees
    cosine = np.einsum("mi,mi->m", to_owner, unit_rows(centres[None, view] - points))
    widest = np.where(sees, np.minimum(widest, cosine), widest)
    narrowest = np.where(sees, np.maximum(narrowest, cosine), narrowest)
  return count, widest, narrowest


def _nearest_training_view(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
  """`(view [V], distance [V])` of the nearest other training view; -1 for none."""
  centres = scene.cam_to_world[:, :3, 3]
  distance, nearest = cKDTree(centres[scene.train]).query(centres, k=2)
  # Of two, for the nearest may be the view itself; a tree of one gives inf.
  view = np.append(scene.train, -1)[nearest]
  itself = view[:, 0] == np.arange(len(centres))
  pick = np.where(itself, 1, 0)
  every = np.arange(len(centres))
  return view[every, pick], distance[every, pick]


def _median_degrees(cosines: np.ndarray) -> float | None:
  if not len(cosines):
    return None
  return float(np.degrees(np.arccos(np.clip(np.median(cosines), -1, 1))))
