"""The README's one picture: clicked pixels, and the maps of what answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jnerf.viewing import images
from jnerf.viewing.panels import ResponsePanel
from jnerf.viewing.report_views import marked

_TILE, _GAP, _HEAD, _MARGIN = 400, 12, 34, 16  # pixels
_PAPER, _INK = (255, 255, 255), (38, 42, 48)


def hero_image(panels: Sequence[ResponsePanel]) -> np.ndarray:
  """`[h, w, 3]` uint8: per click a row of photograph and one map per field.

  panels: two or three clicks; all with the same fields and photograph size.

  Raises:
    ValueError: there is no panel, or the panels' fields or sizes differ.
  """
  if not panels or len({(tuple(p.maps), p.photo.shape) for p in panels}) != 1:
    raise ValueError("hero_image needs panels of the same fields and photo size")
  fields = list(panels[0].maps)
  height, width = panels[0].photo.shape[:2]
  tile = _TILE, round(_TILE * height / width)
  columns = 1 + len(fields)
  canvas = Image.new(
      "RGB", (2 * _MARGIN + columns * (tile[0] + _GAP) - _GAP,
              2 * _MARGIN + _HEAD + len(panels) * (tile[1] + _GAP) - _GAP), _PAPER)
  draw = ImageDraw.Draw(canvas)
  titles = ["one click", *(f"what answers: {name} field" for name in fields)]
  for column, title in enumerate(titles):
    draw.text((_MARGIN + column * (tile[0] + _GAP), _MARGIN - 2), title, _INK,
              ImageFont.load_default(size=20))
  for row, panel in enumerate(panels):
    pictures = [panel.photo, *(images.response_image(panel.photo, panel.maps[name])
                               for name in fields)]
    for column, picture in enumerate(pictures):
      large = Image.fromarray(marked(panel, picture, 2 * _TILE))
      corner = (_MARGIN + column * (tile[0] + _GAP),
                _MARGIN + _HEAD + row * (tile[1] + _GAP))
      canvas.paste(large.resize(tile, Image.Resampling.LANCZOS), corner)
      if column == 0:
        _caption(draw, corner, tile, panel.class_name)
  return np.asarray(canvas)


def _caption(draw: ImageDraw.ImageDraw, corner: tuple[int, int],
             tile: tuple[int, int], text: str) -> None:
  """The class name on a light label in the tile's lower left corner."""
  font = ImageFont.load_default(size=18)
  place = corner[0] + 16, corner[1] + tile[1] - 16
  box = draw.textbbox(place, text, font, anchor="ls")
  draw.rounded_rectangle((box[0] - 8, box[1] - 5, box[2] + 8, box[3] + 5), 6,
                         fill=_PAPER)
  draw.text(place, text, _INK, font, anchor="ls")
