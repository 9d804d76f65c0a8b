"""ScanNet's raw label ids as the 40 classes of NYU, by ScanNet's own table.

`scannetv2-labels.combined.tsv` has a row for each raw id; used are its columns
`id`, `nyu40id` and, for names, `nyu40class`.
"""

from __future__ import annotations

import csv
import dataclasses
import pathlib
import re

import numpy as np

from jnerf.errors import InputError
from jnerf.structs import Scene

FILE = "scannetv2-labels.combined.tsv"
NUM_CLASSES, NUM_RAW = 40, 2**16  # label images have 16 bits


@dataclasses.dataclass(frozen=True)
class LabelMap:
  """ids: raw id to NYU40 id, 0 where there is none; names: of NYU40 ids."""

  ids: dict[int, int]
  names: dict[int, str]


def to_nyu40(scene: Scene, root: pathlib.Path) -> Scene:
  """`scene` with its raw labels mapped, where the table lies in `root` or just above.

  Raw ids that it does not map become void; `Scene.source` counts them, and says so
  where there is no table and ids stay as they are.
  """
  if scene.semantic is None:
    return scene
  file = find_map(root)
  if file is None:
    return scene.replace(source=f"{scene.source}; raw label ids, for want of {FILE}")
  table = read_map(file)
  counts = sum(np.bincount(view.reshape(-1), minlength=NUM_RAW)
               for view in scene.semantic)
  nyu = np.zeros(NUM_RAW, np.int32)
  nyu[list(table.ids)] = list(table.ids.values())
  lost = np.flatnonzero((counts > 0) & (nyu == 0))
  lost = lost[lost != 0]
  note = f"raw label ids mapped to NYU40 by {file}"
  if len(lost):
    ids = ", ".join(map(str, lost[:5])) + (", ..." if len(lost) > 5 else "")
    note += (f", where {len(lost)} have no class and became void ({ids}: "
             f"{counts[lost].sum() / scene.semantic.size:.1%} of the pixels)")
  names = {i: table.names.get(i, f"class {i}")
           for i in np.unique(nyu[counts > 0]).tolist() if i}
  return scene.replace(semantic=nyu[scene.semantic], class_names={0: "void"} | names,
                       source=f"{scene.source}; {note}")


def find_map(root: pathlib.Path) -> pathlib.Path | None:
  """The table in `root`, its parent or grandparent; None where there is none."""
  folders = (root, *root.resolve().parents[:2])
  return next((folder / FILE for folder in folders if (folder / FILE).is_file()), None)


def read_map(path: pathlib.Path) -> LabelMap:
  """The table in `path`; raises `InputError`, naming the line."""
  try:
    lines = path.read_text(encoding="utf-8-sig").split("\n")
    rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
  except (OSError, UnicodeDecodeError, csv.Error) as error:
    raise InputError(f"{path}: cannot be read ({error}); copy it again") from None
  if not rows or not {"id", "nyu40id"} <= set(rows[0]):
    raise InputError(f"{path}: lacks rows with the columns id and nyu40id, divided by "
                     "tabs; copy it again")
  ids, names = {}, {}
  for number, row in enumerate(rows, start=2):
    raw, nyu = _id(row["id"]), _id(row["nyu40id"] or "0")
    if (raw is None or raw >= NUM_RAW or nyu is None or nyu > NUM_CLASSES
        or ids.get(raw, nyu) != nyu):
      raise InputError(f"{path} line {number}: maps id {str(row['id'])[:20]!r} to "
                       f"nyu40id {str(row['nyu40id'])[:20]!r}; ids are below {NUM_RAW}, "
                       f"and each has one number up to {NUM_CLASSES}: copy the file "
                       "again")
    ids[raw] = nyu
    if row.get("nyu40class"):
      names.setdefault(nyu, row["nyu40class"])
  return LabelMap(ids, names)


def _id(text: str | None) -> int | None:
  """The number that `text` is, None where it is none."""
  match = re.fullmatch(r"\s*([0-9]{1,9})\s*", text or "")
  return int(match[1]) if match else None
