"""One fixed colour per class id, and label maps as files and pictures.

The palette never depends on the scene: id 7 has one colour in every run, in
`labels/*.png` and in the report. Id 0 (void) is black. Ids 1-7 are the colours
of Okabe and Ito; the other ids of an 8-bit map follow by farthest-point
selection in OKLab (Ottosson 2020), where the distance of two colours is the
least of what a full-colour, a protanopic and a deuteranopic eye sees (Machado
et al. 2009). Later ids are distinct, and no more than that.
"""

from __future__ import annotations

import functools
import io
import os
import pathlib

import numpy as np
from PIL import Image

from jnerf.files import write_atomically

NUM_IDS = 65536  # what 16 bits hold
_NUM_SEPARATED = 256
_OKABE_ITO = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66),
              (0, 114, 178), (213, 94, 0), (204, 121, 167))
_LINEAR_TO_LMS = np.array([[0.4122214708, 0.5363325363, 0.0514459929],
                           [0.2119034982, 0.6806995451, 0.1073969566],
                           [0.0883024619, 0.2817188376, 0.6299787005]])
_LMS_TO_OKLAB = np.array([[0.2104542553, 0.7936177850, -0.0040720468],
                          [1.9779984951, -2.4285922050, 0.4505937099],
                          [0.0259040371, 0.7827717662, -0.8086757660]])
_PROTANOPIA = np.array([[0.152286, 1.052583, -0.204868],
                        [0.114503, 0.786281, 0.099216],
                        [-0.003882, -0.048116, 1.051998]])
_DEUTERANOPIA = np.array([[0.367322, 0.860646, -0.227968],
                          [0.280085, 0.672501, 0.047413],
                          [-0.011820, 0.042940, 0.968881]])
# Two of three dimensions are left to a dichromat, so 255 colours cannot be as
# far apart there; without this factor lightness alone would tell them apart.
_DICHROMAT_FACTOR = 2.0


@functools.cache
def palette() -> np.ndarray:
  """`[65536, 3]` uint8 colour of every class id; read-only, always the same."""
  head = _separated_colors()
  levels = np.linspace(36, 255, 48).round().astype(np.int64)
  grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1)
  grid = grid.reshape(-1, 3)
  code = grid @ np.array([65536, 256, 1])
  free = grid[~np.isin(code, head @ np.array([65536, 256, 1]))
              & (grid.max(axis=1) > 96)]
  # Multiplication by an odd number permutes 32-bit integers (Knuth): a fixed
  # shuffle that does not lean on any random generator's stream.
  shuffle = np.argsort(np.arange(len(free), dtype=np.uint64) * 2654435761 % 2**32)
  colors = np.concatenate([head, free[shuffle[:NUM_IDS - len(head)]]])
  colors = colors.astype(np.uint8)
  colors.setflags(write=False)
  return colors


def _separated_colors() -> np.ndarray:
  """`[256, 3]`: void, Okabe-Ito, then always the candidate farthest from all."""
  levels = np.linspace(0, 255, 18).round()
  candidates = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1)
  candidates = candidates.reshape(-1, 3)
  lightness = _oklab(candidates)[:, 0]
  candidates = candidates[(lightness > 0.35) & (lightness < 0.95)]
  chosen = [np.zeros(3), *map(np.asarray, _OKABE_ITO)]
  seen_candidates = _as_seen(candidates)
  gap = np.full(len(candidates), np.inf)
  for color in [np.full(3, 255.0), *chosen]:  # white is the page, keep clear
    gap = np.minimum(gap, _distance(seen_candidates, _as_seen(color[None])))
  while len(chosen) < _NUM_SEPARATED:
    color = candidates[np.argmax(gap)]
    chosen.append(color)
    gap = np.minimum(gap, _distance(seen_candidates, _as_seen(color[None])))
  return np.stack(chosen).astype(np.int64)


def _as_seen(rgb: np.ndarray) -> np.ndarray:
  """`[3, N, 3]` OKLab of colours `[N, 3]` for three kinds of eyes."""
  return np.stack([_oklab(rgb), _DICHROMAT_FACTOR * _oklab(rgb, _PROTANOPIA),
                   _DICHROMAT_FACTOR * _oklab(rgb, _DEUTERANOPIA)])


def _distance(seen: np.ndarray, other: np.ndarray) -> np.ndarray:
  return np.linalg.norm(seen - other, axis=-1).min(axis=0)


def _oklab(rgb: np.ndarray, eye: np.ndarray | None = None) -> np.ndarray:
  value = np.asarray(rgb, np.float64) / 255
  linear = np.where(value <= 0.04045, value / 12.92,
                    ((value + 0.055) / 1.055) ** 2.4)
  if eye is not None:
    linear = np.clip(linear @ eye.T, 0, 1)
  return np.cbrt(linear @ _LINEAR_TO_LMS.T) @ _LMS_TO_OKLAB.T


def label_image(labels: np.ndarray) -> np.ndarray:
  """Colours `[H, W, 3]` uint8 of class ids `[H, W]`."""
  return palette()[_checked(labels)]


def write_label_png(path: str | os.PathLike, labels: np.ndarray) -> pathlib.Path:
  """Writes class ids `[H, W]` so that reading gives back the same numbers.

  Ids below 256 make an 8-bit palette PNG (any viewer shows the colours), larger
  ones a 16-bit grey PNG. The file appears whole or not at all.

  Raises:
    ValueError: labels are not a 2D array of integers in [0, 65535].
  """
  labels = _checked(labels)
  if labels.max(initial=0) < 256:
    image = Image.fromarray(labels.astype(np.uint8)).convert("L")
    image.putpalette(palette()[:256].tobytes())
  else:
    image = Image.fromarray(labels.astype(np.uint16))
  buffer = io.BytesIO()
  image.save(buffer, format="PNG", optimize=True)
  return write_atomically(path, buffer.getvalue())


def write_confidence_png(path: str | os.PathLike, confidence: np.ndarray) -> pathlib.Path:
  """Writes `[H, W]` in [0, 1] as 8-bit grey, 255 = sure, whole or not at all."""
  grey = np.rint(255 * np.clip(confidence, 0, 1)).astype(np.uint8)
  buffer = io.BytesIO()
  Image.fromarray(grey).save(buffer, format="PNG", optimize=True)
  return write_atomically(path, buffer.getvalue())


def read_confidence_png(path: str | os.PathLike) -> np.ndarray:
  """`[H, W]` float32 in [0, 1] of a file that `write_confidence_png` made."""
  return read_label_png(path).astype(np.float32) / 255


def read_label_png(path: str | os.PathLike) -> np.ndarray:
  """Class ids `[H, W]` int32 of a file that `write_label_png` made."""
  with Image.open(path) as image:
    return np.asarray(image).astype(np.int32)


def _checked(labels: np.ndarray) -> np.ndarray:
  labels = np.asarray(labels)
  if labels.ndim != 2 or not np.issubdtype(labels.dtype, np.integer):
    raise ValueError(f"labels must be a 2D array of integers, not "
                     f"{labels.dtype} {labels.shape}")
  if labels.size and not 0 <= labels.min() <= labels.max() < NUM_IDS:
    raise ValueError(f"class ids must lie in [0, {NUM_IDS - 1}], found "
                     f"[{labels.min()}, {labels.max()}]")
  return labels
