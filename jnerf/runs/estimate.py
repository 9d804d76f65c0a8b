"""What a config will cost on this machine: memory, and time of every stage.

A few real calls of each stage of training are compiled and timed, and a few chunks
of one view rendered; the rest is multiplied. Nothing is written, and what is compiled
is found again by the stages themselves in JAX's compilation cache. Where features
would have to be computed, which takes its own time, shaping is timed with random ones:
no step takes longer for their values.

Stated budget: beside compiling, about `BUDGET` seconds for each of fit and shape and
less for rendering, though at least one call of each.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import time

import jax
import numpy as np

from jnerf.errors import InputError
from jnerf.runs import parts
from jnerf.runs.loading import features_choice, load_features
from jnerf.runs.machine import device_memory_bytes, host_memory_bytes, others_load
from jnerf.runs.run import Run, stage_key
from jnerf.runs.stage_training import num_bytes
from jnerf.runs.workdir import environment
from jnerf.scenes import pixels
from jnerf.scenes.rays import rays_of_view
from jnerf.structs import FeatureMaps, Scene
from jnerf.training import devices
from jnerf.training import state as state_lib
from jnerf.training.compilation import compile_timed, peak_memory_bytes
from jnerf.training.loop import Training, host_batches, make_device_call, make_host_call
from jnerf.viewing.estimate_text import size_text

BUDGET = 5.0  # seconds of calls
STAND_IN = 64  # channels of features that stand in for those not computed yet
ENOUGH = 0.9  # share of the memory there is that may be needed
# A call is made of fewer steps where this many operations a second, which any machine
# does, would take longer than `LONG_CALL` seconds for it.
SLOW, LONG_CALL = {"cpu": 1e10, "other": 1e12}, 20.0


def estimate(run: Run, scene: Scene) -> dict:
  """Memory in bytes and time in seconds that the config's stages take here.

  `stages`: of each that trains `steps, step_seconds, measured_steps, compile_seconds,
  seconds, data_bytes, on_device, state_bytes, temp_bytes, memory_bytes`, the last what
  the device holds meanwhile. `rendering`: `test_views, fields, labelled_views,
  view_seconds, seconds`. `seconds`: of all that. `scene_bytes`: on the host;
  `peak_bytes`: the most that was held. `host_bytes`, `device_bytes`: what the machine
  has, None where it is not told; `cores`; `load`: what others ran beside it.
  `problems`: what would keep a stage from running, one line each; such a stage is left
  out.
  """
  about = environment()
  result = {**{name: about[name] for name in ("device", "num_devices", "cores")},
            "load": others_load(), "host_bytes": host_memory_bytes(),
            "device_bytes": device_memory_bytes(),
            "scene_bytes": num_bytes(scene), "stages": {}, "problems": []}
  places = {"fit": result["stages"], "shape": result["stages"], "rendering": result}
  for name, place in places.items():
    try:
      place[name] = (_time_rendering(run, scene) if name == "rendering"
                     else time_stage(run, scene, name, result))
    except InputError as error:
      result["problems"].append(str(error))
    except jax.errors.JaxRuntimeError as error:  # the device's memory is full
      reason = str(error).partition("\n")[0]
      result["problems"].append(f"{name} does not run here: {reason}")
  stages = result["stages"]
  if run.config.shape.oracle and "shape" in stages:
    # The same step on the same photographs, with labels instead of features.
    stages["shape-oracle"] = dict(stages["shape"])
  result["seconds"] = sum(
      part["seconds"] for part in (*stages.values(), result.get("rendering"))
      if part)
  result["peak_bytes"] = peak_memory_bytes()
  result["problems"] = list(dict.fromkeys(result["problems"]))
  return result


def stand_in_features(run: Run, scene: Scene) -> FeatureMaps:
  """The features that lie in a file, else random ones of the shape to be expected."""
  choice = features_choice(run, scene)
  if choice.kind == "precomputed":
    return load_features(run, scene)
  width, height = (max(1, round(side / choice.local.stride)) for side in scene.size)
  grid = np.random.default_rng(0).standard_normal(
      (1, height, width, STAND_IN), np.float32).astype(np.float16)
  return FeatureMaps(np.broadcast_to(grid, (len(scene.frames), *grid.shape[1:])),
                     source="random")


def time_stage(run: Run, scene: Scene, stage: str, machine: dict) -> dict:
  """Compiles and times calls of one stage as `training.loop.train` makes them.

  machine: `scene_bytes, host_bytes, device_bytes` as in `estimate`. Returns an entry of
  its `stages`; raises InputError where the stage cannot be run.
  """
  config, mesh = run.config, devices.data_mesh()
  model = parts.model_of(config, parts.space_of(config, scene))
  training = parts.training_of(config, model, stage)
  devices.check_divisible(training.num_rays, mesh, f"{stage}.num_rays")
  features = None if stage == "fit" else stand_in_features(run, scene)
  held = machine["scene_bytes"] + (0 if features is None else features.grid.nbytes)
  # The training views are copied out of it, and again to the device.
  _check_memory(machine, machine["scene_bytes"] + held, held, stage)
  data = pixels.pixel_data(scene, features, with_depth=config.fit.depth_weight > 0)
  state, key = jax.device_put(
      (_first_state(run, scene, training, stage), stage_key(config.seed, stage)),
      devices.replicated(mesh))
  training = _with_short_calls(training, state, data, key, mesh)
  on_device = num_bytes(data) <= config.runtime.device_data_bytes
  if on_device:
    inputs = jax.device_put(data, devices.replicated(mesh))
    call = make_device_call(training, mesh)
  else:
    inputs = host_batches(data, key, training, 0, mesh)
    call = make_host_call(training, mesh)
  call, compile_seconds = compile_timed(call, state, inputs, key)
  analysis = call.memory_analysis()
  sizes = {"data_bytes": num_bytes(data), "state_bytes": num_bytes(state),
           "temp_bytes": 0 if analysis is None else analysis.temp_size_in_bytes}
  needed = num_bytes(inputs) + sizes["state_bytes"] + sizes["temp_bytes"]
  _check_memory(machine, machine["scene_bytes"] + sizes["data_bytes"], needed, stage)
  seconds, calls = _time_calls(lambda state: call(state, inputs, key)[0], state)
  num_steps = calls * training.steps_per_call
  return {
      **sizes, "memory_bytes": needed, "on_device": on_device,
      "steps": training.num_steps, "measured_steps": num_steps,
      "step_seconds": seconds / num_steps, "compile_seconds": compile_seconds,
      "seconds": compile_seconds + seconds / num_steps * training.num_steps}


def _first_state(run: Run, scene: Scene, training: Training,
                 stage: str) -> state_lib.TrainState:
  create = jax.jit(functools.partial(
      state_lib.create, optimizer=training.optimizer,
      threshold=run.config.shape.threshold))
  return create(parts.initial_params(run.config, training.model, scene, stage))


def _with_short_calls(training: Training, state, data: pixels.PixelData, key,
                      mesh) -> Training:
  """`training`, with fewer steps a call where one would outlast the budget by far."""
  one = dataclasses.replace(training, steps_per_call=1)
  lowered = make_host_call(one, mesh).lower(
      state, host_batches(data, key, one, 0, mesh), key)
  operations = (lowered.cost_analysis() or {}).get("flops", 0.0)
  speed = SLOW.get(jax.default_backend(), SLOW["other"])
  affordable = max(1, int(LONG_CALL * speed / max(operations, 1.0)))
  return dataclasses.replace(
      training, steps_per_call=min(training.steps_per_call, affordable))


def _time_calls(call, state) -> tuple[float, int]:
  """`(seconds, calls)` of `call: state -> state`; the first is left out if others fit."""
  began = time.perf_counter()
  state = jax.block_until_ready(call(state))
  first = time.perf_counter() - began
  if first > BUDGET:
    return first, 1
  calls, began = 0, time.perf_counter()
  while not calls or time.perf_counter() - began < BUDGET - first:
    state = jax.block_until_ready(call(state))
    calls += 1
  return time.perf_counter() - began, calls


def _time_rendering(run: Run, scene: Scene) -> dict:
  """Times chunks of one view; of as many views as will be rendered."""
  config = run.config
  model = parts.model_of(config, parts.space_of(config, scene))
  renderer = parts.renderer_of(config, model, parts.background_of(config, scene), [
      parts.method_of(config, name, lambda: None) for name in config.label.methods])
  views = scene.test if len(scene.test) else scene.train
  params = parts.initial_params(config, model, scene, "fit")
  rays = rays_of_view(scene, int(views[0]))
  jax.block_until_ready(next(renderer.chunks(params, rays))[0].J)  # compiled, warm
  began, num = time.perf_counter(), 0
  for chunk, _ in renderer.chunks(params, rays):
    jax.block_until_ready((chunk.rgb, chunk.J))
    num += 1
    if time.perf_counter() - began > BUDGET / 2:
      break
  per_view = math.ceil(scene.size[0] * scene.size[1] / renderer.chunk)
  seconds = (time.perf_counter() - began) / num * per_view
  labelled = 0
  if config.label.clicks or scene.semantic is not None:
    only_test = config.label.views == "test"
    labelled = len(scene.test) if only_test else len(scene.frames)
  num_views = len(scene.test) * len(run.fields) + labelled
  return {"test_views": len(scene.test), "fields": len(run.fields),
          "labelled_views": labelled, "view_seconds": seconds,
          "seconds": num_views * seconds}


def _check_memory(machine: dict, on_host: int, on_device: int, stage: str) -> None:
  """Raises InputError where a stage needs more memory than there is."""
  if machine["device_bytes"] is None:  # the device is the host itself
    on_host, on_device = on_host + on_device, 0
  for needed, there, where in ((on_host, machine["host_bytes"], "machine"),
                               (on_device, machine["device_bytes"], "device")):
    if there and needed > ENOUGH * there:
      raise InputError(
          f"{stage} needs about {size_text(needed)} of memory, and the {where} has "
          f"{size_text(there)}; lower scene.width, scene.max_pixels or {stage}.num_rays")
