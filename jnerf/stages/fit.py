"""The mode and stage `fit`: the plain field, from the photographs."""

from __future__ import annotations

import functools

from jnerf.runs import parts
from jnerf.runs.checks import check
from jnerf.runs.loading import load_scene
from jnerf.runs.run import TRAINED, Run
from jnerf.runs.stage_training import train_stage
from jnerf.scenes.pixels import pixel_data
from jnerf.structs import Scene


def fit(run: Run) -> str:
  """Fits the plain field."""
  scene = load_scene(run)
  check(run, scene, ("fit",), TRAINED)
  with run.workdir.lock():
    run.begin(scene, TRAINED)
    fit_stage(run, scene)
  return f"plain field: {run.workdir.checkpoints('fit')}"


def fit_stage(run: Run, scene: Scene) -> None:
  """Fits the plain field unless the folder holds it."""
  if run.workdir.is_done("fit"):
    print("fit: done before, kept")
    return
  config = run.config
  model = parts.model_of(config, parts.space_of(config, scene))
  initial_params = functools.partial(parts.initial_params, config, model, scene, "fit")
  train_stage(run, scene, "fit", model, initial_params,
              pixel_data(scene, with_depth=config.fit.depth_weight > 0))
