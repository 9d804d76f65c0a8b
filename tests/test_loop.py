"""The loop: resuming is exact, data may lie anywhere, and trouble is named."""

import dataclasses
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_models

from jnerf.fields.model import Model
from jnerf.scenes import pixels, strata
from jnerf.shaping.contrast import Recipe
from jnerf.training import devices, loop
from jnerf.training import state as state_lib
from jnerf.training.checkpoints import Checkpoints
from jnerf.training.step import Objective

MODEL = tiny_models.grid()
OPTIMIZER = state_lib.make_optimizer(state_lib.Schedule(
    steps=6, learning_rate=1e-2, final_learning_rate=1e-3, warmup_steps=2))
DATA, KEY = tiny_models.pixel_data(), jax.random.key(7)


def fresh():
  return state_lib.create(tiny_models.lively_params(MODEL), OPTIMIZER, 0.5)


def run(num_steps=6, state=None, data=DATA, **settings):
  """`(state in NumPy, [(step, logs), ...])`; three steps a call."""
  recipe = Recipe.of(contrast_weight=0.01, threshold_rate=0.01, min_positives=0.5,
                     max_positives=0.6)
  training = loop.Training(MODEL, OPTIMIZER, Objective(recipe=recipe), num_steps,
                           num_rays=16, steps_per_call=3)
  calls = []
  state = loop.train(
      fresh() if state is None else state, data, KEY, training,
      on_call=lambda step, state, logs: calls.append((step, logs)), **settings)
  return jax.tree.map(np.asarray, state), calls


draw = jax.jit(loop.draw_batch, static_argnums=(2, 3, 4, 5))


@pytest.fixture(scope="module")
def unbroken():
  return run()


def assert_same_bits(one, other):
  for leaf, twin in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
    assert leaf.dtype == twin.dtype and leaf.tobytes() == twin.tobytes()


def assert_trained_alike(one, other):
  """Adam makes whole steps of rounding errors where a gradient is next to nothing."""
  for leaf, twin in zip(jax.tree.leaves(one.params), jax.tree.leaves(other.params)):
    np.testing.assert_allclose(leaf, twin, atol=0.02)
    assert np.mean(np.abs(leaf - twin) > 1e-5) < 0.02
  assert one.threshold == other.threshold and one.step == other.step


@pytest.mark.parametrize("on_device", [True, False])
def test_resuming_from_a_checkpoint_is_exact(tmp_path, unbroken, on_device):
  whole = unbroken[0] if on_device else run(on_device=False)[0]
  half, _ = run(num_steps=3, on_device=on_device)
  assert int(half.step) == 3
  with Checkpoints(tmp_path) as checkpoints:
    checkpoints.save(3, half)
    restored, _ = checkpoints.restore(jax.tree.map(np.zeros_like, half))
  resumed, calls = run(state=restored, on_device=on_device)
  assert [step for step, _ in calls] == [3, 6]
  assert_same_bits(whole, resumed)
  np.testing.assert_allclose(whole.threshold, 0.5 - 6 * 0.01, atol=1e-6)
  if not on_device:
    assert_trained_alike(whole, unbroken[0])


def test_calls_report_the_step_reached_and_finite_means(unbroken):
  _, calls = unbroken
  assert [step for step, _ in calls] == [0, 3, 6]
  assert calls[0][1] == {}
  for _, logs in calls[1:]:
    assert {"loss", "psnr", "photometric", "contrast", "threshold"} <= set(logs)
    assert "finite" not in logs and np.all(np.isfinite(list(logs.values())))
  # A mean over thresholds 0.50, 0.49 and 0.48.
  np.testing.assert_allclose(calls[1][1]["threshold"], 0.49, atol=1e-6)


@pytest.mark.parametrize("on_device", [True, False])
def test_a_stage_is_traced_once(monkeypatch, on_device):
  traced = []
  original = loop.step_lib.train_step

  def counting(*args, **kwargs):
    traced.append(1)
    return original(*args, **kwargs)

  monkeypatch.setattr(loop.step_lib, "train_step", counting)
  timing = loop.Timing()
  run(on_device=on_device, timing=timing)
  assert len(traced) == 1
  assert timing.steps == 6 and timing.rays_per_second > 0
  assert 0 < timing.compile_seconds < timing.seconds


