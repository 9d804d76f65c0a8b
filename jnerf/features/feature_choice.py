"""From the config to a scene's visual features.

With `load` the only place below `jnerf.main` and the stages that sees `config`;
everything it calls takes explicit arguments.
"""

from __future__ import annotations

from collections.abc import Callable
import functools
import pathlib

from ml_collections import ConfigDict

from jnerf.errors import InputError
from jnerf.features import (
  feature_cache,
  feature_folders,
  local_features,
  precomputed_features,
  vit_features,
)
from jnerf.scenes import stacks
from jnerf.structs import FeatureMaps, Scene


def load_features(config: ConfigDict, scene: Scene, root: pathlib.Path | None = None,
                  background: float = 0.0,
                  on_views: Callable[[int, int], None] | None = None) -> FeatureMaps:
  """Features of all views of `scene` as `config.features` says.

  `kind = "auto"` takes the file named or lying in the scene's folder, and the
  local statistics where there is none.

  Args:
    config, scene: of which features are wanted.
    root: folder in which those of a network are kept; needed for `kind = "vit"`.
    background: grey level behind transparent photographs, for a network.
    on_views: called with (done, all) while a network works.
  """
  settings = config.features
  if settings.kind == "vit":
    folder, photos = _vit_cache(config, scene, root, background)
    return feature_cache.cached_features(
        folder, photos, functools.partial(_vit_extractor, settings.vit),
        source=vit_features.model_name(settings.vit.model),
        settings=settings.vit.to_dict(), batch=settings.vit.batch,
        num_components=settings.vit.pca, on_views=on_views)
  path = _given_path(config)
  if path and pathlib.Path(path).is_dir():
    return feature_folders.load_features_folder(
        path, scene.frames, scene.full_size, max_cells=settings.max_cells,
        channels=settings.channels)
  if path:
    return precomputed_features.load_features_file(path, scene.frames)
  return local_features.local_features(
      scene.images, stride=settings.local.stride, scales=tuple(settings.local.scales))


def check_features(config: ConfigDict, scene: Scene, root: pathlib.Path | None = None,
                   background: float = 0.0) -> None:
  """Raises `InputError` where `load_features` is bound to, and makes no features.

  Looks at names and headers alone, so that it ends in seconds however many views there
  are; what the files' numbers are is seen when they are loaded. Arguments as there.
  """
  settings = config.features
  if settings.kind == "vit":
    return check_vit(config, scene, root, background)
  path = _given_path(config)
  if path and pathlib.Path(path).is_dir():
    feature_folders.check_features_folder(path, scene.frames, scene.full_size,
                                          channels=settings.channels)
  elif path:
    precomputed_features.check_features_file(path, scene.frames)
  return None


def check_vit(config: ConfigDict, scene: Scene, root: pathlib.Path,
              background: float = 0.0) -> None:
  """Raises `InputError` where the features of a network are neither kept nor makeable.

  Loads the network where some are missing, and makes none. Arguments as in
  `load_features`.
  """
  folder, photos = _vit_cache(config, scene, root, background)
  if not feature_cache.holds(folder, photos, config.features.vit.pca):
    _vit_extractor(config.features.vit)


def features_source(config: ConfigDict) -> str:
  """`FeatureMaps.source` of what `load_features` gives, without loading any."""
  settings = config.features
  if settings.kind == "vit":
    return vit_features.model_name(settings.vit.model)
  return "precomputed" if _given_path(config) else "local"


def _given_path(config: ConfigDict) -> pathlib.Path | str | None:
  """The file or folder that features are read from; None where they are made.

  Raises `InputError` for a kind that there is none of, and where there is no such file.
  """
  settings = config.features
  if settings.kind not in ("auto", "local", "precomputed"):
    raise InputError(f"features.kind={settings.kind!r}: give auto, local, precomputed or "
                     "vit")
  if settings.kind == "local":
    return None
  path = settings.path
  if not path and config.scene.path:
    path = feature_folders.find_features(config.scene.path)
  if not path and settings.kind == "precomputed":
    folder = config.scene.path or "the procedural room"
    raise InputError(f"features.path: {folder} has no .npz with `features` and "
                     "`names`, nor a folder dino/; name one, or set "
                     "features.kind=local")
  return path or None


def _vit_cache(config: ConfigDict, scene: Scene, root: pathlib.Path | None,
               background: float) -> tuple[pathlib.Path, feature_cache.Photos]:
  """Where the features of a network are kept, and the photographs they are of."""
  if root is None:
    raise ValueError("features.kind=vit: name the folder in which they are kept")
  vit = config.features.vit
  settings = {name: vit[name] for name in ("layer", "facet", "stride", "load_size")}
  model = vit_features.model_identity(vit.model, vit.revision)

  read = functools.partial(stacks.full_photo, scene, background=background)
  if scene.files:
    digests = [feature_cache.file_digest(file, background) for file in scene.files]
  else:
    digests = [feature_cache.photo_digest(photo)
               for photo in scene.photos(slice(None), background)]
  photos = feature_cache.Photos(tuple(digests), read)
  return feature_cache.settings_folder(root, {"model": model, **settings}), photos


def _vit_extractor(settings: ConfigDict) -> vit_features.VitExtractor:
  """The network that `config.features.vit` names."""
  extractor = vit_features.load_extractor(settings.model, **{name: settings[name] for
      name in ("revision", "layer", "facet", "stride", "load_size", "device")})
  if settings.pca > extractor.num_channels:
    raise InputError(f"features.vit.pca={settings.pca}: the features have "
                     f"{extractor.num_channels} channels; give at most that, or 0 to "
                     "keep all")
  return extractor
