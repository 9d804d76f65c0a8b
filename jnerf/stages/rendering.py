"""The mode `render`: a camera path through a field, as PNG frames."""

from __future__ import annotations

import pathlib

import numpy as np

from jnerf.files import write_png
from jnerf.geometry import cameras
from jnerf.stages import labels as labels_lib
from jnerf.stages.session import STAGE_OF_FIELD, Session
from jnerf.stages.training import trained_params
from jnerf.training.progress import over_views
from jnerf.viewing.camera_path import interpolate_path, orbit_path
from jnerf.viewing.images import depth_image, depth_range, to_uint8


def render(session: Session) -> pathlib.Path:
  """Renders the config's path: `rgb_<i>.png` and `depth_<i>.png`; returns the folder.

  `orbit` and `interpolate` generate views; `test` and `train` take the capture's.
  """
  settings, scene = session.config.render, session.scene
  params = trained_params(session, STAGE_OF_FIELD[settings.field])
  renderer = labels_lib.view_renderer(session)
  folder = session.workdir.folder("renders", f"{settings.field}-{settings.path}")
  width, height = scene.size
  span = None
  for i, (pose, intrinsics) in enumerate(over_views(path_cameras(session), "render")):
    rays = cameras.view_rays(pose, intrinsics, scene.size, scene.near, scene.far)
    rgb, distance = renderer.map(
        params, rays, lambda chunk: chunk.rendering.rgb,
        lambda chunk: chunk.rendering.distance_median)
    depth = distance.reshape(height, width) / cameras.distance_per_depth(
        intrinsics, scene.size)
    # One range for all frames: the same colour is the same depth throughout.
    span = depth_range(depth) if span is None else span
    write_png(folder / f"rgb_{i:04d}.png", to_uint8(rgb.reshape(height, width, 3)))
    write_png(folder / f"depth_{i:04d}.png", depth_image(depth, *span))
  return folder


def path_cameras(session: Session) -> list[tuple[np.ndarray, np.ndarray]]:
  """Poses `[4, 4]` and intrinsics of the config's path, frame by frame.

  A path that is made up is filmed through the first view's pinhole, without its
  lens: nothing would show what a bent picture of it is to be compared with.
  """
  settings, scene = session.config.render, session.scene
  if settings.path in ("test", "train"):
    chosen = scene.test if settings.path == "test" else scene.train
    return list(zip(scene.cam_to_world[chosen], scene.intrinsics[chosen], strict=True))
  make = {"orbit": orbit_path, "interpolate": interpolate_path}[settings.path]
  poses = make(scene.cam_to_world[scene.train], settings.num_frames)
  return [(pose, scene.intrinsics[0, :4]) for pose in poses]
