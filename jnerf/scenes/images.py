"""Image files to arrays, and arrays to another size.

Readers return what the file holds, at its own size and the way up that its EXIF
orientation says: colour as float32 in [0, 1], labels as int32, depth as float32
metres. Whatever is wrong with a file is an `InputError` that names it, and so is a
kind of picture that no reader here would get right.

`size` is `(width, height)`. Colour is resized by area: an output pixel is the
exact mean of the input it covers, also where the factor is no integer. Labels
and depth take the input pixel at the output pixel's centre, since a mean of
two classes, or of two surfaces, is neither.
"""

from __future__ import annotations

import pathlib
import struct
import tokenize
import warnings

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from jnerf.errors import InputError

MAX_PIXELS = 2**27  # larger files are refused: a mistake, or made to harm

# Pillow knows more, such as PostScript, which it has another program draw.
_FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "JPEG2000")
# Pillow's modes that it turns to RGBA as one would. Of the others it clips numbers, and
# mixes ink as if it were light, without a word.
_COLOUR = ("1", "L", "LA", "P", "RGB", "RGBA")
_NO_COLOUR = {"CMYK": "ink for print (CMYK)", "F": "floating-point light",
              "I": "32-bit integers"}

# Formats that keep numbers only nearly, and by how much equal channels may then differ.
_JPEG = ("JPEG", "MPO")
_LOSSY, _LOSS = (*_JPEG, "WEBP"), 16

# What Pillow and NumPy raise for a file that is cut short or damaged.
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError,
           OverflowError, MemoryError, RecursionError, struct.error, tokenize.TokenError)


def read_image(path: str | pathlib.Path) -> np.ndarray:
  """`[H, W, 3]` float32 colour in [0, 1]; transparent parts are over black.

  Takes what `read_rgba` takes.
  """
  return read_rgba(path)[..., :3]


def read_rgba(path: str | pathlib.Path) -> np.ndarray:
  """`[H, W, 4]` float32 in [0, 1]: colour over black, and opacity.

  Takes grey, palette and RGB files of up to 16 bits a channel, with or without
  transparency; of 16 bits of red, green and blue only the upper 8 tell.
  """
  image = _open(path)
  if _is_16_bit(image):
    grey = np.asarray(image).astype(np.float32)[..., None] / 65535
    clear = image.info.get("transparency", -1)  # the one grey that means "nothing"
    opaque = np.asarray(np.asarray(image) != clear, np.float32)[..., None]
    return np.concatenate([grey * opaque] * 3 + [opaque], axis=-1)
  if image.mode not in _COLOUR:
    kind = _NO_COLOUR.get(image.mode, f"{image.mode} colour")
    raise InputError(f"{path}: holds {kind}; convert it to 8-bit RGB, or 16-bit grey")
  try:
    image = image.convert("RGBA")
  except (ValueError, OverflowError):
    raise InputError(f"{path}: its transparent colour is damaged; convert it to RGBA"
                     ) from None
  values = np.asarray(image).astype(np.float32) / 255
  values[..., :3] *= values[..., 3:]
  return values


def read_labels(path: str | pathlib.Path) -> np.ndarray:
  """`[H, W]` int32 ids from a grey or palette file of 8 or 16 bits."""
  return read_labels_and_palette(path)[0]


def read_labels_and_palette(path: str | pathlib.Path,
                            ) -> tuple[np.ndarray, np.ndarray | None]:
  """`([H, W] int32 ids, [K, 3] uint8 colours of the ids below K)`, or None for grey."""
  image = _open(path)
  if image.mode not in ("L", "P", "1") and not _is_16_bit(image):
    raise InputError(f"{path}: labels need one channel of ids (8- or 16-bit grey or "
                     f"palette), this image is {image.mode}")
  if image.format in _JPEG:
    raise InputError(f"{path}: is a JPEG, whose numbers are only nearly what was saved; "
                     "save labels as PNG")
  return np.asarray(image).astype(np.int32), _palette(image)


def read_mask(path: str | pathlib.Path) -> np.ndarray:
  """`[H, W]` int32, 0 where a black-and-white picture is black.

  Takes grey, and colour of equal channels without transparency. Of a picture that has
  white in it, or was saved with loss, grey below the middle is black; in others all
  that is not 0 is kept, as the number that it is. A palette is read by its colours.
  """
  image = _open(path)
  if image.mode in ("L", "1") or _is_16_bit(image):
    levels = np.asarray(image).astype(np.int32)
    largest = {"L": 255, "1": 1}.get(image.mode, 65535)
  else:
    levels, largest = _grey_of_colour(path, image), 255
  if image.format in _LOSSY or levels.max(initial=0) == largest:
    return np.where(2 * levels > largest, levels, 0)
  return levels


def _grey_of_colour(path: str | pathlib.Path, image: Image.Image) -> np.ndarray:
  """`[H, W]` int32 levels of a mask with several channels, or with a palette."""
  if image.mode not in _COLOUR:
    kind = _NO_COLOUR.get(image.mode, f"{image.mode} colour")
    raise InputError(f"{path}: holds {kind}; save the mask as 8-bit grey")
  rgba = np.asarray(image.convert("RGBA")).astype(np.int32)
  colour, opacity = rgba[..., :3], rgba[..., 3]
  if (opacity < 255).any():
    raise InputError(f"{path}: is transparent in parts, so what its mask is cannot be "
                     "told; save it as 8-bit grey, black for what is left out")
  if (np.ptp(colour, axis=-1) <= (_LOSS if image.format in _LOSSY else 0)).all():
    return colour[..., 1]
  if image.mode == "P":  # objects in colours of their own
    return np.where(colour.any(axis=-1), 255, 0)
  raise InputError(f"{path}: is no mask, for it has colours; save it as 8-bit grey, "
                   "black for what is left out")


