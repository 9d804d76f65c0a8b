"""Writes tiny captures with a COLMAP model, through pycolmap and by hand."""

import pathlib

import numpy as np
import tiny_transforms as tiny

SIZE = tiny.WIDTH, tiny.HEIGHT
OPENCV = "OPENCV", (10.0, 11.0, 6.5, 3.5, 0.05, -0.02, 1e-3, -2e-3)


def names(num: int) -> list[str]:
  return [f"{i:02}.png" for i in range(num)]


def photos(folder: pathlib.Path, some: list[str]) -> None:
  """Writes the picture `tiny.photo(i)` under the i-th name."""
  for i, name in enumerate(some):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    tiny.photo(i).save(folder / name)


def points(num: int) -> np.ndarray:
  return np.random.default_rng(0).normal(size=(num, 3))


def reconstruction(some: list[str], cameras=(OPENCV,), places: np.ndarray | None = None,
                   size=SIZE):
  """A model of `tiny.poses`, one per name; every image sees every one of the `places`.

  cameras: `(model, parameters)`; images take them in turn.
  """
  import pycolmap
  model = pycolmap.Reconstruction()
  for i, (kind, params) in enumerate(cameras, start=1):
    model.add_camera_with_trivial_rig(pycolmap.Camera(
        camera_id=i, model=kind, width=size[0], height=size[1], params=params))
  places = points(5) if places is None else places
  marks = [pycolmap.Point2D(np.array([1.0, 2.0])) for _ in places]
  for i, (name, pose) in enumerate(zip(some, tiny.poses(len(some)), strict=True)):
    model.add_image_with_trivial_frame(
        pycolmap.Image(name=name, points2D=marks, image_id=i + 1,
                       camera_id=i % len(cameras) + 1),
        pycolmap.Rigid3d(pose[:3]).inverse())
  for j, place in enumerate(places):
    track = pycolmap.Track()
    for i in range(len(some)):
      track.add_element(i + 1, j)
    model.add_point3D(place, track, np.zeros(3, np.uint8))
  return model


def write(root: pathlib.Path, num: int = 6, model: str = "sparse/0", binary: bool = True,
          images: str = "images", **how) -> pathlib.Path:
  """Writes photographs and a model below `root`, and returns it."""
  photos(root / images, names(num))
  store(root / model, reconstruction(names(num), **how), binary)
  return root


def store(folder: pathlib.Path, model, binary: bool = True) -> None:
  folder.mkdir(parents=True, exist_ok=True)
  (model.write_binary if binary else model.write_text)(str(folder))


CAMERAS = """# Camera list, as COLMAP's documentation shows it
1 SIMPLE_RADIAL 12 8 10 6.5 3.5 0.05
2 PINHOLE 24 16 20 22 13 7
"""
# Quaternions (w, x, y, z) and translations of world to camera: the first looks along
# the world's z from (0, 0, -3); the second is turned by 90 degrees about y.
IMAGES = """# Image list with two lines of data per image
7 1 0 0 0 0 0 3 1 walk/frame10.png
1.5 2.5 1 3.5 4.5 -1
3 0.7071067811865476 0 0.7071067811865476 0 0.5 0.25 2 2 walk/frame9.png
1.5 2.5 1
"""
POINTS = """# 3D point list
1 0.1 0.2 0.3 255 0 0 0.5 7 0 3 0
"""


def by_hand(root: pathlib.Path) -> pathlib.Path:
  """A text model written without pycolmap, with photographs in a subfolder."""
  folder = root / "sparse"
  folder.mkdir(parents=True)
  for name, text in (("cameras", CAMERAS), ("images", IMAGES), ("points3D", POINTS)):
    (folder / f"{name}.txt").write_text(text)
  photos(root / "images", ["walk/frame9.png", "walk/frame10.png"])
  return root
