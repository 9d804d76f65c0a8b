"""Captures that a transforms.json describes: nerfstudio, instant-ngp, Blender.

    transforms.json                       nerfstudio and instant-ngp
    transforms_{train,val,test}.json      one file a split, as NeRF's Blender scenes

    {"fl_x": 344.0, "fl_y": 344.0, "cx": 138.6, "cy": 241.3, "w": 270, "h": 480,
     "k1": 0.05, "k2": -0.08, "p1": 0.0, "p2": 0.0,
     "frames": [{"file_path": "images/0001.jpg", "transform_matrix": [[...], ...]}]}

Poses map camera to world with OpenGL axes (x right, y up, z backward); they become
OpenCV's here. `depth_file_path` names a frame's depth along z, a 16-bit PNG in
thousandths of the poses' unit, 0 = none, of any size; `mask_path` an image that is
black where the frame shows what the scene is not to hold. Pixel centres lie at
integer + 0.5. A frame may bring intrinsics of its own, see `transforms_camera`.
`train_filenames` and `test_filenames` (or `val_filenames`) name the split where they
are given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import os
import pathlib
from typing import Any

import numpy as np

from jnerf.errors import InputError
from jnerf.files import read_json_object
from jnerf.scenes import bounds as extents
from jnerf.scenes import cameras, images, splits, stacks, trajectory
from jnerf.scenes.transforms_camera import intrinsics_of
from jnerf.structs import Scene

FILE = "transforms.json"
SPLIT_FILES = {split: f"transforms_{split}.json" for split in ("train", "val", "test")}
SUFFIXES = ("", ".png", ".jpg", ".jpeg")  # Blender's files leave the suffix out
# The scenes of NeRF's Blender set lie in this box and are seen from this far.
BLENDER_BOUNDS, BLENDER_NEAR, BLENDER_FAR = (-1.5,) * 3 + (1.5,) * 3, 2.0, 6.0


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


def load_transforms(path: str | pathlib.Path, *, blender: bool = False, width: int = 0,
                    max_pixels: int = 0, train_every: int = 0, train_offset: int = 0,
                    test_every: int = 0, test_offset: int = 0, near: float = 0.0,
                    far: float = 0.0, bounds: Sequence[float] = (),
                    unbounded: bool | None = None, strict: bool = False) -> Scene:
  """Reads the capture in folder `path`.

  blender: whether it is one file a split, of a scene in Blender's usual box.
  unbounded: whether the field is to cover all of space; None: unless the box is
    given, Blender's, or known from depth.
  strict: whether a frame without its image is an error; else it is left out.
  Others as in `replica.load_replica`; a split of the caller's overrules the files'.

  Raises `InputError`, naming file and frame, for whatever does not fit together.
  """
  root = pathlib.Path(path)
  frames, missing = _present(_split_files(root) if blender else _one_file(root), strict)
  train, test, rule = _split(frames, (train_every, train_offset),
                             (test_every, test_offset))
  poses, paths = np.stack([frame.pose for frame in frames]), [f.path for f in frames]
  trajectory.check_rigid(poses, [frame.place for frame in frames])
  full_size = images.image_size(paths[0])
  size = stacks.working_size(full_size, len(frames), width, max_pixels)
  intrinsics = cameras.scale_intrinsics(np.stack([
      intrinsics_of(frame.camera, full_size, frame.place) for frame in frames]),
      full_size, size)
  bent = bool(intrinsics[:, 4:].any())
  colour = stacks.read_stack(paths, images.read_rgba, images.resize_area, full_size,
                             size, paths[0].name)
  depth = _depth(root, frames, size)
  mask = _mask(root, frames, full_size, size)
  if blender:
    near, far = near or BLENDER_NEAR, far or BLENDER_FAR
    bounds = bounds if len(bounds) else BLENDER_BOUNDS
  if unbounded is None:
    unbounded = not len(bounds) and depth is None
  if unbounded:
    near, far, box = extents.unbounded_extent(poses, near=near, far=far, bounds=bounds)
  else:
    near, far, box = extents.scene_extent(poses, depth, train, intrinsics, near=near,
                                          far=far, bounds=bounds)
  source = (f"{'Blender' if blender else 'nerfstudio'} layout in {root}: "
            f"{full_size[0]}x{full_size[1]} read at {size[0]}x{size[1]}, poses "
            "camera-to-world turned from OpenGL to OpenCV axes, "
            f"{'lens distortion k1 k2 p1 p2 k3' if bent else 'pinhole'}"
            f"{'' if depth is None else ', depth in millimetres'}"
            f"{_about(missing)}; {rule}")
  opaque = (colour[..., 3] == 1).all()
  return Scene(
      name=root.resolve().name, frames=_names(root, paths), images=colour[..., :3],
      alpha=None if opaque else colour[..., 3], depth=depth, mask=mask,
      cam_to_world=poses,
      intrinsics=intrinsics if bent else intrinsics[:, :4], full_size=full_size,
      near=near, far=far, bounds=box, unbounded=unbounded, train=train, test=test,
      source=source)


def _one_file(root: pathlib.Path) -> list[Frame]:
  """The frames of transforms.json; where it names a split, those in it."""
  file = root / FILE
  raw = read_json_object(file)
  train, val, test = (_filenames(file, raw, f"{split}_filenames")
                      for split in ("train", "val", "test"))
  frames, test = _frames(file, raw), test or val
  if not train and not test:
    return frames

  def split_of(frame):
    name = os.path.relpath(frame.path, root)
    return "test" if name in test else "train" if name in train or not train else None

  return [dataclasses.replace(frame, split=split) for frame in frames
          if (split := split_of(frame))]


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
  shared = {key: value for key, value in raw.items() if key != "frames"}
  frames, seen = [], {}
  for i, entry in enumerate(entries):
    place = f"{file}: frames[{i}]"
    if not isinstance(entry, dict):
      raise InputError(f"{place}: must be an object with file_path and transform_matrix")
    path = _path_below(file.parent, entry.get("file_path"), "file_path", place)
    first = seen.setdefault(path, i)
    if first != i:
      raise InputError(f"{place}: has the same file_path as frames[{first}], "
                       f"{entry['file_path']!r}; keep one")
    frames.append(Frame(path, "", _pose(entry.get("transform_matrix"), place),
                        shared | entry, place))
  return frames


def _path_below(root: pathlib.Path, name: Any, key: str, place: str) -> pathlib.Path:
  """The file that `name` means; it need not exist, but lies below `root`."""
  if not isinstance(name, str) or not name or "\0" in name:
    raise InputError(f"{place}: {key} is {name!r}; give the file's path below {root}")
  relative = os.path.normpath(name)
  if os.path.isabs(relative) or relative.split(os.sep)[0] == os.pardir:
    raise InputError(f"{place}: {key} {name!r} leads out of {root}; give a path below it")
  path = root / relative
  return next((found for suffix in SUFFIXES
               if (found := path.with_name(path.name + suffix)).is_file()), path)


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


def _depth(root: pathlib.Path, frames: Sequence[Frame],
           size: tuple[int, int]) -> np.ndarray | None:
  """`[V, H, W]` sensor depth at the working size, 0 = none; None without any.

  A sensor's maps may be coarser than the photographs, and a frame may lack its own.
  """
  key = "depth_file_path"
  if not any(key in frame.camera for frame in frames):
    return None
  depth = np.zeros((len(frames), size[1], size[0]), np.float32)
  for i, path in _named_files(root, frames, key):
    depth[i] = images.resize_nearest(images.read_depth(path), size)
  return depth


def _mask(root: pathlib.Path, frames: Sequence[Frame], full_size: tuple[int, int],
          size: tuple[int, int]) -> np.ndarray | None:
  """`[V, H, W]` bool, False where a frame's mask is black; None without any mask.

  A pixel counts where nothing of the full-size pixels it covers is masked.
  """
  key = "mask_path"
  if not any(key in frame.camera for frame in frames):
    return None
  mask = np.ones((len(frames), size[1], size[0]), bool)
  for i, path in _named_files(root, frames, key):
    white = (images.read_labels(path) > 0).astype(np.float32)
    images.check_size(path, white, full_size, frames[i].path.name)
    mask[i] = images.resize_area(white[..., None], size)[..., 0] > 1 - 1e-4
    if not mask[i].any():
      raise InputError(f"{path}: leaves no pixel of {frames[i].path.name}; white is what "
                       "is kept")
  return mask


def _named_files(root: pathlib.Path, frames: Sequence[Frame], key: str,
                 ) -> Iterator[tuple[int, pathlib.Path]]:
  """The number of every frame that has a file under `key`, and the file."""
  for i, frame in enumerate(frames):
    if key in frame.camera:
      yield i, _path_below(root, frame.camera[key], key, frame.place)


def _present(frames: list[Frame], strict: bool) -> tuple[list[Frame], list[str]]:
  """`(frames whose images exist, file names of the others)`."""
  missing = [frame for frame in frames if not frame.path.is_file()]
  if missing and (strict or len(missing) == len(frames)):
    raise InputError(f"{missing[0].place}: {missing[0].path}: no such image file "
                     f"({len(missing)} of {len(frames)} are missing); restore it, or "
                     "leave the frame out")
  return ([frame for frame in frames if frame.path.is_file()],
          [frame.path.name for frame in missing])


def _about(missing: Sequence[str]) -> str:
  if not missing:
    return ""
  more = ", ..." if len(missing) > 3 else ""
  names = ", ".join(missing[:3]) + more
  return f", {len(missing)} frames without image left out ({names})"


def _split(frames: list[Frame], train: tuple[int, int], test: tuple[int, int],
           ) -> tuple[np.ndarray, np.ndarray, str]:
  """`(train, test, rule)`, as the files say unless the caller has a rule."""
  is_test = np.array([frame.split == "test" for frame in frames])
  if is_test.any() and not is_test.all() and not train[0] and not test[0]:
    return np.flatnonzero(~is_test), np.flatnonzero(is_test), "split as the files say"
  return splits.split_views(len(frames), train, test)


def _filenames(file: pathlib.Path, raw: Mapping[str, Any], key: str) -> set[str]:
  names = raw.get(key, [])
  if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
    raise InputError(f"{file}: {key} must be a list of file paths")
  return {os.path.normpath(name) for name in names}


def _names(root: pathlib.Path, paths: Sequence[pathlib.Path]) -> tuple[str, ...]:
  """The files' names without suffix, or where two agree their paths joined by `_`."""
  stems = [path.stem for path in paths]
  if len(set(stems)) < len(stems):
    stems = ["_".join(path.relative_to(root).parts) for path in paths]
  return tuple(stems)
