"""Which visual features a scene has, and where they come from."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import functools
import hashlib
import json
import pathlib

from jnerf.errors import InputError
from jnerf.features import (
  feature_cache,
  feature_folders,
  local_features,
  precomputed_features,
  vit_features,
)
from jnerf.features.local_features import LocalSettings
from jnerf.features.vit_features import VitSettings
from jnerf.scenes import stacks
from jnerf.settings import setting
from jnerf.structs import FeatureMaps, Scene


@dataclasses.dataclass(frozen=True)
class FeatureSettings:
  """Which visual features choose pairs and end regions."""

  kind: str = setting("auto", "auto: files where there are any, else local",
                      choices=("auto", "local", "precomputed", "vit"))
  path: str = setting("", ".npz, or folder of files per image; empty: in the scene's "
                      "folder")
  channels: str = setting("auto", "their axis in files per image",
                          choices=("auto", "first", "last"))
  max_cells: int = setting(16384, "of a view; larger maps of files per image are "
                           "averaged", at_least=1)


@dataclasses.dataclass(frozen=True)
class FeatureChoice:
  """All that decides on a scene's features.

  settings, local, vit: what is asked for.
  capture: the scene's folder, "" for none.
  cache: folder in which those of a network are kept; needed for `kind = "vit"`.
  background: grey level behind transparent photographs, for a network.
  """

  settings: FeatureSettings = FeatureSettings()
  local: LocalSettings = LocalSettings()
  vit: VitSettings = VitSettings()
  capture: str = ""
  cache: pathlib.Path | None = None
  background: float = 0.0

  @property
  def kind(self) -> str:
    """`local`, `precomputed` or `vit`: `auto` resolved, without reading any features."""
    if self.settings.kind == "auto":
      return "local" if self.file is None else "precomputed"
    return self.settings.kind

  @property
  def file(self) -> pathlib.Path | None:
    """The file or folder of precomputed features; None where others are asked for.

    Raises InputError where there should be one.
    """
    if self.settings.kind not in ("auto", "precomputed"):
      return None
    if self.settings.path:
      return pathlib.Path(self.settings.path)
    path = feature_folders.find_features(self.capture) if self.capture else None
    if path is None and self.settings.kind == "precomputed":
      raise InputError(f"features.path: {self.capture or 'the procedural room'} has no "
                       ".npz with `features` and `names`, nor a folder dino/; name one, "
                       "or set features.kind=local")
    return path

  @property
  def source(self) -> str:
    """`FeatureMaps.source`, without loading any features."""
    return (vit_features.model_name(self.vit.model) if self.kind == "vit" else self.kind)


def load_features(choice: FeatureChoice, scene: Scene,
                  on_views: Callable[[int, int], None] | None = None) -> FeatureMaps:
  """Features of all views of `scene`.

  on_views: called with (done, all) while a network works.
  """
  if choice.kind == "local":
    return local_features.local_features(
        scene.images, stride=choice.local.stride, scales=tuple(choice.local.scales))
  if choice.kind == "vit":
    folder, photos = _vit_cache(choice, scene)
    return feature_cache.cached_features(
        folder, photos, functools.partial(_vit_extractor, choice.vit),
        source=choice.source, settings=dataclasses.asdict(choice.vit),
        batch=choice.vit.batch, num_components=choice.vit.pca, on_views=on_views)
  if choice.file.is_dir():
    return feature_folders.load_features_folder(
        choice.file, scene.frames, scene.full_size, max_cells=choice.settings.max_cells,
        channels=choice.settings.channels)
  return precomputed_features.load_features_file(choice.file, scene.frames)


def check_features(choice: FeatureChoice, scene: Scene) -> None:
  """Raises `InputError` where `load_features` is bound to; makes none.

  Looks at names and headers of files alone, so that it ends in seconds however many views
  there are; a network is loaded where not all its features are kept.
  """
  if choice.kind == "precomputed" and choice.file.is_dir():
    feature_folders.check_features_folder(choice.file, scene.frames, scene.full_size,
                                          channels=choice.settings.channels)
  elif choice.kind == "precomputed":
    precomputed_features.check_features_file(choice.file, scene.frames)
  elif choice.kind == "vit":
    folder, photos = _vit_cache(choice, scene)
    if not feature_cache.holds(folder, photos, choice.vit.pca):
      _vit_extractor(choice.vit)


def features_digest(choice: FeatureChoice, scene: Scene) -> str:
  """Changes with what the features are of and by, as far as the photographs do not.

  Those of files with the files' content; others follow from the photographs and their
  settings, of which how fast a network works is none. No features are made for it.
  """
  digest = hashlib.sha256(choice.kind.encode())
  if choice.kind == "precomputed":
    root = choice.file
    for path in sorted(root.rglob("*")) if root.is_dir() else [root]:
      if path.is_file():
        digest.update(path.name.encode())
        with open(path, "rb") as file:
          digest.update(hashlib.file_digest(file, "sha256").digest())
    settings = dataclasses.asdict(choice.settings)
    settings.pop("path"), settings.pop("kind")
  elif choice.kind == "local":
    settings = dataclasses.asdict(choice.local)
  else:
    settings = {**_vit_settings(choice.vit), "pca": choice.vit.pca}
  digest.update(json.dumps(settings, sort_keys=True).encode())
  digest.update(repr(scene.frames).encode())
  return digest.hexdigest()


def _vit_settings(vit: VitSettings) -> dict:
  """What tells a network's features from others'."""
  settings = {name: getattr(vit, name) for name in (
      "layer", "facet", "stride", "load_size")}
  return {"model": vit_features.model_identity(vit.model, vit.revision), **settings}


def _vit_cache(choice: FeatureChoice,
               scene: Scene) -> tuple[pathlib.Path, feature_cache.Photos]:
  """Where the features of a network are kept, and the photographs they are of."""
  if choice.cache is None:
    raise ValueError("features.kind=vit: name the folder in which they are kept")
  read = functools.partial(stacks.full_photo, scene, background=choice.background)
  if scene.files:
    digests = [feature_cache.file_digest(file, choice.background)
               for file in scene.files]
  else:
    digests = [feature_cache.photo_digest(photo)
               for photo in scene.photos(slice(None), choice.background)]
  photos = feature_cache.Photos(tuple(digests), read)
  return feature_cache.settings_folder(choice.cache, _vit_settings(choice.vit)), photos


def _vit_extractor(settings: VitSettings) -> vit_features.VitExtractor:
  """The network that the settings name."""
  extractor = vit_features.load_extractor(
      settings.model, **{name: getattr(settings, name) for name in (
          "revision", "layer", "facet", "stride", "load_size", "device")})
  if settings.pca > extractor.num_channels:
    raise InputError(f"features.vit.pca={settings.pca}: the features have "
                     f"{extractor.num_channels} channels; give at most that, or 0 to "
                     "keep all")
  return extractor
