"""Numbers as pictures: depth, responses, errors, a marked pixel.

Everything takes and gives NumPy images `[H, W, 3]`: float in [0, 1] or uint8
on the way in, uint8 on the way out.
"""

from __future__ import annotations

import base64

import numpy as np
from PIL import Image

from jnerf.files import encode_image

RIGHT, WRONG, VOID = (196, 200, 205), (205, 28, 46), (0, 0, 0)


def to_uint8(image: np.ndarray) -> np.ndarray:
  """An image as uint8; floats are clipped to [0, 1], NaN becomes 0."""
  image = np.asarray(image)
  if image.dtype == np.uint8:
    return image
  return (np.clip(np.nan_to_num(image), 0, 1) * 255 + 0.5).astype(np.uint8)


def color_map(values: np.ndarray, name: str) -> np.ndarray:
  """Colours `[..., 3]` float in [0, 1] of `values` in [0, 1] (clipped).

  name: of a colour map of matplotlib; here `viridis` and `inferno` are used, which are
    even in lightness, so that they also read without colour and in print.
  """
  import matplotlib  # here: it takes a third of a second

  return matplotlib.colormaps[name](np.asarray(values, np.float64))[..., :3]


def depth_range(*maps: np.ndarray | None) -> tuple[float, float]:
  """A common `(lo, hi)` for depth maps: 1st and 99th percentile of what is > 0."""
  depths = [np.asarray(d)[np.isfinite(d) & (np.asarray(d) > 0)]
           for d in maps if d is not None]
  depths = np.concatenate(depths) if depths else np.zeros(0)
  if not depths.size:
    return 0.0, 1.0
  lo, hi = np.percentile(depths, [1, 99])
  return float(lo), float(max(hi, lo + 1e-6))


def depth_image(depth: np.ndarray, lo: float, hi: float) -> np.ndarray:
  """Depth `[H, W]` from `lo` (bright) to `hi` (dark); no depth (<= 0) is black."""
  depth = np.asarray(depth, np.float64)
  is_known = np.isfinite(depth) & (depth > 0)
  near = 1 - (np.where(is_known, depth, hi) - lo) / (hi - lo)
  return to_uint8(color_map(near, "viridis") * is_known[..., None])


def response_image(photo: np.ndarray, response: np.ndarray) -> np.ndarray:
  """Heat of `response [H, W]` over the greyed photograph `[H, W, 3]`.

  Zero and below is the bare grey photograph; the brightest colour is the
  map's 99.5th percentile, so maps of any scale can be looked at.
  """
  response = np.maximum(np.nan_to_num(np.asarray(response, np.float64)), 0)
  top = np.percentile(response, 99.5)
  top = top if top > 0 else response.max()
  heat = np.clip(response / top, 0, 1) if top > 0 else response
  return heat_over(to_uint8(photo) @ np.array([0.299, 0.587, 0.114]) / 255, heat)


def heat_over(grey: np.ndarray, heat: np.ndarray) -> np.ndarray:
  """Colours `[..., 3]` uint8 of `heat` over a grey picture, both in [0, 1]."""
  grey, heat = np.asarray(grey)[..., None], np.asarray(heat)
  opacity = (0.9 * heat ** 0.8)[..., None]  # weak answers stay visible
  # inferno below 0.25 is close to black, which would darken, not heat; a hint
  # of the photograph's light keeps edges visible in what answers.
  color = color_map(0.25 + 0.72 * heat, "inferno") * (0.88 + 0.12 * grey)
  return to_uint8((1 - opacity) * (0.15 + 0.6 * grey) + opacity * color)


def error_image(labels: np.ndarray, truth: np.ndarray) -> np.ndarray:
  """Where `labels [H, W]` differ from `truth`: wrong red, right grey, void black."""
  labels, truth = np.asarray(labels), np.asarray(truth)
  image = np.where((labels == truth)[..., None], RIGHT, WRONG)
  return np.where((truth == 0)[..., None], VOID, image).astype(np.uint8)


def confidence_image(confidence: np.ndarray) -> np.ndarray:
  """Confidence `[H, W]` in [0, 1] from dark (unsure) to bright (sure)."""
  return to_uint8(color_map(np.nan_to_num(confidence), "viridis"))


def enlarge(image: np.ndarray, width: int) -> np.ndarray:
  """A photograph `[H, W, 3]` at least `width` wide, scaled by a whole factor.

  Bicubic; one that is wide enough comes back as it is.
  """
  image = to_uint8(image)
  factor = max(1, -(-width // image.shape[1]))
  if factor == 1:
    return image
  size = image.shape[1] * factor, image.shape[0] * factor
  return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


def mark_pixel(image: np.ndarray, x: float, y: float,
               radius: float | None = None) -> np.ndarray:
  """A ring around, and a dot on, pixel (column `x`, row `y`) of `[H, W, 3]`.

  White inside black, so that it shows on any ground. radius: in pixels; None
  takes 1/32 of the image's width, at least 4.
  """
  image = to_uint8(image).astype(np.float64)
  height, width = image.shape[:2]
  radius = max(4.0, width / 32) if radius is None else radius
  line = max(1.0, radius / 4.5)
  rows, columns = np.mgrid[:height, :width]
  distance = np.hypot(columns - x, rows - y)
  to_ring = np.abs(distance - radius)
  to_mark = np.minimum(to_ring, distance)  # of the ring's line or the dot
  black = np.clip(line + 1 - to_mark, 0, 1)[..., None]
  white = np.clip(line / 2 + 0.5 - to_mark, 0, 1)[..., None]
  image = image * (1 - black)
  return to_uint8((image * (1 - white) + 255 * white) / 255)


def data_uri(image: np.ndarray, photo: bool = False) -> str:
  """`[H, W, 3]` as a `data:` address: JPEG for photographs, else exact PNG."""
  image = to_uint8(image)
  if photo:
    data, kind = encode_image(image, "JPEG", quality=90, subsampling=0), "jpeg"
  else:
    data, kind = encode_image(image, "PNG", optimize=True), "png"
  return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
