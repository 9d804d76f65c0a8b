"""The regions of a scene as a value: made from what the training views saw of surfaces.

They rest on a fitted field's depth, the photographs and their visual features. Shaping
takes their embedding, by which pairs are chosen, labelling the kernel that says how alike
any two of them are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import dataclasses
import functools

import jax.numpy as jnp
import numpy as np

from jnerf.fields.fitted import FittedField
from jnerf.fields.spaces import Space
from jnerf.geometry import surfaces
from jnerf.geometry.patch_grids import sample_features
from jnerf.settings import setting
from jnerf.shaping import diffusion
from jnerf.shaping import regions as regions_lib
from jnerf.shaping.regions import Regions, Scales
from jnerf.shaping.scene_depth import grid_depth
from jnerf.structs import FeatureMaps, Scene

STRIDE = 2  # pixels of a training view, along both axes, from place to place


@dataclasses.dataclass(frozen=True)
class RegionSettings:
  """How surfaces are parted into regions, and which of these are alike."""

  num_cells: int = setting(128, "along each side of the space, where surface is looked "
                           "for", at_least=2)
  num_regions: int = setting(8000, "about; labelling solves for their square", at_least=2)
  color_scale: float = setting(0.03, "of RGB in [0, 1]: what ends a region", above=0)
  feature_scale: float = setting(1.0, "of 1 - cosine: what ends a region", above=0)
  walk_color_scale: float = setting(0.2, "of RGB: what a walk of regions shuns", above=0)
  walk_feature_scale: float = setting(0.4, "of 1 - cosine: what the walk shuns", above=0)
  crease_scale: float = setting(0.0, "of 1 - cosine of normals across a concave fold: "
                                "what ends a region; 0: none does", at_least=0)
  walk_crease_scale: float = setting(0.0, "the same of the walk", at_least=0)
  reach: float = setting(0.99, "of a walk: 1 / (1 - reach) steps on average", at_least=0,
                         below=1)
  num_channels: int = setting(32, "of the walk's embedding, by which pairs are chosen",
                              at_least=1)
  feature_weight: float = setting(1.0, "of visual features beside the walk", at_least=0)


@dataclasses.dataclass(frozen=True, eq=False)
class SceneRegions:
  """The regions of a scene.

  regions: what and where they are; space: whose unit cube their grid divides.
  of_pixels: `[T, h, w]` int32 region of every block of pixels of the T training views.
  settings: what `kernel` and `embedding` rest on. Both take seconds, and are worked out
    when first asked for.
  """

  regions: Regions
  of_pixels: np.ndarray
  space: Space
  settings: RegionSettings = RegionSettings()

  def __repr__(self) -> str:
    return (f"SceneRegions({len(self.regions.points)} regions, seen by "
            f"{len(self.of_pixels)} views)")

  @functools.cached_property
  def grid(self):
    """`[n, n, n]` region of every cell, on the device."""
    return jnp.asarray(self.regions.grid)

  @functools.cached_property
  def kernel(self) -> np.ndarray:
    """`[R, R]` how alike the regions are, by the walk and by features."""
    alike = diffusion.kernel(self._walk, self.settings.reach)
    features = self.regions.features
    alike += self.settings.feature_weight * (features @ features.T + 1)
    return alike

  @functools.cached_property
  def embedding(self) -> np.ndarray:
    """`[R, D]` float16: two pixels are alike as their regions' rows are.

    By the walk over the scene's surfaces, and to some part by visual features, which know
    of what looks the same elsewhere.
    """
    of_walk = diffusion.embedding(self._walk, self.settings.reach,
                                  self.settings.num_channels)
    features = np.sqrt(self.settings.feature_weight) * self.regions.features
    return np.concatenate([of_walk, features], axis=1).astype(np.float16)

  @functools.cached_property
  def links(self):
    """Sparse `[R, R]` how many walkers go from region to region, see `diffusion`."""
    return diffusion.links(self.regions, Scales(
        self.settings.walk_color_scale, self.settings.walk_feature_scale,
        self.settings.walk_crease_scale))

  @functools.cached_property
  def _walk(self):
    return diffusion.transitions(self.links)


def find_scene_regions(
    field: FittedField, scene: Scene, maps: FeatureMaps,
    settings: RegionSettings = RegionSettings(), *, geometry: str = "field",
    chunk: int = 4096, on_views: Callable[[int, int], None] = lambda done, total: None,
    ) -> SceneRegions:
  """The regions of what the training views see; arguments as of `grid_depth`.

  field: whose depth tells the surfaces; maps: visual features of all views.
  """
  width, height = (max(size // STRIDE, 1) for size in scene.size)
  intrinsics = surfaces.cells_as_pixels(scene.intrinsics[scene.train], scene.size,
                                        (width, height))
  depth = grid_depth(field, scene, intrinsics, (width, height), geometry=geometry,
                     chunk=chunk, on_views=on_views)

  def places_of(i: int) -> np.ndarray:
    """`[h, w, 3]` where the i-th training view's blocks lie in the unit cube."""
    camera = (array.astype(np.float32) for array in (
        scene.cam_to_world[scene.train[i]], intrinsics[i]))
    points = surfaces.points_of_depth(depth[i], *camera, np)
    return np.asarray(field.space.unit_cube(points))

  cells = regions_lib.collect_cells(
      _views(field.space, scene, maps, places_of, (width, height)), settings.num_cells)
  regions = regions_lib.find_regions(
      cells, Scales(settings.color_scale, settings.feature_scale, settings.crease_scale),
      num_cells=settings.num_cells, num_regions=settings.num_regions)
  of_pixels = np.stack([regions_lib.region_at(regions.grid, places_of(i), np)
                        for i in range(len(scene.train))])
  return SceneRegions(regions, of_pixels, field.space, settings)


def _views(space: Space, scene: Scene, maps: FeatureMaps,
           places_of: Callable[[int], np.ndarray], grid: tuple[int, int]
           ) -> Iterator[tuple]:
  """What `collect_cells` takes of each training view, at the centres of its blocks."""
  xy, rows, columns = _centres(scene.size, *grid)
  for i, view in enumerate(scene.train):
    places = places_of(i)
    centre = scene.cam_to_world[view][None, :3, 3].astype(np.float32)
    camera = np.asarray(space.unit_cube(centre))[0]
    yield (places.reshape(-1, 3), scene.images[view, rows, columns],
           sample_features(maps.grid, np.full(len(xy), view), xy, np, maps.extent),
           surfaces.normals_of_points(places, camera).reshape(-1, 3),
           None if scene.mask is None else scene.mask[view, rows, columns])


def _centres(size: tuple[int, int], width: int, height: int):
  """Of blocks: `xy [m, 2]` as shares of the image, and their pixels' `rows, columns`."""
  column, row = (axis.reshape(-1) for axis in np.meshgrid(
      (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height))
  xy = np.stack([column, row], axis=1).astype(np.float32)
  return (xy, (xy[:, 1] * size[1]).astype(int), (xy[:, 0] * size[0]).astype(int))
