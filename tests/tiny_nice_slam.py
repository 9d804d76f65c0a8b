"""Writes a tiny capture as NICE-SLAM's Replica is, for tests to read and to damage.

The cameras stand as in `tiny_replica`, 0.1 m apart, 2 m before a wall.
"""

import json
import pathlib

import numpy as np
from PIL import Image
import tiny_replica

CAMERA = {"w": 12, "h": 8, "fx": 10.0, "fy": 11.0, "cx": 5.5, "cy": 3.75,
          "scale": 6553.5}


def write(root: pathlib.Path, num: int = 6, size=(12, 8), camera: dict | None = CAMERA,
          ) -> pathlib.Path:
  """Writes `num` frames and cam_params.json below `root` and returns it."""
  rng = np.random.default_rng(0)
  (root / "results").mkdir(parents=True)
  for i in range(num):
    Image.fromarray(rng.integers(0, 256, (*size[::-1], 3)).astype(np.uint8)).save(
        root / "results" / f"frame{i:06}.jpg")
    save(root / "results" / f"depth{i:06}.png", np.full(size[::-1], 13107, np.uint16))
  store_poses(root, tiny_replica.poses(num))
  if camera is not None:
    store(root, {"camera": camera})
  return root


def store(folder: pathlib.Path, raw) -> None:
  (folder / "cam_params.json").write_text(json.dumps(raw))


def store_poses(root: pathlib.Path, poses: np.ndarray) -> None:
  np.savetxt(root / "traj.txt", poses.reshape(-1, 16))


def save(path: pathlib.Path, array: np.ndarray) -> None:
  Image.fromarray(array).save(path)
