"""The loop: many steps per device call, logged, checkpointed and resumable.

A call scans over `steps_per_call` steps, always the same grid of calls from step
0, and step i draws its pixels, jitter and background from `fold_in(key, i)`
alone; so a run that was killed and resumed ends bitwise where an unbroken one
does. Where the data fit the device a step gathers its batch there; otherwise
the host gathers the batches of a call while the device works on the last one.

`scan_steps` and `run_steps` know no field: whatever is trained, is trained by them.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent import futures
import dataclasses
import functools
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jnerf.errors import InputError
from jnerf.fields.field import Field
from jnerf.scenes import pixels
from jnerf.structs import Batch
from jnerf.training import devices
from jnerf.training import step as step_lib
from jnerf.training.compilation import compile_timed
from jnerf.training.objective import Objective
from jnerf.training.state import TrainState

BACKGROUNDS = {"black": 0.0, "grey": 0.5, "white": 1.0}


@dataclasses.dataclass(frozen=True)
class Training:
  """One stage of training; hashable.

  model, optimizer, objective: what is trained, how, on what.
  num_steps: step to stop at; steps_per_call: steps scanned in one device call.
  num_rays: rays of a batch.
  background: `random`, or a name in `BACKGROUNDS`.
  num_views: views that a batch is drawn from, 0 = all, see `pixels.draw_pixels`.
  """

  model: Field
  optimizer: optax.GradientTransformation
  objective: Objective
  num_steps: int
  num_rays: int
  steps_per_call: int = 25
  background: str = "random"
  num_views: int = 0

  @property
  def every(self) -> int:
    """Every how many rays of a batch one is contrasted; 1 where none is."""
    recipe = self.objective.recipe
    return 1 if recipe is None else recipe.contrast.every(self.num_rays)


@dataclasses.dataclass
class Timing:
  """What a stage cost: seconds of all, of compiling, and the steps it did."""

  seconds: float = 0.0
  compile_seconds: float = 0.0
  steps: int = 0
  rays_per_second: float = 0.0


def draw_batch(data: pixels.PixelData, key, num_rays: int, background: str,
               num_views: int = 0, every: int = 1, xnp=jnp) -> Batch:
  """A step's whole randomness and the data it selects; the key is consumed.

  every: every how many rays one is contrasted, and drawn by the data's strata.
  xnp: jnp, or np where the data are gathered on the host.
  """
  pixel_key, jitter_key, background_key = jax.random.split(key, 3)
  pixel_index = xnp.asarray(pixels.draw_pixels(
      pixel_key, num_rays, data.shape, data.drawable, num_views, data.strata, every))
  jitter = jax.random.uniform(jitter_key, (num_rays, 2), minval=-0.5, maxval=0.5)
  if background == "random":
    behind = jax.random.uniform(background_key, (num_rays, 3))
  else:
    behind = jnp.full((num_rays, 3), BACKGROUNDS[background])
  batch = pixels.gather_batch(data, pixel_index, xnp, xnp.asarray(behind))
  return batch.replace(jitter=jitter)


def make_device_call(training: Training, mesh):
  """`(state, data, key) -> (state, logs)`: one call's steps, data on the device."""
  def one_step(data, key, state, _):
    key = jax.random.fold_in(key, state.step)
    batch_key, step_key = jax.random.split(key)
    batch = draw_batch(data, batch_key, training.num_rays, training.background,
                       training.num_views, training.every)
    batch = jax.lax.with_sharding_constraint(batch, devices.split(mesh))
    return _step(training, state, batch, step_key)

  @functools.partial(jax.jit, donate_argnums=0,
                     out_shardings=devices.replicated(mesh))
  def call(state, data, key):
    return scan_steps(functools.partial(one_step, data, key), state,
                      length=training.steps_per_call)

  return call


def make_host_call(training: Training, mesh):
  """`(state, batches, key) -> (state, logs)`: batches were gathered on the host.

  batches: a Batch with a leading axis of steps.
  """
  def one_step(key, state, batch):
    _, step_key = jax.random.split(jax.random.fold_in(key, state.step))
    return _step(training, state, batch, step_key)

  @functools.partial(jax.jit, donate_argnums=0,
                     out_shardings=devices.replicated(mesh))
  def call(state, batches, key):
    return scan_steps(functools.partial(one_step, key), state, batches)

  return call


def _step(training, state, batch, key):
  return step_lib.train_step(
      state, batch, key, model=training.model, optimizer=training.optimizer,
      objective=training.objective)


def scan_steps(step_fn: Callable, state, batches=None, length: int | None = None):
  """Many steps as one compiled scan: `(state, logs)` after the last.

  step_fn: `(state, batch) -> (state, logs)`, logs a dict of scalars with the `loss`.
  batches: a pytree with a leading axis of steps, or None, with `length` steps.

  The logs returned are means over the steps, and `finite`: whether every loss was.
  """
  state, logs = jax.lax.scan(step_fn, state, batches, length)
  finite = jnp.all(jnp.isfinite(logs["loss"]))
  return state, {**{name: jnp.mean(values) for name, values in logs.items()},
                 "finite": finite}


def finite_logs(logs, first_step: int, last_step: int) -> dict[str, float]:
  """The logs of `scan_steps` on the host, without `finite`.

  Raises FloatingPointError naming the steps where a loss became nan or inf.
  """
  values = {name: float(value) for name, value in jax.device_get(logs).items()}
  if not values.pop("finite"):
    raise FloatingPointError(
        f"the loss became nan or inf in steps {first_step} to {last_step}")
  return values


