"""COLMAP's cameras: from their models to ours, and turned as their photographs are.

Both put the centre of the upper left pixel at (0.5, 0.5) and the image at z = 1 of
axes x right, y down, z forward, and distort by OpenCV's formulas; COLMAP's simpler
models leave terms out. Models with other formulas are refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jnerf.errors import InputError
from jnerf.geometry import lenses

if TYPE_CHECKING:
  import pycolmap

BROWN = ("SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV")
FISHEYE = ("OPENCV_FISHEYE", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE",
           "SIMPLE_FISHEYE", "FISHEYE")
TERMS = {BROWN: ("k1", "k2", "p1", "p2", "k3"), FISHEYE: ("k1", "k2", "k3", "k4")}
# Of the stored picture's x and y, what the upright one's are, by EXIF orientation.
TURNS = {1: [[1, 0], [0, 1]], 3: [[-1, 0], [0, -1]], 6: [[0, -1], [1, 0]],
         8: [[0, 1], [-1, 0]]}


def intrinsics_of(camera: pycolmap.Camera, place: str) -> np.ndarray:
  """`[9]` intrinsics, or `[8]` of a fisheye, in pixels of the camera's own size.

  place: names the image in messages. Raises `InputError` for a model whose formula is
  another, and for a focal length or term that is no use.
  """
  model = camera.model.name
  terms = next((TERMS[models] for models in TERMS if model in models), None)
  if terms is None:
    raise InputError(f"{place}: camera {camera.camera_id} is {model}, known are "
                     f"{', '.join(BROWN + FISHEYE)}; undistort the images first, with "
                     "colmap image_undistorter")
  values = dict(zip(camera.params_info.split(", "), camera.params, strict=True))
  focal = values.get("f")  # one for both axes, as `k` is of the only term
  values = {"fx": focal, "fy": focal, "k1": values.get("k", 0.0)} | values
  row = np.array([values.get(name, 0.0) for name in ("fx", "fy", "cx", "cy", *terms)])
  if not np.isfinite(row).all() or not (row[:2] > 0).all():
    listed = ", ".join(f"{value:g}" for value in camera.params)
    raise InputError(f"{place}: camera {camera.camera_id} is {model} with "
                     f"{camera.params_info} = {listed}; a focal length is above 0, all "
                     "else finite")
  return row


def upright(intrinsics: np.ndarray, cam_to_world: np.ndarray, size: tuple[int, int],
            orientation: int) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
  """`(intrinsics, cam_to_world, size)` of the camera of the upright photograph.

  intrinsics: `[8 or 9]`, cam_to_world: `[4, 4]`, size: `(width, height)`, all of the
    photograph as it is stored, which is how COLMAP reads it.
  orientation: one of `TURNS`, which are turns of the camera about its axis.
  """
  turn = np.array(TURNS[orientation])
  turned = intrinsics.copy()
  turned[:2] = np.abs(turn) @ intrinsics[:2]
  middle = np.array(size, np.float64) / 2
  turned[2:4] = turn @ (intrinsics[2:4] - middle) + np.abs(turn) @ middle
  if len(intrinsics) == 4 + lenses.BROWN:
    # The tangential terms act as r^2 v + 2 (v . x) x with the vector v = (p2, p1).
    turned[[7, 6]] = turn @ intrinsics[[7, 6]]
  pose = cam_to_world.copy()
  pose[:3, :2] = cam_to_world[:3, :2] @ turn.T
  return turned, pose, size[::-1] if orientation >= 5 else size

