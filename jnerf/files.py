"""JSON and pictures; files that are either whole or absent, whatever interrupts."""

from __future__ import annotations

import io
import json
import os
import pathlib
from typing import Any

import numpy as np
from PIL import Image

from jnerf.errors import InputError


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


def write_png(path: str | os.PathLike, image: np.ndarray | Image.Image,
              optimize: bool = False) -> pathlib.Path:
  """Writes `[H, W]` or `[H, W, 3]` uint8 (or uint16 `[H, W]`) atomically as PNG.

  A Pillow image is written as it is, with its palette. optimize: takes several times
  as long for a somewhat smaller file.
  """
  return write_atomically(path, encode_image(image, "PNG", optimize=optimize))


def encode_image(image: np.ndarray | Image.Image, kind: str, **options) -> bytes:
  """The bytes of an image file of a `kind` that Pillow writes, with its options."""
  if isinstance(image, np.ndarray):
    image = Image.fromarray(image)
  buffer = io.BytesIO()
  image.save(buffer, format=kind, **options)
  return buffer.getvalue()


def write_json(path: str | os.PathLike, value: Any) -> pathlib.Path:
  """Writes `value` atomically as indented JSON with sorted keys.

  Raises ValueError for NaN and infinities, which JSON cannot hold.
  """
  text = json.dumps(value, indent=2, sort_keys=True, allow_nan=False)
  return write_atomically(path, (text + "\n").encode())


def read_json_object(path: str | os.PathLike) -> dict[str, Any]:
  """The JSON object in the file `path`, which the user gave.

  Raises InputError for what cannot be read or is no object; FileNotFoundError where
  there is no file, for only the caller knows whether it has to be there.
  """
  try:
    # Some editors, on Windows most of all, begin a file with a byte order mark.
    raw = json.loads(pathlib.Path(path).read_text(encoding="utf-8-sig"))
  except FileNotFoundError:
    raise
  except (OSError, ValueError, RecursionError) as error:
    raise InputError(f"{path}: is not readable JSON ({error}); mend or remove it"
                     ) from None
  if not isinstance(raw, dict):
    raise InputError(f"{path}: must hold one JSON object; mend or remove it")
  return raw


def _sync_folder(folder: pathlib.Path) -> None:
  # Without this a power cut may forget the rename itself.
  if os.name != "posix":
    return
  descriptor = os.open(folder, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)