def _palette(image: Image.Image) -> np.ndarray | None:
  """`[K, 3]` uint8, None for an image without."""
  if image.mode != "P":
    return None
  return np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)


def read_depth(path: str | pathlib.Path, units_per_metre: float | None = None,
               ) -> np.ndarray:
  """`[H, W]` float32 metres along the camera's z, 0 = none.

  From 16-bit grey or a NumPy array (`.npy`, `[H, W]` or `[H, W, 1]`). Where a sensor
  saw nothing a file may hold 0, less, or what is no finite number.

  units_per_metre: without it integers are millimetres and floats are metres.
  """
  array = _npy(path) if pathlib.Path(path).suffix == ".npy" else _grey_16_bit(path)
  if units_per_metre is None:
    units_per_metre = 1.0 if array.dtype.kind == "f" else 1000.0
  with np.errstate(over="ignore", invalid="ignore"):  # no finite number: 0 below
    depth = array.astype(np.float32) / np.float32(units_per_metre)
    return np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(0))


def _grey_16_bit(path: str | pathlib.Path) -> np.ndarray:
  image = _open(path)
  if not _is_16_bit(image):
    raise InputError(f"{path}: depth needs a 16-bit grey PNG or an .npy file, this "
                     f"image is {image.mode}")
  return np.asarray(image)


def _is_16_bit(image: Image.Image) -> bool:
  """Whether it is 16-bit grey; older Pillows read that of PNG and PGM as "I"."""
  return image.mode.startswith("I;16") or (
      image.mode == "I" and image.format in ("PNG", "PPM"))


def _npy(path: str | pathlib.Path) -> np.ndarray:
  """`[H, W]` numbers, mapped: a file shorter than its header says takes no memory."""
  try:
    with warnings.catch_warnings():
      warnings.simplefilter("ignore", UserWarning)  # of a header by Python 2
      array = np.lib.format.open_memmap(path, mode="r")
  except FileNotFoundError:
    raise InputError(f"{path}: no such depth file; restore it, or leave it out of the "
                     "capture") from None
  except _DAMAGE as error:
    reason = " ".join(str(error).split()) or type(error).__name__
    raise InputError(f"{path}: cannot be read as an .npy array of numbers ({reason}); "
                     "copy it again") from None
  if array.ndim == 3 and array.shape[2] == 1:
    array = array[..., 0]
  if array.ndim != 2 or array.dtype.kind not in "fiu" or not (
      0 < array.size <= MAX_PIXELS):
    raise InputError(f"{path}: holds {array.dtype} of shape {array.shape}; depth needs "
                     "one number a pixel, [height, width]")
  return array


def image_size(path: str | pathlib.Path) -> tuple[int, int]:
  """`(width, height)` from the file's header, without decoding its pixels."""
  image = _open(path, decode=False)
  return image.size[::-1] if _orientation(image) >= 5 else image.size


def orientation(path: str | pathlib.Path) -> int:
  """EXIF orientation of the file, 1 to 8, by which readers turned it upright."""
  return _orientation(_open(path, decode=False))


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
  except UnidentifiedImageError:
    raise InputError(f"{path}: cannot be read as an image: it is none, is damaged, or "
                     "of a kind that is not known here (known are 8-bit and 16-bit "
                     f"{', '.join(_FORMATS)})") from None
  except _DAMAGE as error:
    reason = " ".join(str(error).split()) or type(error).__name__
    raise InputError(f"{path}: cannot be read as an image ({reason}); it may be cut "
                     "short: copy it again") from None


def _header(path: str | pathlib.Path) -> Image.Image:
  with Image.open(path, formats=_FORMATS) as image:
    if image.width * image.height > MAX_PIXELS:
      raise InputError(f"{path}: {image.width}x{image.height} pixels are more than "
                       f"the {MAX_PIXELS} that are read; give a smaller image")
    _orientation(image)  # read while the file is open, kept in the image
    return image


def _decoded(path: str | pathlib.Path) -> Image.Image:
  _header(path)  # too many pixels are refused before any is read
  with Image.open(path, formats=_FORMATS) as image:
    image.verify()  # PNG checksums, to the very end; a second opening decodes
  with Image.open(path, formats=_FORMATS) as image:
    num = getattr(image, "n_frames", 1)
    if num > 1 and image.format != "MPO":  # a phone's JPEG with previews after it
      raise InputError(f"{path}: holds {num} pictures, and which one is meant cannot be "
                       "told; save that one alone")
    image.load()
    if _orientation(image) == 1:
      return image
    upright = ImageOps.exif_transpose(image)
    upright.format = image.format  # lost in turning; `_is_16_bit` asks for it
    return upright


def _orientation(image: Image.Image) -> int:
  """EXIF orientation, 1 to 8: 1 is upright, from 5 on sides are swapped."""
  value = image.getexif().get(ExifTags.Base.Orientation)
  return value if value in range(1, 9) else 1  # a damaged one may be of any type
