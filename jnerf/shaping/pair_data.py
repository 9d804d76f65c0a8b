"""What shaping is given to choose pairs by, beside one view's features.

Positions need nothing more than a step renders. Regions, features fused over views,
and normals, need the geometry of all training views first: depth, rendered by the
fitted field or measured by a sensor.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses

import numpy as np

from jnerf.errors import InputError
from jnerf.fields.fitted import FittedField
from jnerf.geometry import surfaces
from jnerf.scenes import pixels, strata
from jnerf.settings import setting
from jnerf.shaping import fusion
from jnerf.shaping.contrast import Recipe
from jnerf.shaping.scene_depth import grid_depth
from jnerf.shaping.scene_regions import SceneRegions
from jnerf.structs import FeatureMaps, Scene

HINTED_VIEWS = 16  # views of a batch, so that segments, of one view, meet themselves


@dataclasses.dataclass(frozen=True)
class PairSource:
  """What pairs are chosen from."""

  pairs: str = setting("regions", "what is alike is positive: by regions of surfaces, or "
                       "by each view's features", choices=("regions", "features"))
  fuse_features: bool = setting(False, "average features over the views that see a "
                                "surface")
  hints: str = setting("", "folder of PNGs of segments; those of one segment are "
                       "positives")
  views_per_batch: int = setting(0, "views that a batch is drawn from; 0: all, 16 with "
                                 "hints", at_least=0)
  oracle: bool = setting(False, "also shape a second field on ground-truth pairs")
  oracle_balance: float = setting(0.5, "of its contrasted rays: 0 draws pixels alike, 1 "
                                  "classes", at_least=0)

  def check(self, section: str) -> None:
    """Raises InputError where settings contradict one another."""
    if self.fuse_features and self.pairs == "regions":
      raise InputError(f"{section}.fuse_features=True: regions are fused over views "
                       f"already; use {section}.pairs=features")

  @property
  def num_views(self) -> int:
    """Views that a batch is drawn from, 0: all."""
    return self.views_per_batch or (HINTED_VIEWS if self.hints else 0)


def pair_data(field: FittedField, scene: Scene, maps: FeatureMaps, recipe: Recipe,
              source: PairSource, *, regions: SceneRegions | None = None,
              segments: np.ndarray | None = None, with_depth: bool = False,
              chunk: int = 4096,
              on_views: Callable[[int, int], None] = lambda done, total: None
              ) -> pixels.PixelData:
  """The training views with all that pairs are chosen by.

  Args:
    field: the fitted one; maps: visual features of all views.
    scene: the capture.
    recipe, source: how.
    regions: of the scene, where the source says so; they take the features' place.
    segments: `[V, H, W]` hints for all views.
    with_depth: whether measured depth goes in for the loss.
    chunk, on_views: as of `grid_depth`.
  """
  rule = recipe.pairs
  data = pixels.pixel_data(scene, maps, segments=segments,
                           with_depth=with_depth or rule.geometry == "sensor")
  if source.pairs == "regions":
    data = data.replace(regions=regions.of_pixels, features=regions.embedding)
  if not (source.fuse_features or rule.normal_scale):
    return data
  height, width = maps.grid.shape[1:3]
  intrinsics = surfaces.cells_as_pixels(
      scene.intrinsics[scene.train], scene.size, (width, height), maps.extent)
  depth = grid_depth(field, scene, intrinsics, (width, height), maps.extent,
                     geometry=rule.geometry, chunk=chunk, on_views=on_views)
  if source.fuse_features:
    data = data.replace(features=fusion.fuse(
        data.features, depth, data.cam_to_world, intrinsics))
  if rule.normal_scale:
    data = data.replace(normals=np.stack([
        surfaces.normals_of_points(surfaces.points_of_depth(*view, np), view[1][:3, 3])
        for view in zip(depth, data.cam_to_world, intrinsics)]).astype(np.float16))
  return data


def oracle_data(scene: Scene, source: PairSource,
                with_depth: bool = False) -> pixels.PixelData:
  """The training views with their ground-truth classes, drawn as the source balances."""
  data = pixels.pixel_data(scene, with_labels=True, with_depth=with_depth)
  return data.replace(strata=strata.by_class(
      data.labels, source.oracle_balance, data.drawable))
