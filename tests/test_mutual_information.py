"""The formula, an estimate that assumes nothing, and noise on a real field between."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_models
from tiny_models import quick_jit

from jnerf.shaping import jacobians, mutual_information


def gaussian_pair(correlation, num=100_000):
  x, y = np.random.default_rng(0).normal(size=(2, num)).astype(np.float32)
  return x, correlation * x + np.sqrt(1 - correlation**2) * y


@pytest.mark.parametrize("correlation", [0.0, 0.3, -0.6, 0.9])
def test_estimate_of_gaussian_samples_follows_the_formula(correlation):
  x, y = gaussian_pair(np.float32(correlation))
  expected = -0.5 * np.log(1 - correlation**2)
  estimate = quick_jit(mutual_information.estimate, static_argnums=2)
  np.testing.assert_allclose(mutual_information.from_cosine(correlation), expected,
                             rtol=1e-5, atol=1e-9)
  # Binning into 16 x 16 loses a few per cent, least for weak dependence.
  np.testing.assert_allclose(estimate(x, y, 16), expected, rtol=0.08, atol=2e-3)
  # A monotone change of one variable changes nothing: it sees dependence, not shape.
  np.testing.assert_allclose(estimate(x, np.exp(y), 16), estimate(x, y, 16), rtol=1e-3,
                             atol=1e-5)


def test_estimate_sees_what_a_correlation_does_not():
  x, y = gaussian_pair(np.float32(0.0), 20_000)
  estimate = quick_jit(mutual_information.estimate)
  assert abs(np.corrcoef(x, x**2)[0, 1]) < 0.05
  assert float(estimate(x, x**2)) > 1
  assert abs(float(estimate(x[:4000], y[:4000]))) < 0.02  # the bias is corrected


def test_from_cosine_grows_with_the_absolute_cosine():
  cosines = np.float32([0.0, -0.2, 0.5, -0.9])
  values = np.asarray(mutual_information.from_cosine(cosines))
  assert values[0] == 0 and (np.diff(values) > 0).all()
  assert np.isinf(mutual_information.from_cosine(1.0))


@pytest.mark.parametrize("kind", sorted(tiny_models.KINDS))
def test_responses_to_weight_noise_correlate_as_the_gradients_do(kind):
  model, num = tiny_models.KINDS[kind](), 12
  params = tiny_models.lively_params(model)
  rays, pattern = tiny_models.rays(num), "field/(color|rgb)/kernel"
  values_fn = functools.partial(jacobians.ray_values, model)

  @quick_jit
  def rows_and_responses(params, key):
    samples = model.sample(params, rays)
    responses = mutual_information.perturbed_responses(
        lambda p: values_fn(p, rays, samples), params, pattern, key, num_draws=4000,
        noise=1e-3)
    return jacobians.by_vjp(values_fn, params, pattern, rays, samples), responses

  rows, responses = map(np.asarray, rows_and_responses(params, jax.random.key(0)))
  assert responses.shape == (4000, num)
  np.testing.assert_allclose(responses.std(0), 1e-3 * np.linalg.norm(rows, axis=1),
                             rtol=0.06)
  unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
  cosines = unit @ unit.T
  assert cosines.min() < 0.8
  np.testing.assert_allclose(np.corrcoef(responses.T), cosines, atol=0.05)


def test_only_the_selected_parameters_are_moved():
  params = {"a": jnp.ones(3), "b": jnp.ones(2)}
  responses = mutual_information.perturbed_responses(
      lambda p: jnp.concatenate([p["a"], p["b"]]), params, "a", jax.random.key(0),
      num_draws=5, noise=0.1)
  np.testing.assert_array_equal(responses[:, 3:], 0)
  assert float(jnp.min(jnp.std(responses[:, :3], axis=0))) > 0.01
