"""Writes a tiny forward-facing capture in LLFF's layout, rendered from three walls."""

import pathlib

import numpy as np
from PIL import Image

from jnerf.geometry import cameras
from jnerf.geometry.poses import look_at

# Depth along y, half width, half height of walls across the view, the nearest first.
WALLS = ((2.0, 0.5, 0.4), (4.0, 1.2, 2.5), (30.0, 1e9, 1e9))


def poses(num: int, spread: float = 0.4, seed: int = 0) -> np.ndarray:
  """`[num, 4, 4]` OpenCV poses around the origin that look about along y."""
  eyes = spread * np.random.default_rng(seed).uniform(-1, 1, (num, 3)) * [1, 0.2, 0.7]
  return np.stack([look_at(eye, [0.2 * eye[0], 5, 0.2 * eye[2]]) for eye in eyes])


def photo(pose: np.ndarray, size: tuple[int, int], focal: float) -> np.ndarray:
  """`[H, W, 3]` uint8: what a camera sees of the walls, 3 x 3 rays a pixel."""
  fine = 3
  intrinsics = fine * np.array([focal, focal, size[0] / 2, size[1] / 2])
  rays = cameras.view_rays(pose, intrinsics, (fine * size[0], fine * size[1]), 0.1, 1.0)
  color = np.zeros((len(rays.origins), 3))
  for i, (depth, half_x, half_z) in reversed(list(enumerate(WALLS))):
    t = (depth - rays.origins[:, 1]) / rays.directions[:, 1]
    points = rays.origins + t[:, None] * rays.directions
    hit = (np.abs(points[:, 0]) < half_x) & (np.abs(points[:, 2]) < half_z)
    waves = 6.0 / depth * points[:, [0, 2, 0]] + np.array([i, 2 * i, 0])
    own = 0.5 + 0.25 * np.sin(waves) + 0.2 * np.sin(4 * waves[:, ::-1] + 1)
    color = np.where(hit[:, None], own * np.roll([1, 0.8, 0.5], i), color)
  color = color.reshape(size[1], fine, size[0], fine, 3).mean(axis=(1, 3))
  return np.round(255 * color).astype(np.uint8)


def rows(poses: np.ndarray, size: tuple[int, int], focal: float, near=1.5, far=35.0):
  """`[V, 17]` as poses_bounds.npy holds it: axes down, right, backward."""
  right, down, forward, centre = np.moveaxis(poses[:, :3], 2, 0)
  last = np.tile([size[1], size[0], focal], (len(poses), 1))
  matrices = np.stack([down, right, -forward, centre, last], axis=-1)
  depths = np.tile([near, far], (len(poses), 1))
  return np.concatenate([matrices.reshape(-1, 15), depths], axis=1)


def write(root: pathlib.Path, num: int = 9, size=(16, 12), focal: float = 15.0,
          factor: int = 1) -> pathlib.Path:
  """Writes poses_bounds.npy and the images, which may be copies `factor` smaller."""
  folder = root / ("images" if factor == 1 else f"images_{factor}")
  folder.mkdir(parents=True)
  some = poses(num)
  for i, pose in enumerate(some):
    Image.fromarray(photo(pose, size, focal)).save(folder / f"IMG_{i:03}.png")
  full = (factor * size[0], factor * size[1])
  np.save(root / "poses_bounds.npy", rows(some, full, factor * focal))
  return root
