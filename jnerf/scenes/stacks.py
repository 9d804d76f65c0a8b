"""The image files of a capture as one array at the size that is worked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import pathlib

import numpy as np

from jnerf.errors import InputError
from jnerf.scenes import images


def working_size(full_size: tuple[int, int], num_views: int, width: int,
                 max_pixels: int) -> tuple[int, int]:
  """`(width, height)` at which images of `full_size` are read.

  width: 0 keeps the files' own, or halves it until V*H*W <= `max_pixels` where
    that is not 0.
  """
  full_width, full_height = full_size
  if width > full_width or width < 0:
    raise InputError(f"scene.width={width}: the files are {full_width} pixels wide; give "
                     "at most that, or 0 for their own width")
  if max_pixels < 0:
    raise InputError(f"scene.max_pixels={max_pixels}: give 0 or more")
  if width:
    return width, max(1, round(full_height * width / full_width))
  factor = 1
  size = full_size
  while 0 < max_pixels < num_views * size[0] * size[1] and min(size) > 1:
    factor *= 2
    size = (max(1, round(full_width / factor)), max(1, round(full_height / factor)))
  return size


def read_stack(paths: Sequence[pathlib.Path], read: Callable, resize: Callable,
               full_size: tuple[int, int], size: tuple[int, int],
               like: str) -> np.ndarray:
  """All files at the working size, `[V, H, W, ...]`; one file in memory at a time.

  like: names the image that has `full_size`, for the message where one has not.
  """
  stack = None
  for i, path in enumerate(paths):
    array = read(path)
    images.check_size(path, array, full_size, like)
    small = resize(array, size)
    if stack is None:
      stack = np.empty((len(paths), *small.shape), small.dtype)
    stack[i] = small
  return stack
