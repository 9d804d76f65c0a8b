"""One step: it learns, every recipe runs, and the contrast reaches the field."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_models
from tiny_models import quick_jit

from jnerf.shaping.contrast import Recipe
from jnerf.structs import Batch, Rendering
from jnerf.training import objective as objective_lib
from jnerf.training import state as state_lib
from jnerf.training import step as step_lib

N = 16
KERNEL = "field/rgb/kernel"
OPTIMIZER = state_lib.make_optimizer(state_lib.Schedule(
    steps=40, learning_rate=1e-2, final_learning_rate=5e-3, warmup_steps=5))


def make_state(kind, threshold=0.9):
  model = tiny_models.KINDS[kind]()
  return model, state_lib.create(tiny_models.lively_params(model), OPTIMIZER, threshold)


@functools.partial(quick_jit, static_argnums=(0, 1, 4))
def steps(model, objective, state, batch, num, key):
  """`(state, logs [num])` after `num` steps on one batch."""
  def one(state, _):
    return step_lib.train_step(
        state, batch, jax.random.fold_in(key, state.step), model=model,
        optimizer=OPTIMIZER, objective=objective)

  return jax.lax.scan(one, state, length=num)


def run(kind, objective, num, **state_settings):
  model, state = make_state(kind, **state_settings)
  return steps(model, objective, state, tiny_models.batch(N), num, jax.random.key(0))


@pytest.mark.parametrize("kind", sorted(tiny_models.KINDS))
def test_twenty_steps_lower_every_term_and_adapt_the_threshold(kind):
  recipe = Recipe.of(contrast_weight=0.02, norm_weight=1e-3, threshold_rate=0.01,
                     temperature=0.1, min_positives=0.3, max_positives=0.5)
  objective = step_lib.Objective(interlevel_weight=0.5, distortion_weight=0.01,
                                 recipe=recipe)
  state, logs = run(kind, objective, 20)
  names = {"grid": {"interlevel", "distortion"}, "mlp": {"coarse"}}[kind]
  assert set(logs) == {"loss", "psnr", "photometric", "contrast", "norm", "positives",
                       "anchors", "threshold"} | names
  assert int(state.step) == 20
  weights = {"interlevel": 0.5, "distortion": 0.01, "contrast": 0.02, "norm": 1e-3}
  total = sum(weights.get(name, 1.0) * logs[name]
              for name in {"photometric", "contrast", "norm"} | names)
  np.testing.assert_allclose(logs["loss"], total, rtol=1e-5)
  np.testing.assert_allclose(logs["psnr"], -10 * np.log10(logs["photometric"]), rtol=1e-5)
  assert float(logs["loss"][-1]) < 0.7 * float(logs["loss"][0])
  assert float(logs["contrast"][-1]) < 0.9 * float(logs["contrast"][0])
  assert float(logs["psnr"][-1]) > float(logs["psnr"][0]) + 1
  # The logged threshold is the one the step used, and it moves by its rate.
  assert float(logs["threshold"][0]) == np.float32(0.9)
  moves = np.diff([*logs["threshold"], state.threshold])
  shares = np.asarray(logs["positives"])
  np.testing.assert_allclose(
      moves, 0.01 * ((shares > 0.5).astype(float) - (shares < 0.3)), atol=1e-6)
  assert moves[0] < 0


def test_plain_steps_leave_the_threshold_and_name_no_shaping_terms():
  objective = step_lib.Objective(interlevel_weight=0.0, distortion_weight=0.0)
  state, logs = run("grid", objective, 1, threshold=0.25)
  assert set(logs) == {"loss", "psnr", "photometric"}
  assert float(state.threshold) == 0.25


def depth_error(rendered, measured):
  """The term, of distances alone."""
  names = [field.name for field in dataclasses.fields(Rendering)]
  rendering = Rendering(**dict.fromkeys(names)).replace(distance=rendered)
  return objective_lib.depth(rendering, Batch(rays=None, rgb=None, distance=measured))


def test_depth_error_is_relative_and_ignores_what_is_not_measured():
  rendered, measured = jnp.array([2.0, 3.0, 9.0, 5.0]), jnp.array([1.0, 4.0, 0.0, 5.0])
  assert float(depth_error(rendered, measured)) == pytest.approx(1.25 / 4)
  scaled = depth_error(100 * rendered, 100 * measured)  # metres or centimetres
  assert float(scaled) == pytest.approx(1.25 / 4)
  slopes = jax.grad(depth_error)(rendered, measured)
  np.testing.assert_allclose(slopes[:3], [1 / 4, -1 / 16, 0], atol=1e-7)
  nothing = jax.grad(depth_error)(rendered, 0 * measured)
  np.testing.assert_array_equal(nothing, 0)
  assert depth_error(rendered, None) is None  # of data without depth


@pytest.mark.parametrize("kind", sorted(tiny_models.KINDS))
def test_measured_depth_pulls_the_surface_to_it(kind):
  batch = tiny_models.batch(N)
  measured = np.where(np.arange(N) % 4 == 0, 0, 2.2).astype(np.float32)
  batch = batch.replace(distance=measured)
  objective = step_lib.Objective(depth_weight=0.3)
  model, state = make_state(kind)
  state, logs = steps(model, objective, state, batch, 30, jax.random.key(0))
  assert float(logs["depth"][-1]) < 0.5 * float(logs["depth"][0])
  np.testing.assert_allclose(
      logs["loss"], logs["photometric"] + 0.3 * logs["depth"] + sum(
          weight * logs[name] for name, weight in (
              ("interlevel", 1.0), ("distortion", 1e-4), ("coarse", 1.0))
          if name in logs), rtol=1e-5)
  without = steps(model, step_lib.Objective(), make_state(kind)[1], batch, 1,
                  jax.random.key(0))[1]
  assert "depth" not in without


RECIPES = {
    "vjp": dict(jacobian="vjp", params="field/(color|rgb)/kernel"),
    "sketch": dict(jacobian="sketch", params="field/.*", sketch_directions=16),
    "points": dict(entities="points"),
    "paper": dict(value_channel="random", similarity="dot", absolute=False,
                  self_positive=True, temperature=1.0),
    "position": dict(position_scale=2.0, norm_weight=0.1, contrast_rays=N // 2),
    "oracle": dict(oracle=True, positives="each"),
}


@pytest.mark.parametrize("kind, name", [
    *(("grid", name) for name in RECIPES), ("mlp", "sketch")])
def test_every_recipe_runs_and_moves_the_field(kind, name):
  recipe = Recipe.of(**RECIPES[name], contrast_weight=0.1)
  objective = step_lib.Objective(recipe=recipe)
  model, state = make_state(kind, threshold=0.8)
  after, logs = steps(model, objective, state, tiny_models.batch(N), 1, jax.random.key(0))
  assert all(bool(jnp.all(jnp.isfinite(values))) for values in logs.values())
  assert float(logs["anchors"][0]) > 0 and float(logs["contrast"][0]) > 0
  moved = jax.tree.map(lambda a, b: float(jnp.max(jnp.abs(a - b))), after.params,
                       state.params)
  assert moved["field"]["rgb"]["kernel"] > 1e-4


@pytest.mark.parametrize("kind, recipe, must_move", [
    ("grid", Recipe(), ("rgb/kernel", "color/kernel", "trunk/kernel", "encoding/tables",
                        "density/kernel")),
    ("mlp", Recipe(), ("rgb/kernel", "color/kernel", "trunk_0/kernel", "density/kernel")),
    ("grid", Recipe.of(params="field/density/.*"), ("encoding/tables", "trunk/kernel")),
    ("mlp", Recipe.of(params="field/density/.*"), ("trunk_0/kernel", "trunk_1/kernel")),
    ("grid", Recipe.of(params="field/trunk/kernel"),
     ("encoding/tables", "density/kernel")),
    ("mlp", Recipe.of(params="field/trunk_1/kernel"),
     ("trunk_0/kernel", "density/kernel")),
    ("grid", Recipe.of(params="field/(geometry|rgb)/kernel", value_channel="random"),
     ("encoding/tables", "density/kernel")),
    ("mlp", Recipe.of(params="field/(feature|rgb)/kernel", value_channel="random"),
     ("trunk_0/kernel", "density/kernel")),
    ("grid", Recipe.of(params=".*", jacobian="sketch", sketch_directions=8),
     ("encoding/tables", "density/kernel", "rgb/kernel")),
    ("mlp", Recipe.of(params=".*", jacobian="sketch", sketch_directions=8),
     ("trunk_0/kernel", "density/kernel", "rgb/kernel")),
    ("grid", Recipe.of(params="field/trunk/.*", entities="points"),
     ("encoding/tables", "trunk/kernel", "rgb/kernel")),
    ("mlp", Recipe.of(entities="points"), ("trunk_0/kernel", "rgb/kernel")),
    ("grid", Recipe.of(align="activations"),
     ("encoding/tables", "density/kernel", "color_direction/kernel")),
    ("mlp", Recipe.of(align="activations"), ("trunk_0/kernel", "density/kernel")),
    ("grid", Recipe.of(align="activations", entities="points"), ("encoding/tables",)),
    ("mlp", Recipe.of(align="activations", entities="points"), ("trunk_0/kernel",)),
])
def test_contrast_alone_has_a_gradient_that_is_a_difference(kind, recipe, must_move):
  """The gradient through J, in float64, against values of the loss itself."""
  model = tiny_models.KINDS[kind]()
  params = tiny_models.lively_params(model, dtype=np.float64)
  batch = jax.tree.map(lambda leaf: leaf.astype(np.float64)
                       if leaf.dtype == np.float32 else leaf, tiny_models.batch(N))
  with jax.enable_x64(True):
    samples = quick_jit(model.sample)(params, batch.rays)
    fixed = quick_jit(model.render)(params, batch.rays, samples, batch.background)

    @quick_jit
    @jax.value_and_grad
    def contrast_term(field):
      whole = {"field": field, "sampler": params["sampler"]}
      # Through the place of a point no gradient flows, so it must not be moved.
      rendering = fixed if recipe.rows.entities == "points" else model.render(
          whole, batch.rays, samples, batch.background)
      terms, _, _ = step_lib.contrast.shaping_terms(
          model, whole, batch, samples, rendering, np.float32(0.8), jax.random.key(0),
          recipe)
      return terms["contrast"]

    _, slopes = contrast_term(params["field"])
    for path in must_move:
      layer, name = path.split("/")
      assert float(np.max(np.abs(slopes[layer][name]))) > 1e-5, path
    rng = np.random.default_rng(0)
    direction = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), params["field"])
    up, down = (float(contrast_term(jax.tree.map(
        lambda leaf, d, step=step: leaf + step * d, params["field"], direction))[0])
                for step in (1e-6, -1e-6))
    along = sum(np.sum(np.asarray(s) * d) for s, d in
                zip(jax.tree.leaves(slopes), jax.tree.leaves(direction)))
  np.testing.assert_allclose(along, (up - down) / 2e-6, rtol=1e-4)


def test_learning_rate_warms_up_and_decays_to_its_end():
  optimizer = state_lib.make_optimizer(state_lib.Schedule(
      steps=110, learning_rate=0.1, final_learning_rate=0.001, warmup_steps=10))
  state = optimizer.init(jnp.zeros(()))

  def one(state, _):
    update, state = optimizer.update(jnp.ones(()), state)
    return state, -update

  _, rates = jax.lax.scan(one, state, length=111)
  np.testing.assert_allclose(rates[0], 0.01, rtol=1e-3)
  np.testing.assert_allclose(rates[10], 0.1, rtol=1e-3)
  np.testing.assert_allclose(rates[60], 0.01, rtol=1e-3)  # geometric middle
  np.testing.assert_allclose(rates[110], 0.001, rtol=1e-3)
  assert int(jnp.argmax(rates)) == 10


def test_gradient_clipping_bounds_the_norm():
  schedule = state_lib.Schedule(steps=10, learning_rate=0.1, warmup_steps=0,
                                final_learning_rate=0.1)
  optimizer = state_lib.make_optimizer(schedule, max_grad_norm=1.0)
  state = optimizer.init({"a": jnp.zeros(4)})
  _, state = optimizer.update({"a": 300 * jnp.ones(4)}, state)
  moment = jax.tree.leaves(state[1][0].mu)[0]
  np.testing.assert_allclose(jnp.linalg.norm(moment), 0.1, rtol=1e-5)  # (1 - b1) * 1



def test_a_term_without_a_weight_counts_as_it_is_and_one_of_no_weight_not_at_all():
  terms = {"photometric": 2.0, "interlevel": 3.0, "flatness": 5.0, "contrast": 7.0,
           "norm": 11.0}
  plain = step_lib.Objective(interlevel_weight=0.5)
  assert plain.weighted(terms) == {"photometric": 2, "interlevel": 1.5, "flatness": 5,
                                   "contrast": 7, "norm": 11}
  shaping = step_lib.Objective(interlevel_weight=0.0, recipe=Recipe.of(
      contrast_weight=0.1, norm_weight=0.0))
  assert shaping.weighted(terms) == {"photometric": 2, "flatness": 5,
                                     "contrast": pytest.approx(0.7)}


def test_a_term_of_no_weight_is_in_no_log_and_moves_nothing():
  recipe = Recipe.of(contrast_weight=0.0, norm_weight=0.0)
  without = step_lib.Objective(interlevel_weight=0.0, distortion_weight=0.0)
  state, logs = run("grid", dataclasses.replace(without, recipe=recipe), 1)
  assert {"interlevel", "distortion", "contrast", "norm"}.isdisjoint(logs)
  np.testing.assert_array_equal(logs["loss"], logs["photometric"])
  fitted, _ = run("grid", without, 1)
  for leaf, other in zip(jax.tree.leaves(state.params), jax.tree.leaves(fitted.params)):
    np.testing.assert_allclose(leaf, other, atol=1e-6)


def test_num_params_counts_numbers():
  assert state_lib.num_params({"a": np.zeros((2, 3)), "b": {"c": np.zeros(4)}}) == 10
