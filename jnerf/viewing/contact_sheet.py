"""A page of a scene's photographs, with their labels where there are any."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from jnerf.scenes.images import resize_area, resize_nearest
from jnerf.structs import Scene
from jnerf.viewing.images import to_uint8


def contact_sheet(scene: Scene, palette: np.ndarray | None = None, columns: int = 6,
                  thumbnail_width: int = 160, max_frames: int = 36) -> np.ndarray:
  """`[h, w, 3]` uint8 overview of (evenly chosen) frames with their names.

  palette: `[ids, 3]` uint8 colour per class id; with it, and where the scene has
    labels, each row of photographs is followed by one with the labels over it.
  Names of test frames are marked.
  """
  num = min(max_frames, len(scene.frames))
  views = np.unique(np.linspace(0, len(scene.frames) - 1, num).astype(np.int64))
  width, height = scene.size
  size = (min(thumbnail_width, width), 0)
  size = (size[0], max(1, round(height * size[0] / width)))
  overlay = palette is not None and scene.semantic is not None
  margin, caption = 4, 14
  cell = size[1] * (2 if overlay else 1) + caption + margin
  columns = min(columns, len(views))
  rows = -(-len(views) // columns)
  sheet = Image.new("RGB", (columns * (size[0] + margin) + margin, rows * cell + margin),
                    "white")
  draw = ImageDraw.Draw(sheet)
  for place, view in enumerate(views):
    x = margin + place % columns * (size[0] + margin)
    y = margin + place // columns * cell
    photo = resize_area(scene.images[view], size)
    sheet.paste(Image.fromarray(to_uint8(photo)), (x, y + caption))
    if overlay:
      labels = resize_nearest(scene.semantic[view], size)
      grey = photo.mean(axis=-1, keepdims=True)
      colour = palette[labels].astype(np.float32) / 255
      sheet.paste(Image.fromarray(to_uint8(0.35 * grey + 0.65 * colour)),
                  (x, y + caption + size[1]))
    is_test = view in scene.test
    draw.text((x, y), scene.frames[view] + (" (test)" if is_test else ""),
              fill=(200, 60, 0) if is_test else (0, 0, 0))
  return np.asarray(sheet)
