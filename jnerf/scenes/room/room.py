"""The procedural room: a furnished scene with exact labels and no download.

Depth and labels of a pixel are those of the surface that its centre sees,
computed in closed form. Colour is anti-aliased: where a pixel differs from a
neighbour it is the mean of 2 x 2 rays. The same seed gives the same arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses

import numpy as np

from jnerf.geometry import cameras
from jnerf.geometry.poses import look_at
from jnerf.scenes.room import raycast, room_layout, room_light
from jnerf.settings import setting
from jnerf.structs import Scene

HFOV = 82.0  # degrees
MIN_CLEARANCE = 0.4  # metres between a camera and anything

# Where cameras walk: share of the views, half axes of an ellipse around the
# room's middle, height, first and last angle in degrees, and the point looked
# at: `reach` times the camera's own x and y, at height `target`.
_WALKS = (
    # share, half_x, half_y, height, start, stop, reach, target
    (0.14, 1.95, 1.50, 1.70, 198.0, 252.0, -0.30, 1.00),  # sees nearly all
    (0.22, 1.75, 1.30, 1.75, 0.0, 360.0, -0.45, 0.65),
    (0.20, 1.90, 1.40, 1.40, 0.0, 360.0, -0.35, 0.80),
    (0.14, 1.85, 1.35, 1.00, 0.0, 360.0, -0.25, 0.65),
    (0.16, 0.80, 0.60, 1.55, 0.0, 360.0, 2.60, 0.80),  # outwards
    (0.12, 1.60, 1.20, 1.45, 0.0, 360.0, -0.60, 1.70),  # upwards
)
_AMBIENT = np.array([0.16, 0.16, 0.165])  # light that comes from everywhere
_CONTRAST = 0.1  # colour step between neighbours that asks for more rays


@dataclasses.dataclass(frozen=True)
class RoomSettings:
  """Of the procedural room."""

  seed: int = setting(0, "of its furniture, textures and cameras", at_least=0)
  width: int = setting(160, "pixels", at_least=8)
  height: int = setting(120, "pixels", at_least=8)
  num_train: int = setting(96, "training views", at_least=1)
  num_test: int = setting(24, "test views", at_least=1)


def make_room(*, width: int = 160, height: int = 120, num_train: int = 96,
              num_test: int = 24, seed: int = 0) -> Scene:
  """Renders the room.

  Args:
    width, height: image size in pixels.
    num_train, num_test: counts of views; the test views are spread evenly
      among the training views along the cameras' way.
    seed: of the layout, the textures and the cameras.

  Returns:
    A `Scene` in metres, z up, with depth, classes and instances.
  """
  parts, lights = room_layout.furnish(seed)
  shapes = [part.shape for part in parts]
  lightmaps = room_light.bake(
      shapes, lights, [part.shape for part in parts if part.opaque], _AMBIENT)
  num_views = num_train + num_test
  poses = camera_poses(num_views, shapes, seed)
  intrinsics = cameras.pinhole_from_fov(width, height, HFOV)
  views = [render_view(pose, intrinsics, (width, height), parts, lightmaps)
           for pose in poses]
  images, depth, semantic, instance = (np.stack(maps) for maps in zip(*views))
  test = ((np.arange(num_test) + 0.5) * num_views / max(num_test, 1)).astype(np.int64)
  distance = depth * cameras.distance_per_depth(intrinsics, (width, height))
  half = np.array([room_layout.SIZE[0] / 2, room_layout.SIZE[1] / 2, 0.0])
  return Scene(
      name="room",
      frames=tuple(f"rgb_{i}" for i in range(num_views)),
      images=images,
      cam_to_world=poses,
      intrinsics=np.tile(intrinsics, (num_views, 1)),
      full_size=(width, height),
      near=float(0.9 * distance.min()),
      far=float(1.05 * distance.max()),
      bounds=np.stack([-half, half + [0.0, 0.0, room_layout.SIZE[2]]])
      + 0.05 * np.array([[-1.0], [1.0]]),
      train=np.setdiff1d(np.arange(num_views), test),
      test=test,
      depth=depth,
      semantic=semantic,
      instance=instance,
      class_names=dict(room_layout.CLASS_NAMES),
      source=f"procedural room, seed {seed}, metres, z up",
  )


def camera_poses(num_views: int, shapes: Sequence[raycast.Shape],
                 seed: int) -> np.ndarray:
  """`[num_views, 4, 4]` poses along the walks, jittered, clear of `shapes`."""
  generator = np.random.default_rng([seed, 1])
  edges = np.cumsum([0.0] + [walk[0] for walk in _WALKS])
  poses = []
  for i in range(num_views):
    place = (i + 0.5) / num_views * edges[-1]
    walk = min(np.searchsorted(edges, place, side="right") - 1, len(_WALKS) - 1)
    along = (place - edges[walk]) / _WALKS[walk][0]
    poses.append(_clear_pose(generator, along, _WALKS[walk][1:], shapes))
  return np.stack(poses)


def _clear_pose(generator, along, walk, shapes) -> np.ndarray:
  """One pose at `along` (0..1) of a walk; drawn again until it is clear."""
  half_x, half_y, eye_z, start, stop, reach, target_z = walk
  angle = np.radians(start + along * (stop - start))
  on_ellipse = np.array([half_x * np.cos(angle), half_y * np.sin(angle)])
  spread = 0.06
  while True:
    eye = np.array([*on_ellipse, eye_z]) + generator.normal(0.0, spread, size=3)
    target = np.array([*(reach * on_ellipse), target_z])
    target += generator.normal(0.0, 0.15, size=3)
    if raycast.clearance(eye, shapes) >= MIN_CLEARANCE:
      return look_at(eye, target)
    spread *= 1.05  # a walk that leads through something goes around it


def render_view(pose: np.ndarray, intrinsics: np.ndarray, size: tuple[int, int],
                parts: Sequence[room_layout.Part],
                lightmaps: Sequence[room_light.Lightmap]):
  """One view: `(image [H, W, 3], depth, semantic, instance [H, W])`."""
  centres = cameras.pixel_centres(*size).astype(np.float64)
  shape = centres.shape[:2]
  color, distance, index = _look(
      pose, intrinsics, centres.reshape(-1, 2), parts, lightmaps)
  rows = np.flatnonzero(_needs_more_rays(_encode(color).reshape(*shape, 3)))
  offsets = np.array([[-0.25, -0.25], [0.25, -0.25], [-0.25, 0.25], [0.25, 0.25]])
  finer = (centres.reshape(-1, 2)[rows, None] + offsets).reshape(-1, 2)
  color[rows] = _look(pose, intrinsics, finer, parts, lightmaps)[0].reshape(
      -1, len(offsets), 3).mean(1)
  depth = distance.reshape(shape) / cameras.distance_per_depth(intrinsics, size)
  classes, instances = (np.array([getattr(part, name) for part in parts], np.int32)
                        for name in ("class_id", "instance"))
  return (_encode(color).reshape(*shape, 3).astype(np.float32),
          depth.astype(np.float32), classes[index].reshape(shape),
          instances[index].reshape(shape))


def _needs_more_rays(image) -> np.ndarray:
  """`[H, W]` whether a pixel differs from one of its four neighbours."""
  mask = np.zeros(image.shape[:2], bool)
  for axis in (0, 1):
    differs = np.abs(np.diff(image, axis=axis)).max(-1) > _CONTRAST
    before, after = [[0, 0], [0, 0]], [[0, 0], [0, 0]]
    before[axis], after[axis] = [1, 0], [0, 1]
    mask |= np.pad(differs, before) | np.pad(differs, after)
  return mask


def _look(pose, intrinsics, xy, parts, lightmaps):
  """Linear colour, distance and part index along rays through `xy [N, 2]`."""
  directions = cameras.pixel_directions(
      xy, np.broadcast_to(intrinsics, (len(xy), 4)), np) @ pose[:3, :3].T
  directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
  origin = pose[:3, 3]
  distance, index = raycast.cast(origin, directions, [part.shape for part in parts])
  points = origin + distance[:, None] * directions
  return _shade(points, index, parts, lightmaps), distance, index


def _shade(points, index, parts, lightmaps) -> np.ndarray:
  """`[N, 3]` linear colour at surface points of the parts `index [N]`."""
  color = np.empty(points.shape, np.float32)
  for i in np.unique(index):
    rows, part = np.flatnonzero(index == i), parts[i]
    local = part.shape.to_local(points[rows]).astype(np.float32)
    light = lightmaps[i].irradiance(part.shape, local)
    color[rows] = part.material.texture(local) * (light + part.material.emission)
  return color


def _encode(color) -> np.ndarray:
  """Linear colour to sRGB in [0, 1], bright light rolled off."""
  color = np.where(color < 0.6, color, 0.6 + 0.4 * np.tanh((color - 0.6) / 0.4))
  return np.where(color <= 0.0031308, 12.92 * color,
                  1.055 * np.maximum(color, 1e-9) ** (1 / 2.4) - 0.055)
