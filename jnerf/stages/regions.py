"""The regions of a session's scene: what the training views saw of its surfaces.

They rest on the fitted field's depth, the photographs and their visual features. The
working folder keeps them as `regions.npz`, with a digest of all that they rest on.
"""

from __future__ import annotations

from collections.abc import Iterator
import hashlib
import io
import json
import pathlib
import sys

import numpy as np

from jnerf.features.feature_cache import NPZ_DAMAGE
from jnerf.files import write_atomically
from jnerf.geometry import surfaces
from jnerf.geometry.patch_grids import sample_features
from jnerf.shaping import diffusion
from jnerf.shaping import regions as regions_lib
from jnerf.shaping.regions import Regions
from jnerf.stages import geometry
from jnerf.stages.session import Session

STRIDE = 2  # pixels of a training view, along both axes, from place to place
_PARTS = ("grid", "points", "rgb", "features", "counts", "links", "contacts", "of_pixels")


def regions_file(session: Session) -> pathlib.Path:
  """Where the working folder keeps the regions."""
  return session.workdir.path / "regions.npz"


def scene_regions(session: Session, params) -> tuple[Regions, np.ndarray]:
  """The regions, and `[T, h, w]` int32 those of every block of pixels of the T views.

  params: of the fitted field. Made once for a folder.
  """
  path, digest = regions_file(session), _digest(session, params)
  kept = _read(path, digest)
  if kept is None:
    kept = _make(session, params)
    buffer = io.BytesIO()
    np.savez(buffer, digest=digest, **kept)
    write_atomically(path, buffer.getvalue())
  of_pixels = kept.pop("of_pixels")
  return Regions(**kept), of_pixels


def region_walk(session: Session, regions: Regions):
  """The walk over the regions that the config describes, see `diffusion.transitions`."""
  settings = session.config.regions
  return diffusion.transitions(regions, color_scale=settings.walk_color_scale,
                               feature_scale=settings.walk_feature_scale)


def region_kernel(session: Session, params_fn) -> tuple[Regions, np.ndarray]:
  """The regions and `[R, R]` how alike they are, by the walk and by features.

  params_fn: gives the fitted field's params, which are read only where they are needed.
  """
  if session.region_kernel is None:  # seconds of work, and most sessions need it twice
    regions, _ = scene_regions(session, params_fn())
    settings = session.config.regions
    alike = diffusion.kernel(region_walk(session, regions), settings.reach)
    alike += settings.feature_weight * (regions.features @ regions.features.T + 1)
    session.region_kernel = regions, alike
  return session.region_kernel


def _make(session: Session, params) -> dict[str, np.ndarray]:
  scene, settings = session.scene, session.config.regions
  width, height = (max(size // STRIDE, 1) for size in scene.size)
  intrinsics = surfaces.cells_as_pixels(scene.intrinsics[scene.train], scene.size,
                                        (width, height))
  depth = geometry.grid_depth(session, params, intrinsics, (width, height))
  places = np.stack([
      np.asarray(session.space.unit_cube(surfaces.points_of_depth(
          of_view, scene.cam_to_world[view].astype(np.float32),
          lens.astype(np.float32), np)))
      for of_view, view, lens in zip(depth, scene.train, intrinsics)])
  seen = [None] * len(places)
  if scene.mask is not None:
    rows, columns = _centres(scene.size, width, height)[1:]
    seen = scene.mask[scene.train][:, rows, columns]
  views = ((place.reshape(-1, 3), *view, visible) for place, view, visible in zip(
      places, _views(session, width, height), seen, strict=True))
  print(f"regions: of {places[..., 0].size:,} places seen", file=sys.stderr, flush=True)
  cells = regions_lib.collect_cells(views, settings.num_cells)
  found = regions_lib.find_regions(
      cells, num_cells=settings.num_cells, num_regions=settings.num_regions,
      color_scale=settings.color_scale, feature_scale=settings.feature_scale)
  of_pixels = regions_lib.region_at(found.grid, places, np)
  return {**{name: getattr(found, name) for name in _PARTS[:-1]}, "of_pixels": of_pixels}


def _views(session: Session, width: int, height: int) -> Iterator[tuple]:
  """Per training view `rgb [m, 3]` and `features [m, F]` at the centres of blocks."""
  scene, maps = session.scene, session.features
  xy, rows, columns = _centres(scene.size, width, height)
  for view in scene.train:
    yield (scene.images[view, rows, columns],
           sample_features(maps.grid, np.full(len(xy), view), xy, np, maps.extent))


def _centres(size: tuple[int, int], width: int, height: int):
  """Of blocks: `xy [m, 2]` as shares of the image, and their pixels' `rows, columns`."""
  column, row = (axis.reshape(-1) for axis in np.meshgrid(
      (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height))
  xy = np.stack([column, row], axis=1).astype(np.float32)
  return (xy, (xy[:, 1] * size[1]).astype(int), (xy[:, 0] * size[0]).astype(int))


def _digest(session: Session, params) -> str:
  """Changes with the fitted field and with every setting that regions rest on."""
  config = session.config
  parts = [json.dumps(part.to_dict()) for part in (config.regions, config.features)]
  field = np.asarray(params["field"]["rgb"]["kernel"]).tobytes()
  settings = "\n".join([*parts, config.shape.geometry])
  return hashlib.sha256(settings.encode() + field).hexdigest()


def _read(path: pathlib.Path, digest: str) -> dict[str, np.ndarray] | None:
  """What the file keeps; None where there is none, or of something else, or damaged."""
  try:
    with np.load(path, allow_pickle=False) as archive:
      if str(archive["digest"]) != digest:
        return None
      return {name: archive[name] for name in _PARTS}
  except NPZ_DAMAGE:
    return None
