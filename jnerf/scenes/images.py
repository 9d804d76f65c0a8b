"""Image files to arrays, and arrays to another size.

Readers return what the file holds, at its own size and the way up that its EXIF
orientation says: colour as float32 in [0, 1], labels as int32, depth as float32
metres. Whatever is wrong with a file
is an `InputError` that names it.

`size` is `(width, height)`. Colour is resized by area: an output pixel is the
exact mean of the input it covers, also where the factor is no integer. Labels
and depth take the input pixel at the output pixel's centre, since a mean of
two classes, or of two surfaces, is neither.
"""

from __future__ import annotations

import pathlib
import struct
import warnings

import numpy as np
from PIL import ExifTags, Image, ImageOps

from jnerf.errors import InputError

MAX_PIXELS = 2**27  # larger files are refused: a mistake, or made to harm

# What Pillow raises for a file that is cut short or damaged, by its decoders.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError,
           OverflowError, MemoryError, struct.error)


def read_image(path: str | pathlib.Path) -> np.ndarray:
  """`[H, W, 3]` float32 colour in [0, 1]; transparent parts are over black.

  Takes what `read_rgba` takes.
  """
  return read_rgba(path)[..., :3]


def read_rgba(path: str | pathlib.Path) -> np.ndarray:
  """`[H, W, 4]` float32 in [0, 1]: colour over black, and opacity.

  Takes grey, palette and RGB files of 8 bits a channel, and 16-bit grey, with or
  without an alpha channel.
  """
  image = _open(path)
  if image.mode.startswith("I;16"):
    grey = np.asarray(image).astype(np.float32)[..., None] / 65535
    return np.concatenate([grey, grey, grey, np.ones_like(grey)], axis=-1)
  values = np.asarray(image.convert("RGBA")).astype(np.float32) / 255
  values[..., :3] *= values[..., 3:]
  return values


def read_labels(path: str | pathlib.Path) -> np.ndarray:
  """`[H, W]` int32 ids from a grey or palette file of 8 or 16 bits."""
  image = _open(path)
  if image.mode not in ("L", "P", "1", "I") and not image.mode.startswith("I;16"):
    raise InputError(f"{path}: labels need one channel of ids (8- or 16-bit grey or "
                     f"palette), this image is {image.mode}")
  return np.asarray(image).astype(np.int32)


def read_depth(path: str | pathlib.Path, units_per_metre: float = 1000.0) -> np.ndarray:
  """`[H, W]` float32 metres along the camera's z, 0 = none, from 16-bit grey."""
  image = _open(path)
  if image.mode != "I" and not image.mode.startswith("I;16"):
    raise InputError(f"{path}: depth needs a 16-bit grey PNG in millimetres, this "
                     f"image is {image.mode}")
  return np.asarray(image).astype(np.float32) / np.float32(units_per_metre)


def image_size(path: str | pathlib.Path) -> tuple[int, int]:
  """`(width, height)` from the file's header, without decoding its pixels."""
  image = _open(path, decode=False)
  return image.size[::-1] if _orientation(image) >= 5 else image.size


def check_size(path: str | pathlib.Path, array: np.ndarray, size: tuple[int, int],
               like: str) -> None:
  """Raises `InputError` unless `array [H, W, ...]` has `size`, as `like` has."""
  height, width = array.shape[:2]
  if (width, height) != tuple(size):
    raise InputError(f"{path}: is {width}x{height} pixels, but {like} is "
                     f"{size[0]}x{size[1]}; all images of a scene need one size")


def resize_area(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
  """`image [H, W, C]` at `size`, not larger than it was; exact area means."""
  rows = _area_means(image, size[1])
  return _area_means(rows.swapaxes(0, 1), size[0]).swapaxes(0, 1)


def resize_nearest(image: np.ndarray, size: tuple[int, int],
                   extent=(0.0, 0.0, 1.0, 1.0)) -> np.ndarray:
  """`image [H, W]` at `size`: the pixel that holds each output pixel's centre.

  extent: `x0, y0, x1, y1`, the part of the image that is wanted, in fractions of it.
  """
  x0, y0, x1, y1 = extent
  rows, columns = (
      (((np.arange(new) + 0.5) * (high - low) / new + low) * old).astype(np.int64)
      for old, new, low, high in zip(
          image.shape, (size[1], size[0]), (y0, x0), (y1, x1), strict=True))
  return image[rows[:, None], columns[None, :]]


def _area_means(values: np.ndarray, num: int) -> np.ndarray:
  """`[n, ...]` to `[num, ...]`: means over `num` equal parts of the first axis.

  The integral of a piecewise constant function is piecewise linear, so every
  part's mean is a difference of the interpolated running sum.
  """
  old = values.shape[0]
  if old % num == 0:  # the common case, several times faster
    return values.reshape(num, old // num, *values.shape[1:]).mean(axis=1)
  total = np.cumsum(values, axis=0, dtype=np.float64)
  total = np.concatenate([np.zeros_like(total[:1]), total])
  edges = np.arange(num + 1) * (old / num)
  low = np.minimum(edges.astype(np.int64), old - 1)
  fraction = (edges - low).reshape(-1, *[1] * (values.ndim - 1))
  at_edges = total[low] * (1 - fraction) + total[low + 1] * fraction
  return (np.diff(at_edges, axis=0) * (num / old)).astype(values.dtype)


def _open(path: str | pathlib.Path, decode: bool = True) -> Image.Image:
  """The file as a Pillow image, upright; every way to fail is an `InputError`.

  decode: whether to read the pixels; else the image has its size and orientation.
  """
  try:
    with warnings.catch_warnings():
      # Pillow warns of damaged metadata; the picture is as good without.
      warnings.simplefilter("ignore", UserWarning)
      return _decoded(path) if decode else _header(path)
  except InputError:
    raise
  except FileNotFoundError:
    raise InputError(f"{path}: no such image file; restore it, or leave this frame "
                     "out of the capture") from None
  except (Image.DecompressionBombError, Image.DecompressionBombWarning):
    raise InputError(f"{path}: far too many pixels; give a smaller image") from None
  except _DAMAGE as error:
    reason = " ".join(str(error).split()) or type(error).__name__
    raise InputError(f"{path}: cannot be read as an image ({reason}); it may be cut "
                     "short: copy it again") from None


def _header(path: str | pathlib.Path) -> Image.Image:
  with Image.open(path) as image:
    if image.width * image.height > MAX_PIXELS:
      raise InputError(f"{path}: {image.width}x{image.height} pixels are more than "
                       f"the {MAX_PIXELS} that are read; give a smaller image")
    _orientation(image)  # read while the file is open, kept in the image
    return image


def _decoded(path: str | pathlib.Path) -> Image.Image:
  _header(path)  # too many pixels are refused before any is read
  with Image.open(path) as image:
    image.verify()  # PNG checksums, to the very end; a second opening decodes
  with Image.open(path) as image:
    image.load()
    return ImageOps.exif_transpose(image) if _orientation(image) > 1 else image


def _orientation(image: Image.Image) -> int:
  """EXIF orientation, 1 to 8: 1 is upright, from 5 on sides are swapped."""
  value = image.getexif().get(ExifTags.Base.Orientation)
  return value if value in range(1, 9) else 1  # a damaged one may be of any type
