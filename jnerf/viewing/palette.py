"""One fixed colour per class id, and label maps as files and pictures.

The palette never depends on the scene: id 7 has one colour in every run, in
`labels/*.png` and in the report, so the colours are written down rather than made.
Id 0 (void) is black. Ids 1-7 are the colours of Okabe and Ito; the other ids of an 8-bit
map came by farthest-point selection in OKLab, where the distance of two colours is the
least of what a full-colour, a protanopic and a deuteranopic eye sees (Machado et al.
2009); tests/test_palette.py repeats the selection. Later ids are distinct, and no more
than that.
"""

from __future__ import annotations

import functools
import os
import pathlib

import numpy as np
from PIL import Image

from jnerf.files import write_png

NUM_IDS = 65536  # what 16 bits hold
# Red, green and blue of ids 0 to 255, two hexadecimal digits each.
_FIRST = (
    "000000e69f0056b4e9009e73f0e4420072b2d55e00cc79a778003c8700ff0f00b45a5a1e00f0c3c30087"
    "9678ffd2c3ff5a00872d3c5af000d2ff2d6987c369874b5affc3964b3cc3c3002db4a59696f0ffb4ffb4"
    "692d00ff78e1871e9687874b4be14b5a87d278d2d23c5a78785a96b43cffffd2e1f0a5b4002de1a54bb4"
    "78ff789696c38778870096004b784b2dc32d699696e1c3007869d20f4ba5d296ffff69785a3c78e1ff00"
    "b44b697896ffa52d00693c4b00d2b49678b496e1a500693ca5962df0a5783c0fc3f0f096784bc3e1f0d2"
    "0078f0a5c396c378f0c396b4ffb4e1c3d2788700692d4be1962d69871e2d4b7896d2875aa55a0069a578"
    "ffc35aff874bb4b4ffe1d2c3a55a96b478694b872d2d1e964b3c1eff4bc3a55ae1d2a5d24b1ea5691e5a"
    "9600b40096c3b4fff0a50f875a697800782da52d4b694b69ff96ffa51ed2e100a500c3d200ff0087785a"
    "f04be1872d009687e1e14b87a56978d2c3870087a5f03c4b691e78f069965a7869f08787e14bc32d5a3c"
    "4b1ef05a0fd21e3c7869ffc3b40fb4b4a55a873c963c3c3c694ba5694bf0d2e1f0e12d0ff0e1a5e1b4a5"
    "2d87783c4b5a78f0e1d2a5a5b4c3c3c387d24b5a4b4b69a51ee1f087b4c35a2d8787693cc34b4b5a2d4b"
    "69c3f0005a00005a873ca5a5695a3c4b5ae196f0783c9687e13cf069695ab4d2b4005ab496a5005a69c3"
    "b487b46900b478ffffa59696e1ff69e178ffa5d2e196a569b42d780f87c3a5b44ba5875ac3f05a0f874b"
    "a5a5e1b4d23ce10f695ac3b40f6987d25ab4c3f0b4c3693c5ad2787878f02d96f0c3f0f0c33cc32db44b"
    "b4e1d2c3b4e1a5e1ffb469d296a5a5a5e12d4bd2f0a596f03cb478c3e1b4b4c33c4ba5d296b40f1ef087"
    "9669a569006900f05ac3b4c3a587963c00a5b4e16900695af04bff78b48769e1965a87b4d2b45ae187a5"
    "3c4b1e005a2da5f096a5b496780f968787c30000e1ff0f2df0e1d2b42d3c4b3c69d2004b9678e1691e0f"
    "c3c3699600d2873c780fe187d2f0875ae1d25a87ffc31ed2e196c3691e2da51e2d8700c396ffe14b4b3c"
    "692d69782da5d21e960087f0")


@functools.cache
def palette() -> np.ndarray:
  """`[65536, 3]` uint8 colour of every class id; read-only, always the same."""
  head = np.frombuffer(bytes.fromhex(_FIRST), np.uint8).reshape(-1, 3).astype(np.int64)
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
  return write_png(path, image, optimize=True)


def write_confidence_png(path: str | os.PathLike, confidence: np.ndarray) -> pathlib.Path:
  """Writes `[H, W]` in [0, 1] as 8-bit grey, 255 = sure, whole or not at all."""
  grey = np.rint(255 * np.clip(confidence, 0, 1)).astype(np.uint8)
  return write_png(path, grey, optimize=True)


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
