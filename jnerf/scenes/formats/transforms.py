"""Captures that a transforms.json describes: nerfstudio, instant-ngp, Blender.

    transforms.json                       nerfstudio and instant-ngp
    transforms_{train,val,test}.json      one file a split, as NeRF's Blender scenes

    {"fl_x": 344.0, "fl_y": 344.0, "cx": 138.6, "cy": 241.3, "w": 270, "h": 480,
     "k1": 0.05, "k2": -0.08, "p1": 0.0, "p2": 0.0,
     "frames": [{"file_path": "images/0001.jpg", "transform_matrix": [[...], ...]}]}

Poses map camera to world with OpenGL axes (x right, y up, z backward); they become
OpenCV's here. `depth_file_path` names a frame's depth along z, 0 = none, of any size: a
16-bit PNG in thousandths of the poses' unit or an .npy array, of floats in that very
unit, unless `depth_unit_scale_factor` says what one number of the files is in it.
`mask_path` is an image that is black where the frame shows what the scene is not to
hold. Pixel centres lie at integer + 0.5. A frame may bring intrinsics of its own, see
`transforms_camera`. `train_filenames` and `test_filenames` (or `val_filenames`) name
the split where they are given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import functools
import pathlib
from typing import Any

import numpy as np

from jnerf.errors import InputError
from jnerf.files import read_json_object
from jnerf.geometry.poses import focus_point
from jnerf.scenes import images
from jnerf.scenes.formats.capture import (
  Capture,
  Wishes,
  present,
  read_capture,
)
from jnerf.scenes.formats.split_lists import split_by_lists
from jnerf.scenes.formats.transforms_camera import intrinsics_of, number
from jnerf.scenes.formats.upright import stored_size
from jnerf.scenes.named_files import SUFFIXES, path_below
from jnerf.structs import Scene

FILE = "transforms.json"
DEPTH_UNIT = "depth_unit_scale_factor"
SPLIT_FILES = {split: f"transforms_{split}.json" for split in ("train", "val", "test")}
# The scenes of NeRF's Blender set lie in this box around the origin, and are seen from
# about this far, between near and far.
BLENDER_DISTANCE, BLENDER_NEAR, BLENDER_FAR, BLENDER_BOX = 4.0, 2.0, 6.0, 1.5


@dataclasses.dataclass(frozen=True)
class Frame:
  """One entry of `frames`.

  path: its image; split: `train`, `test`, or "" where nothing says.
  pose: `[4, 4]` camera to world, OpenCV axes.
  camera: the keys that hold for it, the file's own joined with the frame's.
  place: names the entry in messages.
  """

  path: pathlib.Path
  split: str
  pose: np.ndarray
  camera: Mapping[str, Any]
  place: str


def is_nerfstudio(path: str | pathlib.Path) -> bool:
  """Whether the folder `path` has a transforms.json."""
  return (pathlib.Path(path) / FILE).is_file()


def is_blender(path: str | pathlib.Path) -> bool:
  """Whether the folder `path` has a transforms_train.json."""
  return (pathlib.Path(path) / SPLIT_FILES["train"]).is_file()


def load_transforms(path: str | pathlib.Path, wishes: Wishes = Wishes(), *,
                    blender: bool = False) -> Scene:
  """Reads the capture in folder `path`, see `capture.read_capture`.

  blender: whether it is one file a split, of a scene in Blender's usual box.
  """
  root = pathlib.Path(path)
  frames, of_lists = (
      (_split_files(root), []) if blender else _one_file(root, wishes.strict))
  chosen, notes = present([frame.path for frame in frames],
                        [frame.place for frame in frames], wishes.strict)
  notes = [*of_lists, *notes]
  splits = {frame.split for frame in frames}
  frames = [frames[i] for i in chosen]
  gone = sorted(splits - {frame.split for frame in frames})
  if gone:
    notes.append(f"no {gone[0]} frame has its image, so others do")
  depth, unit = dict(_named_files(root, frames, "depth_file_path")), _depth_unit(frames)
  if depth:
    notes = [f"depth in units of {unit:g}" if unit else
             "depth in millimetres, in metres where of floats", *notes]
  intrinsics, sizes = _intrinsics(frames)
  poses = np.stack([frame.pose for frame in frames])
  extent, note = blender_extent(poses) if blender else (None, "")
  return read_capture(Capture(
      layout="Blender" if blender else "nerfstudio", root=root,
      paths=[frame.path for frame in frames], places=[frame.place for frame in frames],
      poses=poses, intrinsics=intrinsics,
      sizes=sizes, split=[frame.split for frame in frames], depth=depth,
      read_depth=functools.partial(
          images.read_depth, units_per_metre=1 / unit if unit else None),
      mask=dict(_named_files(root, frames, "mask_path")),
      extent=extent,
      notes=["poses camera-to-world turned from OpenGL to OpenCV axes", *notes,
             *([note] if note else [])]), wishes)


def blender_extent(poses: np.ndarray):
  """`((near, far, bounds [2, 3]) or None, note)` of cameras `[V, 4, 4]` around an object.

  That of NeRF's scenes where the cameras stand as theirs do, else the same in proportion
  to their distance from what they look at. None, for the cameras to tell, where that is
  no one point.
  """
  centres = poses[:, :3, 3]
  focus = focus_point(poses)
  if focus is None:
    return None, "cameras look at no one point, so they tell near, far and the box"
  away = np.abs(np.linalg.norm(centres, axis=1) - BLENDER_DISTANCE)
  if (np.abs(focus) < BLENDER_BOX).all() and (  # and the box lies between near and far
      away <= BLENDER_DISTANCE - BLENDER_BOX - BLENDER_NEAR).all():
    return (BLENDER_NEAR, BLENDER_FAR, BLENDER_BOX * np.array([[-1.0] * 3, [1] * 3])), ""
  distance = np.linalg.norm(centres - focus[None], axis=1)
  scale = np.median(distance) / BLENDER_DISTANCE
  box = np.stack([focus - BLENDER_BOX * scale, focus + BLENDER_BOX * scale])
  return ((BLENDER_NEAR / BLENDER_DISTANCE * distance.min(),
           BLENDER_FAR / BLENDER_DISTANCE * distance.max(), box),
          f"near, far and box from the cameras' distance, {scale:.3g} times that in "
          "NeRF's scenes")


def _intrinsics(frames: Sequence[Frame]) -> tuple[np.ndarray, Sequence]:
  """`([V, 8 or 9], the V sizes that they are for)`."""
  rows, sizes = zip(*(intrinsics_of(frame.camera, stored_size(frame.path), frame.place)
                      for frame in frames), strict=True)
  odd = next((i for i, row in enumerate(rows) if len(row) != len(rows[0])), None)
  if odd is not None:
    raise InputError(f"{frames[odd].place}: camera_model is another than "
                     "frames[0]'s; a scene has fisheye cameras only, or none")
  return np.stack(rows), sizes


def _depth_unit(frames: Sequence[Frame]) -> float | None:
  """What a 1 in the depth files is in the poses' unit, where the capture says."""
  units = [number(frame.camera, DEPTH_UNIT, frame.place)
           if DEPTH_UNIT in frame.camera else None for frame in frames]
  for unit, frame in zip(units, frames, strict=True):
    if unit != units[0] or (unit is not None and not 1e-9 < unit < 1e9):
      raise InputError(f"{frame.place}: {DEPTH_UNIT} is {unit}; give one above 0 for all "
                       "frames, 0.001 for millimetres")
  return units[0]