def run_steps(call: Callable, state, feed: Callable, *, first_step: int, num_steps: int,
              steps_per_call: int, num_rays: int = 0,
              on_call: Callable = lambda step, state, logs: None,
              after_call: Callable | None = None, timing: Timing | None = None):
  """Calls `call` from `first_step` until `num_steps` are done; returns the last state.

  call: `(state, inputs) -> (state, logs)`, `steps_per_call` steps as by `scan_steps`.
  feed: the step that a call begins with -> its inputs, made on another thread while the
    device works on the call before.
  num_rays: of a step, for `timing`, to which the calls are added.
  on_call: called after each call with the step reached, the state (which it must not
    keep if `call` overwrites it) and the mean logs.
  after_call: `state -> state`, applied before `on_call` sees the state.

  Raises FloatingPointError naming the steps where the loss became nan or inf.
  """
  timing = Timing() if timing is None else timing
  step, steps_before, seconds_before = first_step, timing.steps, timing.seconds
  began = time.perf_counter()
  with futures.ThreadPoolExecutor(max_workers=1) as pool:
    inputs = feed(step) if step < num_steps else None
    while step < num_steps:
      first, step = step, step + steps_per_call
      pending = pool.submit(feed, step) if step < num_steps else None
      state, logs = call(state, inputs)
      logs = finite_logs(logs, first, step)
      if after_call is not None:
        state = after_call(state)
      elapsed = time.perf_counter() - began
      timing.steps += steps_per_call
      timing.rays_per_second = (timing.steps - steps_before) * num_rays / elapsed
      timing.seconds = seconds_before + elapsed
      on_call(step, state, logs)
      inputs = pending and pending.result()
  return state


def host_batches(data: pixels.PixelData, key, training: Training, first_step: int,
                 mesh) -> Batch:
  """The batches of one call, gathered on the host and split over the devices.

  The same pixels, jitter and background as `make_device_call` draws, but drawn on the
  CPU: on the device they would wait for the call that it is working on.
  """
  batches, cpu = [], _cpu()
  with jax.default_device(cpu):
    key = jax.device_put(key, cpu)
    for step in range(first_step, first_step + training.steps_per_call):
      batch_key, _ = jax.random.split(jax.random.fold_in(key, step))
      batches.append(draw_batch(data, batch_key, training.num_rays, training.background,
                                training.num_views, training.every, xnp=np))
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *batches)
  return jax.device_put(stacked, devices.split(mesh, axis=1))


def _cpu() -> jax.Device:
  """A CPU device; where `JAX_PLATFORMS` leaves none, what there is."""
  try:
    return jax.local_devices(backend="cpu")[0]
  except RuntimeError:
    return jax.local_devices()[0]


def train(state: TrainState, data: pixels.PixelData, key, training: Training, *,
          on_call=lambda step, state, logs: None, on_device: bool = True, mesh=None,
          timing: Timing | None = None) -> TrainState:
  """Trains from `state.step` to `training.num_steps` and returns the last state.

  key: the run's; every step folds its own number into it.
  on_call: called once all is compiled, with empty logs, and after each device call
    with the step reached, the state (which it must not keep: the next call
    overwrites it) and the call's mean logs.
  on_device: whether `data` are held on the devices or gathered on the host.
  timing: filled in while training runs.

  A model with a method `after_call: TrainState -> TrainState` changes the state between
  calls (a field that adds and drops parts of itself, say); shapes and types stay.

  Raises FloatingPointError naming the steps where the loss became nan or inf, and
  InputError where the steps left are no whole number of calls.
  """
  mesh = devices.data_mesh() if mesh is None else mesh
  timing = Timing() if timing is None else timing
  began, everywhere = time.perf_counter(), devices.replicated(mesh)
  # A copy, for each call overwrites the state that it is given.
  state = jax.device_put(state, everywhere, may_alias=False)
  key_on_device = jax.device_put(key, everywhere)
  step = int(state.step)
  if step >= training.num_steps:
    return state
  if (training.num_steps - step) % training.steps_per_call:
    raise InputError(
        f"runtime.steps_per_call={training.steps_per_call}: the checkpoint's step {step} "
        f"cannot reach {training.num_steps} in calls of that length; use a divisor of "
        f"{training.num_steps - step}")
  if on_device:
    data = jax.device_put(data, everywhere)
    feed, call = (lambda _: data), make_device_call(training, mesh)
  else:
    feed = functools.partial(_host_feed, data, key, training, mesh)
    call = make_host_call(training, mesh)
  ready = {step: feed(step)}
  call, timing.compile_seconds = compile_timed(call, state, ready[step], key_on_device)
  timing.seconds = time.perf_counter() - began
  on_call(step, state, {})
  after_call = getattr(training.model, "after_call", None)
  return run_steps(
      lambda state, inputs: call(state, inputs, key_on_device), state,
      lambda step: ready.pop(step) if step in ready else feed(step),
      first_step=step, num_steps=training.num_steps,
      steps_per_call=training.steps_per_call, num_rays=training.num_rays,
      on_call=on_call, timing=timing, after_call=after_call and (
          lambda state: jax.device_put(after_call(state), everywhere)))


def _host_feed(data, key, training, mesh, step):
  return host_batches(data, key, training, step, mesh)
