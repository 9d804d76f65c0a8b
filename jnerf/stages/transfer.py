"""`propagate` with a saved label session: new photographs, no clicks, no training."""

from __future__ import annotations

import copy
import dataclasses

from ml_collections import ConfigDict

from jnerf.errors import InputError
from jnerf.labeling.assignment import Assignment
from jnerf.labeling.label_session import LabelSession, read_label_session
from jnerf.runs import parts, regions_file
from jnerf.runs.checks import check_method
from jnerf.runs.config import settings_of, validate
from jnerf.runs.labelling import scene_labeler_of
from jnerf.runs.loading import load_field, load_scene
from jnerf.runs.run import Run
from jnerf.shaping.scene_regions import RegionSettings, SceneRegions
from jnerf.stages.label_maps import label_lines, write_views
from jnerf.structs import Scene


def transfer(run: Run) -> str:
  """Labels the photographs of the config's scene, perhaps others than were trained on."""
  session = read_label_session(run.config.label.session)
  run = dataclasses.replace(run, config=_config(run, session))
  check_method(run.config)
  scene = load_scene(run).replace(near=session.near, far=session.far)
  method = _method(run, scene, session)
  with run.workdir.lock():
    name = _write(run, scene, session, method)
  return label_lines(run, name)


def _config(run: Run, session: LabelSession) -> ConfigDict:
  """The command's config with the session's settings.

  Raises InputError where anything but the scene is not as in the working folder.
  """
  path, config = run.config.label.session, copy.deepcopy(run.config)
  try:
    config.label.update(session.settings)
  except (KeyError, AttributeError, TypeError) as error:
    raise InputError(f"label.session={path}: its settings do not fit this version of "
                     f"jnerf ({' '.join(str(error).split())[:80]}); make it anew with "
                     "--mode=propagate") from None
  validate(config)
  as_trained = copy.deepcopy(config)
  as_trained.scene = run.workdir.read_config().scene
  run.workdir.check_config(as_trained, ("shape",))
  return config


def _method(run: Run, scene: Scene, session: LabelSession) -> Assignment:
  """The primary method; its regions are the folder's own, which are never made here:
  the photographs at hand are others."""
  def regions() -> SceneRegions:
    path = run.workdir.path / regions_file.NAME
    field = load_field(run, scene, "fit", space=session.space,
                       background=session.background)
    scene_regions = regions_file.read_regions(
        path, field, settings_of(run.config, RegionSettings, "regions"))
    if scene_regions is None:
      state = ("is gone" if not path.exists() else
               "is of an older version of jnerf" if regions_file.is_older(path) else
               "is of another field, or damaged")
      raise InputError(
          f"{path} {state}, on which label.primary=regions rests; copy "
          f"{run.config.label.session} elsewhere, make the regions by --mode=propagate "
          "with the first photographs, and give the copy")
    return scene_regions

  return parts.method_of(run.config, run.config.label.primary, regions)


def _write(run: Run, scene: Scene, session: LabelSession, method: Assignment) -> str:
  settings = run.config.label
  field = load_field(run, scene, "shape", space=session.space,
                     background=session.background)
  scene_labeler = scene_labeler_of(run.config, method, session.label_set, field, scene,
                                   rays=session.clicked)
  name = f"{scene.name}-shaped-{settings.primary}"
  views = scene.test if settings.views == "test" else range(len(scene.frames))
  print(f"propagate: {len(session.labels)} labelled pixels of {settings.session} to "
        f"{len(views)} views", flush=True)
  write_views(scene_labeler, views, run.workdir.path, name)
  return name
