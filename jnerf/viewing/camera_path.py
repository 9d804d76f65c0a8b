"""Camera paths for films: an orbit around what the cameras look at, or a flight.

Poses are `[M, 4, 4]` float64 camera-to-world, OpenCV axes, exactly rigid.
"""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicHermiteSpline
from scipy.spatial.transform import Rotation, RotationSpline

from jnerf.geometry.poses import focus_point, look_at

_MAX_KEYS = 16  # poses that a flight through training cameras passes
_INWARD_COSINE = 0.75  # median, camera axis against the way to the focus: 41 deg
_OPEN_GAP = 2 * np.pi / 3  # a wider gap around the focus: swing, do not circle


def up_direction(cam_to_world: np.ndarray) -> np.ndarray:
  """`[3]` unit vector that the cameras hold upright, whatever they look at.

  Cameras without roll keep their x axes level, so up is across all of them; the
  mean of the cameras' own up alone would lean where all look down from one side.
  """
  level, own = cam_to_world[:, :3, 0], -cam_to_world[:, :3, 1].mean(axis=0)
  own /= max(np.linalg.norm(own), 1e-12)
  # The small term decides where all x axes are parallel.
  spread = level.T @ level / len(level) + 1e-4 * (np.eye(3) - np.outer(own, own))
  up = np.linalg.eigh(spread)[1][:, 0]
  return up if up @ own >= 0 else -up


def orbit_path(cam_to_world: np.ndarray, num_frames: int) -> np.ndarray:
  """`[M, 4, 4]`: a closed, smooth round of a capture.

  Cameras that look inward: an ellipse through them, at their mean height over
  the focus point and looking at it; where they cover less than the whole round,
  a swing to and fro over the arc they cover. Cameras that look outward, or along
  one line: a flight through some of the training poses, and back.

  The focus point is `poses.focus_point`, the one that `inspect` draws; where there is
  none, the middle of all optical axes.
  cam_to_world: `[V, 4, 4]` training poses.
  """
  poses = np.asarray(cam_to_world, np.float64)
  focus = focus_point(poses)
  if focus is None:
    focus = _middle_of_axes(poses)
  up = up_direction(poses)
  to_focus = focus - poses[:, :3, 3]
  reach = np.linalg.norm(to_focus, axis=1)
  inward = np.sum(poses[:, :3, 2] * to_focus, axis=1) / np.maximum(reach, 1e-12)
  if np.median(inward) < _INWARD_COSINE:
    return _flight(poses, num_frames)
  offsets = poses[:, :3, 3] - focus
  height = offsets @ up
  axes = _plane_axes(offsets - height[:, None] * up[None], up)
  flat = offsets @ axes.T
  if np.median(np.linalg.norm(flat, axis=1)) < 0.1 * np.median(reach):
    return _flight(poses, num_frames)  # from straight above there is no round
  eyes = focus + _round(flat, num_frames) @ axes + height.mean() * up
  return np.stack([look_at(eye, focus, up) for eye in eyes])


def _middle_of_axes(poses: np.ndarray) -> np.ndarray:
  """`[3]` point with the least squared distance to all optical axes, whatever they are.

  Parallel axes leave it free along them; the one nearest to the cameras' mean position
  is taken.
  """
  origins, forward = poses[:, :3, 3], poses[:, :3, 2]
  across = np.eye(3) - forward[:, :, None] * forward[:, None, :]
  mean = origins.mean(axis=0)
  right = np.einsum("vij,vj->i", across, origins - mean)
  return mean + np.linalg.lstsq(across.sum(axis=0), right, rcond=1e-6)[0]


def _plane_axes(offsets: np.ndarray, up: np.ndarray) -> np.ndarray:
  """`[2, 3]` principal axes of offsets `[V, 3]` in the plane across `up`."""
  first = np.linalg.svd(offsets, full_matrices=False)[2][0]
  first -= (first @ up) * up
  first /= np.linalg.norm(first)
  return np.stack([first, np.cross(up, first)])


