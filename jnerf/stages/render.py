"""The mode `render`: a camera path through a field, as PNG frames."""

from __future__ import annotations

import pathlib

from ml_collections import ConfigDict
import numpy as np

from jnerf.files import write_png
from jnerf.geometry import cameras
from jnerf.runs import parts
from jnerf.runs.checks import check
from jnerf.runs.loading import check_trained, load_field, load_scene
from jnerf.runs.run import STAGE_OF_FIELD, TRAINED, Run
from jnerf.structs import Scene
from jnerf.training.progress import over_views
from jnerf.viewing.camera_path import interpolate_path, orbit_path
from jnerf.viewing.images import depth_image, depth_range, to_uint8


def render(run: Run) -> str:
  """Renders a camera path."""
  check_trained(run, STAGE_OF_FIELD[run.config.render.field])
  scene = load_scene(run)
  check(run, scene, (), TRAINED)
  with run.workdir.lock():
    return f"frames: {render_stage(run, scene)}"


def render_stage(run: Run, scene: Scene) -> pathlib.Path:
  """Renders the config's path: `rgb_<i>.png` and `depth_<i>.png`; returns the folder.

  `orbit` and `interpolate` generate views; `test` and `train` take the capture's.
  """
  settings = run.config.render
  field = load_field(run, scene, STAGE_OF_FIELD[settings.field])
  renderer = parts.renderer_of(run.config, field.model, field.background)
  folder = run.workdir.folder("renders", f"{settings.field}-{settings.path}")
  width, height = scene.size
  span = None
  for i, (pose, intrinsics) in enumerate(
      over_views(path_cameras(run.config, scene), "render")):
    rays = cameras.view_rays(pose, intrinsics, scene.size, scene.near, scene.far)
    rgb, distance = renderer.colors(field.params, rays)
    depth = distance.reshape(height, width) / cameras.distance_per_depth(
        intrinsics, scene.size)
    # One range for all frames: the same colour is the same depth throughout.
    span = depth_range(depth) if span is None else span
    write_png(folder / f"rgb_{i:04d}.png", to_uint8(rgb.reshape(height, width, 3)))
    write_png(folder / f"depth_{i:04d}.png", depth_image(depth, *span))
  return folder


def path_cameras(config: ConfigDict,
                 scene: Scene) -> list[tuple[np.ndarray, np.ndarray]]:
  """Poses `[4, 4]` and intrinsics of the config's path, frame by frame.

  A path that is made up is filmed through the first view's pinhole, without its
  lens: nothing would show what a bent picture of it is to be compared with.
  """
  settings = config.render
  if settings.path in ("test", "train"):
    chosen = scene.test if settings.path == "test" else scene.train
    return list(zip(scene.cam_to_world[chosen], scene.intrinsics[chosen], strict=True))
  make = {"orbit": orbit_path, "interpolate": interpolate_path}[settings.path]
  poses = make(scene.cam_to_world[scene.train], settings.num_frames)
  return [(pose, scene.intrinsics[0, :4]) for pose in poses]
