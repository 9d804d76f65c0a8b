"""Poses: where a camera stands, what a set of them looks at.

Poses map camera to world with OpenCV axes (x right, y down, z forward), `[4, 4]`.
"""

from __future__ import annotations

import numpy as np


def look_at(eye, target, up=(0.0, 0.0, 1.0)) -> np.ndarray:
  """`[4, 4]` pose at `eye` looking at `target`, world `up` pointing up."""
  eye, target, up = (np.asarray(v, np.float64) for v in (eye, target, up))
  forward = target - eye
  forward /= np.linalg.norm(forward)
  right = np.cross(forward, up)
  right /= np.linalg.norm(right)
  pose = np.eye(4)
  pose[:3, 0], pose[:3, 1], pose[:3, 2] = right, np.cross(forward, right), forward
  pose[:3, 3] = eye
  return pose


def average_pose(cam_to_world: np.ndarray) -> np.ndarray:
  """`[4, 4]` pose amid `cam_to_world [V, 4, 4]`: mean place, mean view, upright.

  As LLFF's `poses_avg`: the forward axis is the mean one, down nearest the mean one.
  """
  mean = cam_to_world.mean(axis=0)
  return look_at(mean[:3, 3], mean[:3, 3] + mean[:3, 2], up=-mean[:3, 1])


def face_one_way(cam_to_world: np.ndarray) -> bool:
  """Whether all optical axes lie within 45 degrees of their mean."""
  forward = cam_to_world[:, :3, 2]
  mean = forward.mean(axis=0)
  return bool((forward @ mean > np.sqrt(0.5) * np.linalg.norm(mean)).all())


def focus_point(cam_to_world: np.ndarray) -> np.ndarray | None:
  """`[3]` point nearest to all optical axes, if it lies in front of the cameras.

  None where the axes are (nearly) parallel, so that no point is nearest, or
  where it is behind a tenth of the cameras, which then look outward.
  """
  centres, forward = cam_to_world[:, :3, 3], cam_to_world[:, :3, 2]
  # Each axis contributes the projector onto the plane across it.
  across = np.eye(3)[None] - forward[:, :, None] * forward[:, None, :]
  normal = across.mean(axis=0)
  if np.linalg.eigvalsh(normal)[0] < 1e-3:
    return None
  focus = np.linalg.solve(normal, np.einsum("vij,vj->i", across, centres) / len(centres))
  in_front = np.einsum("vi,vi->v", focus[None] - centres, forward) > 0
  return focus if in_front.mean() >= 0.9 else None
