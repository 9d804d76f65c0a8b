"""Writes a tiny capture in the Replica layout, for tests to read and to damage.

Cameras stand in a row along x, one every 0.1 m, and look along z at a wall
that is 2 m away: class 1 on its left half, class 2 on its right, void on top.
"""

import json
import pathlib

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 12, 8
WALL = 2.0  # metres
STEP = 0.1


def write(root: pathlib.Path, num: int = 6, layers: bool = True,
          info: dict | None = None, name="rgb_{}.png", seed: int = 0) -> pathlib.Path:
  """Writes `num` frames below `root` and returns it."""
  rng = np.random.default_rng(seed)
  (root / "rgb").mkdir(parents=True)
  for i in range(num):
    save(root / "rgb" / name.format(i),
         rng.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8))
  if layers:
    labels = np.where(np.arange(WIDTH) < WIDTH // 2, 1, 2)
    labels = np.tile(labels, (HEIGHT, 1))
    labels[0] = 0
    for i in range(num):
      for folder, values in (
          ("depth", np.full((HEIGHT, WIDTH), 1000 * WALL, np.uint16)),
          ("semantic_class", labels.astype(np.uint8)),
          ("semantic_instance", (300 * labels).astype(np.uint16))):
        (root / folder).mkdir(exist_ok=True)
        save(root / folder / f"{folder}_{i}.png", values)
  write_poses(root, poses(num))
  if info is not None:
    (root / "info.json").write_text(json.dumps(info))
  return root


def poses(num: int) -> np.ndarray:
  """`[num, 4, 4]`."""
  result = np.tile(np.eye(4), (num, 1, 1))
  result[:, 0, 3] = STEP * np.arange(num)
  return result


def write_poses(root: pathlib.Path, values: np.ndarray) -> None:
  lines = [" ".join(f"{x:.9f}" for x in pose.reshape(-1)) for pose in values]
  (root / "traj_w_c.txt").write_text("\n".join(lines) + "\n")


def save(path: pathlib.Path, array: np.ndarray) -> None:
  Image.fromarray(array).save(path)
