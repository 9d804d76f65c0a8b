"""Captures in the layout of LLFF: `poses_bounds.npy` beside the images.

    poses_bounds.npy        [V, 17], one row a view, views in the order of the names
    images/                 or else the smaller copies images_2/, images_4/, images_8/

A row (Mildenhall et al. 2019): 15 numbers are a 3 x 5 matrix, row by row, whose columns
are the camera's axes down, right, backward and its centre in the world, then height,
width and focal length of the original image in pixels; the last two are the depths
along z between which the view sees something. Axes become OpenCV's here. The principal
point is the image's middle. Units stay those of the file.

Most such captures face one way; those of Mip-NeRF 360, which also have this file, turn
around something, and their box is told from the cameras.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import pathlib
import tokenize
import warnings

import numpy as np

from jnerf.errors import InputError
from jnerf.geometry.poses import face_one_way
from jnerf.scenes import bounds as extents
from jnerf.scenes.formats.capture import Capture, Wishes, read_capture
from jnerf.structs import Scene

FILE = "poses_bounds.npy"
FOLDERS = ("images", "images_2", "images_4", "images_8")
SUFFIXES = (".png", ".jpg", ".jpeg")
NEAR_MARGIN = 0.9  # on the smallest near depth
LARGEST = 1e9  # of any number in the file; what must be above 0 is above its inverse


def is_llff(path: str | pathlib.Path) -> bool:
  """Whether the folder `path` has a poses_bounds.npy."""
  return (pathlib.Path(path) / FILE).is_file()


def load_llff(path: str | pathlib.Path, wishes: Wishes = Wishes()) -> Scene:
  """Reads the capture in folder `path`, see `capture.read_capture`.

  Unbounded unless the caller says no or gives a box: photographs may show the sky.
  """
  root = pathlib.Path(path)
  rows = _read_rows(root / FILE)
  paths = _images(root, len(rows))
  places = [f"{root / FILE}: row {i} ({path.name})" for i, path in enumerate(paths)]
  matrices, depths = rows[:, :15].reshape(-1, 3, 5), rows[:, 15:]
  down, right, backward, centre, size_focal = np.moveaxis(matrices, 2, 0)
  _check(rows, size_focal, depths, places)
  poses = np.tile(np.eye(4), (len(rows), 1, 1))
  poses[:, :3] = np.stack([right, down, -backward, centre], axis=-1)
  if wishes.unbounded is None:
    wishes = dataclasses.replace(wishes, unbounded=not len(wishes.bounds))
  return read_capture(Capture(
      layout="LLFF", root=root, paths=paths, places=places, poses=poses,
      intrinsics=np.stack([[focal, focal, width / 2, height / 2]
                           for height, width, focal in size_focal]),
      sizes=[(width, height) for height, width, _ in size_focal],
      extent=seen_extent(poses, size_focal, depths, wishes.unbounded),
      notes=["poses turned from LLFF's to OpenCV axes",
             f"files in {paths[0].parent.name}/"]), wishes)


def _read_rows(file: pathlib.Path) -> np.ndarray:
  """`[V, 17]` float64; nothing is allocated that the file does not hold."""
  try:
    with warnings.catch_warnings():
      warnings.simplefilter("ignore")  # of a header that an old NumPy wrote
      rows = np.lib.format.open_memmap(file, mode="r")
  except (OSError, ValueError, TypeError, OverflowError, SyntaxError, MemoryError,
          EOFError, RecursionError, tokenize.TokenError) as error:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    raise InputError(f"{file}: cannot be read as an .npy file ({reason}); copy it again, "
                     "or have LLFF write it anew") from None
  if rows.ndim != 2 or rows.shape[1] != 17 or not len(rows) or rows.dtype.kind != "f":
    raise InputError(f"{file}: is {rows.dtype}{list(rows.shape)}, but floating-point "
                     "[V, 17] is needed; have LLFF write it anew")
  return np.array(rows, np.float64)


def _images(root: pathlib.Path, num: int) -> list[pathlib.Path]:
  """The `num` images, by name, of the first folder that is there."""
  folder = next((root / name for name in FOLDERS if (root / name).is_dir()), None)
  if folder is None:
    raise InputError(f"{root}: lacks the images; put them into images/")
  paths = sorted(path for path in folder.iterdir()
                 if path.suffix.lower() in SUFFIXES and path.name[0] != ".")
  if len(paths) != num:
    raise InputError(f"{folder}: holds {len(paths)} images, but {root / FILE} has {num} "
                     "rows; restore what is missing, or move away what is too much")
  return paths


def _check(rows: np.ndarray, size_focal: np.ndarray, depths: np.ndarray,
           places: Sequence[str]) -> None:
  """Raises `InputError` at the first row whose numbers make no sense."""
  for row, some, (near, far), place in zip(rows, size_focal, depths, places, strict=True):
    if not (np.abs(row) < LARGEST).all():
      raise InputError(f"{place}: holds a number that is not finite, or absurdly large; "
                       "have LLFF write it anew")
    if not (some > 1 / LARGEST).all():
      raise InputError(f"{place}: height {some[0]:g}, width {some[1]:g} and focal length "
                       f"{some[2]:g} must be above 0; mend its fifth column")
    if not 1 / LARGEST < near < far:
      raise InputError(f"{place}: sees from depth {near:g} to {far:g}, where 0 < near < "
                       "far is needed; mend its last two numbers")


def seen_extent(poses: np.ndarray, size_focal: np.ndarray, depths: np.ndarray,
                unbounded: bool) -> tuple[float, float, np.ndarray]:
  """`(near, far, bounds)` along rays of views that see from `depths [V, 2]` along z.

  poses: `[V, 4, 4]`; size_focal: `[V, 3]` height, width and focal length in pixels.
  Bounded: the box of all that views see between their depths. Else, where cameras face
  one way, the box ends about where the nearest things begin: beyond it cells grow with
  distance, as what a pixel sees does. Empty where they do not: then cameras tell it.
  """
  height, width, focal = size_focal.T
  half = np.stack([width / focal / 2, height / focal / 2, np.ones(len(poses))], axis=-1)
  frame = half[:, None] * [[-1, -1, 1], [1, -1, 1], [-1, 1, 1], [1, 1, 1]]
  corners = depths[:, :, None, None] * frame[:, None]  # [V, near and far, 4, 3]
  near = NEAR_MARGIN * depths[:, 0].min()
  far = np.linalg.norm(corners, axis=-1).max()
  if not unbounded:
    world = np.einsum("vij,vdcj->dcvi", poses[:, :3, :3], corners) + poses[:, :3, 3]
    return near, far, extents.box_of_points(world.reshape(-1, 3), poses,
                                            extents.SPARSE_OUTLIERS)
  centres, far = poses[:, :3, 3], max(far, extents.UNBOUNDED_FAR * near)
  box = np.stack([centres.min(axis=0) - near, centres.max(axis=0) + near])
  return near, far, box if face_one_way(poses) else np.empty(0)
