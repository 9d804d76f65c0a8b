"""Rays through the pixels of a scene's views, and depth against distance along them."""

from __future__ import annotations

import jax
import numpy as np

from jnerf.geometry import cameras
from jnerf.structs import Rays, Scene


def rays_of_view(scene: Scene, view: int) -> Rays:
  """All H * W rays of a view of the scene, on the host."""
  return cameras.view_rays(scene.cam_to_world[view], scene.intrinsics[view], scene.size,
                           scene.near, scene.far)


def pixels_of_view(scene: Scene, view: int) -> np.ndarray:
  """`[H * W, 3]` view, row, column of a view's pixels, in the order of its rays."""
  width, height = scene.size
  rows, columns = np.indices((height, width)).reshape(2, -1)
  return np.stack([np.full_like(rows, view), rows, columns], axis=1)


def rays_of_pixels(scene: Scene, pixels: np.ndarray) -> Rays:
  """Rays through the centres of `pixels [N, 3]`: view, row, column of the scene."""
  view = pixels[:, 0]
  xy = (pixels[:, 2:0:-1] + 0.5).astype(np.float32)
  rays = cameras.cast_rays(
      xy, scene.cam_to_world[view].astype(np.float32),
      scene.intrinsics[view].astype(np.float32), scene.near, scene.far, xnp=np)
  return jax.tree.map(lambda leaf: leaf.astype(np.float32), rays)


def depth_of_view(scene: Scene, view: int, distance: np.ndarray) -> np.ndarray:
  """`[H, W]` depth along the camera's z from distances `[H * W]` along the rays."""
  per_depth = cameras.distance_per_depth(scene.intrinsics[view], scene.size)
  return (distance.reshape(per_depth.shape) / per_depth).astype(np.float32)


def distance_of_view(scene: Scene, view: int) -> np.ndarray:
  """`[H * W]` distances along the rays at which the view's depth lies, 0 = none."""
  per_depth = cameras.distance_per_depth(scene.intrinsics[view], scene.size)
  return (scene.depth[view] * per_depth).astype(np.float32).reshape(-1)
