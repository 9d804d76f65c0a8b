"""Which entities belong together: closed forms, and a threshold that moves as stated."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnerf.shaping import pairs


def test_unit_rows_keep_directions_and_survive_zeros():
  x = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
  x[1] = 0
  unit = pairs.unit_rows(x)
  np.testing.assert_allclose(jnp.linalg.norm(unit, axis=1), [1, 0, 1, 1], atol=1e-6)
  np.testing.assert_allclose(unit[0] * np.linalg.norm(x[0]), x[0], rtol=1e-5)
  slopes = jax.jit(jax.grad(lambda x: jnp.sum(pairs.unit_rows(x)[:, 0])))(x)
  assert bool(jnp.all(jnp.isfinite(slopes)))
  # The length of a row does not matter, so no slope points along it.
  np.testing.assert_allclose(np.sum(np.asarray(slopes) * x, axis=1), 0, atol=1e-6)
  assert float(jnp.max(jnp.abs(slopes[0]))) > 0.01


def test_feature_similarity_is_a_cosine_in_single_precision():
  rng = np.random.default_rng(1)
  anchors, features = rng.normal(size=(3, 5)), rng.normal(size=(7, 5))
  halves = [jnp.asarray(v, jnp.float16) for v in (anchors, features)]
  similarity = pairs.feature_similarity(*halves)
  assert similarity.shape == (3, 7) and similarity.dtype == jnp.float32
  a, f = (np.asarray(v, np.float64) for v in halves)
  expected = (a @ f.T) / np.linalg.norm(a, axis=1)[:, None] / np.linalg.norm(f, axis=1)
  np.testing.assert_allclose(similarity, expected, atol=1e-6)
  assert float(pairs.feature_similarity(a[:1], 0 * f)[0, 0]) == 0


@pytest.mark.parametrize("offset", [0.0, 500.0])
def test_gaussian_kernel_closed_form_also_far_from_the_origin(offset):
  anchors = np.float32(np.array([[0, 0, 0], [1, 2, 3]]) + offset)
  points = np.float32(
      np.array([[0, 0, 0], [0.3, 0, 0.4], [1, 2, 3], [9, 9, 9]]) + offset)
  kernel = np.asarray(pairs.gaussian_kernel(anchors, points, 0.5))
  near = np.exp(-0.5)  # one scale away
  np.testing.assert_allclose(kernel[0, :2], [1, near], rtol=1e-3)
  np.testing.assert_allclose(kernel[1, 2], 1)
  assert kernel[0, 3] < 1e-12 and kernel[1, 1] < 1e-6


def test_oracle_pairs_equal_labels_and_never_void():
  labels = np.int32([0, 1, 2, 1, 0])
  expected = np.zeros((5, 5))
  expected[1, [1, 3]] = expected[3, [1, 3]] = expected[2, 2] = 1
  np.testing.assert_array_equal(pairs.same_label(labels, labels), expected)


@pytest.mark.parametrize("share, step", [(0.2, 1), (0.150001, 1), (0.15, 0), (0.1, 0),
                                         (0.05, 0), (0.049, -1), (0.0, -1)])
def test_threshold_moves_by_its_rate_when_the_share_leaves_its_bounds(share, step):
  before = jnp.float32(0.5)
  rule = pairs.PairRule(min_positives=0.05, max_positives=0.15, threshold_rate=0.01)
  after = rule.adapt(before, jnp.float32(share))
  assert after.dtype == jnp.float32
  np.testing.assert_allclose(after, 0.5 + 0.01 * step, atol=1e-6)


def test_threshold_brings_the_share_of_positives_into_its_bounds():
  features = np.random.default_rng(2).normal(size=(60, 4)).astype(np.float32)
  similarity = pairs.feature_similarity(features, features)
  rule = pairs.PairRule(min_positives=0.05, max_positives=0.15, threshold_rate=5e-3)

  def step(threshold, _):
    share = jnp.mean(similarity > threshold)
    return rule.adapt(threshold, share), share

  for start in (-0.9, 0.99):
    _, shares = jax.lax.scan(step, jnp.float32(start), length=600)
    assert not 0.05 <= float(shares[0]) <= 0.15 and 0.05 <= float(shares[-1]) <= 0.15
