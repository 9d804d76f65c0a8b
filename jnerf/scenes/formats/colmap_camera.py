"""COLMAP's cameras: from their models to ours.

Both put the centre of the upper left pixel at (0.5, 0.5) and the image at z = 1 of
axes x right, y down, z forward, and distort by OpenCV's formulas; COLMAP's simpler
models leave terms out. Models with other formulas are refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jnerf.errors import InputError

if TYPE_CHECKING:
  import pycolmap

BROWN = ("SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV")
FISHEYE = ("OPENCV_FISHEYE", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE",
           "SIMPLE_FISHEYE", "FISHEYE")
TERMS = {BROWN: ("k1", "k2", "p1", "p2", "k3"), FISHEYE: ("k1", "k2", "k3", "k4")}


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
