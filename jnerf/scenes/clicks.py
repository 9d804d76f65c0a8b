"""The clicks file, and where a click lies in the working images.

    {"classes": {"1": "wall", ...},
     "clicks": [{"frame": "rgb_12", "x": 10, "y": 20, "class": 1}, ...],
     "negative": [...same form...]}

`x` and `y` count pixels of the full-resolution image from its top left; the
working images may be smaller. `negative` may be left out.
"""

from __future__ import annotations

import pathlib

import numpy as np

from jnerf.errors import InputError
from jnerf.files import read_json_object, write_json
from jnerf.structs import Click, Clicks, Scene

ENTRY_KEYS = ("frame", "x", "y", "class")


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
  if not {"classes", "clicks"} <= set(raw):
    raise InputError(f"{path}: must hold a JSON object with \"classes\" and \"clicks\"")
  unknown = sorted(set(raw) - {"classes", "clicks", "negative"})
  if unknown:
    raise InputError(f"{path}: unknown key {unknown[0]!r}; known are classes, clicks, "
                     "negative")
  classes = _classes(path, raw["classes"])
  lists = {}
  for key in ("clicks", "negative"):
    entries = raw.get(key, [])
    if not isinstance(entries, list):
      raise InputError(f"{path}: {key} must be a list")
    lists[key] = tuple(_click(f"{path}: {key}[{i}]", entry, classes, scene)
                       for i, entry in enumerate(entries))
  return Clicks(classes=classes, positive=lists["clicks"], negative=lists["negative"])


def write_clicks(path: str | pathlib.Path, clicks: Clicks) -> None:
  """Writes the clicks file whole: a reader sees the old one or the new one."""
  def entries(items):
    return [{"frame": c.frame, "x": int(c.x), "y": int(c.y), "class": int(c.class_id)}
            for c in items]
  raw = {"classes": {str(int(i)): name for i, name in clicks.classes.items()},
         "clicks": entries(clicks.positive), "negative": entries(clicks.negative)}
  write_json(path, raw)


def click_pixels(clicks: Clicks, scene: Scene, negative: bool = False) -> np.ndarray:
  """`[C, 3]` int64 (view, row, column) at working resolution, in file order.

  Of the positive clicks, or of the negative ones. Raises `InputError` for a
  frame that the scene does not have.
  """
  views = {frame: view for view, frame in enumerate(scene.frames)}
  (width, height), (full_width, full_height) = scene.size, scene.full_size
  pixels = []
  for click in clicks.negative if negative else clicks.positive:
    if click.frame not in views:
      raise InputError(f"click at {click.frame!r}: the scene has no such frame")
    # The working pixel that holds the centre of the clicked one.
    pixels.append((views[click.frame], (2 * click.y + 1) * height // (2 * full_height),
                   (2 * click.x + 1) * width // (2 * full_width)))
  return np.array(pixels, np.int64).reshape(-1, 3)


def labelled_pixels(clicks: Clicks, scene: Scene) -> tuple[np.ndarray, np.ndarray]:
  """What is known of which pixels: `([M, 3]` as in `click_pixels`, `[M]` int64).

  The second is class ids; -c of a negative click says "not class c".
  """
  pixels = [click_pixels(clicks, scene), click_pixels(clicks, scene, negative=True)]
  ids = ([click.class_id for click in clicks.positive]
         + [-click.class_id for click in clicks.negative])
  return np.concatenate(pixels), np.array(ids, np.int64)


def full_resolution_xy(row: int, column: int, scene: Scene) -> tuple[int, int]:
  """`(x, y)` of the full-resolution pixel at a working pixel's centre.

  It is also the pixel that labels and depth were read from, and `click_pixels`
  leads back to the same row and column.
  """
  (width, height), (full_width, full_height) = scene.size, scene.full_size
  return ((2 * int(column) + 1) * full_width // (2 * width),
          (2 * int(row) + 1) * full_height // (2 * height))


def _classes(path: str | pathlib.Path, raw) -> dict[int, str]:
  if not isinstance(raw, dict) or not all(isinstance(name, str) for name in raw.values()):
    raise InputError(f"{path}: classes must map class ids to names, such as "
                     "{\"1\": \"wall\"}")
  for key in raw:
    if not (key.isascii() and key.isdecimal()):
      raise InputError(f"{path}: class id {key!r} is not a whole number")
  return {int(key): name for key, name in raw.items()}


def _click(place: str, entry, classes: dict[int, str], scene: Scene) -> Click:
  """One entry of the file, checked; `place` names it in messages."""
  if not isinstance(entry, dict):
    raise InputError(f"{place}: must be an object with {', '.join(ENTRY_KEYS)}")
  for key in ENTRY_KEYS:
    if key not in entry:
      raise InputError(f"{place}: lacks {key!r}")
  unknown = sorted(set(entry) - set(ENTRY_KEYS))
  if unknown:
    raise InputError(f"{place}: unknown key {unknown[0]!r}; known are "
                     f"{', '.join(ENTRY_KEYS)}")
  if entry["frame"] not in scene.frames:
    raise InputError(f"{place}: the scene has no frame {entry['frame']!r}; its frames "
                     f"are like {scene.frames[0]!r}")
  for key in ("x", "y", "class"):
    if type(entry[key]) is not int:  # not isinstance: true and false are no numbers
      raise InputError(f"{place}: {key}={entry[key]!r} is not an integer")
  if entry["class"] not in classes or entry["class"] == 0:
    raise InputError(f"{place}: unknown class {entry['class']}; classes lists "
                     f"{', '.join(str(i) for i in classes if i)} (0 is void)")
  for key, size in zip("xy", scene.full_size, strict=True):
    if not 0 <= entry[key] < size:
      raise InputError(f"{place}: {key}={entry[key]} is outside the image, which is "
                       f"{scene.full_size[0]}x{scene.full_size[1]} at full resolution")
  return Click(frame=entry["frame"], x=entry["x"], y=entry["y"], class_id=entry["class"])
