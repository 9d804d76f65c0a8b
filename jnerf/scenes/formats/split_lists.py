"""Lists of a split, which name frames as frames do, or nearly so.

A list may leave out the folder or the suffix that the frames' own names have, or write
them in another case. It then means the same frames, as long as it can mean no others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import pathlib
import posixpath

from jnerf.errors import InputError
from jnerf.scenes.named_files import SUFFIXES


def split_by_lists(names: Sequence[str], train: Sequence[str], test: Sequence[str],
                   places: Mapping[str, str], strict: bool,
                   ) -> tuple[list[str | None], list[str]]:
  """`(split of each frame, notes on what does not fit)`.

  names: paths of V frames below the capture's folder; train, test: what lists name.
  places: of "train" and "test", what the list is called in messages.
  strict: whether an entry that is no frame is an error; it always is where the whole
    list is of such, or might mean several frames.

  Splits are "train", "test", and None for a frame that lists leave out. Without a list
  of training frames those that do not test train.
  """
  notes, of_lists = [], {}
  for split, entries in (("train", train), ("test", test)):
    views, unknown = _views_of(entries, names, places[split])
    if unknown and (strict or not views):
      more = f" (nor are {len(unknown) - 1} more)" if len(unknown) > 1 else ""
      raise InputError(f"{places[split]}: {unknown[0]!r} is no frame{more}; name frames "
                       f"as their file_path does, such as {names[0]!r}")
    if unknown:
      notes.append(f"{len(unknown)} of {places[split].split(': ')[-1]} are no frames "
                   f"({_some(unknown)})")
    of_lists[split] = views
  both = of_lists["train"] & of_lists["test"]
  if both:
    notes.append(f"{len(both)} frames of both lists test "
                 f"({_some([names[i] for i in sorted(both)])})")
  splits = ["test" if i in of_lists["test"] else
            "train" if i in of_lists["train"] or not train else None
            for i in range(len(names))]
  left_out = [name for name, split in zip(names, splits, strict=True) if split is None]
  if left_out:
    notes.append(f"{len(left_out)} frames in no list left out ({_some(left_out)})")
  return splits, notes


def _views_of(entries: Sequence[str], names: Sequence[str], place: str,
              ) -> tuple[set[int], list[str]]:
  """`(frames that entries name, entries that are no frame)`."""
  tables = [(key, _views_by(key, names)) for key in _KEYS]
  views, unknown = set(), []
  for entry in entries:
    meant = next((table[key(entry)] for key, table in tables if key(entry) in table), [])
    if len(meant) > 1:
      raise InputError(f"{place}: {entry!r} may be each of "
                       f"{_some([names[i] for i in meant])}; write it as the frame's "
                       "file_path does")
    if meant:
      views.add(meant[0])
    else:
      unknown.append(entry)
  return views, unknown


def _views_by(key: Callable[[str], str], names: Sequence[str]) -> dict[str, list[int]]:
  table: dict[str, list[int]] = {}
  for i, name in enumerate(names):
    table.setdefault(key(name), []).append(i)
  return table


def _path(name: str) -> str:
  return posixpath.normpath(name.replace("\\", "/"))


def _bare(name: str) -> str:
  """Without the suffix of an image, in lower case."""
  path = pathlib.PurePosixPath(_path(name).casefold())
  return str(path.with_suffix("") if path.suffix in SUFFIXES else path)


# What must agree, from the strictest to the loosest.
_KEYS = (_path, lambda name: _path(name).casefold(), _bare,
         lambda name: posixpath.basename(_path(name)).casefold(),
         lambda name: posixpath.basename(_bare(name)))


def _some(names: Sequence[str]) -> str:
  return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
