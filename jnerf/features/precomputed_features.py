"""Visual features from a file: one .npz with `features [V, h, w, F]` and `names [V]`.

Features stay on their patch grid and in half precision: at image resolution they would
not fit memory. `geometry.patch_grids` interpolates where they are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import dataclasses
import pathlib
import zipfile
import zlib

import numpy as np

from jnerf.errors import InputError
from jnerf.scenes.frame_names import frame_key
from jnerf.structs import FeatureMaps


def load_features_file(path: str | pathlib.Path, frames: Sequence[str]) -> FeatureMaps:
  """Features of `frames`, in their order, float16.

  A name fits a frame with or without folder, extension, the prefix `rgb_` and
  leading zeros. Further names in the file are passed over; raises `InputError`
  where a frame has none.
  """
  features, names = _read(path, lambda archive: archive["features"])
  with np.errstate(over="ignore"):
    grid = features[match_frames(path, names, frames)].astype(np.float16, copy=False)
  if not np.isfinite(grid).all():
    raise InputError(f"{path}: features hold numbers that are not finite in half "
                     "precision; compute them again")
  return FeatureMaps(grid=grid, source="precomputed", origin=str(path))


def check_features_file(path: str | pathlib.Path, frames: Sequence[str]) -> None:
  """Raises `InputError` where `load_features_file` would, but for the numbers.

  Of the features the header is read alone.
  """
  _, names = _read(path, _header)
  match_frames(path, names, frames)


def match_frames(path: str | pathlib.Path, names: Sequence[str],
                 frames: Sequence[str]) -> list[int]:
  """For each of `frames` the number of its name among `names`.

  Raises `InputError`, about `path`, where a frame has none or two names are one.
  """
  by_key: dict[str, int] = {}
  for i, name in enumerate(names):
    first = by_key.setdefault(frame_key(name), i)
    if first != i:
      raise InputError(f"{path}: the names {names[first]!r} and {name!r} mean the same "
                       "frame; keep one")
  missing = [frame for frame in frames if frame_key(frame) not in by_key]
  if missing:
    more = ", ..." if len(missing) > 3 else ""
    raise InputError(
        f"{path}: has no features for {len(missing)} of {len(frames)} frames "
        f"({', '.join(missing[:3])}{more}; its names are like {names[0]!r}); compute "
        "them for this capture, or set features.kind=local")
  return [by_key[frame_key(frame)] for frame in frames]


def find_features_file(folder: str | pathlib.Path) -> pathlib.Path | None:
  """The one .npz in `folder` that holds `features` and `names`; None without any.

  Raises `InputError` where there are several to choose from.
  """
  files = []
  for path in sorted(pathlib.Path(folder).glob("*.npz")):
    try:
      with zipfile.ZipFile(path) as archive:
        if {"features.npy", "names.npy"} <= set(archive.namelist()):
          files.append(path)
    except (OSError, zipfile.BadZipFile):
      raise InputError(f"{path}: cannot be read as an .npz file; copy it again or move "
                       "it away") from None
  if len(files) > 1:
    raise InputError(f"features.path: {', '.join(p.name for p in files)} in {folder} all "
                     "hold features; name the one to use")
  return files[0] if files else None


@dataclasses.dataclass(frozen=True)
class _Header:
  """What an array is, without its numbers."""

  shape: tuple[int, ...]
  dtype: np.dtype

  @property
  def ndim(self) -> int:
    return len(self.shape)


def _header(archive: np.lib.npyio.NpzFile) -> _Header:
  """Of the array `features`."""
  with archive.zip.open("features.npy") as member:
    old = np.lib.format.read_magic(member) == (1, 0)
    shape, _, dtype = (np.lib.format.read_array_header_1_0 if old else
                       np.lib.format.read_array_header_2_0)(member)
  return _Header(shape, dtype)


def _read(path: str | pathlib.Path,
          features_of: Callable) -> tuple[np.ndarray | _Header, list[str]]:
  """`(features [V, h, w, F], V names)`, checked against each other.

  features_of: takes them, or their header, out of the open file.
  """
  try:
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
      features, names = features_of(archive), archive["names"]
  except FileNotFoundError:
    raise InputError(f"features.path={path}: no such file") from None
  except KeyError as error:
    raise InputError(f"{path}: lacks an array ({error.args[0]}); an .npz with `features "
                     "[V,h,w,F]` and `names [V]` is needed") from None
  except (OSError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile,
          zlib.error) as error:
    raise InputError(f"{path}: cannot be read as an .npz of plain arrays ({error}); "
                     "compute or copy it again") from None
  if (features.ndim != 4 or 0 in features.shape or names.shape != features.shape[:1]
      or features.dtype.kind != "f" or names.dtype.kind not in "US"):
    raise InputError(f"{path}: features {features.dtype}{list(features.shape)} and names "
                     f"{names.dtype}{list(names.shape)} do not fit; floating-point "
                     "[V,h,w,F] and strings [V] are needed")
  return features, [str(n) for n in names.astype(str)]
