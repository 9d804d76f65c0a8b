"""Checkpoints of a training state, on Orbax.

A *state* is any pytree of arrays (parameters, optimiser state, step, PRNG key
data, adaptive threshold); what is restored equals what was saved bit for bit.

A stage starts from the first of these that exists:
  1. its own newest checkpoint (a resumed run continues exactly);
  2. what it is initialised from (`shape` starts from the parameters of `fit`);
  3. scratch.

Saving is synchronous: 30 MB take a fraction of a second, and when `save` returns
the checkpoint is complete. Orbax writes into a folder of another name and renames
it at the end, so a kill during a save leaves the former checkpoint usable. Orbax
would restore flipped bits without a word; checksums of its files tell. Where they are
right, whatever keeps a checkpoint from being read is not its own fault.
"""

from __future__ import annotations

import json
import pathlib
import shutil
from typing import Any
import zlib

from absl import logging
import jax
import numpy as np

from jnerf.errors import InputError
from jnerf.files import write_json

State = Any

_CHECKSUMS = "checksums.json"


class Checkpoints:
  """The newest `keep` states saved in a folder, each in a subfolder named by step.

  Use it as a context manager, or call `close` at the end. Nothing is made on the
  disk before the first `save`.
  """

  def __init__(self, folder: str | pathlib.Path, keep: int = 2):
    self._folder = pathlib.Path(folder).absolute()
    self._keep = keep
    self._manager = None

  def __enter__(self) -> Checkpoints:
    return self

  def __exit__(self, *unused) -> None:
    self.close()

  @property
  def steps(self) -> list[int]:
    """Steps of the complete checkpoints, ascending."""
    if not self._folder.is_dir():
      return []
    return sorted(int(entry.name) for entry in self._folder.iterdir()
                  if entry.name.isdecimal() and entry.is_dir())

  def save(self, step: int, state: State) -> None:
    """Saves `state` as the checkpoint of `step` and drops the oldest.

    A checkpoint that the folder already holds for `step` is kept as it is.
    Raises InputError when the folder cannot be written.
    """
    if step in self.steps:
      return
    import orbax.checkpoint as ocp
    try:
      self._open().save(step, args=ocp.args.StandardSave(state), force=True)
      if jax.process_index() == 0:
        _write_checksums(self._folder / str(step))
    except OSError as error:
      raise InputError(f"{self._folder}: cannot save a checkpoint "
                       f"({error}); make room or use another --workdir") from error

  def restore(self, template: State) -> tuple[State, int] | None:
    """The newest usable `(state, step)`, or None when nothing was saved.

    template: a state of the same structure, shapes and types (values unused);
      its arrays' shardings say where the restored ones are put. NumPy leaves
      come back as NumPy arrays, JAX leaves as JAX arrays.

    A damaged checkpoint is set aside (renamed `<step>.damaged`) with a warning,
    and the one before it is taken. Raises InputError when all are damaged, when a
    file cannot be opened, or when a checkpoint is whole but its state has not the
    shape of `template`; and passes on what says nothing of the files, such as a
    device that is full.
    """
    damaged = {}
    for step in reversed(self.steps):
      whole = False
      try:
        whole = _verify(self._folder / str(step))
        state, mismatch = self._read(step, template)
      except Exception as error:
        if _is_barred(error):
          raise InputError(
              f"{self._folder}/{step}: cannot be read ({_reason(error)}); give this user "
              "the right to read and write it, and see that its disk works") from error
        if whole or not _is_damage(error):
          raise
        damaged[step] = _reason(error)
        continue
      if mismatch:
        raise InputError(f"{self._folder}/{step}: {mismatch}; it was saved with other "
                         "settings: use another --workdir, or delete this folder")
      self._set_aside(damaged)
      return state, step
    if damaged:
      raise InputError(f"{self._folder}: no checkpoint in it can be read "
                       f"({next(iter(damaged.values()))}); delete this folder to "
                       "start the stage over")
    return None

  def close(self) -> None:
    """Lets go of the threads behind Orbax; the object can be used again."""
    if self._manager is not None:
      self._manager.close()
      self._manager = None

  def _open(self):
    if self._manager is None:
      import orbax.checkpoint as ocp  # here, because its import takes 0.7 s
      handlers = ocp.handlers.DefaultCheckpointHandlerRegistry()
      handler = ocp.StandardCheckpointHandler()
      for args in (ocp.args.StandardSave, ocp.args.StandardRestore):
        handlers.add("default", args, handler)  # the folder that it is saved under
      self._manager = ocp.CheckpointManager(
          self._folder, handler_registry=handlers,
          options=ocp.CheckpointManagerOptions(
              max_to_keep=self._keep, enable_async_checkpointing=False,
              cleanup_tmp_directories=True))
    return self._manager

  def _read(self, step: int, template: State) -> tuple[State | None, str]:
    """The state of `step`, or how it differs from `template`."""
    import orbax.checkpoint as ocp
    stored = self._open().item_metadata(step)
    if stored is None:
      raise ValueError("it has no metadata")
    mismatch = _first_mismatch(_shapes(stored.tree), _shapes(template))
    if mismatch:
      return None, mismatch
    abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, template)
    return self._open().restore(step, args=ocp.args.StandardRestore(abstract)), ""

  def _set_aside(self, damaged: dict[int, str]) -> None:
    """Renames damaged steps, so that they do not count as the newest any more."""
    if not damaged:
      return
    self.close()  # Orbax lists the steps once, when it opens the folder
    for step, reason in damaged.items():
      logging.warning("%s/%d cannot be read and is set aside: %s",
                      self._folder, step, reason)
      aside = self._folder / f"{step}.damaged"
      if jax.process_index() == 0:
        shutil.rmtree(aside, ignore_errors=True)
        (self._folder / str(step)).rename(aside)


