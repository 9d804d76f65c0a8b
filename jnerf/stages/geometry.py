"""Depth of the training views at any resolution: rendered, or measured by a sensor."""

from __future__ import annotations

import sys

import numpy as np
from tqdm import tqdm

from jnerf.geometry import cameras
from jnerf.labeling.views import ViewRenderer
from jnerf.scenes import images
from jnerf.stages.session import Session


def grid_depth(session: Session, params, intrinsics: np.ndarray,
               grid: tuple[int, int], extent=(0.0, 0.0, 1.0, 1.0)) -> np.ndarray:
  """`[T, h, w]` depth of the T training views at the cells of a `(width, height)` grid.

  params: of the field that renders it; where the config trusts the sensor, only what
    that does not know. intrinsics: `[T, 4, 8 or 9]` in cells. extent: the part of an
    image that the grid covers, `FeatureMaps.extent`.
  """
  scene, config = session.scene, session.config
  # Its gradients are not looked at, and so never computed.
  renderer = ViewRenderer(session.model, session.recipe(oracle=False),
                          chunk=config.runtime.chunk, background=session.background())
  depth = np.zeros((len(scene.train), grid[1], grid[0]), np.float32)
  for i, view in enumerate(tqdm(scene.train, desc="geometry", unit="view",
                                disable=not sys.stderr.isatty())):
    rays = cameras.view_rays(scene.cam_to_world[view], intrinsics[i], grid, scene.near,
                             scene.far)
    distance, = renderer.map(params, rays,
                             lambda chunk: chunk.rendering.distance_median)
    depth[i] = distance.reshape(grid[::-1]) / cameras.distance_per_depth(
        intrinsics[i], grid)
    if config.shape.geometry == "sensor":
      measured = images.resize_nearest(scene.depth[view], grid, extent)
      depth[i] = np.where(measured > 0, measured, depth[i])
  return depth
