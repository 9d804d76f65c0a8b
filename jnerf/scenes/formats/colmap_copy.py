"""COLMAP models that pycolmap would refuse or misread, in a form that it reads right.

Three kinds are whole but for a trifle: a model without its points, one whose text files
begin with a byte order mark, and text whose names of photographs hold spaces, where
pycolmap takes the first word for the name (so does COLMAP: it writes such names but
reads them only from binary). They are copied to a temporary folder and mended there.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import pathlib
import re
import shutil
import tempfile

from jnerf.errors import InputError
from jnerf.scenes.formats.colmap_files import model_suffix

FILES = ("cameras", "images", "points3D", "rigs", "frames")
MARK = b"\xef\xbb\xbf"
NO_POINTS = {".bin": bytes(8), ".txt": b""}  # a count of none


@contextlib.contextmanager
def readable(folder: pathlib.Path) -> Iterator[tuple[pathlib.Path, dict[int, str]]]:
  """`(a folder to read in place of `folder`, names by image id where it has others)`.

  Raises `InputError` for an images.txt without its second lines.
  """
  suffix = model_suffix(folder)
  paths = [path for name in FILES if (path := folder / f"{name}{suffix}").is_file()]
  changed, names = {}, {}
  if not (folder / f"points3D{suffix}").is_file():
    changed[f"points3D{suffix}"] = NO_POINTS[suffix]
  if suffix == ".txt":
    changed |= {path.name: path.read_bytes()[len(MARK):] for path in paths
                if _has_mark(path)}
    whole = changed.get("images.txt") or (folder / "images.txt").read_bytes()
    plain, names = _without_spaces(folder / "images.txt", whole)
    if names:
      changed["images.txt"] = plain
  if not changed:
    yield folder, names
    return
  with tempfile.TemporaryDirectory() as temporary:
    copy = pathlib.Path(temporary)
    for path in paths:
      if path.name not in changed:
        shutil.copyfile(path, copy / path.name)
    for name, content in changed.items():
      (copy / name).write_bytes(content)
    yield copy, names


def _has_mark(path: pathlib.Path) -> bool:
  with open(path, "rb") as file:
    return file.read(len(MARK)) == MARK


def _without_spaces(path: pathlib.Path, whole: bytes) -> tuple[bytes, dict[int, str]]:
  """images.txt with one word for each name of several; these by the image's id."""
  lines, names = whole.split(b"\n"), {}
  i = 0
  while i < len(lines):
    words = lines[i].split(maxsplit=9)  # id, 4 + 3 numbers of the pose, camera, name
    if not words or words[0].startswith(b"#"):
      i += 1
      continue
    name = words[9].strip() if len(words) == 10 else b""
    if len(name.split()) > 1:
      try:
        names[int(words[0])] = name.decode()
      except ValueError:
        raise InputError(f"{path} line {i + 1}: cannot read this; an image's line is its "
                         "id, 7 numbers of its pose, its camera and its name") from None
      lines[i] = b" ".join([*words[:9], b"image" + words[0]])
    points = lines[i + 1].split()[-1:] if i + 1 < len(lines) else []
    if points and not re.fullmatch(rb"-?[0-9]+", points[0]):
      raise InputError(f"{path} line {i + 2}: cannot read this as image points; each "
                       "image has two lines, of which the second may be empty")
    i += 2
  return b"\n".join(lines), names
