"""NICE-SLAM's rendering of Replica, and what others record in its layout.

    results/frame000000.jpg    colour; the number is the line of traj.txt, from 0
    results/depth000000.png    optional; 16-bit, cam_params.json says in which unit
    traj.txt                   camera-to-world poses, OpenCV axes
    cam_params.json            here or in the folder above:
        {"camera": {"w": 1200, "h": 680, "fx": 600.0, "fy": 600.0, "cx": 599.5,
                    "cy": 339.5, "scale": 6553.5}}

`scale` is what a depth of one metre is stored as. Pixel centres are at integers: the
middle of 1200 pixels is 599.5. Without cam_params.json images of 1200x680 are taken to
be Replica's own and have the camera above.
"""

from __future__ import annotations

import functools
import pathlib

import numpy as np

from jnerf.errors import InputError
from jnerf.files import read_json_object
from jnerf.geometry import cameras
from jnerf.scenes import images
from jnerf.scenes.formats import trajectory
from jnerf.scenes.formats.capture import Capture, Wishes, present, read_capture
from jnerf.scenes.formats.numbered import numbered_files
from jnerf.scenes.formats.upright import stored_size
from jnerf.structs import Scene

FOLDER, TRAJECTORY, PARAMETERS = "results", "traj.txt", "cam_params.json"
REPLICA = {"w": 1200, "h": 680, "fx": 600.0, "fy": 600.0, "cx": 599.5, "cy": 339.5,
           "scale": 6553.5}


def is_nice_slam(path: str | pathlib.Path) -> bool:
  """Whether the folder `path` has the two parts that the layout cannot lack."""
  root = pathlib.Path(path)
  return (root / FOLDER).is_dir() and (root / TRAJECTORY).is_file()


def load_nice_slam(path: str | pathlib.Path, wishes: Wishes = Wishes()) -> Scene:
  """Reads the capture in folder `path`, see `capture.read_capture`."""
  root = pathlib.Path(path)
  poses, places = trajectory.read_trajectory(root / TRAJECTORY)
  files = numbered_files(root / FOLDER, ("frame",))
  if not files:
    raise InputError(f"{root / FOLDER}: holds no image named frame<number>.jpg or .png")
  if max(files) >= len(poses):
    raise InputError(f"{root / TRAJECTORY}: has {len(poses)} poses, and so none for "
                     f"{files[max(files)].name}; give one line per frame, the first for "
                     "frame 0")
  paths = [files.get(number, root / FOLDER / f"frame{number:06}.jpg")
           for number in range(len(poses))]
  numbers, notes = present(paths, places, wishes.strict)
  depth = numbered_files(root / FOLDER, ("depth",))
  depth = {view: depth[number] for view, number in enumerate(numbers) if number in depth}
  size = stored_size(paths[numbers[0]])
  intrinsics, its_size, scale, origin = _camera(root, size)
  if depth:
    notes = [f"depth of {len(depth)} frames, {scale:g} to a metre", *notes]
  return read_capture(Capture(
      layout="NICE-SLAM", root=root, paths=[paths[number] for number in numbers],
      places=[f"{places[number]} ({paths[number].name})" for number in numbers],
      poses=poses[numbers], intrinsics=np.tile(intrinsics, (len(numbers), 1)),
      sizes=[its_size] * len(numbers), size_from=f"w x h in {PARAMETERS}", size=size,
      depth=depth,
      read_depth=functools.partial(images.read_depth, units_per_metre=scale),
      notes=["poses camera-to-world with OpenCV axes", origin, *notes]), wishes)


def _camera(root: pathlib.Path, size: tuple[int, int],
            ) -> tuple[np.ndarray, tuple[float, float], float, str]:
  """`([4] intrinsics, the size they are for, depth units per metre, where all is from)`.

  size: of the images.
  """
  for file in (root / PARAMETERS, root.resolve().parent / PARAMETERS):
    if file.is_file():
      camera, place = read_json_object(file).get("camera"), f"{file}: camera"
      origin = f"camera from {file} (integer pixel centres)"
      break
  else:
    camera, place = REPLICA, f"{root}: Replica's own camera"
    origin = f"no {PARAMETERS}, so Replica's own camera"
    if size != (REPLICA["w"], REPLICA["h"]):
      raise InputError(f"{root / PARAMETERS}: is not there, nor in the folder above, and "
                       f"images of {size[0]}x{size[1]} are not Replica's own; put one "
                       "there with w, h, fx, fy, cx, cy and scale")
  if not isinstance(camera, dict):
    raise InputError(f"{place} must be an object with {', '.join(REPLICA)}")
  values = {key: camera.get(key) for key in REPLICA}
  for key, value in values.items():
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not abs(value) < 1e9 or (key not in ("cx", "cy") and value <= 0):
      above = "" if key in ("cx", "cy") else " above 0"
      raise InputError(f"{place}.{key} is {value!r}; give a finite number{above}")
  row = cameras.from_integer_centres([values[key] for key in ("fx", "fy", "cx", "cy")])
  return row, (values["w"], values["h"]), float(values["scale"]), origin
