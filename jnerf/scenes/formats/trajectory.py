"""Camera poses as a text file: one flattened 4x4 matrix a line.

Poses map camera to world with OpenCV axes, as everywhere in jnerf.
"""

from __future__ import annotations

from collections.abc import Sequence
import pathlib

import numpy as np

from jnerf.errors import InputError

RIGID_TOLERANCE = 1e-3  # of R^T R against the identity; files round their digits
FARTHEST = 1e9  # larger places are damage: no square may overflow, nor single precision


def read_trajectory(path: str | pathlib.Path) -> tuple[np.ndarray, list[str]]:
  """`(poses [V, 4, 4] float64, places)`; a place names the file and the line.

  Empty lines are passed over. Raises `InputError` for a line that does not hold
  16 numbers; whether the matrices are poses is for `check_rigid` to say.
  """
  try:
    lines = pathlib.Path(path).read_text(encoding="utf-8-sig").splitlines()
  except (OSError, UnicodeDecodeError) as error:
    raise InputError(f"{path}: cannot be read ({error}); it must hold one flattened "
                     "4x4 camera-to-world pose per line") from None
  poses, places = [], []
  for number, line in enumerate(lines, start=1):
    if not line.strip():
      continue
    place = f"{path} line {number}"
    try:
      poses.append([float(word) for word in line.split()])
    except ValueError:
      raise InputError(f"{place}: holds something that is no number") from None
    if len(poses[-1]) != 16:
      raise InputError(f"{place}: has {len(poses[-1])} numbers instead of the 16 of a "
                       "flattened 4x4 pose")
    places.append(place)
  return np.array(poses, np.float64).reshape(-1, 4, 4), places


def check_rigid(poses: np.ndarray, places: Sequence[str]) -> None:
  """Raises `InputError`, naming the place, at the first pose that is not rigid.

  poses: `[V, 4, 4]`; places: V strings that say where each pose came from.
  """
  for pose, place in zip(poses, places, strict=True):
    fault = _fault(pose)
    if fault:
      raise InputError(f"{place}: {fault}; give rigid camera-to-world poses")


def _fault(pose: np.ndarray) -> str:
  """What keeps `pose [4, 4]` from being rigid; empty where nothing does."""
  if not (np.abs(pose) < FARTHEST).all():
    return f"the pose holds a number that is not finite, or beyond {FARTHEST:g}"
  if np.abs(pose[3] - [0, 0, 0, 1]).max() > RIGID_TOLERANCE:
    return "the pose's last row is not 0 0 0 1"
  rotation = pose[:3, :3]
  error = np.abs(rotation.T @ rotation - np.eye(3)).max()
  if error > RIGID_TOLERANCE:
    return f"the pose's rotation is not orthonormal (off by {error:.2g})"
  if np.linalg.det(rotation) < 0:
    return "the pose mirrors (its determinant is negative)"
  return ""
