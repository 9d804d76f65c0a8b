"""Masks as hints: segments of photographs, from SAM or any other tool.

A folder of one PNG a frame, `<frame>.png`, whose pixels are numbers of segments
(8- or 16-bit grey or palette), 0 = none. A number means something in its own frame
only: pixels of one segment belong together, of different ones may or may not.
"""

from __future__ import annotations

import pathlib

import numpy as np

from jnerf.errors import InputError
from jnerf.geometry import turns
from jnerf.scenes import images, stacks
from jnerf.scenes.frame_names import frame_key
from jnerf.structs import Scene

SUFFIX = ".png"


def read_hints(path: str | pathlib.Path, scene: Scene) -> np.ndarray:
  """`[V, H, W]` int32 segments of `scene`'s views, each number in one view only.

  A frame without a file has 0 all over; raises `InputError` where all are, for a file
  that is no map of segments, and for one of another shape than the photograph.
  """
  folder = pathlib.Path(path)
  if not folder.is_dir():
    raise InputError(f"shape.hints={path}: no such folder; give one with a PNG of "
                     "segment numbers for each frame, or leave it out")
  files = {frame_key(file.name): file for file in sorted(folder.iterdir())
           if file.suffix.lower() == SUFFIX}
  segments = np.zeros(scene.images.shape[:3], np.int32)
  last = 0
  for view, frame in enumerate(scene.frames):
    file = files.get(frame_key(frame))
    if file is None:
      continue
    width, height = stacks.picture_size(scene, view)
    ids = _upright(images.read_labels(file), file, scene, view)
    if abs(ids.shape[1] * height - ids.shape[0] * width) > max(ids.shape):
      raise InputError(f"{file}: is {ids.shape[1]}x{ids.shape[0]} pixels, of another "
                       f"shape than the photograph ({width}x{height} as read); save "
                       "segments at the photograph's size")
    ids = images.resize_nearest(ids, (width, height))
    _, numbers = np.unique(ids, return_inverse=True)
    numbers = numbers.reshape(ids.shape) + 1 + last
    last = int(numbers.max())
    segments[view, :height, :width] = np.where(ids == 0, 0, numbers)
  if not last:
    raise InputError(f"shape.hints={path}: no file is named after a frame, such as "
                     f"{scene.frames[0]}{SUFFIX}; name them so")
  return segments


def _upright(ids: np.ndarray, file: pathlib.Path, scene: Scene, view: int) -> np.ndarray:
  """Segments the way up the photograph is read, where tools passed its EXIF over.

  Some do and some do not; only the shape tells, and where it does not, `InputError`.
  """
  orientation = images.orientation(scene.files[view]) if scene.files else 1
  if orientation == 1 or images.orientation(file) != 1:
    return ids
  size = stacks.picture_size(scene, view)
  is_upright, is_stored = (stacks.same_shape(ids.shape[::-1], some) for some in (
      size, turns.upright_size(size, orientation)))
  if is_upright and is_stored:
    raise InputError(f"{scene.files[view]}: its EXIF orientation is {orientation}, and "
                     f"which way up {file} is cannot be told; save both upright, without "
                     "orientation")
  return turns.upright_picture(ids, orientation) if is_stored else ids
