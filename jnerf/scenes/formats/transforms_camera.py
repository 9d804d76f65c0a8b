"""The intrinsics that a transforms.json gives a frame, of its own or of the file.

`fl_x, fl_y, cx, cy` in pixels of an image of `w x h`, and OpenCV's distortion `k1, k2,
p1, p2, k3`, or `k1, k2, k3, k4` of a fisheye. `camera_angle_x` (radians) may
stand for `fl_x`; what is left out is what an ideal camera has: square pixels, the
principal point in the middle, no distortion.
"""

from __future__ import annotations

from collections.abc import Mapping
import math
import sys
from typing import Any

import numpy as np

from jnerf.errors import InputError

MODELS = ("PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV")
FISHEYE = "OPENCV_FISHEYE"
DISTORTION = ("k1", "k2", "p1", "p2", "k3")
FISHEYE_TERMS = ("k1", "k2", "k3", "k4")


def intrinsics_of(camera: Mapping[str, Any], full_size: tuple[int, int],
                  place: str) -> tuple[np.ndarray, tuple[float, float]]:
  """`([9] intrinsics, or [8] of a fisheye, the (width, height) that they are for)`.

  camera: the keys above, others are passed over; place: names the frame in messages.
  full_size: of the image, which has that size where none is given.

  Raises `InputError` for a value that is no use, and a camera model that rays cannot
  follow.
  """
  model = camera.get("camera_model", "OPENCV")
  fisheye = model == FISHEYE or camera.get("is_fisheye") is True
  if model not in (*MODELS, FISHEYE) or (camera.get("k4") and not fisheye):
    named = "one with k4" if model in MODELS else model
    raise InputError(f"{place}: camera_model is {named!r}, known are "
                     f"{', '.join(MODELS)}, {FISHEYE}; undistort the images first")
  size = tuple(number(camera, key, place, default)
               for key, default in zip(("w", "h"), full_size, strict=True))
  focal_x = _focal(camera, "x", size[0], place)
  focal_y = (_focal(camera, "y", size[1], place)
             if {"fl_y", "camera_angle_y"} & set(camera) else focal_x)
  centre = [number(camera, key, place, extent / 2)
            for key, extent in zip(("cx", "cy"), size, strict=True)]
  terms = FISHEYE_TERMS if fisheye else DISTORTION
  lens = [number(camera, key, place, 0.0) for key in terms]
  return np.array([focal_x, focal_y, *centre, *lens]), size


def _focal(camera: Mapping[str, Any], axis: str, extent: float, place: str) -> float:
  """Focal length in pixels from `fl_x`, else from the angle `camera_angle_x`."""
  length, angle = f"fl_{axis}", f"camera_angle_{axis}"
  if length in camera:
    focal = number(camera, length, place)
    if not focal > 0:
      raise InputError(f"{place}: {length} is {focal:g}; a focal length is above 0")
    return focal
  if angle not in camera:
    raise InputError(f"{place}: has no focal length; give {length} or {angle}, in the "
                     "frame or for all of them")
  radians = number(camera, angle, place)
  if not 0 < radians < math.pi:
    raise InputError(f"{place}: {angle} is {radians:g}; give radians between 0 and pi")
  return extent / 2 / math.tan(radians / 2)


def number(camera: Mapping[str, Any], key: str, place: str,
           default: float | None = None) -> float:
  """The finite number under `key`; `InputError`, naming the place, for anything else."""
  value = camera.get(key, default)
  is_number = isinstance(value, int | float) and not isinstance(value, bool)
  if not is_number or not -sys.float_info.max <= value <= sys.float_info.max:
    raise InputError(f"{place}: {key} is {value!r}; give a finite number")
  return float(value)
