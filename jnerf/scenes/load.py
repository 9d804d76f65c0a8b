"""From the config to a scene and its visual features.

The only place below `jnerf.main` and the stages that sees `config`; everything
it calls takes explicit arguments.
"""

from __future__ import annotations

import pathlib

from ml_collections import ConfigDict

from jnerf.errors import InputError
from jnerf.scenes import local_features, precomputed_features, replica, room
from jnerf.structs import FeatureMaps, Scene


def load_scene(config: ConfigDict) -> Scene:
  """The scene that `config.scene` names; raises `InputError`.

  `format = "auto"` takes the procedural room without a path, else the layout
  that the folder has; `Scene.source` says which and why.
  """
  settings = config.scene
  if settings.format not in ("auto", "room", "replica"):
    raise InputError(f"scene.format={settings.format!r}: give auto, room or replica")
  kind, reason = settings.format, f"scene.format={settings.format}"
  if kind == "auto":
    kind, reason = _recognise(settings.path)
  if kind == "room":
    if settings.path:
      raise InputError(f"scene.path={settings.path}: the procedural room reads no "
                       "folder; set scene.format=auto, or leave the path out")
    scene = room.make_room(
        width=settings.room.width, height=settings.room.height,
        num_train=settings.room.num_train, num_test=settings.room.num_test,
        seed=settings.room.seed)
  else:
    _require_replica(settings.path)
    scene = replica.load_replica(
        settings.path, width=settings.width, max_pixels=settings.max_pixels,
        train_every=settings.train_every, train_offset=settings.train_offset,
        test_every=settings.test_every, test_offset=settings.test_offset,
        hfov=settings.hfov, near=settings.near, far=settings.far,
        bounds=settings.bounds)
  return scene.replace(source=f"{scene.source} [{reason}]")


def load_features(config: ConfigDict, scene: Scene) -> FeatureMaps:
  """Features of all views of `scene` as `config.features` says.

  `kind = "auto"` takes the file named or lying in the scene's folder, and the
  local statistics where there is none.
  """
  settings = config.features
  if settings.kind not in ("auto", "local", "precomputed"):
    raise InputError(f"features.kind={settings.kind!r}: give auto, local or precomputed")
  if settings.kind != "local":
    path = settings.path
    if not path and config.scene.path:
      path = precomputed_features.find_features_file(config.scene.path)
    if path:
      return precomputed_features.load_features_file(path, scene.frames)
    if settings.kind == "precomputed":
      folder = config.scene.path or "the procedural room"
      raise InputError(f"features.path: {folder} has no .npz with `features` and "
                       "`names`; name one, or set features.kind=local")
  return local_features.local_features(
      scene.images, stride=settings.local.stride, scales=tuple(settings.local.scales))


def _recognise(path: str) -> tuple[str, str]:
  """`(format, why)` of the capture in `path`."""
  if not path:
    return "room", "auto: no scene.path, so the procedural room"
  _require_replica(path)
  return "replica", (f"auto: found {replica.IMAGE_FOLDER}/ and {replica.TRAJECTORY}, so "
                     "the Replica layout")


def _require_replica(path: str) -> None:
  """Raises `InputError`, with what was looked for, unless `path` is a capture."""
  root = pathlib.Path(path)
  wanted = f"{replica.IMAGE_FOLDER}/ and {replica.TRAJECTORY} (the Replica layout)"
  if not path or not root.is_dir():
    raise InputError(f"scene.path={path}: no such folder; give one with {wanted}")
  if not replica.is_replica(root):
    inner = sorted(p.parent for p in root.glob(f"*/{replica.TRAJECTORY}"))
    hint = f"; did you mean {inner[0]}?" if inner else "; no other layout is known"
    raise InputError(f"scene.path={path}: lacks {wanted}{hint}")