def test_the_state_that_was_handed_in_stays_usable(unbroken):
  """The loop overwrites its own state, not the caller's: plain beside shaped."""
  state = jax.device_put(fresh(), devices.replicated(devices.data_mesh()))
  trained, _ = run(num_steps=3, state=state)
  assert_same_bits(jax.tree.map(np.asarray, state), jax.tree.map(np.asarray, fresh()))
  assert int(trained.step) == 3


def test_nothing_is_left_to_do_after_the_last_step(unbroken):
  state, calls = run(state=unbroken[0])
  assert calls == []
  assert_same_bits(state, unbroken[0])


@pytest.mark.parametrize("on_device", [True, False])
def test_a_loss_that_is_not_finite_is_an_error_that_names_the_steps(on_device):
  poisoned = DATA.replace(images=np.where(DATA.images > 0.9, np.nan, DATA.images))
  with pytest.raises(FloatingPointError, match="steps 0 to 3"):
    run(data=poisoned, on_device=on_device)


@pytest.mark.parametrize("background, value",
                         [*loop.BACKGROUNDS.items(), ("random", None)])
def test_a_batch_is_a_function_of_its_key(background, value):
  batch, again, other = (draw(DATA, jax.random.key(seed), 16, background)
                         for seed in (0, 0, 1))
  assert_same_bits(*(jax.tree.map(np.asarray, b) for b in (batch, again)))
  assert not np.array_equal(batch.rgb, other.rgb)
  assert not np.array_equal(batch.jitter, other.jitter)
  assert batch.jitter.shape == (16, 2)
  assert float(np.min(batch.jitter)) >= -0.5 and float(np.max(batch.jitter)) < 0.5
  if value is None:
    assert not np.array_equal(batch.background, other.background)
    assert len(np.unique(batch.background)) == 48
  else:
    np.testing.assert_array_equal(batch.background, np.full((16, 3), value, np.float32))


def test_host_batches_of_contrasted_classes_are_what_the_device_draws():
  labels = np.arange(np.prod(DATA.shape)).reshape(DATA.shape) % 7
  data = DATA.replace(strata=strata.by_class(labels, 0.5))
  objective = Objective(recipe=Recipe.of(oracle=True, contrast_rays=4))
  training = loop.Training(MODEL, OPTIMIZER, objective, 4, num_rays=16, steps_per_call=1)
  stacked = loop.host_batches(data, KEY, training, 2, devices.data_mesh())
  batch_key, _ = jax.random.split(jax.random.fold_in(KEY, 2))
  np.testing.assert_allclose(draw(data, batch_key, 16, "random", 0, 4).rgb,
                             stacked.rgb[0], rtol=1e-5)
  assert not np.array_equal(draw(DATA, batch_key, 16, "random").rgb, stacked.rgb[0])


def test_host_batches_are_what_the_device_draws():
  training = loop.Training(MODEL, OPTIMIZER, Objective(), 4, num_rays=16,
                           steps_per_call=2)
  stacked = loop.host_batches(DATA, KEY, training, 2, devices.data_mesh())
  for i, step in enumerate((2, 3)):
    batch_key, _ = jax.random.split(jax.random.fold_in(KEY, step))
    batch = draw(DATA, batch_key, 16, "random")
    for leaf, twin in zip(jax.tree.leaves(batch), jax.tree.leaves(stacked)):
      np.testing.assert_allclose(leaf, twin[i], rtol=1e-5, atol=1e-6)
    pixel = pixels.draw_pixels(jax.random.split(batch_key, 3)[0], 16, DATA.shape)
    np.testing.assert_array_equal(batch.rgb, DATA.images[tuple(np.asarray(pixel).T)])


def test_the_host_draws_on_the_cpu_whatever_the_device(monkeypatch):
  """On the device the draws would wait for the call that it is working on."""
  places, original = [], pixels.draw_pixels

  def draw_pixels(key, *args):
    places.append((jax.config.jax_default_device, *key.devices()))
    return original(key, *args)

  monkeypatch.setattr(pixels, "draw_pixels", draw_pixels)
  training = loop.Training(MODEL, OPTIMIZER, Objective(), 4, num_rays=16,
                           steps_per_call=2)
  mesh = devices.data_mesh()
  key = jax.device_put(KEY, devices.replicated(mesh))
  loop.host_batches(DATA, key, training, 0, mesh)
  assert places == [(jax.devices("cpu")[0],) * 2] * 2


