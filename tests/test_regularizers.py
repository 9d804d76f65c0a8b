"""Mip-NeRF 360's regularisers against slow twins of the published formulas."""

import jax
import jax.numpy as jnp
import numpy as np

from jnerf.fields import regularizers
from jnerf.structs import Proposal, Rendering

N = 4


def histogram(bins, seed):
  rng = np.random.default_rng(seed)
  t = np.sort(rng.uniform(0.5, 3, (N, bins + 1)), axis=1)
  t[:, 0], t[:, -1] = 0.5, 3.0
  return t, rng.dirichlet(np.ones(bins + 1), N)[:, :bins]


def slow_interlevel(t, weights, proposal_t, proposal_weights):
  """Barron et al. (2022), eqs. 12 and 13."""
  total = 0.0
  for n in range(N):
    for i, weight in enumerate(weights[n]):
      bound = sum(
          proposal_weights[n, j] for j in range(proposal_weights.shape[1])
          if proposal_t[n, j] < t[n, i + 1] and proposal_t[n, j + 1] > t[n, i])
      total += max(0.0, weight - bound)**2 / (weight + 1e-5)
  return total / N


def slow_distortion(t, weights):
  """Barron et al. (2022), eq. 15, on distances that run from 0 to 1."""
  total = 0.0
  for n in range(N):
    s = (t[n] - t[n, 0]) / (t[n, -1] - t[n, 0])
    for i, a in enumerate(weights[n]):
      for j, b in enumerate(weights[n]):
        total += a * b * abs((s[i] + s[i + 1]) / 2 - (s[j] + s[j + 1]) / 2)
      total += a**2 * (s[i + 1] - s[i]) / 3
  return total / N


def test_interlevel_equals_the_published_formula():
  (t, weights), (proposal_t, proposal_weights) = histogram(9, 0), histogram(5, 1)
  expected = slow_interlevel(t, weights, proposal_t, proposal_weights)
  assert expected > 1e-3
  with jax.enable_x64(True):
    loss = jax.jit(regularizers.excess)(t, weights, proposal_t, proposal_weights)
    np.testing.assert_allclose(loss, expected, rtol=1e-10)


def test_interlevel_with_shared_edges_counts_only_bins_that_overlap():
  t = np.tile(np.linspace(0, 1, 5, dtype=np.float32), (N, 1))
  weights = np.tile(np.float32([0.1, 0.2, 0.3, 0.4]), (N, 1))
  np.testing.assert_allclose(regularizers.outer_measure(t, t, weights), weights,
                             atol=1e-6)
  np.testing.assert_allclose(
      regularizers.outer_measure(t, t[:, ::2], weights[:, 1::2]),
      np.tile(np.float32([0.2, 0.2, 0.4, 0.4]), (N, 1)), atol=1e-6)


def test_interlevel_is_zero_where_the_proposal_bounds_the_field():
  proposal_t, proposal_weights = histogram(5, 2)
  t = np.sort(np.concatenate(
      [proposal_t, (proposal_t[:, 1:] + proposal_t[:, :-1]) / 2], axis=1), axis=1)
  weights = np.repeat(proposal_weights, 2, axis=1) * 0.5
  loss = jax.jit(regularizers.excess)
  arrays = [np.float32(v) for v in (t, weights, proposal_t, proposal_weights)]
  assert float(loss(*arrays)) == 0
  arrays[1] = 3 * arrays[1]
  assert float(loss(*arrays)) > 1e-3


def rendering_of(t, weights, *proposals):
  """A rendering of which only the histograms are there."""
  nothing = dict.fromkeys(("rgb", "acc", "distance", "distance_median", "sigma", "hidden",
                           "logits"))
  return Rendering(t=t, weights=weights, proposals=proposals, **nothing)


def test_only_the_proposals_learn_from_interlevel_and_each_adds_its_excess():
  (t, weights), *proposals = (jax.tree.map(np.float32, histogram(bins, seed))
                              for bins, seed in ((9, 0), (5, 1), (7, 2)))

  @jax.jit
  @jax.value_and_grad
  def loss(rendering):
    return regularizers.interlevel(rendering)

  value, slopes = loss(rendering_of(t, weights, *(Proposal(*p) for p in proposals)))
  np.testing.assert_allclose(value, sum(slow_interlevel(t, weights, *p)
                                        for p in proposals), rtol=1e-5)
  np.testing.assert_array_equal(slopes.t, 0)
  np.testing.assert_array_equal(slopes.weights, 0)
  for proposal in slopes.proposals:
    assert float(jnp.min(proposal.weights)) < 0 >= float(jnp.max(proposal.weights))


def test_distortion_equals_the_published_formula_in_any_unit():
  t, weights = histogram(7, 3)
  expected = slow_distortion(t, weights)
  with jax.enable_x64(True):
    loss = jax.jit(lambda *args: regularizers.distortion(rendering_of(*args)))
    np.testing.assert_allclose(loss(t, weights), expected, rtol=1e-10)
    np.testing.assert_allclose(loss(100 * t + 7, weights), expected, rtol=1e-10)


def test_distortion_prefers_weights_together_and_survives_an_empty_interval():
  t = np.tile(np.linspace(0, 1, 6, dtype=np.float32), (N, 1))
  loss = jax.jit(jax.value_and_grad(regularizers.spread, argnums=1))
  near, _ = loss(t, np.tile(np.float32([0, 0.5, 0.5, 0, 0]), (N, 1)))
  apart, _ = loss(t, np.tile(np.float32([0.5, 0, 0, 0, 0.5]), (N, 1)))
  one, _ = loss(t, np.tile(np.float32([0, 1, 0, 0, 0]), (N, 1)))
  np.testing.assert_allclose(one, 0.2 / 3, rtol=1e-5)
  assert float(one) < float(near) < float(apart)
  value, slope = loss(0 * t, np.full((N, 5), 0.2, np.float32))
  assert float(value) == 0 and bool(jnp.all(jnp.isfinite(slope)))
