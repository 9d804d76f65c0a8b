"""What depth says of a view: points of the surfaces and where they face.

Notation: V views, `h x w` pixels, or cells of a patch grid that is treated as a small
image (`cells_as_pixels`). Depth is along the camera's z, 0 = none.
Functions take `xnp=jnp` or `xnp=np`.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from jnerf.geometry import cameras
from jnerf.host_arrays import unit_rows


def cells_as_pixels(intrinsics: np.ndarray, size: tuple[int, int],
                    grid: tuple[int, int], extent=(0.0, 0.0, 1.0, 1.0)) -> np.ndarray:
  """Intrinsics `[..., 4, 8 or 9]` in cells, from those in pixels of an image of `size`.

  size, grid: `(width, height)`, in pixels and in cells.
  extent: `x0, y0, x1, y1`, the part of the image that the cells tile.
  """
  low, high = np.reshape(extent, (2, 2))
  cells_per_image = np.asarray(grid) / (high - low)
  scaled = cameras.scale_intrinsics(intrinsics, size, tuple(cells_per_image))
  scaled[..., 2:4] -= low * cells_per_image
  return scaled


def points_of_depth(depth, pose, intrinsics, xnp=jnp):
  """`[h, w, 3]` world points at the pixels' centres of one view.

  depth: `[h, w]`; pose: `[4, 4]`; intrinsics: `[4, 8 or 9]`. Where the depth is 0 it
  is the camera's centre.
  """
  height, width = depth.shape
  xy = xnp.asarray(cameras.pixel_centres(width, height), depth.dtype)
  camera = cameras.pixel_directions(
      xy, xnp.broadcast_to(intrinsics, (*xy.shape[:2], intrinsics.shape[-1])), xnp)
  return (camera * depth[..., None]) @ pose[:3, :3].T + pose[None, None, :3, 3]


def normals_of_points(points: np.ndarray, centre: np.ndarray) -> np.ndarray:
  """`[h, w, 3]` unit normals of a grid of surface points `[h, w, 3]`, at least 2 x 2.

  centre: `[3]`, of the camera, which normals face. Along each axis the neighbour on
  that side counts that is nearer, so that normals keep to their side of an edge.
  """
  right, down = (_smaller_step(points, axis) for axis in (1, 0))
  normals = unit_rows(np.cross(right, down))
  away = np.sum(normals * (points - centre), axis=-1, keepdims=True) > 0
  return np.where(away, -normals, normals)


def _smaller_step(points, axis: int):
  """`[h, w, 3]`: the step to the next point or from the last one, the shorter."""
  steps = np.diff(points, axis=axis)
  first, last = (np.take(steps, [i], axis=axis) for i in (0, -1))
  ahead = np.concatenate([steps, last], axis=axis)
  behind = np.concatenate([first, steps], axis=axis)
  shorter = (np.sum(ahead**2, -1) <= np.sum(behind**2, -1))[..., None]
  return np.where(shorter, ahead, behind)
