"""Entries of a clicks file: what each must hold, and where its pixels lie.

Every complaint is an `InputError` that begins with `place`, the entry's own name, such
as `clicks.json: clicks[2]`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jnerf.errors import InputError
from jnerf.structs import Scene


def check_keys(place: str, entry, required: Sequence[str],
               optional: Sequence[str] = ()) -> None:
  """The entry is an object with all `required` keys and none but the `optional` more."""
  if not isinstance(entry, dict):
    raise InputError(f"{place}: must be an object with {', '.join(required)}")
  for key in required:
    if key not in entry:
      raise InputError(f"{place}: lacks {key!r}")
  known = (*required, *optional)
  unknown = sorted(set(entry) - set(known))
  if unknown:
    raise InputError(f"{place}: unknown key {unknown[0]!r}; known are "
                     f"{', '.join(known)}")


def check_frame(place: str, frame, scene: Scene) -> str:
  """The scene has a frame of that name."""
  if frame not in scene.frames:
    raise InputError(f"{place}: the scene has no frame {frame!r}; its frames "
                     f"are like {scene.frames[0]!r}")
  return frame


def check_integer(place: str, key: str, value) -> int:
  """The value is an integer; true and false are none."""
  if type(value) is not int:
    raise InputError(f"{place}: {key}={value!r} is not an integer")
  return value


def check_class(place: str, class_id, classes: dict[int, str]) -> int:
  """The class is an integer that the file lists, and not void."""
  check_integer(place, "class", class_id)
  if class_id not in classes or class_id == 0:
    raise InputError(f"{place}: unknown class {class_id}; classes lists "
                     f"{', '.join(str(i) for i in classes if i)} (0 is void)")
  return class_id


def check_xy(place: str, x, y, scene: Scene) -> tuple[int, int]:
  """The pixel is one of the full-resolution image."""
  for key, value, size in zip("xy", (x, y), scene.full_size, strict=True):
    check_integer(place, key, value)
    if not 0 <= value < size:
      raise InputError(f"{place}: {key}={value} is outside the image, which is "
                       f"{scene.full_size[0]}x{scene.full_size[1]} at full resolution")
  return x, y


def working_pixels(scene: Scene, view, x, y) -> np.ndarray:
  """`[N, 3]` int64 (view, row, column) that hold the centres of full-resolution pixels.

  view, x, y: numbers or `[N]` integers.
  """
  (width, height), (full_width, full_height) = scene.size, scene.full_size
  rows = (2 * np.asarray(y, np.int64) + 1) * height // (2 * full_height)
  columns = (2 * np.asarray(x, np.int64) + 1) * width // (2 * full_width)
  view = np.asarray(view, np.int64)
  return np.stack(np.broadcast_arrays(view, rows, columns), axis=-1).reshape(-1, 3)
