"""ScanNet as its exporter (SensReader) writes a scan.

    color/<i>.jpg           colour, 1296x968
    pose/<i>.txt            4x4 camera-to-world, OpenCV axes, metres; where tracking was
                            lost all of it is -inf
    intrinsic/              intrinsic_color.txt, intrinsic_depth.txt: 4x4 each;
                            extrinsic_color.txt, extrinsic_depth.txt: the identity
    depth/<i>.png           optional; 16-bit millimetres, 0 = none, 640x480
    label-filt/<i>.png      optional; raw label ids at colour's size, 0 = void
    instance-filt/<i>.png   optional; instance ids

Labels may also lie where their archives unpack, `<scene>_2d-label-filt/label-filt/`, or
be the unfiltered `label/` and `instance/`; `scannet_labels` turns their ids to NYU40's.

Pixel centres are at integers: SensReader itself projects column and row as they are,
and the depth camera's nominal principal point of 640 pixels is 319.5. (Colour's 647.75
is the 1295.5 of 2592 pixels, halved: a quarter of a pixel that the files do not tell
from calibration, and that stays.) Colour and depth share one place and its axes, so
depth is looked up along the rays of colour's pixels, see `registration`.
"""

from __future__ import annotations

from collections.abc import Mapping
import functools
import pathlib

import numpy as np

from jnerf.errors import InputError
from jnerf.geometry import cameras
from jnerf.scenes import images
from jnerf.scenes.formats import scannet_labels
from jnerf.scenes.formats.capture import Capture, Wishes, read_capture
from jnerf.scenes.formats.numbered import numbered_files
from jnerf.scenes.formats.registration import registered
from jnerf.scenes.formats.upright import stored_size
from jnerf.structs import Scene

FOLDERS = ("color", "pose", "intrinsic")
IDENTITY_TOLERANCE = 1e-3  # of extrinsics, in metres and radians


def is_scannet(path: str | pathlib.Path) -> bool:
  """Whether the folder `path` has the three parts that the layout cannot lack."""
  return all((pathlib.Path(path) / folder).is_dir() for folder in FOLDERS)


def load_scannet(path: str | pathlib.Path, wishes: Wishes = Wishes()) -> Scene:
  """Reads the scan in folder `path`, see `capture.read_capture`.

  Frames whose pose was lost are left out and counted; frames without colour or pose
  file too, unless `wishes.strict`.
  """
  root = pathlib.Path(path)
  by_kind = {"color": numbered_files(root / "color"),
             "pose": numbered_files(root / "pose", suffixes=(".txt",))}
  if (root / "depth").is_dir():
    by_kind["depth"] = numbered_files(root / "depth")
  numbers, notes = _complete(root, by_kind, wishes.strict)
  poses = np.stack([read_matrix(by_kind["pose"][number]) for number in numbers])
  tracked = ~np.isneginf(poses).any(axis=(1, 2))
  if not tracked.any():
    raise InputError(f"{root / 'pose'}: all {len(poses)} poses are lost (-inf); export "
                     "the scan again")
  if not tracked.all():
    notes.append(f"{(~tracked).sum()} frames with a lost pose (-inf) left out")
  numbers, poses = np.array(numbers)[tracked].tolist(), poses[tracked]

  paths = [by_kind["color"][number] for number in numbers]
  size = stored_size(paths[0])
  camera = _camera(root, "color", size)
  layers, layer_notes = _labels(root, numbers)
  depth = _of(numbers, by_kind.get("depth", {}))
  if depth:
    read_depth, note = _depth_reader(root, next(iter(depth.values())), camera, size)
    layers.update(depth=depth, read_depth=read_depth)
    layer_notes = [note, *layer_notes]
  scene = read_capture(Capture(
      layout="ScanNet", root=root, paths=paths,
      places=[str(by_kind["pose"][number]) for number in numbers], poses=poses,
      intrinsics=np.tile(camera, (len(paths), 1)), size=size,
      notes=["poses camera-to-world with OpenCV axes", "integer pixel centres", *notes,
             *layer_notes], **layers), wishes)
  return scannet_labels.to_nyu40(scene, root)


def read_matrix(path: pathlib.Path) -> np.ndarray:
  """`[4, 4]` float64 of a text file with 16 numbers, finite or not."""
  try:
    # What Windows prints for -inf; the exporter ran there too.
    words = path.read_text(encoding="utf-8-sig").replace("-1.#INF", "-inf").split()
  except (OSError, UnicodeDecodeError) as error:
    raise InputError(f"{path}: cannot be read ({error}); it must hold a 4x4 matrix"
                     ) from None
  try:
    return np.array([float(word) for word in words]).reshape(4, 4)
  except ValueError:
    raise InputError(f"{path}: holds no 4x4 matrix of numbers; export the scan again, or "
                     "remove this frame's files") from None


