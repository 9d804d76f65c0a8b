"""Sample positions: ascending, covering, repeatable, and following a histogram."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnerf.rendering import distances

N = 5
NEAR, FAR = np.full((N, 1), 0.5, np.float32), np.full((N, 1), 3.0, np.float32)


def histogram(seed=0, bins=7):
  """`t [N, bins + 1]` of uneven widths on [NEAR, FAR], and weights."""
  rng = np.random.default_rng(seed)
  inner = np.sort(rng.uniform(0.5, 3.0, (N, bins - 1)), axis=1)
  t = np.concatenate([NEAR, inner, FAR], axis=1).astype(np.float32)
  return t, rng.random((N, bins)).astype(np.float32)


@pytest.mark.parametrize("jitter", [None, -0.5, 0.0, 0.4999])
def test_edges_ascend_and_cover_the_ray(jitter):
  moved = None if jitter is None else np.full((N, 1), jitter, np.float32)
  t, weights = histogram()
  spiky = np.eye(N, weights.shape[1], dtype=np.float32)
  for edges in (distances.uniform(NEAR, FAR, 9, moved),
                distances.importance(t, weights, 9, moved),
                distances.importance(t, spiky, 9, moved),
                distances.importance(t, 0 * weights, 9, moved)):
    assert edges.shape == (N, 10)
    assert float(jnp.min(jnp.diff(edges, axis=1))) > 0
    np.testing.assert_array_equal(edges[:, [0, -1]], np.hstack([NEAR, FAR]))


def test_no_jitter_is_repeatable_and_the_middle_of_all_jitters():
  t, weights = histogram()
  even = distances.uniform(NEAR, FAR, 5)
  np.testing.assert_allclose(even[0], np.linspace(0.5, 3.0, 6), rtol=1e-6)
  np.testing.assert_array_equal(even, distances.uniform(NEAR, FAR, 5, 0 * NEAR))
  drawn = distances.importance(t, weights, 5)
  np.testing.assert_array_equal(drawn, distances.importance(t, weights, 5))
  np.testing.assert_array_equal(drawn, distances.importance(t, weights, 5, 0 * NEAR))
  assert not np.allclose(drawn, distances.importance(t, weights, 5, 0.3 + 0 * NEAR))


def test_jitter_moves_each_ray_by_its_own_part_of_an_interval():
  jitter = np.linspace(-0.5, 0.4, N, dtype=np.float32)[:, None]
  moved = distances.uniform(NEAR, FAR, 5, jitter) - distances.uniform(NEAR, FAR, 5)
  np.testing.assert_allclose(moved[:, 1:-1], np.broadcast_to(jitter * 0.5, (N, 4)),
                             atol=1e-6)


@pytest.mark.parametrize("jitter", [None, -0.5, 0.4999])
def test_thinning_is_even_near_by_and_even_in_the_inverse_far_away(jitter):
  near, far = np.full((N, 1), 0.1, np.float32), np.full((N, 1), 500.0, np.float32)
  moved = None if jitter is None else np.full((N, 1), jitter, np.float32)
  t = np.asarray(distances.thinning(near, far, 40, moved, radius=2.0))
  assert t.shape == (N, 41) and (np.diff(t, axis=1) > 0).all()
  np.testing.assert_array_equal(t[:, [0, -1]], np.hstack([near, far]))
  inner = t[0, 1:-1]
  close, beyond = inner[inner < 2], 1 / inner[inner > 2]
  assert abs(len(close) - len(beyond)) <= 3  # half of them on either side
  np.testing.assert_allclose(np.diff(close), np.diff(close).mean(), rtol=1e-3)
  np.testing.assert_allclose(np.diff(beyond), np.diff(beyond).mean(), rtol=1e-2)
  assert close[-1] > 2 - 2 * np.diff(close).mean()  # no gap between the two


def test_thinning_within_its_radius_is_uniform():
  np.testing.assert_allclose(distances.thinning(NEAR, FAR, 7, radius=5.0),
                             distances.uniform(NEAR, FAR, 7), rtol=1e-6)


@pytest.mark.parametrize("jitter", [None, -0.5, 0.4999])
def test_inverse_is_even_in_one_over_the_distance_from_its_middle(jitter):
  behind = np.linspace(-0.4, 5.0, N, dtype=np.float32)[:, None]
  far = np.full((N, 1), 1e4, np.float32)
  moved = None if jitter is None else np.full((N, 1), jitter, np.float32)
  t = np.asarray(distances.inverse(NEAR, far, 16, moved, behind=behind))
  assert t.shape == (N, 17) and (np.diff(t, axis=1) > 0).all()
  np.testing.assert_array_equal(t[:, [0, -1]], np.hstack([NEAR, far]))
  steps = np.diff(1 / (t[:, 1:-1] + behind), axis=1)
  even = (1 / (far + behind) - 1 / (NEAR + behind)) / 16
  np.testing.assert_allclose(steps, np.broadcast_to(even, steps.shape), rtol=2e-3)


def test_inverse_cdf_reproduces_the_histogram():
  t, weights = histogram(1)
  share = weights / weights.sum(1, keepdims=True)
  quantiles = np.tile((np.arange(20000, dtype=np.float32) + 0.5) / 20000, (N, 1))
  drawn = np.asarray(distances.invert_cdf(t, share, quantiles))
  for row in range(N):
    found = np.histogram(drawn[row], t[row])[0] / 20000
    np.testing.assert_allclose(found, share[row], atol=2e-4)
    cdf = np.concatenate([[0], np.cumsum(share[row])])
    np.testing.assert_allclose(drawn[row], np.interp(quantiles[row], cdf, t[row]),
                               atol=1e-4)


def test_importance_puts_samples_where_the_weights_are():
  t = np.linspace(0, 1, 11, dtype=np.float32)[None]
  weights = np.zeros((1, 10), np.float32)
  weights[0, 6] = 3.0  # need not sum to one
  edges = np.asarray(distances.importance(t, weights, 200))[0]
  inside = np.mean((edges > 0.6) & (edges < 0.7))
  np.testing.assert_allclose(inside, 0.99, atol=0.015)  # all but the padding
  none = np.asarray(distances.importance(t, 0 * weights, 10))[0]
  np.testing.assert_allclose(none, np.linspace(0, 1, 11), atol=1e-6)


def test_positions_are_constants_and_survive_empty_bins():
  t, weights = histogram()
  weights[:, 2:5] = 0

  def spread(weights):
    return jnp.sum(distances.importance(t, weights, 6)**2)

  np.testing.assert_array_equal(jax.grad(spread)(weights), 0)
  quantiles = np.tile(np.float32([0.0, 1e-7, 0.5, 1.0]), (N, 1))
  share = weights / weights.sum(1, keepdims=True)
  drawn = distances.invert_cdf(t, share + 1e-9, quantiles)
  assert bool(jnp.all(jnp.isfinite(drawn)))
  assert bool(jnp.all((drawn >= NEAR) & (drawn <= FAR)))


def test_midpoints():
  np.testing.assert_array_equal(distances.midpoints(np.array([[0.0, 1.0, 4.0]])),
                                [[0.5, 2.5]])
