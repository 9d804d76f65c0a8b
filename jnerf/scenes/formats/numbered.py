"""Files that a number tells apart, as `color/12.jpg` or `frame000012.jpg`."""

from __future__ import annotations

from collections.abc import Sequence
import pathlib
import re

from jnerf.errors import InputError

IMAGES = (".png", ".jpg", ".jpeg")


def numbered_files(folder: pathlib.Path, prefixes: Sequence[str] = ("",),
                   suffixes: Sequence[str] = IMAGES) -> dict[int, pathlib.Path]:
  """Number to file, in numeric order, of all `<prefix><number><suffix>` in `folder`.

  Other files are passed over. Raises `InputError` where two have one number.
  """
  pattern = re.compile(rf"(?:{'|'.join(map(re.escape, prefixes))})([0-9]+)")
  files: dict[int, pathlib.Path] = {}
  for path in sorted(folder.iterdir()):
    match = pattern.fullmatch(path.stem)
    if path.suffix.lower() not in suffixes or not match:
      continue
    number = int(match[1])
    if number in files:
      raise InputError(f"{path}: has the same number as {files[number].name}; keep one")
    files[number] = path
  return dict(sorted(files.items()))
