"""What shaping is given to choose pairs by, beside one view's features.

Positions need nothing more than a step renders. Regions, features fused over views,
and normals, need the geometry of all training views first: depth, rendered by the
fitted field or measured by a sensor.
"""

from __future__ import annotations

import numpy as np

from jnerf.geometry import surfaces
from jnerf.scenes import pixels, strata
from jnerf.shaping import diffusion, fusion
from jnerf.stages import geometry, regions
from jnerf.stages.session import Session


def pair_data(session: Session, params) -> pixels.PixelData:
  """The training views with all that the config chooses pairs by.

  params: of the fitted field.
  """
  shape, scene, maps = session.config.shape, session.scene, session.features
  data = pixels.pixel_data(
      scene, maps, segments=session.hints,
      with_depth=session.config.fit.depth_weight > 0 or shape.geometry == "sensor")
  if shape.pairs == "regions":
    data = _of_regions(session, params, data)
  if not (shape.fuse_features or shape.normal_scale):
    return data
  height, width = maps.grid.shape[1:3]
  intrinsics = surfaces.cells_as_pixels(
      scene.intrinsics[scene.train], scene.size, (width, height), maps.extent)
  depth = geometry.grid_depth(session, params, intrinsics, (width, height), maps.extent)
  if shape.fuse_features:
    data = data.replace(features=fusion.fuse(
        data.features, depth, data.cam_to_world, intrinsics))
  if shape.normal_scale:
    data = data.replace(normals=np.stack([
        surfaces.normals_of_points(surfaces.points_of_depth(*view, np), view[1][:3, 3])
        for view in zip(depth, data.cam_to_world, intrinsics)]).astype(np.float16))
  return data


def oracle_data(session: Session) -> pixels.PixelData:
  """The training views with their ground-truth classes, drawn as the config balances."""
  config = session.config
  data = pixels.pixel_data(session.scene, with_labels=True,
                           with_depth=config.fit.depth_weight > 0)
  return data.replace(strata=strata.by_class(
      data.labels, config.shape.oracle_balance, session.recipe(oracle=True).every,
      data.drawable))


def _of_regions(session: Session, params, data: pixels.PixelData) -> pixels.PixelData:
  """The same data, whose features are those of regions.

  Two pixels are alike as their regions are: by a walk over the scene's surfaces, and to
  some part by visual features, which know of what looks the same elsewhere.
  """
  settings = session.config.regions
  found, of_pixels = regions.scene_regions(session, params)
  embedding = diffusion.embedding(regions.region_walk(session, found), settings.reach,
                                  settings.num_channels)
  features = np.sqrt(settings.feature_weight) * found.features
  return data.replace(regions=of_pixels, features=np.concatenate(
      [embedding, features], axis=1).astype(np.float16))