def _complete(root: pathlib.Path, by_kind: Mapping[str, Mapping[int, pathlib.Path]],
              strict: bool) -> tuple[list[int], list[str]]:
  """`(numbers of the frames that have colour and pose, notes on what is missing)`."""
  numbers, notes = sorted(set().union(*by_kind.values())), []
  complete = [number for number in numbers
              if number in by_kind["color"] and number in by_kind["pose"]]
  if not complete:
    raise InputError(f"{root}: no frame has both color/<i>.jpg and pose/<i>.txt; export "
                     "the scan again")
  for folder, files in by_kind.items():
    missing = [number for number in numbers if number not in files]
    if missing and strict:
      raise InputError(f"{root / folder}: has no file of frame {missing[0]} "
                       f"({len(missing)} of {len(numbers)} are missing); restore it, or "
                       "remove the frame's other files")
    if missing:
      names = ", ".join(map(str, missing[:3])) + (", ..." if len(missing) > 3 else "")
      left_out = "" if folder == "depth" else " left out"
      notes.append(f"{len(missing)} frames without {folder}{left_out} ({names})")
  return complete, notes


def _of(numbers: list[int], files: Mapping[int, pathlib.Path]) -> dict:
  """View to file, of the views that have one."""
  return {view: files[number] for view, number in enumerate(numbers) if number in files}


def _labels(root: pathlib.Path, numbers: list[int]) -> tuple[dict, list[str]]:
  """`(files of Capture's semantic and instance, notes)`."""
  layers, notes = {}, []
  for layer, name in (("semantic", "label"), ("instance", "instance")):
    for folder in (f"{name}-filt", name):
      places = [root / folder, *sorted(root.glob(f"*_2d-{folder}/{folder}"))]
      place = next((place for place in places if place.is_dir()), None)
      if place:
        layers[layer] = _of(numbers, numbered_files(place))
        notes.append(f"{layer} of {len(layers[layer])} frames in {place.name}")
        break
  return layers, notes


def _camera(root: pathlib.Path, kind: str, size: tuple[int, int]) -> np.ndarray:
  """`[4]` intrinsics of the colour or depth camera, whose pictures have `size`."""
  path = root / "intrinsic" / f"intrinsic_{kind}.txt"
  matrix = read_matrix(path)
  fx, fy, cx, cy = row = matrix[[0, 1, 0, 1], [0, 1, 2, 2]]
  plain = np.eye(4)
  plain[[0, 1, 0, 1], [0, 1, 2, 2]] = row
  if not (np.isfinite(row).all() and min(fx, fy) > 0 and (matrix == plain).all()):
    raise InputError(f"{path}: is no camera; it must read fx 0 cx 0, 0 fy cy 0, 0 0 1 0, "
                     "0 0 0 1 with focal lengths above 0")
  if not all(1 / 3 < centre / extent < 2 / 3
             for centre, extent in zip((cx, cy), size, strict=True)):
    raise InputError(f"{path}: has the principal point {cx:g}, {cy:g}, far from the "
                     f"middle of {size[0]}x{size[1]} pixels; were the images resized? "
                     "give intrinsics for this size")
  return cameras.from_integer_centres(row)


def _depth_reader(root: pathlib.Path, first: pathlib.Path, camera: np.ndarray,
                  size: tuple[int, int]) -> tuple[functools.partial, str]:
  """`(reader of depth files as pictures of the colour camera, a note on it)`."""
  for kind in ("color", "depth"):
    path = root / "intrinsic" / f"extrinsic_{kind}.txt"
    if path.exists() and not (np.abs(read_matrix(path) - np.eye(4))
                              <= IDENTITY_TOLERANCE).all():
      raise InputError(f"{path}: is not the identity, so depth was seen from elsewhere "
                       "than colour; register depth to colour, or move depth/ away")
  its_size = images.image_size(first)
  its_camera = _camera(root, "depth", its_size)
  reader = functools.partial(_read_depth, its_size=its_size, its_camera=its_camera,
                             camera=camera, size=size)
  same = its_size == size and np.array_equal(its_camera, camera)
  return reader, "depth in millimetres" + (
      "" if same else f", {its_size[0]}x{its_size[1]} looked up along colour's rays")


def _read_depth(path: pathlib.Path, its_size: tuple[int, int], its_camera: np.ndarray,
                camera: np.ndarray, size: tuple[int, int]) -> np.ndarray:
  depth = images.read_depth(path)
  images.check_size(path, depth, its_size, "the first depth image")
  return registered(depth, its_camera, camera, size)
