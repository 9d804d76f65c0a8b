"""The clicks file, and where a click lies in the working images.

    {"classes": {"1": "wall", ...},
     "clicks": [{"frame": "rgb_12", "x": 10, "y": 20, "class": 1}, ...],
     "negative": [...same form...],
     "scribbles": [...], "masks": [...]}

`x` and `y` count pixels of the full-resolution image from its top left; the
working images may be smaller. All but the first two keys may be left out; scribbles
and masks are described in `painted`.
"""

from __future__ import annotations

from collections.abc import Mapping
import pathlib
from typing import Any

import numpy as np

from jnerf.errors import InputError
from jnerf.files import read_json_object, write_json
from jnerf.scenes import painted
from jnerf.scenes.entries import (
  check_class,
  check_frame,
  check_keys,
  check_xy,
  working_pixels,
)
from jnerf.scenes.label_files import Labels
from jnerf.structs import Click, Clicks, Scene

LARGEST_CLASS = 2**16 - 1  # label maps have 16 bits
KEYS = ("classes", "clicks", "negative", "scribbles", "masks")


def read_clicks(path: str | pathlib.Path, scene: Scene) -> Clicks:
  """Reads and checks a clicks file against the scene that it is for.

  Raises `InputError`, naming the entry, for an unknown frame or class, a pixel
  outside the image, a key that is missing or unknown, or a number that is no
  integer.
  """
  try:
    raw = read_json_object(path)
  except FileNotFoundError:
    raise InputError(f"{path}: no such clicks file") from None
  return parse_clicks(raw, scene, str(path), pathlib.Path(path).parent)


def check_clicks(clicks: Clicks, scene: Scene) -> Clicks:
  """The same clicks, if a file of them could be read; raises as `read_clicks`."""
  checked = parse_clicks(_unparsed(clicks), scene)
  for i, mask in enumerate(clicks.masks):
    painted.check_mask(f"clicks: masks[{i}]", mask, mask.file, checked.classes, scene)
  return checked.replace(masks=clicks.masks)


def parse_clicks(raw: Mapping[str, Any], scene: Scene, path: str = "clicks",
                 folder: pathlib.Path = pathlib.Path()) -> Clicks:
  """Checks the contents of a clicks file; raises as `read_clicks`.

  path: what messages call it; folder: where its masks' pictures lie.
  """
  if "classes" not in raw or not set(raw) & set(KEYS[1:]):
    raise InputError(f"{path}: must hold a JSON object with \"classes\" and \"clicks\"")
  unknown = sorted(set(raw) - set(KEYS))
  if unknown:
    raise InputError(f"{path}: unknown key {unknown[0]!r}; known are {', '.join(KEYS)}")
  raw = {key: value for key, value in raw.items() if value is not None}
  classes = _classes(path, raw.get("classes"))

  def entries(key, read, *more):
    if not isinstance(raw.get(key, []), list):
      raise InputError(f"{path}: {key} must be a list")
    return tuple(read(f"{path}: {key}[{i}]", entry, classes, scene, *more)
                 for i, entry in enumerate(raw.get(key, [])))

  return Clicks(classes=classes, positive=entries("clicks", _click),
                negative=entries("negative", _click),
                scribbles=entries("scribbles", painted.read_scribble),
                masks=entries("masks", painted.read_mask, folder, Labels()))


def write_clicks(path: str | pathlib.Path, clicks: Clicks) -> None:
  """Writes the clicks file whole: a reader sees the old one or the new one.

  Pictures of masks are written first, below its folder.
  """
  raw = _unparsed(clicks)
  if clicks.masks:
    folder = pathlib.Path(path).parent
    raw["masks"] = [painted.write_mask(mask, folder) for mask in clicks.masks]
  write_json(path, raw)


