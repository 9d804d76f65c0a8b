r"""Files that other files name, as other systems write such names.

A description may come from Windows: `images\0001.jpg`, a file saved as `0001.JPG` and
called `0001.jpg`, a whole path of the folder that it lies in. Each of these has one
meaning only, and that is taken. What leads out of the folder is never followed.
"""

from __future__ import annotations

from collections.abc import Sequence
import os
import pathlib
import re
from typing import Any

from jnerf.errors import InputError

LONGEST = 255  # bytes in a name, beyond which systems refuse to look for it
SUFFIXES = (".png", ".jpg", ".jpeg")  # what a name without one may stand for


def path_below(root: pathlib.Path, name: Any, key: str, place: str,
               suffixes: Sequence[str] = ("",)) -> pathlib.Path:
  """The file that `name` means; it need not exist, but lies below `root`.

  key, place: what the name is called, and in which entry, for messages.
  suffixes: what the name may lack at its end, "" for nothing.

  As it is written where there is such a file, else whatever its case is. Raises
  `InputError` where that is several files, and for a name that leads out of `root`.
  """
  if not isinstance(name, str) or not name or "\0" in name or max(
      len(part.encode(errors="replace")) for part in name.split("/")) > LONGEST:
    raise InputError(f"{place}: {key} is {name!r}; give the file's path below {root}")
  literal = _relative(root, name)
  if literal is not None and (root / literal).is_file():
    return root / literal  # a backslash is part of a name where the system says so
  relative = _relative(root, name.replace("\\", "/"))
  if relative is None:
    raise InputError(f"{place}: {key} {name!r} leads out of {root}; give a path below it")
  for suffix in suffixes:
    if (root / (relative + suffix)).is_file():
      return root / (relative + suffix)
  for suffix in suffixes:
    files = _in_any_case(root, pathlib.PurePath(relative + suffix).parts)
    if len(files) > 1:
      names = ", ".join(str(file.relative_to(root)) for file in files)
      raise InputError(f"{place}: {key} {name!r} may be each of {names}; write it as the "
                       "one that is meant")
    if files:
      return files[0]
  return root / relative


def _relative(root: pathlib.Path, name: str) -> str | None:
  """`name` from `root` on, without `.` and `..`; None where it leads out."""
  path = os.path.normpath(name)
  if os.path.isabs(path) or re.match("[A-Za-z]:/", path):  # of another machine's disk
    inside = [pathlib.PurePath(path).relative_to(folder)
              for folder in (os.path.abspath(root), os.path.realpath(root))
              if pathlib.PurePath(path).is_relative_to(folder)]
    path = str(inside[0]) if inside else os.pardir
  return None if path.split(os.sep)[0] == os.pardir else path


def _in_any_case(folder: pathlib.Path, parts: Sequence[str]) -> list[pathlib.Path]:
  """The files below `folder` whose path has these parts, but for upper and lower case."""
  if not parts:  # the folder itself
    return []
  try:
    inner = [path for path in sorted(folder.iterdir())
             if path.name.casefold() == parts[0].casefold()]
  except OSError:
    return []
  if len(parts) == 1:
    return [path for path in inner if path.is_file()]
  return [file for path in inner if path.is_dir()
          for file in _in_any_case(path, parts[1:])]
