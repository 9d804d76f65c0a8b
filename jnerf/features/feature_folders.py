"""Visual features from a folder with one file per image.

 - `dino_<i>.pth`, in the folder itself or in `dino/` below it: what the paper's code
   saves, a tensor per image. Loaded as data only: code in a pickle is not run.
 - `<frame>.npy`: an array per image, such as per-pixel features of LSeg or CLIP.

An array is `[h, w, F]`, `[F, h, w]` or `[h * w, F]`, with any number of leading ones.
Which it is must follow from the image's proportions, or `channels` must say it. Files
are read one at a time; a map of more cells than asked for is averaged over areas, so
that maps of the images' own size need no more memory than patches do.
"""

from __future__ import annotations

from collections.abc import Sequence
import math
import pathlib
import zipfile

import numpy as np

from jnerf.errors import InputError
from jnerf.features import precomputed_features
from jnerf.scenes import images
from jnerf.structs import FeatureMaps

MAX_CHANNELS = 2**14  # more than any features have
FOLDER = "dino"  # where the paper's code puts them in a capture
_SUFFIXES = (".pth", ".npy")
# What a file that is damaged, or made to harm, raises when its header is read.
_DAMAGE = (OSError, ValueError, EOFError, TypeError, KeyError, IndexError, OverflowError,
           MemoryError, SyntaxError, AttributeError, RecursionError)
_CHUNK = 16  # channels averaged at once


def find_features(folder: str | pathlib.Path) -> pathlib.Path | None:
  """The one .npz, or the folder `dino/`, in `folder` that holds features, or None.

  Raises `InputError` where there are both, or several.
  """
  file = precomputed_features.find_features_file(folder)
  inner = pathlib.Path(folder) / FOLDER
  if not any(_files(inner)):
    return file
  if file:
    raise InputError(f"features.path: {file.name} and {FOLDER}/ in {folder} both hold "
                     "features; name the one to use")
  return inner


def load_features_folder(path: str | pathlib.Path, frames: Sequence[str],
                         size: tuple[int, int], *, max_cells: int,
                         channels: str = "auto") -> FeatureMaps:
  """Features of `frames`, in their order, float16.

  Args:
    path: the folder.
    frames: names; one fits a file with or without the prefixes `rgb_` and `dino_` and
      leading zeros.
    size: `(width, height)` of the photographs, for their proportions.
    max_cells: of a view; larger maps are averaged.
    channels: which axis they are: `first`, `last`, or `auto`, by the proportions.

  Raises `InputError` where a frame has no file, and for a file that cannot be
  understood.
  """
  grid = None
  for i, file in enumerate(_matched(path, frames)):
    values = _averaged(_laid_out(file, _read(file), size, channels), max_cells)
    if grid is None:
      first, grid = file, np.empty((len(frames), *values.shape), np.float16)
    if values.shape != grid.shape[1:]:
      raise InputError(f"{file}: makes {list(values.shape)} features, but {first.name} "
                       f"{list(grid.shape[1:])}; all need one shape")
    with np.errstate(over="ignore"):  # found as not finite
      grid[i] = values
    if not np.isfinite(grid[i]).all():
      raise InputError(f"{file}: holds numbers that are not finite in half precision; "
                       "compute it again")
  return FeatureMaps(grid=grid, source="precomputed", origin=str(path))


def check_features_folder(path: str | pathlib.Path, frames: Sequence[str],
                          size: tuple[int, int], *, channels: str = "auto") -> None:
  """Raises `InputError` where `load_features_folder` would, but for the
  numbers and for files that differ from one another.

  Of .npy files the headers are read; of .pth, which have none, the first file alone.
  """
  for file in _matched(path, frames):
    _laid_out(file, _read(file), size, channels)
    if file.suffix == ".pth":
      break


def _matched(path: str | pathlib.Path, frames: Sequence[str]) -> list[pathlib.Path]:
  """The file of every frame."""
  root = pathlib.Path(path)
  files = list(_files(root)) or list(_files(root / FOLDER))
  if not files:
    raise InputError(f"features.path={path}: holds no dino_<i>.pth and no <frame>.npy; "
                     "name a folder that does, or an .npz")
  if len({file.suffix for file in files}) > 1:
    raise InputError(f"features.path={path}: holds .pth and .npy files; keep one kind")
  chosen = precomputed_features.match_frames(
      path, [file.stem.removeprefix("dino_") for file in files], frames)
  return [files[index] for index in chosen]


