"""How far to look along a ray, and the box that holds the scene.

Notation: V views, M surface points. `distance` is along the ray, `depth` along
the camera's z. Surfaces measured by depth, or points of a sparse reconstruction, are
the better witness: `near`, `far` and the box come from robust percentiles of them,
with a margin for what only other views see. Without either the cameras must do.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import spatial

from jnerf.errors import InputError
from jnerf.geometry import cameras
from jnerf.geometry.poses import focus_point

OUTLIERS = 0.1  # percent of surface points cut off at each end,
SPARSE_OUTLIERS = 1.0  # of points that were triangulated: some are far off
CENTRAL = 10.0  # and of those where space beyond the box is covered too,
NEAR_PERCENT, NEAR_TIMES = 5.0, 4.0  # within so many times this percentile of distance
NEAR_MARGIN, FAR_MARGIN = 0.5, 1.1  # factors on the percentiles of distance
BOX_MARGIN = 0.05  # of the box's longest side, added on all six faces
UNBOUNDED_NEAR, UNBOUNDED_FAR = 0.05, 100.0  # in half longest sides of the box
SAMPLE = 100_000  # surface points that are looked at


def scene_extent(cam_to_world: np.ndarray, depth: np.ndarray | None = None,
                 depth_views: np.ndarray | None = None,
                 intrinsics: np.ndarray | None = None, *,
                 points: np.ndarray | None = None, near: float = 0.0,
                 far: float = 0.0, bounds: Sequence[float] = (),
                 ) -> tuple[float, float, np.ndarray]:
  """`(near, far, bounds [2, 3])` of a capture; what is given wins.

  cam_to_world: `[V, 4, 4]`; the box always holds these cameras.
  depth: `[V, H, W]` with `intrinsics [V, 4]`, or None.
  depth_views: indices of the views whose depth may be used (those that train).
  points: `[M, 3]` of a sparse reconstruction, used where there is no depth.
  near, far: 0 where they are to be found; bounds: 6 numbers, lowest corner
    first, or empty.
  """
  if depth is not None and (depth[depth_views] > 0).any():
    surface, distance = surface_points(
        depth[depth_views], cam_to_world[depth_views], intrinsics[depth_views], SAMPLE)
    found_near, found_far = near_far_from_distances(distance)
    box = None if len(bounds) else box_of_points(surface, cam_to_world)
  elif points is not None and len(points):
    found_near, found_far = near_far_from_distances(
        _distances_in_front(points, cam_to_world), SPARSE_OUTLIERS)
    box = None if len(bounds) else box_of_points(points, cam_to_world, SPARSE_OUTLIERS)
  else:
    box = None
    if not (near and far and len(bounds)):
      box = box_of_cameras(cam_to_world)
      found_far = float(np.linalg.norm(box[1] - box[0]))
      found_near = 0.01 * found_far
  near, far = float(near or found_near), float(far or found_far)
  if not 0 < near < far < np.inf:
    raise InputError(f"scene.near={near:g} and scene.far={far:g}: give 0 < near < far")
  return near, far, _given_box(bounds) if len(bounds) else box


def unbounded_extent(cam_to_world: np.ndarray, points: np.ndarray | None = None, *,
                     near: float = 0.0, far: float = 0.0,
                     bounds: Sequence[float] = ()) -> tuple[float, float, np.ndarray]:
  """`(near, far, bounds [2, 3])` where the field covers all of space.

  The box is what it shows in most detail: that of the cameras and of most `points
  [M, 3]` of a sparse reconstruction that are not far behind the nearest ones, else of
  the point they look at. No point lies before `near` or beyond `far`, but outliers.
  What is given wins, as in `scene_extent`.
  """
  found_near, found_far = np.inf, 0.0
  if points is not None and len(points):
    distance = _distances_in_front(points, cam_to_world)
    found_near, found_far = near_far_from_distances(distance, SPARSE_OUTLIERS)
    central = _foreground(points, cam_to_world, distance)
    box = box_of_points(central, cam_to_world, CENTRAL)
  elif not len(bounds):
    low, high = _camera_box(cam_to_world)
    box = _grow(low, high, BOX_MARGIN)
  box = _given_box(bounds) if len(bounds) else box
  radius = float(np.max(box[1] - box[0])) / 2
  near = float(near or min(UNBOUNDED_NEAR * radius, found_near))
  far = float(far or max(UNBOUNDED_FAR * radius, found_far))
  if not 0 < near < far < np.inf:
    raise InputError(f"scene.near={near:g} and scene.far={far:g}: give 0 < near < far")
  return near, far, box


def surface_points(depth: np.ndarray, cam_to_world: np.ndarray,
                   intrinsics: np.ndarray, num: int, seed: int = 0,
                   ) -> tuple[np.ndarray, np.ndarray]:
  """`(points [M, 3], distance [M])` of up to `num` pixels drawn over all views.

  depth: `[V, H, W]`; cam_to_world: `[V, 4, 4]`; intrinsics: `[V, 4, 8 or 9]`. Pixels
  without depth are left out, so M <= num.
  """
  rng = np.random.default_rng(seed)
  view, row, column = (rng.integers(0, size, num) for size in depth.shape)
  z = depth[view, row, column]
  view, row, column, z = (a[z > 0] for a in (view, row, column, z))
  xy = np.stack([column, row], axis=-1) + 0.5
  camera = cameras.pixel_directions(xy, intrinsics[view], np) * z[:, None]
  points = np.einsum("mij,mj->mi", cam_to_world[view, :3, :3], camera)
  return points + cam_to_world[view, :3, 3], np.linalg.norm(camera, axis=-1)


def near_far_from_distances(distance: np.ndarray, outliers: float = OUTLIERS,
                            ) -> tuple[float, float]:
  """Robust ends of `distance [M]`, moved apart by the margins."""
  low, high = np.percentile(distance, [outliers, 100 - outliers])
  return NEAR_MARGIN * float(low), FAR_MARGIN * float(high)


def _distances_in_front(points: np.ndarray, cam_to_world: np.ndarray) -> np.ndarray:
  """`[K]` distances of points from the cameras that they lie in front of."""
  points = points[::-(-len(points) * len(cam_to_world) // SAMPLE) or 1]
  away = points[None] - cam_to_world[:, None, :3, 3]
  in_front = np.einsum("vmi,vi->vm", away, cam_to_world[:, :3, 2]) > 0
  distances = np.linalg.norm(away, axis=-1)
  return distances[in_front] if in_front.any() else distances.reshape(-1)


def _foreground(points: np.ndarray, cam_to_world: np.ndarray,
                distance: np.ndarray) -> np.ndarray:
  """The `points [M, 3]`, at least one, that are not far behind the nearest ones.

  A distant background often has most of the points, and must not have the box.
  """
  reach = NEAR_TIMES * np.percentile(distance, NEAR_PERCENT)
  away, _ = spatial.KDTree(cam_to_world[:, :3, 3]).query(points)
  return points[away <= max(reach, away.min())]


def box_of_points(points: np.ndarray, cam_to_world: np.ndarray,
                  outliers: float = OUTLIERS) -> np.ndarray:
  """`[2, 3]` box around robust `points [M, 3]` and all cameras, with a margin.

  outliers: percent of the points that are cut off at each end of an axis.
  """
  centres = cam_to_world[:, :3, 3]
  low, high = np.percentile(points, [outliers, 100 - outliers], axis=0)
  return _grow(np.minimum(low, centres.min(axis=0)),
               np.maximum(high, centres.max(axis=0)), BOX_MARGIN)


def box_of_cameras(cam_to_world: np.ndarray) -> np.ndarray:
  """`[2, 3]` guess from the cameras `[V, 4, 4]` alone.

  The box of the camera centres, and of the point that they look at where they
  look at one, grown on each face by its longest side: a capture that walks
  through a room reaches past the path about as far as the path is long.
  """
  return _grow(*_camera_box(cam_to_world), 1.0)


def _camera_box(cam_to_world: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Corners of the box of the camera centres and the point they look at, if any."""
  points = cam_to_world[:, :3, 3]
  focus = focus_point(cam_to_world)
  if focus is not None:
    points = np.concatenate([points, focus[None]])
  low, high = points.min(axis=0), points.max(axis=0)
  if np.max(high - low) <= 0:
    raise InputError("scene.bounds: cannot be told from cameras in one place without "
                     "depth; set scene.bounds, scene.near and scene.far")
  return low, high


def _grow(low: np.ndarray, high: np.ndarray, share: float) -> np.ndarray:
  margin = share * np.max(high - low)
  return np.stack([low - margin, high + margin])


def _given_box(bounds: Sequence[float]) -> np.ndarray:
  values = np.asarray(bounds, np.float64).reshape(-1)
  sound = len(values) == 6 and np.isfinite(values).all()
  if not sound or (values[:3] >= values[3:]).any():
    raise InputError(f"scene.bounds={tuple(bounds)}: give xmin, ymin, zmin, xmax, ymax, "
                     "zmax with each min below its max")
  return values.reshape(2, 3)
