"""Volume rendering against closed forms and a sample-by-sample twin."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnerf.rendering import compositing


def uneven_edges(num=9, far=2.5, seed=0):
  inner = np.sort(np.random.default_rng(seed).uniform(0.5, far, num - 1))
  return np.concatenate([[0.5], inner, [far]])[None].astype(np.float32)


def twin(sigma, t):
  """Front to back, one sample at a time."""
  weights, trans = np.zeros(sigma.shape), np.ones(sigma.shape[0])
  for s in range(sigma.shape[1]):
    alpha = 1 - np.exp(-sigma[:, s] * (t[:, s + 1] - t[:, s]))
    weights[:, s] = trans * alpha
    trans = trans * (1 - alpha)
  return weights


@pytest.mark.parametrize("sigma", [1e-6, 0.3, 2.0, 40.0])
def test_constant_density_is_exponential_whatever_the_intervals(sigma):
  t = uneven_edges()
  weights = compositing.compositing_weights(np.full((1, 9), sigma, np.float32), t)
  np.testing.assert_allclose(jnp.sum(weights), -np.expm1(-sigma * 2.0), rtol=1e-5)


def test_weights_equal_the_twin():
  rng = np.random.default_rng(0)
  sigma, t = rng.exponential(2.0, (6, 9)), np.sort(rng.random((6, 10)), axis=1)
  with jax.enable_x64(True):
    weights = compositing.compositing_weights(jnp.asarray(sigma), jnp.asarray(t))
    np.testing.assert_allclose(weights, twin(sigma, t), rtol=1e-12)


def test_huge_density_is_one_hot_and_what_lies_before_still_counts():
  sigma = np.zeros((3, 9), np.float32)
  sigma[0, 4] = sigma[1, 4] = 1e8
  sigma[1, :4] = 0.7
  sigma[2] = np.inf
  t = np.tile(uneven_edges(), (3, 1))
  weights = np.asarray(compositing.compositing_weights(sigma, t))
  np.testing.assert_array_equal(weights[0], np.eye(9)[4])
  # Transmittance before a wall must not drown in the wall's optical depth.
  np.testing.assert_allclose(weights[1, 4], np.exp(-0.7 * (t[1, 4] - 0.5)), rtol=1e-5)
  np.testing.assert_allclose(weights[1].sum(), 1, rtol=1e-6)
  np.testing.assert_array_equal(weights[2], np.eye(9)[0])


def test_all_magnitudes_are_finite_with_gradients():
  exponents = np.arange(-100, 11, 5, dtype=np.float32)
  rng = np.random.default_rng(0)
  mixed = rng.choice(exponents, (40, 9)).astype(np.float32)
  exponents = np.concatenate([np.tile(exponents[:, None], (1, 9)), mixed])
  t = np.tile(uneven_edges(), (len(exponents), 1))
  rgb = rng.random((len(exponents), 9, 3)).astype(np.float32)

  def pixel(exponents, t):
    weights = compositing.compositing_weights(jnp.exp(exponents), t)
    acc = jnp.sum(weights, axis=1)
    color = compositing.over_background(compositing.composite(weights, rgb), acc, 0.5)
    parts = (color, acc, compositing.mean_distance(weights, t),
             compositing.median_distance(weights, t))
    return sum(jnp.sum(part) for part in parts), parts

  (_, parts), slopes = jax.value_and_grad(pixel, argnums=(0, 1), has_aux=True)(
      exponents, t)
  for value in (*parts, *slopes):
    assert bool(jnp.all(jnp.isfinite(value)))
  assert float(jnp.max(parts[1])) <= 1 + 1e-6
  # A gradient that is wrongly zero would be finite too.
  thin = exponents.max(axis=1) == 0
  assert thin.any() and float(jnp.min(jnp.max(jnp.abs(slopes[0][thin]), axis=1))) > 1e-3


def test_gradients_equal_those_of_the_twin():
  rng = np.random.default_rng(2)
  sigma, t = rng.exponential(2.0, (1, 6)), np.sort(rng.random((1, 7)), axis=1)
  values = rng.normal(size=6)
  with jax.enable_x64(True):
    slope = jax.grad(lambda sigma: jnp.sum(compositing.compositing_weights(
        sigma, jnp.asarray(t))[0] * values))(jnp.asarray(sigma))
  for s in range(6):
    step = 1e-6 * np.eye(6)[s][None]
    expected = (twin(sigma + step, t) - twin(sigma - step, t))[0] @ values / 2e-6
    np.testing.assert_allclose(slope[0, s], expected, rtol=1e-6, atol=1e-9)


def test_background_shows_where_nothing_is():
  rgb, acc = np.float32([[0.2, 0.1, 0.0]] * 2), np.float32([0.25, 0.25])
  behind = np.float32([[1, 1, 1], [0, 0.4, 0.8]])
  np.testing.assert_allclose(compositing.over_background(rgb, acc, behind),
                             [[0.95, 0.85, 0.75], [0.2, 0.4, 0.6]], atol=1e-6)
  np.testing.assert_array_equal(compositing.over_background(rgb, acc, 0.0), rgb)


def test_mean_distance():
  t = np.float32([[0, 1, 3, 4]] * 3)
  weights = np.float32([[0, 1, 0], [0.5, 0, 0.5], [0, 0, 0]])
  np.testing.assert_allclose(compositing.mean_distance(weights, t), [2, 2, 4])
  half = np.float32([[0.5, 0, 0]])  # half of the light comes from the far end
  np.testing.assert_allclose(compositing.mean_distance(half, t[:1]), [0.25 + 2])


def test_median_distance_closed_forms():
  t = np.float32([[0, 1, 3, 4]] * 4)
  weights = np.float32([[0, 1, 0], [0.1, 0.2, 0.1], [0.6, 0.2, 0.0], [0, 0, 0]])
  # A single bin's middle; the middle of a symmetric one; 2/3 into the first bin;
  # the far end where nothing is met.
  np.testing.assert_allclose(compositing.median_distance(weights, t),
                             [2, 2, 2 / 3, 4], atol=1e-5)


def test_median_of_constant_density_is_its_half_life():
  t = np.linspace(0, 30, 3001, dtype=np.float32)[None]
  weights = compositing.compositing_weights(np.full((1, 3000), 0.9, np.float32), t)
  np.testing.assert_allclose(compositing.median_distance(weights, t), np.log(2) / 0.9,
                             rtol=1e-4)
  np.testing.assert_allclose(compositing.mean_distance(weights, t), 1 / 0.9, rtol=1e-4)
