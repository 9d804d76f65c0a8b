"""Where visual features come from: the photographs themselves, files, or a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import dataclasses
import hashlib
import json
import pathlib
import tempfile
from typing import Any, Protocol

from jnerf.features import (
  feature_cache,
  feature_folders,
  local_features,
  precomputed_features,
)
from jnerf.features.local_features import LocalSettings
from jnerf.scenes import stacks
from jnerf.structs import FeatureMaps, Scene

OnViews = Callable[[int, int], None]  # called with (done, all)


class FeatureSource(Protocol):
  """One way to have features of a scene."""

  @property
  def name(self) -> str:
    """As of `FeatureMaps.source`."""

  def load(self, scene: Scene, on_views: OnViews | None = None) -> FeatureMaps:
    """Features of all views."""

  def check(self, scene: Scene) -> None:
    """Raises `InputError` where `load` is bound to; makes none, ends in seconds."""

  def digest(self, scene: Scene) -> str:
    """Changes with the features, as far as the photographs do not; makes none."""


@dataclasses.dataclass(frozen=True)
class FromImages:
  """Colour and texture of the working images."""

  settings: LocalSettings = LocalSettings()
  name: str = "local"

  def load(self, scene: Scene, on_views: OnViews | None = None) -> FeatureMaps:
    return local_features.local_features(
        scene.images, stride=self.settings.stride, scales=tuple(self.settings.scales))

  def check(self, scene: Scene) -> None:
    pass

  def digest(self, scene: Scene) -> str:
    return _digest(self.name, dataclasses.asdict(self.settings), scene)


@dataclasses.dataclass(frozen=True)
class FromFiles:
  """One .npz, or a folder with a file per photograph.

  channels, max_cells: as of `FeatureSettings`, of files per photograph.
  """

  path: pathlib.Path
  channels: str = "auto"
  max_cells: int = 16384
  name: str = "precomputed"

  def load(self, scene: Scene, on_views: OnViews | None = None) -> FeatureMaps:
    if self.path.is_dir():
      return feature_folders.load_features_folder(
          self.path, scene.frames, scene.full_size, max_cells=self.max_cells,
          channels=self.channels)
    return precomputed_features.load_features_file(self.path, scene.frames)

  def check(self, scene: Scene) -> None:
    if self.path.is_dir():
      feature_folders.check_features_folder(self.path, scene.frames, scene.full_size,
                                            channels=self.channels)
    else:
      precomputed_features.check_features_file(self.path, scene.frames)

  def digest(self, scene: Scene) -> str:
    whole = self.path.is_dir()
    contents = {}
    for path in sorted(self.path.rglob("*")) if whole else [self.path]:
      if path.is_file():
        with open(path, "rb") as file:
          contents[str(path.relative_to(self.path)) if whole else path.name] = (
              hashlib.file_digest(file, "sha256").hexdigest())
    settings = {"channels": self.channels, "max_cells": self.max_cells}
    return _digest(self.name, {**settings, "files": contents}, scene)


@dataclasses.dataclass(frozen=True)
class FromNetwork:
  """What a network makes of the photographs, kept in a folder.

  name: of the network; identity: what tells its features from others.
  load_extractor: as of `cached_features`.
  num_components, centred: of the principal components that are taken; 0: all channels.
  cache: folder in which features are kept; None: nowhere.
  background: grey level behind transparent photographs.
  batch: photographs at once; 0: as suits the network.
  """

  name: str
  identity: Mapping[str, Any]
  load_extractor: Callable[[], Callable]
  num_components: int = 0
  centred: bool = False
  cache: pathlib.Path | None = None
  background: float = 0.0
  batch: int = 0

  def load(self, scene: Scene, on_views: OnViews | None = None) -> FeatureMaps:
    if self.cache is not None:
      return self._load(self.cache, scene, on_views)
    with tempfile.TemporaryDirectory() as folder:
      maps = self._load(pathlib.Path(folder), scene, on_views)
    return maps.replace(origin="not kept")

  def check(self, scene: Scene) -> None:
    if self.cache is None or not feature_cache.holds(
        self._folder(self.cache), self._photos(scene), self.num_components,
        self.centred):
      self.load_extractor()

  def digest(self, scene: Scene) -> str:
    return _digest(self.name, {**self.identity, "pca": self.num_components}, scene)

  def _load(self, cache: pathlib.Path, scene: Scene, on_views) -> FeatureMaps:
    return feature_cache.cached_features(
        self._folder(cache), self._photos(scene), self.load_extractor,
        source=self.name, settings=self.identity, batch=self.batch,
        num_components=self.num_components, centred=self.centred, on_views=on_views)

  def _folder(self, cache: pathlib.Path) -> pathlib.Path:
    return feature_cache.settings_folder(cache, self.identity)

  def _photos(self, scene: Scene) -> feature_cache.Photos:
    if scene.files:
      digests = [feature_cache.file_digest(file, self.background)
                 for file in scene.files]
    else:
      digests = [feature_cache.photo_digest(photo)
                 for photo in scene.photos(slice(None), self.background)]

    def read(view: int):
      return stacks.full_photo(scene, view, background=self.background)

    return feature_cache.Photos(tuple(digests), read)


def _digest(name: str, settings: Mapping[str, Any], scene: Scene) -> str:
  text = json.dumps([name, dict(settings), list(scene.frames)], sort_keys=True)
  return hashlib.sha256(text.encode()).hexdigest()
