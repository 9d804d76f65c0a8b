"""Depth of the training views at any resolution: rendered, or measured by a sensor."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from jnerf.fields.fitted import FittedField
from jnerf.geometry import cameras
from jnerf.scenes import images
from jnerf.shaping.renderer import ViewRenderer, take
from jnerf.structs import Scene


def grid_depth(field: FittedField, scene: Scene, intrinsics: np.ndarray,
               grid: tuple[int, int], extent=(0.0, 0.0, 1.0, 1.0), *,
               geometry: str = "field", chunk: int = 4096,
               on_views: Callable[[int, int], None] = lambda done, total: None
               ) -> np.ndarray:
  """`[T, h, w]` depth of the T training views at the cells of a `(width, height)` grid.

  Args:
    field: renders it; where `geometry` is `sensor`, only what that does not know.
    scene: the capture.
    intrinsics: `[T, 4, 8 or 9]` in cells.
    grid: `(width, height)` in cells.
    extent: the part of an image that the grid covers, `FeatureMaps.extent`.
    geometry: as of `PairRule`.
    chunk: rays rendered at once.
    on_views: called with (done, all).
  """
  renderer = ViewRenderer(field.model, None, chunk, field.background)
  depth = np.zeros((len(scene.train), grid[1], grid[0]), np.float32)
  for i, view in enumerate(scene.train):
    on_views(i, len(depth))
    rays = cameras.view_rays(scene.cam_to_world[view], intrinsics[i], grid, scene.near,
                             scene.far)
    if geometry == "sensor":
      depth[i] = images.resize_nearest(scene.depth[view], grid, extent)
    unknown = ~(depth[i] > 0)
    if unknown.any():
      distance = renderer.colors(field.params, take(rays, unknown.ravel()))[1]
      depth[i][unknown] = distance / cameras.distance_per_depth(
          intrinsics[i], grid)[unknown]
  on_views(len(depth), len(depth))
  return depth
