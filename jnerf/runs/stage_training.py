"""A stage of training in a working folder: resumed, logged and checkpointed.

A stage starts from its own newest checkpoint, else (`shape`) from the fitted
params, else from scratch; see `jnerf.training.checkpoints`.
"""

from __future__ import annotations

from collections.abc import Callable
import functools
import sys
import time
from typing import Any

import jax
import numpy as np

from jnerf.fields.field import Field
from jnerf.runs import parts
from jnerf.runs.run import Run, stage_key
from jnerf.scenes.pixels import PixelData
from jnerf.structs import Scene
from jnerf.training import devices
from jnerf.training import state as state_lib
from jnerf.training.checkpoints import Checkpoints
from jnerf.training.compilation import peak_memory_bytes
from jnerf.training.events import Events, History
from jnerf.training.loop import Timing, train
from jnerf.training.progress import Progress

PROGRESS_TERMS = ("loss", "psnr", "contrast", "positives")  # on the progress bar


def train_stage(run: Run, scene: Scene, stage: str, model: Field,
                initial_params: Callable[[], Any], data: PixelData, **facts) -> None:
  """Trains from the newest checkpoint of `stage`, else from the params it is given.

  facts: that metrics.json is to hold of it too.
  """
  workdir, config = run.workdir, run.config
  training = parts.training_of(config, model, stage)
  mesh = devices.data_mesh()
  workdir.forget(["evaluate"])  # which rests on all fields
  # Compiled as a whole: one by one, its many small arrays take seconds.
  create = jax.jit(functools.partial(
      state_lib.create, optimizer=training.optimizer, threshold=config.shape.threshold))
  timing = Timing()
  # As if the stage had begun earlier by what runs that were cut off spent on it.
  began = time.perf_counter() - _seconds_of_cut_off_runs(run, stage)
  with Checkpoints(workdir.checkpoints(stage)) as checkpoints:
    template = parts.state_template(config, model, scene, stage)
    state, start = checkpoints.restore(template) or (create(initial_params()), 0)
    with _Log(run, stage, training, start, began, checkpoints) as log:
      state = train(state, data, stage_key(config.seed, stage), training,
                    on_call=log.on_call, mesh=mesh, timing=timing,
                    on_device=num_bytes(data) <= config.runtime.device_data_bytes)
    checkpoints.save(int(state.step), state)
  workdir.mark_done(
      stage, seconds=time.perf_counter() - began,
      compile_seconds=timing.compile_seconds, steps=int(state.step),
      rays_per_second=timing.rays_per_second, peak_memory_bytes=peak_memory_bytes(),
      num_params=state_lib.num_params(state.params), **facts)


def num_bytes(tree) -> int:
  """Bytes of all arrays in a tree."""
  return sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(tree))


class _Log:
  """Shows, records and checkpoints what a stage does. A context manager."""

  def __init__(self, run, stage, training, start, began, checkpoints):
    self._run, self._stage = run, stage
    self._training, self._start = training, start
    self._checkpoints = checkpoints
    self._history = History.load(run.workdir.curves(stage), last_step=start)
    self._events = Events(run.workdir.path / "tensorboard" / stage, start=start)
    self._began, self._saved = began, time.perf_counter()
    self._progress = None

  def __enter__(self):
    if self._start < self._training.num_steps:
      print(f"{self._stage}: compiling", file=sys.stderr, flush=True)
    return self

  def __exit__(self, *unused):
    if self._progress is not None:
      self._progress.close()
    self._history.save()
    self._events.close()

  def on_call(self, step, state, logs):
    """After compiling, with empty logs, and after every device call."""
    if not logs:
      self._progress = Progress(
          self._stage, total=self._training.num_steps, start=step,
          rays_per_step=self._training.num_rays)
      return
    self._progress.update(step, {name: logs[name] for name in PROGRESS_TERMS
                                 if name in logs})
    self._history.add(step, logs)
    self._events.scalars(step, logs)
    now = time.perf_counter()
    if now - self._saved >= self._run.config.runtime.checkpoint_seconds:
      self._history.save()
      self._events.flush()
      self._checkpoints.save(step, state)
      self._run.workdir.update_metrics(
          unfinished={self._stage: now - self._began})
      self._saved = now


def _seconds_of_cut_off_runs(run: Run, stage: str) -> float:
  """Seconds that earlier runs spent on a stage up to their last checkpoint."""
  return run.workdir.read_metrics().get("unfinished", {}).get(stage, 0.0)
