"""Label maps of several views, whose ids must mean the same in all of them."""

from __future__ import annotations

import pathlib

import numpy as np

from jnerf.errors import InputError
from jnerf.scenes import images


class Labels:
  """Reads label maps, and minds that an id has one colour wherever palettes give it one.

  Tools that save only the colours a picture uses number them anew in each: then one id
  means another class in each frame.
  """

  def __init__(self):
    self._colours = np.zeros((256, 3), np.uint8)
    self._first: list[pathlib.Path | None] = [None] * 256  # where an id was met first

  def read(self, path: pathlib.Path) -> np.ndarray:
    """`[H, W]` int32 ids, as `images.read_labels`; `InputError` where palettes differ."""
    ids, palette = images.read_labels_and_palette(path)
    for i in np.unique(ids).tolist() if palette is not None else ():
      if i >= len(palette):
        continue
      if self._first[i] is None:
        self._first[i], self._colours[i] = path, palette[i]
      elif (self._colours[i] != palette[i]).any():
        raise InputError(
            f"{path}: gives id {i} the colour {_hex(palette[i])}, {self._first[i].name} "
            f"{_hex(self._colours[i])}: palettes differ, so ids cannot be compared; save "
            "all label maps with one palette, or as grey")
    return ids


def _hex(colour: np.ndarray) -> str:
  return "#" + bytes(colour.tolist()).hex()