# Of TensorStore, which raises ValueError for all; in front of its message.
_BARRED = ("PERMISSION_DENIED", "UNAVAILABLE", "RESOURCE_EXHAUSTED", "CANCELLED",
           "DEADLINE_EXCEEDED", "ABORTED")


def _is_barred(error: Exception) -> bool:
  """Whether the system kept a file from being read, which says nothing of the file."""
  return any((isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError))
             or (type(cause) is ValueError and str(cause).startswith(_BARRED))
             for cause in _causes(error))


def _is_damage(error: Exception) -> bool:
  """Whether an error is one that unreadable content raises.

  Orbax and TensorStore have no one type for it: ValueError for bytes that are not what
  they should be, KeyError and NotImplementedError for names in metadata, and a bare
  Exception around what TensorStore raised. A device or a machine without memory, or a
  mistake in the program, has another.
  """
  kinds = (ValueError, KeyError, NotImplementedError, FileNotFoundError)
  return all(isinstance(cause, kinds) or type(cause) is Exception
             for cause in _causes(error))


def _causes(error: BaseException | None) -> list[BaseException]:
  """The error, what it was raised from, and so on."""
  causes = []
  while error is not None and error not in causes:
    causes.append(error)
    error = error.__cause__
  return causes


def _write_checksums(folder: pathlib.Path) -> None:
  write_json(folder / _CHECKSUMS, _checksums(folder))


def _verify(folder: pathlib.Path) -> bool:
  """Raises ValueError naming a file of a checkpoint that is not what was written.

  Returns whether all files are; False for a checkpoint without checksums, whose save
  was killed between Orbax's last act and ours, when it was whole already.
  """
  path = folder / _CHECKSUMS
  if not path.exists():
    return False
  written, actual = json.loads(path.read_text()), _checksums(folder)
  for name in sorted(written.keys() | actual.keys()):
    if written.get(name) != actual.get(name):
      raise ValueError(f"{name} is damaged or missing")
  return True


def _checksums(folder: pathlib.Path) -> dict[str, int]:
  return {file.relative_to(folder).as_posix(): zlib.crc32(file.read_bytes())
          for file in folder.rglob("*") if file.is_file() and file.name != _CHECKSUMS}


def _reason(error: Exception) -> str:
  return (str(error).splitlines() or [type(error).__name__])[0][:120]


def _shapes(state: State) -> dict[str, tuple[tuple[int, ...], str]]:
  """Path of every leaf to its shape and type; for states and Orbax metadata."""
  shapes = {}
  for path, leaf in jax.tree_util.tree_flatten_with_path(state)[0]:
    if hasattr(leaf, "dtype") and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
      leaf = jax.eval_shape(jax.random.key_data, leaf)  # what Orbax stores of it
    shape = getattr(leaf, "shape", ())
    dtype = leaf.dtype if hasattr(leaf, "dtype") else np.result_type(leaf)
    shapes[jax.tree_util.keystr(path, simple=True, separator=".")] = (
        tuple(shape), str(dtype))
  return shapes


def _first_mismatch(stored: dict[str, tuple], wanted: dict[str, tuple]) -> str:
  """Says where two results of `_shapes` differ; empty when they do not."""
  for name in sorted(stored.keys() | wanted.keys()):
    if name not in stored:
      return f"{name} is not in the checkpoint"
    if name not in wanted:
      return f"{name} is in the checkpoint only"
    if stored[name] != wanted[name]:
      (old_shape, old_type), (new_shape, new_type) = stored[name], wanted[name]
      return (f"{name} is {old_type}{list(old_shape)} in the checkpoint, "
              f"not {new_type}{list(new_shape)}")
  return ""
