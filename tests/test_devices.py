"""Eight devices compute what one does: Jacobian rows, loss, gradients, training.

Forced host devices must be asked for before JAX starts, so this file is also a
program: it runs itself in a process of its own and reads what that measured.
"""

import functools
import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest
import tiny_models

from jnerf.errors import InputError
from jnerf.shaping import jacobians
from jnerf.shaping.contrast import Recipe
from jnerf.training import devices
from jnerf.training import state as state_lib
from jnerf.training import step as step_lib

N, DEVICES, STEPS = 32, 8, 20
COMMON = dict(contrast_weight=0.02, norm_weight=0.01, position_scale=0.7,
              contrast_rays=N // 2, temperature=0.1, threshold_rate=0.01,
              min_positives=0.4, max_positives=0.5)
RECIPES = {
    "gradients": Recipe.of(**COMMON, params="field/(density|rgb)/.*",
                           value_channel="random"),
    "activations": Recipe.of(**COMMON, align="activations")}
OPTIMIZER = state_lib.make_optimizer(state_lib.Schedule(
    steps=STEPS, learning_rate=3e-3, final_learning_rate=1e-3, warmup_steps=5))


@pytest.fixture(scope="module")
def measured(repository):
  """Differences between eight devices and one, from a process that has eight."""
  flags = " ".join([
      os.environ.get("XLA_FLAGS", ""), "--xla_force_host_platform_device_count=8",
      "--xla_backend_optimization_level=0", "--xla_llvm_disable_expensive_passes=true",
      "--xla_cpu_use_fusion_emitters=false"])  # compile fast
  environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu",
                 "PYTHONPATH": str(repository)}
  result = subprocess.run([sys.executable, __file__], cwd=repository, env=environment,
                          capture_output=True, text=True)
  assert result.returncode == 0, result.stderr[-3000:]
  return json.loads(result.stdout)


def test_jacobian_rows_are_those_of_one_device(measured):
  assert measured["devices"] == DEVICES
  for way in ("sharded", "pmap"):
    for method in ("vjp", "closed_form"):
      assert measured["rows"][way][method] < 1e-5, (way, method)


@pytest.mark.parametrize("align", sorted(RECIPES))
@pytest.mark.parametrize("way", ["sharded", "pmap"])
def test_loss_gradients_and_training_are_those_of_one_device(measured, way, align):
  found = measured["training"][align][way]
  assert found["terms"] < 1e-5 and found["gradients"] < 1e-4, found
  assert found["threshold"] == 0 and found["threshold_moved"] > 0.05, found
  assert found["loss_fell_by"] > 0.1, found
  assert found["params"] < 1e-3 and found["losses"] < 1e-4, found


def test_rays_that_do_not_split_evenly_are_an_input_error():
  mesh = devices.data_mesh(jax.devices()[:1])
  devices.check_divisible(7, mesh, "fit.num_rays")

  class EightWide:
    size = 8

  with pytest.raises(InputError, match="fit.num_rays=100 .* multiple of 8"):
    devices.check_divisible(100, EightWide, "fit.num_rays")


def relative(found, expected):
  """Largest difference of two trees, relative to each leaf's largest value."""
  return max(float(np.max(np.abs(np.asarray(a).reshape(np.shape(b)) - np.asarray(b)))
                   / max(float(np.max(np.abs(b))), 1e-3))
             for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected),
                             strict=True))


def measure_rows(model, params, batch, one, eight):
  """Rows of `[N, P]` on eight devices against one, in both ways."""
  def rows(params, rays):
    samples = model.sample(params, rays)
    values_fn = functools.partial(jacobians.ray_values, model)
    closed = jacobians.closed_form(model.render(params, rays, samples, 0.0))
    return {"vjp": jacobians.by_vjp(values_fn, params, "field/.*", rays, samples),
            "closed_form": closed}

  def with_mesh(mesh):
    return jax.jit(rows, in_shardings=(devices.replicated(mesh), devices.split(mesh)))(
        params, batch.rays)

  expected = with_mesh(one)
  ways = {"sharded": with_mesh(eight),
          "pmap": jax.pmap(rows, in_axes=(None, 0))(params, per_device(batch.rays))}
  return {way: {name: relative(found[name], expected[name]) for name in expected}
          for way, found in ways.items()}


def per_device(tree):
  return jax.tree.map(lambda leaf: leaf.reshape(DEVICES, -1, *leaf.shape[1:]), tree)


def training(model, recipe, axis_name=None):
  """`(state, batch, key) -> (state, logs [STEPS], first gradients)`."""
  def one(batch, key, state, _):
    state, logs = step_lib.train_step(
        state, batch, jax.random.fold_in(key, state.step), model=model,
        optimizer=OPTIMIZER, objective=step_lib.Objective(recipe=recipe),
        axis_name=axis_name)
    return state, (logs, state.opt_state[0].mu)

  def run(state, batch, key):
    state, (logs, moments) = jax.lax.scan(
        functools.partial(one, batch, key), state, length=STEPS)
    # After one step Adam's first moment is the gradient times 1 - b1.
    return state, logs, jax.tree.map(lambda moment: moment[0] / 0.1, moments)

  return run


def measure_training(model, recipe, params, batch, one, eight):
  """How far the terms, gradients and what training ends with differ, in both ways."""
  state, key = state_lib.create(params, OPTIMIZER, 0.9), jax.random.key(3)

  def with_mesh(mesh):
    whole = devices.replicated(mesh)
    return jax.device_get(jax.jit(
        training(model, recipe), in_shardings=(whole, devices.split(mesh), whole))(
            state, batch, key))

  expected = with_mesh(one)
  on_all = jax.device_get(jax.pmap(
      training(model, recipe, "data"), axis_name="data", in_axes=(None, 0, None))(
          state, per_device(batch), key))
  for leaf in jax.tree.leaves(on_all[0]):  # no device went its own way
    np.testing.assert_array_equal(leaf, np.broadcast_to(leaf[:1], leaf.shape))
  ways = {"sharded": with_mesh(eight), "pmap": jax.tree.map(lambda leaf: leaf[0], on_all)}
  return {way: {
      "gradients": relative(gradients, expected[2]),
      "terms": relative(first(logs), first(expected[1])),
      "losses": relative(logs["loss"], expected[1]["loss"]),
      "params": relative(state.params, expected[0].params),
      "threshold": abs(float(state.threshold - expected[0].threshold)),
      "threshold_moved": abs(float(state.threshold) - 0.9),
      "loss_fell_by": float(1 - logs["loss"][-1] / logs["loss"][0]),
  } for way, (state, logs, gradients) in ways.items()}


def first(logs):
  return {name: values[0] for name, values in logs.items()}


def main():
  model = tiny_models.grid()
  params, batch = tiny_models.lively_params(model), tiny_models.batch(N)
  one, eight = devices.data_mesh(jax.devices()[:1]), devices.data_mesh()
  trained = {align: measure_training(model, recipe, params, batch, one, eight)
             for align, recipe in RECIPES.items()}
  figures = {"devices": eight.size, "training": trained,
             "rows": measure_rows(model, params, batch, one, eight)}
  json.dump(figures, sys.stdout)


if __name__ == "__main__":
  main()
