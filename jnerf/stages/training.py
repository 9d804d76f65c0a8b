"""The stages that train: `fit` makes the plain field, `shape` the shaped one.

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

from jnerf.errors import InputError
from jnerf.runs import checks
from jnerf.scenes import pixels
from jnerf.stages import pairing
from jnerf.stages.session import Session, num_bytes
from jnerf.training import devices
from jnerf.training import state as state_lib
from jnerf.training.checkpoints import Checkpoints
from jnerf.training.compilation import peak_memory_bytes
from jnerf.training.events import Events, History
from jnerf.training.loop import Timing, train
from jnerf.training.progress import Progress

SHOWN = ("loss", "psnr", "contrast", "positives")  # on the progress bar


def fit(session: Session) -> None:
  """Fits the plain field to the photographs."""
  _train_stage(session, "fit", functools.partial(session.initial_params, "fit"),
               pixels.pixel_data(session.scene,
                                 with_depth=session.config.fit.depth_weight > 0))


def shape(session: Session, oracle: bool = False) -> None:
  """Shapes the fitted field, with features or with the oracle's labels."""
  params = trained_params(session, "fit")
  data = pairing.oracle_data(session) if oracle else pairing.pair_data(session, params)
  _train_stage(session, "shape-oracle" if oracle else "shape", lambda: params, data)


def trained_params(session: Session, stage: str):
  """The params that a finished stage left; raises InputError where it left none."""
  checks.check_trained(session, stage)
  with Checkpoints(session.workdir.checkpoints(stage)) as checkpoints:
    restored = checkpoints.restore(session.state_template(stage))
  if restored is None:
    raise InputError(f"{session.workdir.checkpoints(stage)} is gone; use another "
                     f"--workdir, or delete {session.workdir.path} to start over")
  return restored[0].params


def _train_stage(session: Session, stage: str, initial_params: Callable[[], Any],
                 data: pixels.PixelData) -> None:
  """Trains from the newest checkpoint of `stage`, else from the params it is given."""
  workdir, runtime = session.workdir, session.config.runtime
  training = session.training(stage)
  mesh = devices.data_mesh()
  workdir.forget(["evaluate"])  # which rests on all fields
  # Compiled as a whole: one by one, its many small arrays take seconds.
  create = jax.jit(functools.partial(
      state_lib.create, optimizer=training.optimizer,
      threshold=session.config.shape.threshold))
  timing = Timing()
  # As if the stage had begun earlier by what runs that were cut off spent on it.
  began = time.perf_counter() - _seconds_of_cut_off_runs(session, stage)
  with Checkpoints(workdir.checkpoints(stage)) as checkpoints:
    state, start = (checkpoints.restore(session.state_template(stage))
                    or (create(initial_params()), 0))
    with _Log(session, stage, training, start, began, checkpoints) as log:
      state = train(state, data, session.key(stage), training, on_call=log.on_call,
                    on_device=num_bytes(data) <= runtime.device_data_bytes, mesh=mesh,
                    timing=timing)
    checkpoints.save(int(state.step), state)
  workdir.mark_done(
      stage, seconds=time.perf_counter() - began,
      compile_seconds=timing.compile_seconds, steps=int(state.step),
      rays_per_second=timing.rays_per_second, peak_memory_bytes=peak_memory_bytes(),
      num_params=state_lib.num_params(state.params))


class _Log:
  """Shows, records and checkpoints what a stage does. A context manager."""

  def __init__(self, session, stage, training, start, began, checkpoints):
    self._session, self._stage = session, stage
    self._training, self._start = training, start
    self._checkpoints = checkpoints
    self._history = History.load(session.workdir.curves(stage), last_step=start)
    self._events = Events(session.workdir.path / "tensorboard" / stage, start=start)
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
    self._progress.update(step, {name: logs[name] for name in SHOWN if name in logs})
    self._history.add(step, logs)
    self._events.scalars(step, logs)
    now = time.perf_counter()
    if now - self._saved >= self._session.config.runtime.checkpoint_seconds:
      self._history.save()
      self._events.flush()
      self._checkpoints.save(step, state)
      self._session.workdir.update_metrics(
          unfinished={self._stage: now - self._began})
      self._saved = now


def _seconds_of_cut_off_runs(session: Session, stage: str) -> float:
  """Seconds that earlier runs spent on a stage up to their last checkpoint."""
  return session.workdir.read_metrics().get("unfinished", {}).get(stage, 0.0)
