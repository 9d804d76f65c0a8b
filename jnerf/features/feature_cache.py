"""Features that take long to make: kept in a folder, one file per photograph.

Layout: `<root>/<settings>/<photo>.npz`, both names digests: of the model and all that
bears on its results, and of the photograph. So other photographs join those that are
there, other settings lie beside them, and nothing stale is ever read. A file holds
`features [h, w, F]` float16, `extent [4]` and what they took. It is written whole as
soon as it is made: an interrupted run goes on where it was. One that is damaged, which
its checksums tell, counts as missing. `settings.json` beside them is for people.

Principal components lie in `<root>/<settings>/pca-<K>-<photos>/`, in the same form.

Reading needs neither PyTorch nor the model: an environment without them uses what
another one made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import hashlib
import io
import json
import pathlib
import time
from typing import Any
import zipfile

import numpy as np

from jnerf.errors import InputError
from jnerf.features.principal_components import principal_directions
from jnerf.files import write_atomically, write_json
from jnerf.structs import FeatureMaps

# What a damaged .npz raises.
NPZ_DAMAGE = (OSError, ValueError, KeyError, EOFError, TypeError, MemoryError,
           NotImplementedError, RuntimeError, SyntaxError, zipfile.BadZipFile)
_SETTINGS = "settings.json"
_FORMAT = 1  # a part of the digest: another one makes all features anew


@dataclasses.dataclass(frozen=True)
class Photos:
  """The V photographs that features are made of, read one at a time.

  digests: V names of their contents, as `photo_digest` gives.
  read: from a number below V to `[H, W, 3]` float32 in [0, 1].
  """

  digests: tuple[str, ...]
  read: Callable[[int], np.ndarray]


@dataclasses.dataclass(frozen=True)
class _View:
  """One file: `features [h, w, F]`, `extent`, the seconds that making it took, and the
  share of the features' squared length that was kept (1 without a reduction)."""

  features: np.ndarray
  extent: tuple[float, ...]
  seconds: float
  share: float = 1.0


def photo_digest(photo: np.ndarray) -> str:
  """A name of an image's contents."""
  return _digest([photo.shape, photo.dtype.str], np.ascontiguousarray(photo))


def file_digest(path: str | pathlib.Path, background: float) -> str:
  """The same of an image file over a grey level, without decoding it."""
  return _digest([background], pathlib.Path(path).read_bytes())


def settings_folder(root: pathlib.Path, settings: Mapping[str, Any]) -> pathlib.Path:
  """Where features made with `settings`, plain values, are kept."""
  return root / _digest([_FORMAT, dict(settings)])[:16]


def is_finished(folder: pathlib.Path) -> bool:
  """Whether features were once made there for all photographs of a capture."""
  return (folder / _SETTINGS).exists()


def holds(folder: pathlib.Path, photos: Photos, num_components: int = 0,
          centred: bool = False) -> bool:
  """Whether a file is there for every photograph; looks into none."""
  folder = _reduced(folder, photos, num_components, centred)
  return all(_path(folder, digest).exists() for digest in photos.digests)


def cached_features(
    folder: pathlib.Path, photos: Photos, load_extractor: Callable, *, source: str,
    settings: Mapping[str, Any], batch: int = 0, num_components: int = 0,
    centred: bool = False,
    on_views: Callable[[int, int], None] | None = None) -> FeatureMaps:
  """Features of all photographs: those in `folder`, and the others made and put there.

  Args:
    folder: as `settings_folder` says.
    photos: of which features are wanted.
    load_extractor: called only where some are missing; returns a function from a list
      of images to `(features [n, h, w, F], extent)`, whose `batch` is how many
      of them suit it.
    source, settings: for `FeatureMaps.source` and for settings.json.
    batch: photographs given to the function at once; 0: as suits it.
    num_components: K > 0 keeps the K principal components over all photographs.
    centred: whether these are about the mean, and rows then of unit length.
    on_views: called with (done, all) before the first batch and after each.

  Returns:
    `FeatureMaps` in the order of `photos`.
  """
  target = _reduced(folder, photos, num_components, centred)
  entry = _load(target, photos.digests)
  verb = "kept, " if entry else ""
  if not entry:
    _extract(folder, photos, load_extractor, batch, on_views)
    write_json(folder / _SETTINGS, settings)
    if num_components:
      _reduce(folder, target, photos.digests, num_components, centred)
    entry = _load(target, photos.digests)
    if not entry:
      raise InputError(f"{target}: files were damaged or removed while they were made; "
                       "run again")
  grid, extent, seconds, share = entry
  note = f", {share:.1%} of the squared length" if num_components else ""
  return FeatureMaps(grid=grid, source=source, extent=extent,
                     origin=f"{verb}{seconds:.0f} s{note} -> {target}")


