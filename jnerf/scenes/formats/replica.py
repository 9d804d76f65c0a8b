"""The Replica layout: numbered images, one trajectory file, optional labels.

    rgb/rgb_<i>.png                          colour; also <i>.png, 00<i>.jpg
    traj_w_c.txt                             camera-to-world poses, OpenCV axes
    depth/depth_<i>.png                      optional; 16-bit millimetres, 0 = none
    semantic_class/semantic_class_<i>.png    optional; class ids, 0 = void
    semantic_instance/...                    optional; instance ids, 0 = void
    mask/mask_<i>.png                        optional; black is left out
    info.json                                optional; size, fx fy cx cy with integer
                                             pixel centres, OpenCV's k1 k2 p1 p2 k3,
                                             class names, test split

Without info.json it is the layout of the paper's own data (Semantic-NeRF's
rendering of Replica): intrinsics from the horizontal field of view. Views are
in the order of their numbers, and pose k belongs to the k-th image. All are by one
camera: an image of another size was resized, and must have the first one's shape.
"""

from __future__ import annotations

from collections.abc import Iterable
import dataclasses
import pathlib

import numpy as np

from jnerf.errors import InputError
from jnerf.scenes import images
from jnerf.scenes.formats import replica_info, trajectory
from jnerf.scenes.formats.capture import Capture, Wishes, read_capture
from jnerf.scenes.formats.numbered import IMAGES, numbered_files
from jnerf.scenes.formats.upright import stored_size
from jnerf.structs import Scene

IMAGE_FOLDER, TRAJECTORY = "rgb", "traj_w_c.txt"
# Folder of files beside the images to what of a `Capture` they are.
LAYERS = {"depth": "depth", "semantic_class": "semantic",
          "semantic_instance": "instance", "mask": "mask"}


def is_replica(path: str | pathlib.Path) -> bool:
  """Whether the folder `path` has the two parts that the layout cannot lack."""
  root = pathlib.Path(path)
  return (root / IMAGE_FOLDER).is_dir() and (root / TRAJECTORY).is_file()


def load_replica(path: str | pathlib.Path, wishes: Wishes = Wishes(), *,
                 hfov: float = 90.0) -> Scene:
  """Reads the capture in folder `path`, see `capture.read_capture`.

  hfov: degrees, where info.json brings no intrinsics.

  Raises `InputError`, naming the file, for whatever does not fit together.
  """
  root = pathlib.Path(path)
  info = replica_info.read_info(root / "info.json")
  files = _files(root / IMAGE_FOLDER)
  poses, places = _poses(root / TRAJECTORY, files)
  paths = list(files.values())
  size, upright = stored_size(paths[0]), images.image_size(paths[0])
  size = upright if info.size == upright else size
  intrinsics, origin = replica_info.intrinsics(info, size, hfov)
  layers = {folder: _partners(root / folder, files)
            for folder in LAYERS if (root / folder).is_dir()}
  scene = read_capture(Capture(
      layout="Replica", root=root, name=info.name, paths=paths, places=places,
      poses=poses, intrinsics=np.tile(intrinsics, (len(paths), 1)),
      sizes=[size] * len(paths), size_from=paths[0].name, test=info.test, paired=True,
      notes=["poses camera-to-world with OpenCV axes", origin,
             f"beside the images {', '.join(layers) or 'nothing'}"],
      **{LAYERS[folder]: partners for folder, partners in layers.items()}),
      dataclasses.replace(wishes, unbounded=False))  # a room has walls
  names = {0: "void"} | scene.class_names | info.classes  # also of what is not in sight
  return scene.replace(class_names=dict(sorted(names.items())))


def _files(folder: pathlib.Path) -> dict[int, pathlib.Path]:
  """Number to image file, in numeric order, of `<folder's name>_<i>` and `<i>`.

  Other files are passed over: the paper's data keep coloured copies for the
  eye (`vis_sem_class_<i>.png`) in the same folders.
  """
  return numbered_files(folder, ("", f"{folder.name}_"))


def _poses(path: pathlib.Path, files: dict[int, pathlib.Path],
           ) -> tuple[np.ndarray, list[str]]:
  """`([V, 4, 4] poses, places)` of the numbered images `files`, as many as those."""
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
  return poses, [f"{place} (image {file.name})"
                 for place, file in zip(places, files.values(), strict=True)]


def _partners(folder: pathlib.Path, numbers: Iterable[int]) -> dict[int, pathlib.Path]:
  """View to the file in `folder` that has the number of its image, there or not."""
  files = _files(folder)
  return {view: files.get(number, folder / f"{folder.name}_{number}.png")
          for view, number in enumerate(numbers)}
