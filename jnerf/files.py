"""Files that are either whole or absent, whatever interrupts the writer."""

from __future__ import annotations

import json
import os
import pathlib
from typing import Any


def write_atomically(path: str | os.PathLike, data: bytes) -> pathlib.Path:
  """Puts `data` at `path` in one rename; a reader never sees half a file.

  The bytes go to a hidden file in the same folder (made if missing), are flushed
  to the disk, and replace `path`. On any error the hidden file goes away and an
  older file at `path` stays as it was.
  """
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  # Not `tempfile`: it makes files private, where the user's umask should decide.
  temporary = path.with_name(f".{path.name}.{os.getpid()}")
  try:
    with open(temporary, "wb") as file:
      file.write(data)
      file.flush()
      os.fsync(file.fileno())
    os.replace(temporary, path)
  except BaseException:
    temporary.unlink(missing_ok=True)
    raise
  _sync_folder(path.parent)
  return path


def write_json(path: str | os.PathLike, value: Any) -> pathlib.Path:
  """Writes `value` atomically as indented JSON with sorted keys.

  Raises ValueError for NaN and infinities, which JSON cannot hold.
  """
  text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False)
  return write_atomically(path, (text + "\n").encode())


def _sync_folder(folder: pathlib.Path) -> None:
  # Without this a power cut may forget the rename itself.
  if os.name != "posix":
    return
  descriptor = os.open(folder, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)
