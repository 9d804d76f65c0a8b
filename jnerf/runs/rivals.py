"""The rivals that a config names, each with what it needs.

They label from the same clicks as shaped fields and share the fitted field's geometry
and backbone; what they know beside it is the visual features, or nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import functools
import shutil
import time

import jax
import numpy as np

from jnerf.evaluating.field_evaluation import Method
from jnerf.fields.fitted import FittedField
from jnerf.fields.hash_grid import HashGrid
from jnerf.geometry.patch_grids import sample_features
from jnerf.labeling.assignment import Assignment
from jnerf.labeling.rivals import distilled, on_features
from jnerf.labeling.rivals.neighbours import NearestNeighbours
from jnerf.labeling.rivals.semantic_head import SemanticHead
from jnerf.runs import parts
from jnerf.runs.run import Run, stage_key
from jnerf.scenes import pixels
from jnerf.structs import Batch, FeatureMaps, Scene
from jnerf.training import devices
from jnerf.training import state as state_lib
from jnerf.training.checkpoints import Checkpoints
from jnerf.training.compilation import peak_memory_bytes
from jnerf.training.loop import host_batches
from jnerf.training.progress import Progress

POSITION_SHARE = 0.08  # of the bounds' longest side: counts as much as COLOR_SCALE
COLOR_SCALE = 0.1  # of RGB in [0, 1]
# A head is trained once per set of labels, so its training has to be short.
HEAD_STEPS, HEAD_RAYS = 250, 256
DISTILL_RATES = {"learning_rate": 1e-2, "final_learning_rate": 5e-4}


def needs_features(names) -> bool:
  """Whether any of these rivals knows the photographs' features."""
  return any(name.startswith(("features", "distilled")) for name in names)


def make_rivals(run: Run, scene: Scene, field: FittedField,
                maps: FeatureMaps | None) -> dict[str, Method]:
  """The rivals in `label.rivals`, in that order.

  field: the fitted one; maps: visual features, where a rival needs them.
  """
  names, rivals = run.config.label.rivals, {}
  if any(name.startswith("features") for name in names):
    rivals |= _methods("none", maps.source, on_features.feature_rivals(
        "features", on_features.photo_features, photographed=True))
  if any(name.startswith("distilled") for name in names):
    rivals |= _methods("plain", maps.source, _distilled(run, scene, field, maps))
  if "knn" in names:
    low, high = scene.bounds
    rivals |= _methods("plain", None, {"knn": NearestNeighbours(
        POSITION_SHARE * float(np.max(high - low)), COLOR_SCALE)})
  if "semantic-nerf" in names:
    rivals |= _methods("plain", None, {"semantic-nerf": SemanticHead(
        field.model, field.params, _head_batches(run, scene, field))})
  return {name: rivals[name] for name in names}


def features_of_pixels(scene: Scene, maps: FeatureMaps, rows: np.ndarray) -> np.ndarray:
  """`[N, F]` features of the photographs at pixels `[N, 3]`: view, row, column."""
  xy = (rows[:, 2:0:-1] + 0.5) / np.array([scene.size])
  return sample_features(maps.grid, rows[:, 0], xy.astype(np.float32), np, maps.extent)


def _methods(field: str, pairs: str | None,
             assignments: Mapping[str, Assignment]) -> dict[str, Method]:
  return {name: Method(assignment, {"field": field, "pairs": pairs})
          for name, assignment in assignments.items()}


def _head_batches(run: Run, scene: Scene, field: FittedField) -> Batch:
  """The photometric batches of every head's training, which all heads share."""
  mesh = devices.data_mesh()
  training = dataclasses.replace(
      parts.training_of(run.config, field.model, "fit"),
      num_rays=mesh.size * -(-HEAD_RAYS // mesh.size), steps_per_call=HEAD_STEPS)
  key = jax.random.fold_in(stage_key(run.config.seed, "evaluate"), 0)
  return host_batches(pixels.pixel_data(scene), key, training, 0, mesh)


def _distilled(run: Run, scene: Scene, field: FittedField,
               maps: FeatureMaps) -> dict[str, Assignment]:
  """The rivals on the distilled field, which is trained unless the folder holds it."""
  grid = run.config.field.grid
  shared = {f.name for f in dataclasses.fields(HashGrid)} & set(grid)
  encoding = HashGrid(**{name: grid[name] for name in shared})
  features = distilled.FeatureField(field.space, maps.grid.shape[-1], encoding)
  return on_features.feature_rivals(
      "distilled", functools.partial(distilled.rendered_features, features),
      _distilled_params(run, scene, field, features, maps), sampled=True)


def _distilled_params(run: Run, scene: Scene, field: FittedField,
                      features: distilled.FeatureField, maps: FeatureMaps):
  """Params of the distilled field: the folder's, or trained and kept there.

  As many steps and rays as shaping has. A training that was cut off begins anew.
  """
  workdir, key = run.workdir, stage_key(run.config.seed, "distill")
  start = distilled.initial_params(features, jax.random.fold_in(key, 0))
  with Checkpoints(workdir.checkpoints("distill")) as checkpoints:
    if workdir.is_done("distill") and (restored := checkpoints.restore(start)):
      return restored[0]
    began = time.perf_counter()
    shutil.rmtree(workdir.checkpoints("distill"), ignore_errors=True)
    mesh, training = devices.data_mesh(), parts.training_of(
        run.config, field.model, "shape")
    devices.check_divisible(training.num_rays, mesh, "shape.num_rays")
    data = pixels.pixel_data(scene, maps)
    schedule = dataclasses.replace(parts.schedule_of(run.config, "shape"),
                                   **DISTILL_RATES)
    steps = training.num_steps
    with Progress("distill", total=steps, rays_per_step=training.num_rays) as progress:
      trained = distilled.distill(
          start, field.params, field=features, model=field.model,
          optimizer=state_lib.make_optimizer(schedule),
          next_batches=lambda step: host_batches(
              data, jax.random.fold_in(key, 1), training, step, mesh), num_steps=steps,
          steps_per_call=training.steps_per_call,
          on_call=lambda step, loss: progress.update(step, {"loss": loss}))
    checkpoints.save(steps, trained)
  workdir.mark_done(
      "distill", seconds=time.perf_counter() - began, steps=steps,
      peak_memory_bytes=peak_memory_bytes(), num_params=state_lib.num_params(trained))
  return trained
