"""The image files of a capture as one array at the size that is worked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import pathlib

import numpy as np

from jnerf.errors import InputError
from jnerf.geometry import cameras, turns
from jnerf.scenes import images
from jnerf.structs import Scene

Size = tuple[int, int]  # (width, height)


@dataclasses.dataclass(frozen=True)
class Canvas:
  """How V files, of one size or of several, lie in one array.

  Each is at the top left, all at one scale, so that pixels of files map to pixels of
  the array alike in all views; what a file leaves free is masked.

  names: of the files, for messages; full_sizes: theirs, the way up they are read.
  orientations: EXIF orientations of the files, by which readers turn them.
  full_size: the smallest that holds each of them.
  size: the array's, `full_size` at the scale that is worked at.
  """

  names: tuple[str, ...]
  full_sizes: tuple[Size, ...]
  orientations: tuple[int, ...]
  full_size: Size
  size: Size

  @classmethod
  def of(cls, paths: Sequence[pathlib.Path], width: int, max_pixels: int) -> Canvas:
    """The canvas of image files; `width`, `max_pixels` as in `working_size`."""
    sizes = tuple(images.image_size(path) for path in paths)
    full_size = (max(w for w, _ in sizes), max(h for _, h in sizes))
    return cls(tuple(path.name for path in paths), sizes,
               tuple(images.orientation(path) for path in paths), full_size,
               working_size(full_size, len(paths), width, max_pixels))

  @property
  def uneven(self) -> bool:
    """Whether files differ in size."""
    return len(set(self.full_sizes)) > 1

  def stored_size(self, view: int) -> Size:
    """Of a view's file before it is turned upright."""
    return turns.upright_size(self.full_sizes[view], self.orientations[view])

  def inner(self, view: int) -> Size:
    """The part of `size` that a view fills."""
    return _scaled(self.full_sizes[view], self.full_size, self.size)

  def intrinsics(self, intrinsics: np.ndarray) -> np.ndarray:
    """`[V, 4, 8 or 9]` for the array from those in pixels of the files."""
    return np.stack([
        cameras.scale_intrinsics(row, self.full_sizes[view], self.inner(view))
        for view, row in enumerate(intrinsics)])

  def read(self, paths: Mapping[int, pathlib.Path], read: Callable, resize: Callable,
           any_size: bool = False) -> np.ndarray:
    """`[V, H, W, ...]` of files beside the photographs, by view; 0 elsewhere.

    They are turned upright as the photographs are.

    any_size: whether files may have another size than the view's photograph, as a
      sensor's depth has.
    """
    stack = None
    for view, path in paths.items():
      array = self._turned(read(path), path, view)
      if not any_size:
        images.check_size(path, array, self.full_sizes[view],
                          f"the photograph {self.names[view]}")
      width, height = self.inner(view)
      small = resize(array, (width, height))
      if stack is None:
        stack = np.zeros((len(self.full_sizes), *self.size[::-1], *small.shape[2:]),
                         small.dtype)
      stack[view, :height, :width] = small
    return stack

  def read_photographs(self, paths: Sequence[pathlib.Path],
                       ) -> tuple[np.ndarray, np.ndarray | None]:
    """`([V, H, W, 3] colour over black, [V, H, W] opacity)`, None where all is opaque.

    Opacity has a stack only from the first photograph on that is transparent anywhere.
    """
    colour = np.zeros((len(self.full_sizes), *self.size[::-1], 3), np.float32)
    alpha = None
    for view, path in enumerate(paths):
      rgba = images.read_rgba(path)
      images.check_size(path, rgba, self.full_sizes[view],
                        f"the photograph {self.names[view]}")
      width, height = self.inner(view)
      small = images.resize_area(rgba, (width, height))
      colour[view, :height, :width] = small[..., :3]
      if alpha is None and (small[..., 3] < 1).any():
        alpha = np.zeros(colour.shape[:3], np.float32)
        for before in range(view):
          before_width, before_height = self.inner(before)
          alpha[before, :before_height, :before_width] = 1
      if alpha is not None:
        alpha[view, :height, :width] = small[..., 3]
    return colour, alpha

  def _turned(self, array: np.ndarray, path: pathlib.Path, view: int) -> np.ndarray:
    """What lies as the stored pixels of a view's photograph does, upright like that."""
    orientation = self.orientations[view]
    shape = array.shape[1], array.shape[0]
    if orientation == 1 or not same_shape(shape, self.stored_size(view)) or (
        path.suffix != ".npy" and images.orientation(path) != 1):  # turned by its reader
      return array
    return turns.upright_picture(array, orientation)

  def filled(self) -> np.ndarray | None:
    """`[V, H, W]` bool, where the views' pictures are; None where they are all over."""
    if not self.uneven:
      return None
    filled = np.zeros((len(self.full_sizes), *self.size[::-1]), bool)
    for view in range(len(filled)):
      width, height = self.inner(view)
      filled[view, :height, :width] = True
    return filled


def working_size(full_size: Size, num_views: int, width: int, max_pixels: int) -> Size:
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


def same_shape(size: tuple[float, float], other: tuple[float, float]) -> bool:
  """Whether a picture of one `(width, height)` can be one of the other, resized."""
  rounding = max(*size, *other)  # a resize rounds to whole pixels
  return abs(size[0] * other[1] - size[1] * other[0]) < rounding


def full_photo(scene: Scene, view: int, background: float) -> np.ndarray:
  """`[H, W, 3]` photograph of one view at `scene.full_size`, as its file has it.

  background: grey level behind transparent parts, and beside a file that is smaller
    than others. A scene without files gives the image that it has.
  """
  if not scene.files:
    return scene.photos([view], background)[0]
  rgba = images.read_rgba(scene.files[view])
  width, height = scene.full_size
  photo = np.full((height, width, 3), background, np.float32)
  photo[:rgba.shape[0], :rgba.shape[1]] *= 1 - rgba[..., 3:]
  photo[:rgba.shape[0], :rgba.shape[1]] += rgba[..., :3]
  return photo


def picture_size(scene: Scene, view: int) -> Size:
  """`(width, height)` of the part of `scene.images[view]` that the photograph fills."""
  if not scene.files:
    return scene.size
  return _scaled(images.image_size(scene.files[view]), scene.full_size, scene.size)


def _scaled(own: Size, old: Size, new: Size) -> Size:
  """`own` at the scale that makes `old` to `new`, in whole pixels."""
  return tuple(max(1, round(a * b / c)) for a, b, c in zip(own, new, old, strict=True))
