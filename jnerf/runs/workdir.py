"""The working folder of a run: what is in it, what is done, and for which config.

Layout: `config.json`, `metrics.json`, `checkpoints/<stage>/`, `curves/<stage>.json`,
`tensorboard/<stage>/`, `labels/<name>/`, `confidence/<name>/`, `next_clicks.json`,
`label_session.json`, `renders/`, `report.html`, and `features/` of a network, which no
config can contradict (`jnerf.features.feature_cache`).

A stage is *done* when its entry in metrics.json's `stages` holds `seconds`, which
is written last; it is *begun* when it has a checkpoint. What a stage's results
depend on is in `DEPENDS`: a config that differs there from the one that a begun
or done stage was made with is refused, or the stage is forgotten and made anew, so
that a folder never mixes results.

Every file is replaced whole: a reader, or the next run, never meets half of one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import fcntl
import hashlib
import importlib.metadata
import json
import os
import pathlib
import platform
from typing import Any

import jax
from ml_collections import ConfigDict

import jnerf
from jnerf.errors import InputError
from jnerf.files import write_json
from jnerf.runs.config import default_config, flatten

_FIT = ("seed", "scene", "field", "fit")
_SHAPE = (*_FIT, "features", "regions", "shape")
# Stage to the top-level config keys that its results depend on. Whether a second
# field is shaped on ground truth changes nothing in the first; training it makes
# the evaluation be done anew.
DEPENDS = {
    "fit": _FIT,
    "shape": _SHAPE,
    "shape-oracle": _SHAPE,
    "distill": _SHAPE,
    "propagate": (*_SHAPE, "label"),
    "evaluate": (*_SHAPE, "label"),
}
_IGNORED = ("shape.oracle", "features.vit.batch", "features.vit.device")


class Workdir:
  """A working folder; see the module's docstring for its layout.

  Making the object writes nothing, but raises InputError at once when `path` is
  not a folder that can be made or written.
  """

  def __init__(self, path: str | os.PathLike):
    if not str(path):
      raise InputError("--workdir is empty; name a folder, e.g. runs/room")
    self.path = pathlib.Path(path)
    existing = next(p for p in (self.path, *self.path.absolute().parents) if _exists(p))
    if not existing.is_dir():
      raise InputError(f"--workdir={path}: {existing} is not a folder; name another")
    if not os.access(existing, os.W_OK | os.X_OK):
      raise InputError(f"--workdir={path}: {existing} cannot be written; name another, "
                       "or mend its permissions")

  def folder(self, *parts: str) -> pathlib.Path:
    """The subfolder `parts`, made if missing. Raises InputError if it cannot be."""
    folder = self.path.joinpath(*parts)
    try:
      folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
      raise InputError(f"--workdir={self.path}: cannot make {folder} "
                       f"({error.strerror}); name another") from error
    return folder

  def checkpoints(self, stage: str) -> pathlib.Path:
    """Where the checkpoints of `stage` are, or will be."""
    return self.path / "checkpoints" / stage

  def curves(self, stage: str) -> pathlib.Path:
    """Where the training curves of `stage` are, or will be."""
    return self.path / "curves" / f"{stage}.json"

  @contextlib.contextmanager
  def lock(self) -> Iterator[None]:
    """Holds the folder for this process; a second one gets an InputError.

    The operating system lets go of the lock when the process ends, however it
    ends, so a killed run leaves nothing to clean up.
    """
    with open(self.folder() / ".lock", "a+") as file:
      try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
      except BlockingIOError as error:
        file.seek(0)
        raise InputError(
            f"--workdir={self.path}: process {file.read().strip() or '?'} is working "
            "in it; wait until it ends, or name another") from error
      file.truncate(0)
      file.write(f"{os.getpid()}\n")
      file.flush()
      yield

  def read_metrics(self) -> dict[str, Any]:
    """The contents of metrics.json, empty when there is none yet."""
    return _read_json(self.path / "metrics.json")

  def update_metrics(self, **entries: Any) -> dict[str, Any]:
    """Writes `entries` into metrics.json and returns all of it.

    An entry that is a dict is merged into the one it meets, one level deep;
    anything else, lists included, takes the old one's place.
    """
    metrics = self.read_metrics()
    for name, entry in entries.items():
      both = isinstance(entry, Mapping) and isinstance(metrics.get(name), dict)
      metrics[name] = {**metrics[name], **entry} if both else entry
    write_json(self.folder() / "metrics.json", metrics)
    return metrics

  def mark_done(self, stage: str, *, seconds: float, **facts: Any) -> None:
    """Records that `stage` is done, with its `seconds` and other facts on it."""
    self._drop("unfinished", [stage])
    self.update_metrics(stages={stage: {"seconds": seconds, **facts}})

  def forget(self, stages: Sequence[str]) -> None:
    """Records that `stages` are not done any more: what they rest on changed."""
    self._drop("stages", stages)

  def _drop(self, entry: str, names: Sequence[str]) -> None:
    metrics = self.read_metrics()
    rest = {name: value for name, value in metrics.get(entry, {}).items()
            if name not in names}
    if rest != metrics.pop(entry, {}):
      write_json(self.folder() / "metrics.json",
                 {**metrics, entry: rest} if rest else metrics)

  def is_done(self, stage: str) -> bool:
    """Whether `stage` ran to its end in this folder."""
    return "seconds" in self.read_metrics().get("stages", {}).get(stage, {})

  def held_stages(self) -> tuple[str, ...]:
    """Stages that left results here: done, or begun (with a checkpoint)."""
    return tuple(stage for stage in DEPENDS
                 if self.is_done(stage) or any(self.checkpoints(stage).glob("[0-9]*")))

  def read_config(self) -> ConfigDict | None:
    """The stored config, None when there is none yet."""
    path = self.path / "config.json"
    stored = _read_json(path)
    return _overlay(default_config(), stored, path) if stored else None

  def check_config(self, config: ConfigDict,
                   stages: Sequence[str] | None = None) -> None:
    """Raises InputError where results here contradict `config`; writes nothing.

    stages: whose results must stay right; by default all in `held_stages()`. A
      mode that makes a stage anew leaves that stage out.

    The message names the first key that differs from the stored config and on which
    one of `stages` depends.
    """
    stored, new, changed = self._compare(config)
    for stage in self.held_stages() if stages is None else stages:
      for key in changed:
        if _depends(stage, key):
          old, now = (json.dumps(flat.get(key)) for flat in (stored, new))
          anew = (f"make it anew with --mode={stage}, use"
                  if key.startswith("label.") else "use")
          raise InputError(
              f"{key} changed from {old} to {now}, but {self.path} holds results of "
              f"'{stage}' made with {old}; {anew} another --workdir, or delete "
              f"{self.path} to start over")

  def store_config(self, config: ConfigDict,
                   stages: Sequence[str] | None = None) -> None:
    """Checks as `check_config` does and makes `config` this folder's.

    Stages that it leaves out and that rest on what `config` changes are forgotten.
    """
    self.check_config(config, stages)
    changed = self._compare(config)[2]
    self.forget([stage for stage in self.held_stages()
                 if any(_depends(stage, key) for key in changed)])
    write_json(self.folder() / "config.json", _plain(config))

  def _compare(self, config: ConfigDict) -> tuple[dict, dict, list[str]]:
    """The stored settings, those of `config`, and the keys that differ."""
    stored = flatten(_read_json(self.path / "config.json"))
    new = flatten(_plain(config))
    if not stored:
      return stored, new, []
    # A setting younger than the folder had its default's effect when that was made.
    stored = flatten(_plain(default_config())) | stored
    changed = [key for key in sorted(stored.keys() | new.keys())
               if stored.get(key) != new.get(key)]
    return stored, new, changed


def config_digest(config: ConfigDict) -> str:
  """SHA-256 over every setting that bears on results: not `runtime`, not `inspect`."""
  plain = _plain(config)
  for name in ("runtime", "inspect"):
    plain.pop(name, None)
  canonical = json.dumps(plain, sort_keys=True, separators=(",", ":"))
  return hashlib.sha256(canonical.encode()).hexdigest()


def environment() -> dict[str, Any]:
  """Versions, device and cores, for metrics.json."""
  versions = {name: importlib.metadata.version(name)
              for name in ("jax", "flax", "optax", "numpy")}
  cores = (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity")
           else os.cpu_count())
  return {"jnerf": jnerf.__version__, "python": platform.python_version(), **versions,
          "device": jax.devices()[0].device_kind, "num_devices": jax.device_count(),
          "cores": cores}


def _depends(stage: str, key: str) -> bool:
  return key.split(".")[0] in DEPENDS[stage] and key not in _IGNORED


def _exists(path: pathlib.Path) -> bool:
  try:
    path.lstat()
  except (FileNotFoundError, NotADirectoryError):
    return False
  except OSError as error:
    raise InputError(f"--workdir: {path}: {error.strerror}; name another") from error
  return True


def _read_json(path: pathlib.Path) -> dict[str, Any]:
  try:
    value = json.loads(path.read_text())
  except FileNotFoundError:
    return {}
  except (OSError, ValueError) as error:
    raise InputError(f"{path}: cannot be read ({error}); delete it") from error
  if not isinstance(value, dict):
    raise InputError(f"{path}: not a JSON object; delete it")
  return value


def _plain(config: ConfigDict) -> dict[str, Any]:
  """The config as JSON has it: tuples are lists."""
  return json.loads(json.dumps(config.to_dict()))


def _overlay(config: ConfigDict, plain: Mapping[str, Any],
             path: pathlib.Path) -> ConfigDict:
  for key, value in flatten(plain).items():
    try:
      value = tuple(value) if isinstance(config[key], tuple) else value
      config.update_from_flattened_dict({key: value})
    except (KeyError, TypeError) as error:
      raise InputError(f"{path}: {key} does not fit this version of jnerf; use "
                       "another --workdir") from error
  return config