def _files(folder: pathlib.Path):
  for file in sorted(folder.glob("*")):
    if file.suffix in _SUFFIXES and (
        file.suffix == ".npy" or file.name.startswith("dino_")):
      yield file


def _laid_out(file: pathlib.Path, values: np.ndarray, size: tuple[int, int],
              channels: str) -> np.ndarray:
  """`values` as `[h, w, F]`; raises `InputError` where that is not the only reading."""
  shape = values.shape
  while values.ndim > 2 and len(values) == 1:
    values = values[0]
  readings = []
  if channels == "auto" and values.ndim == 2:
    channels = "last"  # as everybody saves a list of patches
  if values.ndim in (2, 3) and 0 not in shape:
    for axis, name in ((-1, "last"), (0, "first")):
      if channels in ("auto", name) and values.shape[axis] <= MAX_CHANNELS:
        readings += _grids(np.moveaxis(values, axis, -1), size, channels != "auto")
  if len(readings) != 1:
    raise InputError(
        f"{file}: {list(shape)} can be read in {len(readings)} ways as features of an "
        f"image of {size[0]}x{size[1]}; set features.channels=first or last, or save "
        "[h,w,F] of its proportions as .npy")
  return readings[0]


def _grids(values: np.ndarray, size: tuple[int, int], certain: bool) -> list[np.ndarray]:
  """Readings of `values [h, w, F]` or `[h * w, F]` that have the image's proportions.

  certain: whether a grid `[h, w, F]` is taken with other ones too.
  """
  if values.ndim == 3:
    return [values] if certain or _fits(*values.shape[:2], size) else []
  num = len(values)
  rows = [row for row in range(1, num + 1) if num % row == 0 and _fits(
      row, num // row, size)]
  return [values.reshape(row, num // row, -1) for row in rows]


def _fits(rows: int, columns: int, size: tuple[int, int]) -> bool:
  """Whether a grid has an image's proportions, but for cells cut off at its edges."""
  width, height = size
  return min(rows, columns) > 1 and abs(
      rows * width - columns * height) <= width + height


def _averaged(values: np.ndarray, max_cells: int) -> np.ndarray:
  """`values [h, w, F]` as float32 on a grid of at most `max_cells` cells."""
  height, width = values.shape[:2]
  scale = math.sqrt(max_cells / (height * width))
  if scale >= 1:
    return values.astype(np.float32)
  new = max(1, int(width * scale)), max(1, int(height * scale))
  return np.concatenate([
      images.resize_area(values[..., start:start + _CHUNK].astype(np.float32), new)
      for start in range(0, values.shape[-1], _CHUNK)], axis=-1)


def _read(file: pathlib.Path) -> np.ndarray:
  """The file's array, floating-point; its header is checked before it is read."""
  try:
    values = _read_npy(file) if file.suffix == ".npy" else _read_pth(file)
  except _DAMAGE as error:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    raise InputError(f"{file}: cannot be read as one array of numbers ({reason}); "
                     "compute or copy it again") from None
  if values.dtype.kind != "f":
    raise InputError(f"{file}: holds {values.dtype}; floating-point features are needed")
  return values


def _read_npy(file: pathlib.Path) -> np.ndarray:
  # Mapped, not read: an absurd shape exceeds the file, and is refused.
  values = np.load(file, mmap_mode="r", allow_pickle=False)
  if not isinstance(values, np.ndarray):
    values.close()
    raise ValueError("it is an .npz")
  return values


def _read_pth(file: pathlib.Path) -> np.ndarray:
  try:
    import torch
  except ImportError:
    raise InputError(f"{file}: .pth files need PyTorch: pip install "
                     "'jacobinerf[features]', or set features.kind=local") from None
  if zipfile.is_zipfile(file):
    with zipfile.ZipFile(file) as archive:
      if any(entry.compress_type for entry in archive.infolist()):
        raise ValueError("its parts are compressed, which PyTorch's are not")
  try:
    tensor = torch.load(file, map_location="cpu", weights_only=True)
  except Exception as error:  # of many kinds, by the pickle's contents
    raise ValueError(f"not data alone, or damaged: {error}") from None
  if not isinstance(tensor, torch.Tensor) or tensor.layout != torch.strided:
    raise ValueError("it holds no plain tensor")
  # A view may repeat few numbers without end; one that was saved whole fits its file.
  if tensor.numel() * tensor.element_size() > file.stat().st_size:
    raise ValueError(f"its shape {list(tensor.shape)} exceeds the file")
  if tensor.dtype == torch.bfloat16:
    tensor = tensor.float()
  return tensor.detach().numpy()
