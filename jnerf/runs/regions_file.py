"""`regions.npz`: a scene's regions, kept in the working folder with what they rest on.

They rest on the fitted field, the photographs with masks, depth and cameras, the visual
features and settings. A digest of all these stands in the file; one that was made from
anything else is as good as none.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import pathlib

import jax
import numpy as np

from jnerf.features.feature_cache import NPZ_DAMAGE
from jnerf.features.feature_choice import FeatureChoice
from jnerf.fields.fitted import FittedField
from jnerf.files import write_atomically
from jnerf.shaping.regions import Regions
from jnerf.shaping.scene_regions import RegionSettings, SceneRegions
from jnerf.structs import Scene

NAME = "regions.npz"
_PARTS = tuple(field.name for field in dataclasses.fields(Regions))


def field_digest(field: FittedField) -> str:
  """Changes with any parameter of the field."""
  digest = hashlib.sha256()
  for path, leaf in jax.tree_util.tree_leaves_with_path(field.params):
    digest.update(jax.tree_util.keystr(path).encode())
    digest.update(np.ascontiguousarray(leaf))
  return digest.hexdigest()


def regions_digest(field: FittedField, scene: Scene, choice: FeatureChoice,
                   settings: RegionSettings, geometry: str) -> str:
  """Changes with all that regions rest on; arguments as of `find_scene_regions`."""
  digest = hashlib.sha256(json.dumps(
      [dataclasses.asdict(settings), geometry, repr(field.space), float(scene.near),
       float(scene.far)]).encode())
  digest.update(field_digest(field).encode())
  digest.update(choice.source.digest(scene).encode())
  depth = scene.depth if geometry == "sensor" else None
  for array in (scene.train, scene.cam_to_world, scene.intrinsics, scene.images,
                scene.mask, depth):
    digest.update(b"-" if array is None else np.ascontiguousarray(array))
  return digest.hexdigest()


def write_regions(path: pathlib.Path, scene_regions: SceneRegions, field: FittedField,
                  digest: str) -> None:
  """Writes the file whole."""
  buffer = io.BytesIO()
  regions = scene_regions.regions
  np.savez(buffer, digest=digest, field=field_digest(field),
           of_pixels=scene_regions.of_pixels,
           **{name: np.asarray(getattr(regions, name)) for name in _PARTS})
  write_atomically(path, buffer.getvalue())


def is_older(path: pathlib.Path) -> bool:
  """Whether the file is whole, but of a version that did not write all of it."""
  try:
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
      return not {"field", *_PARTS} <= set(archive)
  except NPZ_DAMAGE:
    return False


def read_regions(path: pathlib.Path, field: FittedField, settings: RegionSettings, *,
                 digest: str | None = None) -> SceneRegions | None:
  """What the file holds; None where there is none, or a damaged one, or of other things.

  field: whose surfaces they are to be of.
  digest: of all that they are to rest on; None where only the field can be asked.
  """
  try:
    # Opened here: of a torn archive NumPy leaves the file open.
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
      if digest is not None and str(archive["digest"]) != digest:
        return None
      if str(archive["field"]) != field_digest(field):
        return None
      regions = Regions(**{name: archive[name] for name in _PARTS})
      return SceneRegions(regions, archive["of_pixels"], field.space, settings)
  except NPZ_DAMAGE:
    return None
