"""Cameras of upright photographs, from those that a capture gives.

Photographs are read upright, as their EXIF orientation says. Poses and intrinsics
mostly are of the stored pixels: COLMAP and what rests on it, nerfstudio and instant-ngp
pass the orientation over. Where the size that the intrinsics are for is given, and fits
the upright picture alone, they are of that one.
"""

from __future__ import annotations

from collections.abc import Sequence
import pathlib

import numpy as np

from jnerf.errors import InputError
from jnerf.geometry import cameras, turns
from jnerf.scenes import images
from jnerf.scenes.stacks import Canvas, Size, same_shape


def stored_size(path: pathlib.Path) -> Size:
  """`(width, height)` of the pixels as they are stored, which no orientation swaps."""
  return turns.upright_size(images.image_size(path), images.orientation(path))


def upright_cameras(canvas: Canvas, paths: Sequence[pathlib.Path],
                    places: Sequence[str], poses: np.ndarray, intrinsics: np.ndarray,
                    sizes: Sequence[tuple[float, float]], size_from: str = "w x h",
                    ) -> tuple[np.ndarray, np.ndarray]:
  """`(poses [V, 4, 4], intrinsics [V, 4, 8 or 9])` of the upright photographs.

  canvas, paths: of the files; places: name views in messages.
  poses, intrinsics: as given, for pictures of `sizes`, of which the files may be resized
    copies; no sizes: for the files as they are stored.
  size_from: what gives the sizes, for messages.

  Raises `InputError` for a size of another shape than the file's, and for an orientation
  that mirrors.
  """
  turned_poses, turned_rows = [], []
  for view, path in enumerate(paths):
    orientation, full_size = canvas.orientations[view], canvas.full_sizes[view]
    row, pose, stored = intrinsics[view], poses[view], canvas.stored_size(view)
    size = sizes[view] if sizes else stored
    if min(size) < 1 or not (same_shape(size, stored) or same_shape(size, full_size)):
      raise InputError(f"{places[view]}: {size_from} is {size[0]:g}x{size[1]:g}, but "
                       f"{path} is {stored[0]}x{stored[1]}; give the size that the "
                       "focal length is for")
    if not same_shape(size, stored):
      row = cameras.scale_intrinsics(row, size, full_size)
    elif orientation in turns.TURNS:
      row, pose = turns.upright(cameras.scale_intrinsics(row, size, stored), pose, stored,
                                orientation)
    else:
      raise InputError(f"{path}: its EXIF orientation {orientation} mirrors it, which no "
                       "camera does; save it as it is stored, without orientation")
    turned_poses.append(pose)
    turned_rows.append(row)
  return np.stack(turned_poses), np.stack(turned_rows)