def _round(flat: np.ndarray, num_frames: int) -> np.ndarray:
  """`[M, 2]` positions around the origin for cameras at `flat [V, 2]`."""
  phase = np.linspace(0, 2 * np.pi, num_frames, endpoint=False)
  angles = np.sort(np.arctan2(flat[:, 1], flat[:, 0]))
  gaps = np.diff(angles, append=angles[0] + 2 * np.pi)
  if gaps.max() < _OPEN_GAP:
    # A uniformly sampled ellipse has mean square half of its semi-axis squared.
    semi_axes = np.sqrt(2 * np.mean(flat**2, axis=0))
    return np.stack([np.cos(phase), np.sin(phase)], axis=1) * semi_axes[None]
  widest = int(np.argmax(gaps))
  start, span = angles[(widest + 1) % len(angles)], 2 * np.pi - gaps[widest]
  swing = start + span * (1 - np.cos(phase)) / 2
  radius = np.median(np.linalg.norm(flat, axis=1))
  return radius * np.stack([np.cos(swing), np.sin(swing)], axis=1)


def _flight(poses: np.ndarray, num_frames: int) -> np.ndarray:
  """Through up to 16 of the training poses along a short tour, and home."""
  count = min(len(poses), _MAX_KEYS)
  keys = poses[np.linspace(0, len(poses) - 1, count).round().astype(int)]
  keys = keys[_tour(keys)]
  return interpolate_path(np.concatenate([keys, keys[:1]]), num_frames + 1)[:-1]


def _tour(poses: np.ndarray) -> np.ndarray:
  """An order of the poses that goes on to the nearest unvisited one each time."""
  scale = np.ptp(poses[:, :3, 3], axis=0).max() or 1.0
  # A half turn counts like crossing the whole capture.
  separation = (np.linalg.norm(poses[:, None, :3, 3] - poses[None, :, :3, 3],
                               axis=-1) / scale
                + (1 - np.einsum("ik,jk->ij", poses[:, :3, 2],
                                 poses[:, :3, 2])) / 2)
  order, unvisited = [0], set(range(1, len(poses)))
  while unvisited:
    order.append(min(unvisited, key=lambda j: separation[order[-1], j]))
    unvisited.remove(order[-1])
  return np.array(order)


def interpolate_path(poses: np.ndarray, num_frames: int) -> np.ndarray:
  """`[M, 4, 4]`: a smooth flight through `poses [V, 4, 4]`, first to last.

  Positions follow a Catmull-Rom spline, orientations a rotation spline with
  continuous angular velocity (scipy's, after Park and Ravani 1997). Time between
  two poses grows with how far apart they are, so that the flight neither crawls
  nor leaps; repeated poses are passed once.
  """
  poses = np.asarray(poses, np.float64)
  scale = np.ptp(poses[:, :3, 3], axis=0).max() or 1.0
  rotations = Rotation.from_matrix(poses[:, :3, :3])
  turn = (rotations[1:] * rotations[:-1].inv()).magnitude() / np.pi
  move = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1) / scale
  keep = np.concatenate([[True], turn + move > 1e-9])
  poses, rotations = poses[keep], rotations[keep]
  path = np.tile(poses[:1], (num_frames, 1, 1))
  if len(poses) > 1:
    times = np.concatenate([[0.0], np.cumsum((turn + move)[keep[1:]])])
    at = np.linspace(0, times[-1], num_frames)
    path[:, :3, 3] = _catmull_rom(times, poses[:, :3, 3])(at)
    path[:, :3, :3] = RotationSpline(times, rotations)(at).as_matrix()
  else:
    path[:, :3, :3] = rotations.as_matrix()  # nearest rotation, exactly rigid
  path[:, 3] = [0, 0, 0, 1]
  return path


def _catmull_rom(times: np.ndarray, points: np.ndarray) -> CubicHermiteSpline:
  """The cubic whose slope at a point is that of the chord of its neighbours."""
  slopes = np.empty_like(points)
  slopes[1:-1] = (points[2:] - points[:-2]) / (times[2:] - times[:-2])[:, None]
  slopes[0] = (points[1] - points[0]) / (times[1] - times[0])
  slopes[-1] = (points[-1] - points[-2]) / (times[-1] - times[-2])
  return CubicHermiteSpline(times, points, slopes)