def add(total, value):
  """A step: the state is a sum, the loss what is added."""
  return total + value, {"loss": value, "twice": 2 * value}


def test_a_scan_of_steps_tells_means_and_whether_all_was_finite():
  scan = jax.jit(lambda values: loop.scan_steps(add, jnp.float32(1), values))
  total, logs = scan(jnp.array([1.0, 2.0, 6.0]))
  assert total == 10 and loop.finite_logs(logs, 0, 3) == {"loss": 3, "twice": 6}
  for bad in (np.nan, np.inf):
    with pytest.raises(FloatingPointError, match="steps 3 to 6"):
      loop.finite_logs(scan(jnp.array([1.0, bad, 6.0]))[1], 3, 6)
  total, _ = loop.scan_steps(lambda state, _: add(state, jnp.float32(2)), 0.0, length=4)
  assert total == 8


def add_all(total, values):
  return loop.scan_steps(add, total, values)


def run_sums(num_steps, feed, call=add_all, first_step=0, **settings):
  """Sums of two numbers a call: `(state, [(step, state, logs), ...])`."""
  calls = []
  state = loop.run_steps(
      call, 0.0, feed, first_step=first_step, num_steps=num_steps, steps_per_call=2,
      on_call=lambda *args: calls.append(args), **settings)
  return state, calls


def numbers(step):
  return jnp.array([step, step + 1.0])


def test_steps_are_run_in_calls_from_any_step_on():
  asked, timing = [], loop.Timing(seconds=5.0, steps=3)
  state, calls = run_sums(10, lambda step: asked.append(step) or numbers(step),
                          first_step=4, num_rays=7, timing=timing)
  assert asked == [4, 6, 8]  # once each, and nothing beyond the end
  assert state == sum(range(4, 10))
  assert [(step, float(total), logs["loss"]) for step, total, logs in calls] == [
      (6, 9, 4.5), (8, 22, 6.5), (10, 39, 8.5)]
  assert timing.steps == 9 and timing.seconds > 5 and timing.rays_per_second > 0
  assert run_sums(4, None, first_step=4) == (0.0, [])


def test_inputs_are_made_while_the_device_works():
  made = {step: threading.Event() for step in (0, 2, 4)}

  def feed(step):
    made[step].set()
    return step

  def call(state, step):
    assert step + 2 not in made or made[step + 2].wait(timeout=20)
    return state, {"loss": 0.0, "finite": True}

  assert [step for step, *_ in run_sums(6, feed, call)[1]] == [2, 4, 6]


def test_steps_that_are_not_finite_are_named_and_end_the_run():
  calls = []
  with pytest.raises(FloatingPointError, match="steps 2 to 4"):
    loop.run_steps(add_all, 0.0, lambda step: numbers(step) / (step != 2), first_step=0,
                   num_steps=6, steps_per_call=2,
                   on_call=lambda step, *_: calls.append(step))
  assert calls == [2]


@dataclasses.dataclass(frozen=True)
class Growing(Model):
  """Counts its calls where everybody can see it."""

  def after_call(self, state):
    return state.replace(threshold=state.threshold + 1)


def test_a_model_may_change_the_state_between_calls():
  growing = Growing(MODEL.field, MODEL.sampler)
  recipe = Recipe.of(contrast_weight=0.01, threshold_rate=0.01, min_positives=0.5,
                     max_positives=0.6)
  training = loop.Training(growing, OPTIMIZER, Objective(recipe=recipe), 6, num_rays=16,
                           steps_per_call=3)
  thresholds = []
  state = loop.train(fresh(), DATA, KEY, training, on_call=lambda step, state, logs:
                     thresholds.append(float(state.threshold)))
  # Before all calls, and after each of three steps with what was added to it; the
  # second call goes on from there.
  np.testing.assert_allclose(thresholds, [0.5, 1.47, 2.44], atol=1e-5)
  assert thresholds[-1] == float(state.threshold)