def _one_file(root: pathlib.Path, strict: bool) -> tuple[list[Frame], list[str]]:
  """`(frames of transforms.json, where it names a split those in it; notes)`."""
  file = root / FILE
  raw = _given(read_json_object(file))
  train, val, test = (_filenames(file, raw, f"{split}_filenames")
                      for split in ("train", "val", "test"))
  frames = _frames(file, raw)
  if not train and not test and not val:
    return frames, []
  held_out = "test_filenames" if test else "val_filenames"
  splits, notes = split_by_lists(
      [frame.path.relative_to(root).as_posix() for frame in frames], train, test or val,
      {"train": f"{file}: train_filenames", "test": f"{file}: {held_out}"}, strict)
  return [dataclasses.replace(frame, split=split)
          for frame, split in zip(frames, splits, strict=True) if split], notes


def _split_files(root: pathlib.Path) -> list[Frame]:
  """The frames of transforms_train.json, and of _test or else _val."""
  frames = {split: _frames(root / name, read_json_object(root / name))
            for split, name in SPLIT_FILES.items() if (root / name).is_file()}
  test = frames.get("test") or frames.get("val") or []
  return [dataclasses.replace(frame, split=split)
          for split, some in (("train", frames["train"]), ("test", test))
          for frame in some]


def _frames(file: pathlib.Path, raw: Mapping[str, Any]) -> list[Frame]:
  """All entries of `frames`, checked one by one; images may be missing."""
  entries = raw.get("frames")
  if not isinstance(entries, list) or not entries:
    raise InputError(f"{file}: frames must be a list of at least one frame")
  shared = _given({key: value for key, value in raw.items() if key != "frames"})
  frames, first_of_path = [], {}
  for i, entry in enumerate(entries):
    place = f"{file}: frames[{i}]"
    if not isinstance(entry, dict):
      raise InputError(f"{place}: must be an object with file_path and transform_matrix")
    path = _image_below(file.parent, entry.get("file_path"), "file_path", place)
    first = first_of_path.setdefault(path, i)
    if first != i:
      raise InputError(f"{place}: has the same file_path as frames[{first}], "
                       f"{entry['file_path']!r}; keep one")
    frames.append(Frame(path, "", _pose(entry.get("transform_matrix"), place),
                        shared | _given(entry), place))
  return frames


def _given(entry: Mapping[str, Any]) -> dict[str, Any]:
  """What of an entry is given: some exporters write null where there is nothing."""
  return {key: value for key, value in entry.items() if value is not None}


def _image_below(root: pathlib.Path, name: Any, key: str, place: str) -> pathlib.Path:
  """As `path_below`; Blender's files leave the suffix out."""
  return path_below(root, name, key, place, ("", *SUFFIXES))


def _pose(matrix: Any, place: str) -> np.ndarray:
  """`[4, 4]` pose with OpenCV axes of a `transform_matrix` with OpenGL's."""
  try:
    pose = np.array(matrix, np.float64)
  except (TypeError, ValueError):
    pose = np.empty(0)
  if pose.shape == (3, 4):  # some exporters leave the last row out
    pose = np.concatenate([pose, [[0, 0, 0, 1]]])
  if pose.shape != (4, 4):
    raise InputError(f"{place}: transform_matrix must be 4 rows of 4 numbers")
  return pose * [[1, -1, -1, 1]]  # columns are the camera's axes: y and z turn round


def _named_files(root: pathlib.Path, frames: Sequence[Frame], key: str,
                 ) -> Iterator[tuple[int, pathlib.Path]]:
  """The number of every frame that has a file under `key`, and the file."""
  for i, frame in enumerate(frames):
    if key in frame.camera:
      yield i, _image_below(root, frame.camera[key], key, frame.place)


def _filenames(file: pathlib.Path, raw: Mapping[str, Any], key: str) -> list[str]:
  names = raw.get(key, [])
  if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
    raise InputError(f"{file}: {key} must be a list of file paths")
  return names
