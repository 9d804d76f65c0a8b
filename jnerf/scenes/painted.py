"""Scribbles and masks of a clicks file, as labelled pixels.

    "scribbles": [{"frame": "rgb_12", "points": [[10, 20], [40, 25]], "class": 1,
                   "width": 3}, ...],
    "masks": [{"frame": "rgb_12", "file": "chair.png", "class": 7}, ...]

A scribble is a line through points, in pixels of the full-resolution image, 1 of them
wide where nothing else is said. A mask is a PNG beside the clicks file, of the shape of
the photograph: where it is not 0 is the class, or, without "class", its numbers are
classes.
"""

from __future__ import annotations

import pathlib

import numpy as np
from PIL import Image, ImageDraw

from jnerf.errors import InputError
from jnerf.files import write_png
from jnerf.host_arrays import evenly_spread
from jnerf.scenes import images, stacks
from jnerf.scenes.entries import (
  check_class,
  check_frame,
  check_integer,
  check_keys,
  check_xy,
  working_pixels,
)
from jnerf.scenes.label_files import Labels
from jnerf.scenes.named_files import path_below
from jnerf.structs import Mask, Scene, Scribble

# Labels that one scribble, or one class of one mask, makes: its pixels are far from
# independent, and more of them cost time and teach nothing.
MAX_LABELS = 512


def read_scribble(place: str, entry, classes: dict[int, str], scene: Scene) -> Scribble:
  """One entry of `scribbles`, checked; `place` names it in messages."""
  check_keys(place, entry, ("frame", "points", "class"), ("width",))
  points = entry["points"]
  if not isinstance(points, list) or not points or not all(
      isinstance(point, list) and len(point) == 2 for point in points):
    raise InputError(f"{place}: points must be a list of pairs, such as [[10, 20], "
                     "[40, 25]]")
  width = entry.get("width")
  width = 1 if width is None else check_integer(place, "width", width)
  if not 1 <= width <= max(scene.full_size):
    raise InputError(f"{place}: width={width} must lie between 1 and "
                     f"{max(scene.full_size)}")
  return Scribble(
      frame=check_frame(place, entry["frame"], scene),
      points=tuple(check_xy(f"{place}.points[{i}]", *point, scene)
                   for i, point in enumerate(points)),
      class_id=check_class(place, entry["class"], classes), width=width)


def read_mask(place: str, entry, classes: dict[int, str], scene: Scene,
              folder: pathlib.Path, labels: Labels) -> Mask:
  """One entry of `masks` with its picture; `folder` is that of the clicks file.

  labels: reads all pictures of that file whose numbers are classes.
  """
  check_keys(place, entry, ("frame", "file"), ("class",))
  frame = check_frame(place, entry["frame"], scene)
  class_id = entry.get("class")
  mask_path(place, entry["file"], folder)
  file = path_below(folder, entry["file"], "file", place)
  try:
    ids = labels.read(file) if class_id is None else images.read_mask(file)
  except InputError as error:
    raise InputError(f"{place}: {error}") from None
  mask = Mask(frame, entry["file"], ids, class_id)
  check_mask(place, mask, str(file), classes, scene)
  return mask


def check_mask(place: str, mask: Mask, file: str, classes: dict[int, str],
               scene: Scene) -> None:
  """The mask is of a frame, of its shape, and of known classes; `file` names it."""
  if mask.class_id is not None:
    check_class(place, mask.class_id, classes)
  view = scene.frames.index(check_frame(place, mask.frame, scene))
  (width, height), ids = stacks.picture_size(scene, view), mask.ids
  if abs(ids.shape[1] * height - ids.shape[0] * width) > max(ids.shape):
    raise InputError(f"{place}: {file} is {ids.shape[1]}x{ids.shape[0]} pixels, of "
                     f"another shape than the photograph ({width}x{height} as read); "
                     "save masks at the photograph's size")
  if mask.class_id is None:
    for value in np.unique(ids[ids > 0]).tolist():
      check_class(f"{place}: {file}", value, classes)


def mask_path(place: str, file, folder: pathlib.Path) -> pathlib.Path:
  """Where a mask's file lies; raises InputError for one that is not below `folder`."""
  if not isinstance(file, str):
    raise InputError(f"{place}: file={file!r} is not the name of a file")
  try:
    path = (folder / file).resolve()
    inside = path.is_relative_to(folder.resolve())
  except (OSError, ValueError, RuntimeError):  # NUL in it, links in a circle
    inside = False
  if not inside:
    raise InputError(f"{place}: file={file!r} does not lie beside the clicks file; put "
                     "it there, and give its name")
  return path


def write_mask(mask: Mask, folder: pathlib.Path) -> dict:
  """Writes the mask's picture into `folder`; returns its entry."""
  kind = np.uint8 if mask.ids.max(initial=0) < 256 else np.uint16
  write_png(mask_path("masks", mask.file, folder), mask.ids.astype(kind))
  entry = {"frame": mask.frame, "file": mask.file}
  return entry if mask.class_id is None else {**entry, "class": int(mask.class_id)}


def scribble_labels(scribble: Scribble, scene: Scene) -> tuple[np.ndarray, np.ndarray]:
  """Every working pixel that the line touches: `([M, 3], [M])`, see `clicks`."""
  canvas = Image.new("1", scene.full_size)
  points = scribble.points if len(scribble.points) > 1 else scribble.points * 2
  ImageDraw.Draw(canvas).line(points, fill=1, width=scribble.width, joint="curve")
  y, x = np.nonzero(np.asarray(canvas))
  view = scene.frames.index(scribble.frame)
  pixels = evenly_spread(np.unique(working_pixels(scene, view, x, y), axis=0), MAX_LABELS)
  return pixels, np.full(len(pixels), scribble.class_id, np.int64)


def mask_labels(mask: Mask, scene: Scene) -> tuple[np.ndarray, np.ndarray]:
  """Pixels of every class of the mask, evenly strided: `([M, 3], [M])`."""
  view = scene.frames.index(mask.frame)
  ids = images.resize_nearest(mask.ids, stacks.picture_size(scene, view))
  if mask.class_id is not None:
    ids = np.where(ids > 0, mask.class_id, 0)
  pixels, classes = [np.zeros((0, 3), np.int64)], [np.zeros(0, np.int64)]
  for class_id in np.unique(ids[ids > 0]):
    inside = evenly_spread(np.argwhere(ids == class_id), MAX_LABELS)
    pixels.append(np.insert(inside, 0, view, axis=1))
    classes.append(np.full(len(inside), class_id, np.int64))
  return np.concatenate(pixels), np.concatenate(classes)