def _extract(folder, photos, load_extractor, batch, on_views) -> None:
  """Makes and stores what is missing in `folder`."""
  total = len(photos.digests)
  missing = [view for view, digest in enumerate(photos.digests)
             if _read(_path(folder, digest)) is None]
  if not missing:
    return
  extract = load_extractor()
  batch = batch or extract.batch
  on_views = on_views or (lambda done, total: None)
  on_views(total - len(missing), total)
  for start in range(0, len(missing), batch):
    views = missing[start:start + batch]
    began = time.perf_counter()
    features, extent = extract([photos.read(view) for view in views])
    seconds = (time.perf_counter() - began) / len(views)
    for view, values in zip(views, _half(features)):
      _write(_path(folder, photos.digests[view]), _View(values, extent, seconds))
    on_views(total - len(missing) + start + len(views), total)


def _reduce(folder, target, digests: Sequence[str], num_components: int,
            centred: bool) -> None:
  """Stores the principal components of what `folder` holds in `target`."""
  def views():
    for digest in digests:
      if (view := _read(_path(folder, digest))) is not None:
        yield digest, view

  origin, directions, share = principal_directions(
      (view.features for _, view in views()), num_components, centred=centred)
  for digest, view in views():
    reduced = (view.features.astype(np.float32) - origin) @ directions
    if centred:
      reduced /= np.maximum(np.linalg.norm(reduced, axis=-1, keepdims=True), 1e-8)
    _write(_path(target, digest), dataclasses.replace(
        view, features=_half(reduced), share=share))


def _half(features: np.ndarray) -> np.ndarray:
  with np.errstate(over="ignore"):  # found as not finite
    half = features.astype(np.float16)
  if not np.isfinite(half).all():
    raise InputError("features.vit.model: its features are not finite in half precision; "
                     "the weights may be damaged, download them again")
  return half


def _load(folder, digests: Sequence[str]):
  """`(grid [V, h, w, F], extent, seconds, share)`, or None where a view is missing."""
  grid, seconds = None, 0.0
  for i, digest in enumerate(digests):
    view = _read(_path(folder, digest))
    if view is None:
      return None
    if grid is None:
      first, grid = view, np.empty((len(digests), *view.features.shape), np.float16)
    if (view.features.shape, view.extent) != (first.features.shape, first.extent):
      raise InputError(f"{_path(folder, digest)}: cells {view.features.shape} where "
                       f"others have {grid.shape[1:]}; all photographs need one size")
    grid[i] = view.features
    seconds += view.seconds
  return grid, first.extent, seconds, first.share


def _write(path: pathlib.Path, view: _View) -> None:
  buffer = io.BytesIO()
  np.savez(buffer, **dataclasses.asdict(view))
  write_atomically(path, buffer.getvalue())


def _read(path: pathlib.Path) -> _View | None:
  """A file's contents, or None where there is none that is whole."""
  try:
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
      features, extent, seconds, share = (
          archive[field.name] for field in dataclasses.fields(_View))
    whole = features.ndim == 3 and features.dtype == np.float16 and extent.shape == (4,)
    view = _View(features, tuple(extent.tolist()), float(seconds), float(share))
  except NPZ_DAMAGE:
    return None
  return view if whole else None


def _reduced(folder, photos: Photos, num_components: int,
             centred: bool) -> pathlib.Path:
  if not num_components:
    return folder
  kind = "centred-pca" if centred else "pca"
  return folder / f"{kind}-{num_components}-{_digest(photos.digests)[:16]}"


def _path(folder: pathlib.Path, digest: str) -> pathlib.Path:
  return folder / f"{digest[:32]}.npz"


def _digest(value, data=b"") -> str:
  text = json.dumps(value, sort_keys=True, separators=(",", ":"))
  return hashlib.sha256(text.encode() + bytes(1) + bytes(data)).hexdigest()
