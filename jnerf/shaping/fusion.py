"""Visual features fused over views: one description of each place, not one per view.

A network describes a patch of one photograph, and describes it otherwise when it is
seen from the side, cut off by the border or in other company. Where the geometry is
known, the views' descriptions of one surface point can be averaged before they
decide on pairs.

Notation: V views, `h x w` cells of the patch grid, F channels. The grid of a view is
treated as a small image: `cam_to_world [V, 4, 4]`, `intrinsics [V, 4, 8 or 9]` in cells
(`surfaces.cells_as_pixels`), `depth [V, h, w]` along the camera's z, 0 = none.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jnerf.geometry import cameras, surfaces
from jnerf.shaping.pairs import unit_rows

TOLERANCE = 0.03  # relative; depths that agree within it are of one surface


def fuse(features, depth, cam_to_world, intrinsics, tolerance: float = TOLERANCE):
  """`[V, h, w, F]` float16: each cell's mean over the views that see its surface.

  features: `[V, h, w, F]`, of any length, for directions alone are averaged.
  tolerance: a view sees a point where its own depth there is the point's, to within
    this part of it.

  A view counts by 1 / depth: the nearer it is, the smaller the patch that its cell
  describes. A cell without depth keeps its own direction.
  """
  # Half precision: at 384 channels all views take gigabytes.
  features = jnp.stack([unit_rows(jnp.asarray(view, jnp.float32)).astype(jnp.float16)
                        for view in features])
  others = [jnp.asarray(x, jnp.float32) for x in (depth, cam_to_world, intrinsics)]
  return np.stack([np.asarray(_fuse_view(features, *others, tolerance, view))
                   for view in range(len(features))])


@functools.partial(jax.jit, static_argnames="tolerance")
def _fuse_view(features, depth, poses, intrinsics, tolerance: float, view):
  """`[h, w, F]` float16: the fused features of one view's cells."""
  height, width, channels = features.shape[1:]
  points = surfaces.points_of_depth(
      depth[view], poses[view], intrinsics[view]).reshape(-1, 3)

  def add(total, other):
    values, by = _look_up(points, *other, tolerance)
    return (total[0] + values, total[1] + by), None

  zero = jnp.zeros((len(points), channels)), jnp.zeros((len(points), 1))
  (total, weight), _ = jax.lax.scan(add, zero, (features, depth, poses, intrinsics))
  alone = (weight == 0) | (depth[view].reshape(-1, 1) == 0)
  mean = total / jnp.where(weight == 0, 1.0, weight)
  fused = jnp.where(alone, features[view].reshape(-1, channels), mean)
  return fused.reshape(height, width, channels).astype(jnp.float16)


def _look_up(points, features, depth, pose, intrinsics, tolerance):
  """`(weighted features [M, F], weights [M, 1])` of one view at points `[M, 3]`.

  Bilinear between the four cells around a point, of which those count that show its
  surface: past an edge a cell describes something else.
  """
  height, width = depth.shape
  xy, z = cameras.project(points, pose, intrinsics)
  ahead = (z > 0) & jnp.all(
      (xy > 0) & (xy < jnp.array([[width, height]])), axis=-1)
  corner = jnp.where(ahead[:, None], xy, 0.0) - 0.5
  low = jnp.floor(corner)
  share = corner - low
  total, weight = 0.0, 0.0
  for right in (0, 1):
    for below in (0, 1):
      column, row = ((low[:, i] + step).astype(jnp.int32)
                     for i, step in ((0, right), (1, below)))
      inside = (0 <= column) & (column < width) & (0 <= row) & (row < height)
      column, row = jnp.clip(column, 0, width - 1), jnp.clip(row, 0, height - 1)
      same = jnp.abs(depth[row, column] - z) < tolerance * z
      by = (jnp.abs(1 - right - share[:, 0]) * jnp.abs(1 - below - share[:, 1])
            * (ahead & inside & same) / jnp.where(ahead, z, 1.0))[:, None]
      total, weight = total + by * features[row, column], weight + by
  return total, weight
