"""Responses: one render serves all directions, and each equals a literal nudge."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnerf.labeling.response import (
  cosine_response,
  finite_response,
  linear_response,
  response_3d,
  unit_response,
)
from jnerf.shaping import jacobians
from jnerf.shaping.pairs import unit_rows
from jnerf.structs import Rendering

N, S, H, K = 7, 5, 6, 4


def samples(seed=0):
  """weights, hidden, logits, V in float64, logits being those of a kernel."""
  rng = np.random.default_rng(seed)
  weights = rng.dirichlet(np.ones(S + 1), N)[:, :S]
  hidden = np.maximum(rng.normal(size=(N, S, H)), 0)
  kernel, bias = rng.normal(size=(H, 3)), rng.normal(size=3)
  logits, V = hidden @ kernel + bias, rng.normal(size=(3 * H, K))
  return weights, hidden, logits, V, kernel, bias


def literal_colours(weights, hidden, kernel, bias):
  """`[N, 3]`, sample by sample."""
  colours = np.zeros((N, 3))
  for n in range(N):
    for s in range(S):
      colours[n] += weights[n, s] / (1 + np.exp(-(hidden[n, s] @ kernel + bias)))
  return colours


def gradients(weights, hidden, logits):
  """The library's own closed form, so that the layouts of J and V must agree."""
  filler = jnp.zeros(N)
  return jacobians.closed_form(Rendering(
      rgb=jnp.zeros((N, 3)), acc=filler, distance=filler, distance_median=filler,
      t=jnp.zeros((N, S + 1)), weights=jnp.asarray(weights), sigma=jnp.zeros((N, S)),
      hidden=jnp.asarray(hidden), logits=jnp.asarray(logits)))


@pytest.mark.parametrize("signed", [False, True])
def test_finite_response_equals_nudging_and_rendering_again(signed):
  weights, hidden, logits, V, kernel, bias = samples()
  before = literal_colours(weights, hidden, kernel, bias)
  expected = np.zeros((N, K))
  for k in range(K):
    moved = kernel + 0.3 * V[:, k].reshape(H, 3)
    change = literal_colours(weights, hidden, moved, bias) - before
    expected[:, k] = np.mean(change if signed else np.abs(change), axis=1)
  with jax.enable_x64(True):
    response = finite_response(*map(jnp.asarray, (weights, hidden, logits, V)), step=0.3,
                               signed=signed, batch_size=3)  # leaves a remainder
    np.testing.assert_allclose(response, expected, rtol=1e-12, atol=1e-15)


def test_finite_response_tends_to_the_linear_one():
  weights, hidden, logits, V, *_ = samples(1)
  with jax.enable_x64(True):
    arrays = [jnp.asarray(v) for v in (weights, hidden, logits, V)]
    linear = linear_response(gradients(weights, hidden, logits), arrays[3])
    errors = [float(jnp.max(jnp.abs(
        finite_response(*arrays, step=step, signed=True) / step - linear)))
              for step in (1e-2, 1e-3, 1e-4)]
  assert np.max(np.abs(linear)) > 0.05  # not trivially equal
  np.testing.assert_allclose(errors[1] / errors[0], 0.1, rtol=0.1)
  assert errors[2] < 1e-4


def test_density_is_untouched():
  """An empty ray answers nothing, and responses add up over samples by weight."""
  weights, hidden, logits, V, *_ = (jnp.asarray(v, jnp.float32) for v in samples(2))
  respond = functools.partial(finite_response, hidden=hidden, logits=logits, V=V,
                              step=0.1, signed=True)
  np.testing.assert_array_equal(respond(weights.at[0].set(0))[0], 0)
  parts = sum(respond(jnp.zeros_like(weights).at[:, s].set(weights[:, s]))
              for s in range(S))
  np.testing.assert_allclose(respond(weights), parts, atol=1e-6)


def test_response_3d_equals_a_loop_over_samples():
  weights, hidden, _, V, *_ = samples(4)
  expected = np.zeros((N, K))
  for k in range(K):
    mean_kernel = V[:, k].reshape(H, 3).mean(1)
    for s in range(S):
      expected[:, k] += weights[:, s] * np.abs(hidden[:, s] @ mean_kernel) * 0.1
  with jax.enable_x64(True):
    response = response_3d(*map(jnp.asarray, (weights, hidden, V)), step=0.1,
                           batch_size=4)
    np.testing.assert_allclose(response, expected, rtol=1e-12)


def test_cosines_and_their_gradients_survive_empty_rays():
  rng = np.random.default_rng(5)
  J = jnp.asarray(rng.normal(size=(N, 3 * H)), jnp.float32).at[2].set(0)
  V = jnp.asarray(rng.normal(size=(3 * H, K)), jnp.float32).at[:, 1].set(0)
  cosines = cosine_response(J, V)
  np.testing.assert_array_equal(cosines[2], 0)
  np.testing.assert_array_equal(cosines[:, 1], 0)
  direct = (J[0] @ V[:, 0]) / (np.linalg.norm(J[0]) * np.linalg.norm(V[:, 0]))
  np.testing.assert_allclose(cosines[0, 0], direct, rtol=1e-5)
  np.testing.assert_allclose(cosine_response(1e-6 * J, 1e4 * V), cosines, atol=1e-6)
  slopes = jax.grad(lambda j: jnp.sum(cosine_response(j, V)**2))(J)
  assert bool(jnp.all(jnp.isfinite(slopes))) and float(jnp.max(jnp.abs(slopes))) > 0
  np.testing.assert_allclose(jnp.linalg.norm(unit_rows(J), axis=1),
                             np.arange(N) != 2, atol=1e-6)


def test_unit_response_is_that_of_unit_rows():
  rng = np.random.default_rng(4)
  J, V = rng.normal(size=(30, 8)) * 1e-3, rng.normal(size=(8, 3))
  J[7] = 0
  unit = J / np.maximum(np.linalg.norm(J, axis=1, keepdims=True), 1e-30)
  J, V = (jnp.asarray(x, jnp.float32) for x in (J, V))
  np.testing.assert_allclose(unit_response(J, V), unit @ V, atol=1e-5)
