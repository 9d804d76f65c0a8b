"""The rivals that a config names, each with what it needs of the session.

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

from jnerf.fields.hash_grid import HashGrid
from jnerf.geometry.patch_grids import sample_features
from jnerf.labeling.assignment import Assignment
from jnerf.labeling.rivals import distilled, neighbours, on_features, semantic_head
from jnerf.scenes import pixels
from jnerf.stages import labels as labels_lib
from jnerf.stages.session import Session
from jnerf.stages.training import trained_params
from jnerf.structs import Batch
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


@dataclasses.dataclass(frozen=True)
class Method:
  """assignment: how it labels, its scores jitted.
  origin: `field` and `pairs` of its rows, where they are not those of the field that
    renders: whose geometry a rival uses, and which features."""

  assignment: Assignment
  origin: Mapping[str, str | None] = dataclasses.field(default_factory=dict)


def our_methods(session: Session) -> dict[str, Method]:
  """The methods in `label.methods`, in that order."""
  return {name: Method(jitted(method))
          for name, method in labels_lib.assignments(session).items()}


def make_rivals(session: Session) -> dict[str, Method]:
  """The rivals in `label.rivals`, in that order; they need the fitted field."""
  names, made = session.config.label.rivals, {}
  params = trained_params(session, "fit") if names else None
  if any(name.startswith("features") for name in names):
    made |= _methods("none", session.features.source, on_features.feature_rivals(
        "features", on_features.photo_features, needs_features=True))
  if any(name.startswith("distilled") for name in names):
    made |= _methods("plain", session.features.source, _distilled(session, params))
  if "knn" in names:
    low, high = session.scene.bounds
    made |= _methods("plain", None, {"knn": neighbours.nearest_neighbours(
        POSITION_SHARE * float(np.max(high - low)), COLOR_SCALE)})
  if "semantic-nerf" in names:
    made |= _methods("plain", None, {"semantic-nerf": semantic_head.semantic_head(
        session.model, params, _head_batches(session))})
  return {name: made[name] for name in names}


def _methods(field: str, pairs: str | None,
             assignments: Mapping[str, Assignment]) -> dict[str, Method]:
  return {name: Method(jitted(assignment), {"field": field, "pairs": pairs})
          for name, assignment in assignments.items()}


def jitted(assignment: Assignment) -> Assignment:
  """`assignment` with its `scores` compiled, where they can be."""
  if assignment.on_host:
    return assignment
  return dataclasses.replace(assignment, scores=jax.jit(assignment.scores))


def features_of_pixels(session: Session, rows: np.ndarray) -> np.ndarray:
  """`[N, F]` features of the photographs at pixels `[N, 3]`: view, row, column."""
  xy = (rows[:, 2:0:-1] + 0.5) / np.array([session.scene.size])
  maps = session.features
  return sample_features(maps.grid, rows[:, 0], xy.astype(np.float32), np, maps.extent)


def _head_batches(session: Session) -> Batch:
  """The photometric batches of every head's training, which all heads share."""
  mesh = devices.data_mesh()
  training = dataclasses.replace(
      session.training("fit"), num_rays=mesh.size * -(-HEAD_RAYS // mesh.size),
      steps_per_call=HEAD_STEPS)
  key = jax.random.fold_in(session.key("evaluate"), 0)
  return host_batches(pixels.pixel_data(session.scene), key, training, 0, mesh)


def _distilled(session: Session, params) -> dict[str, Assignment]:
  """The rivals on the distilled field, which is trained unless the folder holds it."""
  grid = session.config.field.grid
  shared = {f.name for f in dataclasses.fields(HashGrid)} & set(grid)
  encoding = HashGrid(**{name: grid[name] for name in shared})
  field = distilled.FeatureField(session.space, session.features.grid.shape[-1], encoding)
  trained = _distilled_params(session, field, params)
  return on_features.feature_rivals(
      "distilled", functools.partial(distilled.rendered_features, field), trained,
      needs_samples=True)


def _distilled_params(session: Session, field: distilled.FeatureField, params):
  """Params of the distilled field: the folder's, or trained and kept there.

  As many steps and rays as shaping has. A training that was cut off begins anew.
  """
  workdir, key = session.workdir, session.key("distill")
  start = distilled.initial_params(field, jax.random.fold_in(key, 0))
  with Checkpoints(workdir.checkpoints("distill")) as checkpoints:
    if workdir.is_done("distill") and (restored := checkpoints.restore(start)):
      return restored[0]
    began = time.perf_counter()
    shutil.rmtree(workdir.checkpoints("distill"), ignore_errors=True)
    mesh, training = devices.data_mesh(), session.training("shape")
    devices.check_divisible(training.num_rays, mesh, "shape.num_rays")
    data = pixels.pixel_data(session.scene, session.features)
    steps = training.num_steps
    with Progress("distill", total=steps, rays_per_step=training.num_rays) as progress:
      trained = distilled.distill(
          start, params, field=field, model=session.model,
          optimizer=state_lib.make_optimizer(
              steps=steps, warmup_steps=session.config.shape.warmup_steps,
              **DISTILL_RATES),
          next_batches=lambda step: host_batches(
              data, jax.random.fold_in(key, 1), training, step, mesh), num_steps=steps,
          on_call=lambda step, loss: progress.update(step, {"loss": loss}))
    checkpoints.save(steps, trained)
  workdir.mark_done(
      "distill", seconds=time.perf_counter() - began, steps=steps,
      peak_memory_bytes=peak_memory_bytes(), num_params=state_lib.num_params(trained))
  return trained