def click_pixels(clicks: Clicks, scene: Scene, negative: bool = False) -> np.ndarray:
  """`[C, 3]` int64 (view, row, column) at working resolution, in file order.

  Of the positive clicks, or of the negative ones. Raises `InputError` for a
  frame that the scene does not have.
  """
  views = {frame: view for view, frame in enumerate(scene.frames)}
  chosen = clicks.negative if negative else clicks.positive
  for click in chosen:
    if click.frame not in views:
      raise InputError(f"click at {click.frame!r}: the scene has no such frame")
  # The working pixel that holds the centre of the clicked one.
  return working_pixels(scene, [views[c.frame] for c in chosen], [c.x for c in chosen],
                        [c.y for c in chosen])


def labelled_pixels(clicks: Clicks, scene: Scene) -> tuple[np.ndarray, np.ndarray]:
  """What is known of which pixels: `([M, 3]` as in `click_pixels`, `[M]` int64).

  The second is class ids; -c of a negative click says "not class c". Clicks come
  first, then what was painted.
  """
  labels = [(click_pixels(clicks, scene, negative),
             [sign * click.class_id for click in of_sign])
            for of_sign, negative, sign in ((clicks.positive, False, 1),
                                            (clicks.negative, True, -1))]
  labels += [painted.scribble_labels(scribble, scene) for scribble in clicks.scribbles]
  labels += [painted.mask_labels(mask, scene) for mask in clicks.masks]
  pixels, ids = zip(*labels, strict=True)
  return np.concatenate(pixels), np.concatenate(ids).astype(np.int64)


def full_resolution_xy(row: int, column: int, scene: Scene) -> tuple[int, int]:
  """`(x, y)` of the full-resolution pixel at a working pixel's centre.

  It is also the pixel that labels and depth were read from, and `click_pixels`
  leads back to the same row and column.
  """
  (width, height), (full_width, full_height) = scene.size, scene.full_size
  return ((2 * int(column) + 1) * full_width // (2 * width),
          (2 * int(row) + 1) * full_height // (2 * height))


def _unparsed(clicks: Clicks) -> dict[str, Any]:
  """The contents of a file of these clicks, but for their masks."""
  def entries(items):
    return [{"frame": c.frame, "x": _number(c.x), "y": _number(c.y),
             "class": _number(c.class_id)} for c in items]
  raw = {"classes": {str(_number(i)): name for i, name in clicks.classes.items()},
         "clicks": entries(clicks.positive), "negative": entries(clicks.negative)}
  if clicks.scribbles:
    raw["scribbles"] = [
        {"frame": s.frame, "points": [[_number(x), _number(y)] for x, y in s.points],
         "class": _number(s.class_id), "width": _number(s.width)}
        for s in clicks.scribbles]
  return raw


def _number(value: Any) -> Any:
  return value.item() if isinstance(value, np.generic) else value


def _classes(path: str | pathlib.Path, raw) -> dict[int, str]:
  if not isinstance(raw, dict) or not all(isinstance(name, str) for name in raw.values()):
    raise InputError(f"{path}: classes must map class ids to names, such as "
                     "{\"1\": \"wall\"}")
  raw = {str(key): name for key, name in raw.items()}
  for key in raw:
    if not (key.isascii() and key.isdecimal()):
      raise InputError(f"{path}: class id {key!r} is not a whole number")
    if len(key.lstrip("0")) > len(str(LARGEST_CLASS)) or int(key) > LARGEST_CLASS:
      raise InputError(f"{path}: classes has the id {key[:20]}, but label maps hold ids "
                       f"up to {LARGEST_CLASS}; give it a smaller one")
  return {int(key): name for key, name in raw.items()}


def _click(place: str, entry, classes: dict[int, str], scene: Scene) -> Click:
  """One entry of the file, checked; `place` names it in messages."""
  check_keys(place, entry, ("frame", "x", "y", "class"))
  frame = check_frame(place, entry["frame"], scene)
  x, y = check_xy(place, entry["x"], entry["y"], scene)
  return Click(frame, x, y, check_class(place, entry["class"], classes))
