"""The Replica layout: numbered images, one trajectory file, optional labels.

    rgb/rgb_<i>.png                          colour; also <i>.png, 00<i>.jpg
    traj_w_c.txt                             camera-to-world poses, OpenCV axes
    depth/depth_<i>.png                      optional; 16-bit millimetres, 0 = none
    semantic_class/semantic_class_<i>.png    optional; class ids, 0 = void
    semantic_instance/...                    optional; instance ids, 0 = void
    info.json                                optional; size, fx fy cx cy with integer
                                             pixel centres, class names, test split

Without info.json it is the layout of the paper's own data (Semantic-NeRF's
rendering of Replica): intrinsics from the horizontal field of view. Views are
in the order of their numbers, and pose k belongs to the k-th image.
"""

from __future__ import annotations

from collections.abc import Sequence
import pathlib

import numpy as np

from jnerf.errors import InputError
from jnerf.geometry import cameras
from jnerf.scenes import bounds as extents
from jnerf.scenes import images, stacks
from jnerf.scenes.formats import replica_info, splits, trajectory
from jnerf.scenes.formats.capture import Wishes
from jnerf.scenes.formats.numbered import IMAGES, numbered_files
from jnerf.structs import Scene

IMAGE_FOLDER, TRAJECTORY = "rgb", "traj_w_c.txt"


def is_replica(path: str | pathlib.Path) -> bool:
  """Whether the folder `path` has the two parts that the layout cannot lack."""
  root = pathlib.Path(path)
  return (root / IMAGE_FOLDER).is_dir() and (root / TRAJECTORY).is_file()


def load_replica(path: str | pathlib.Path, wishes: Wishes = Wishes(), *,
                 hfov: float = 90.0) -> Scene:
  """Reads the capture in folder `path`; only views that train or test are kept.

  hfov: degrees, where info.json brings no intrinsics.

  Raises `InputError`, naming the file, for whatever does not fit together.
  """
  root = pathlib.Path(path)
  info = replica_info.read_info(root / "info.json")
  files = _files(root / IMAGE_FOLDER)
  poses = _poses(root / TRAJECTORY, files)
  train, test, rule = splits.split_views(
      len(files), wishes.train, wishes.test, info.test)
  kept = np.union1d(train, test)
  numbers = [list(files)[i] for i in kept]
  paths, poses = [files[number] for number in numbers], poses[kept]

  full_size = images.image_size(paths[0])
  size = stacks.working_size(full_size, len(kept), wishes.width, wishes.max_pixels)
  intrinsics, origin = replica_info.intrinsics(info, full_size, hfov)
  intrinsics = np.tile(cameras.scale_intrinsics(intrinsics, full_size, size),
                       (len(kept), 1))
  colour = stacks.read_stack(paths, images.read_image, images.resize_area, full_size,
                             size, paths[0].name)
  layers = {}
  for folder, read in (("depth", images.read_depth),
                       ("semantic_class", images.read_labels),
                       ("semantic_instance", images.read_labels)):
    if (root / folder).is_dir():
      layers[folder] = stacks.read_stack(
          _partners(root / folder, numbers, paths), read, images.resize_nearest,
          full_size, size, paths[0].name)

  train, test = np.searchsorted(kept, train), np.searchsorted(kept, test)
  depth, semantic = layers.get("depth"), layers.get("semantic_class")
  near, far, box = extents.scene_extent(
      poses, depth, train, intrinsics, near=wishes.near, far=wishes.far,
      bounds=wishes.bounds)
  source = (f"Replica layout in {root}: {full_size[0]}x{full_size[1]} read at "
            f"{size[0]}x{size[1]}, poses camera-to-world with OpenCV axes, {origin}, "
            f"beside the images {', '.join(layers) or 'nothing'}; {rule}")
  return Scene(
      name=info.name or root.resolve().name, frames=tuple(p.stem for p in paths),
      images=colour, cam_to_world=poses, intrinsics=intrinsics, full_size=full_size,
      near=near, far=far, bounds=box, train=train, test=test, depth=depth,
      semantic=semantic, instance=layers.get("semantic_instance"),
      class_names=_class_names(info.classes, semantic),
      files=tuple(map(str, paths)), source=source)


def _files(folder: pathlib.Path) -> dict[int, pathlib.Path]:
  """Number to image file, in numeric order, of `<folder's name>_<i>` and `<i>`.

  Other files are passed over: the paper's data keep coloured copies for the
  eye (`vis_sem_class_<i>.png`) in the same folders.
  """
  return numbered_files(folder, ("", f"{folder.name}_"))


def _poses(path: pathlib.Path, files: dict[int, pathlib.Path]) -> np.ndarray:
  """`[V, 4, 4]` poses of the numbered images `files`, as many as those."""
  poses, places = trajectory.read_trajectory(path)
  folder = path.parent / IMAGE_FOLDER
  if not files:
    raise InputError(f"{folder}: holds no image named rgb_<number> or <number> with "
                     f"{', '.join(IMAGES)}")
  if len(poses) != len(files):
    gaps = sorted(set(range(min(files), max(files))) - set(files))
    explained = len(gaps) == len(poses) - len(files)
    missing = f" (no image number {gaps[0]})" if explained else ""
    raise InputError(f"{path}: has {len(poses)} poses for the {len(files)} images in "
                     f"{folder}{missing}; give one line per image, in numeric order")
  names = [f"{place} (image {file.name})"
           for place, file in zip(places, files.values(), strict=True)]
  trajectory.check_rigid(poses, names)
  return poses


def _partners(folder: pathlib.Path, numbers: Sequence[int],
              paths: Sequence[pathlib.Path]) -> list[pathlib.Path]:
  """The files in `folder` with the images' `numbers`."""
  files = _files(folder)
  for number, path in zip(numbers, paths, strict=True):
    if number not in files:
      raise InputError(f"{folder}: has no {folder.name}_{number}.png for {path.name}; "
                       f"restore it, or move the whole folder away")
  return [files[number] for number in numbers]


def _class_names(names: dict[int, str], semantic: np.ndarray | None) -> dict[int, str]:
  """Names of void, of the classes that info.json lists and of those in the labels."""
  present = [] if semantic is None else np.unique(semantic).tolist()
  found = {i: f"class {i}" for i in present} | {0: "void"} | names
  return dict(sorted(found.items()))
