"""The matrix InfoNCE against a loop over pairs, and its edges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnerf.shaping import losses

A = N = 9
SELF = np.eye(N, dtype=bool)


def make_pairs(seed=0, share=0.3):
  """Symmetric; row 3 has no positive, row 5 no negative."""
  positive = np.random.default_rng(seed).random((N, N)) < share
  positive |= positive.T
  np.fill_diagonal(positive, True)  # a similarity of one with itself
  positive[3] = SELF[3]
  positive[5] = True
  return positive


def loop(gradients, positive, tau, similarity, absolute, self_positive,
         positives="any"):
  """Pair by pair, as the paper's code does it; leaves anchors out that say nothing."""
  total, num = 0.0, 0
  for i in range(N):
    numerator = denominator = 0.0
    num_positives = num_negatives = 0
    logs = []  # of each positive by itself
    for j in range(N):
      if i == j and not self_positive:
        continue
      s = gradients[i] @ gradients[j]
      if similarity == "cosine":
        s /= np.linalg.norm(gradients[i]) * np.linalg.norm(gradients[j])
      value = np.exp((abs(s) if absolute else s) / tau)
      denominator += value
      if positive[i, j] or i == j:
        numerator += value
        logs.append(np.log(value))
      num_positives += i != j and positive[i, j]
      num_negatives += i != j and not positive[i, j]
    if num_positives and num_negatives:
      over = np.mean(logs) if positives == "each" else np.log(numerator)
      total -= over - np.log(denominator)
      num += 1
  return total, num


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
@pytest.mark.parametrize("absolute", [True, False])
@pytest.mark.parametrize("self_positive", [True, False])
@pytest.mark.parametrize("tau", [0.07, 1.0])
@pytest.mark.parametrize("positives", ["any", "each"])
def test_matrix_equals_the_loop_over_pairs(similarity, absolute, self_positive, tau,
                                           positives):
  gradients = 0.5 * np.random.default_rng(1).normal(size=(N, 6))
  positive = make_pairs()
  choices = similarity, absolute, self_positive, positives
  expected, num = loop(gradients, positive, tau, *choices)
  assert num == N - 2
  with jax.enable_x64(True):
    def total(gradients):
      s = losses.gradient_similarity(gradients, gradients, similarity=similarity,
                                     absolute=absolute)
      return losses.info_nce(s, positive, SELF, tau, self_positive, positives=positives)

    (found, num_found), slopes = jax.jit(jax.value_and_grad(total, has_aux=True))(
        gradients)
    assert int(num_found) == num
    np.testing.assert_allclose(found, expected, rtol=1e-11)
    direction = np.random.default_rng(2).normal(size=gradients.shape)
    difference = [loop(gradients + step * direction, positive, tau, *choices)[0]
                  for step in (1e-6, -1e-6)]
    np.testing.assert_allclose(np.sum(slopes * direction),
                               (difference[0] - difference[1]) / 2e-6, rtol=1e-5)


def test_only_each_positive_by_itself_draws_the_far_part_of_a_class_near():
  """Rows 0 and 1 lie together; 2 is of their class, but apart; all others are not."""
  gradients = np.float32([[1, 0.1, 0], [1, 0, 0.1], [0.5, 1, 0], *np.eye(3)[[2] * 6]])
  positive = np.outer(np.arange(N) < 3, np.arange(N) < 3)

  def pull(positives):
    """What the loss gains when row 2 comes a little nearer, seen from row 0 alone."""
    def loss(nearer):
      s = losses.gradient_similarity(
          gradients[:1], gradients + nearer * jnp.eye(N, 1, -2) * jnp.eye(1, 3))
      return losses.info_nce(s, positive[:1], SELF[:1], 0.1, positives=positives)[0]
    return -float(jax.grad(loss)(0.0))

  assert pull("each") > 10 * pull("any") > 0


def test_identical_rows_cost_the_logarithm_of_the_positives_share():
  gradients = np.tile(np.float32([[1.0, 2.0, -1.0]]), (N, 1))
  positive = np.abs(np.arange(N)[:, None] - np.arange(N)[None]) <= 1
  def total(gradients):
    s = losses.gradient_similarity(gradients, gradients)
    return losses.info_nce(s, positive, SELF, 0.1)

  (found, num), slopes = jax.jit(jax.value_and_grad(total, has_aux=True))(gradients)
  assert int(num) == N
  np.testing.assert_allclose(
      found, 2 * np.log(8 / 1) + (N - 2) * np.log(8 / 2), rtol=1e-5)
  assert bool(jnp.all(jnp.isfinite(slopes)))


@pytest.mark.parametrize("positive", [np.zeros_like(SELF), np.ones_like(SELF), SELF])
@pytest.mark.parametrize("self_positive", [True, False])
def test_nothing_to_contrast_is_zero_with_finite_gradients(positive, self_positive):
  gradients = np.random.default_rng(3).normal(size=(N, 4)).astype(np.float32)
  gradients[0] = 0  # an empty ray
  def total(gradients):
    s = losses.gradient_similarity(gradients, gradients)
    return losses.info_nce(s, positive, SELF, 1e-2, self_positive)

  (found, num), slopes = jax.jit(jax.value_and_grad(total, has_aux=True))(gradients)
  assert float(found) == 0 and int(num) == 0
  np.testing.assert_array_equal(slopes, 0)


def test_a_part_of_the_anchors_gives_a_part_of_the_loss():
  """What a device computes of its rows adds up to the whole."""
  s = np.random.default_rng(4).random((N, N)).astype(np.float32)
  positive = make_pairs()
  whole, num = losses.info_nce(s, positive, SELF, 0.2)
  parts = [losses.info_nce(s[rows], positive[rows], SELF[rows], 0.2)
           for rows in (slice(0, 4), slice(4, N))]
  np.testing.assert_allclose(sum(part[0] for part in parts), whole, rtol=1e-6)
  assert sum(int(part[1]) for part in parts) == int(num)


def test_small_temperatures_do_not_overflow():
  s = np.random.default_rng(5).random((N, N)).astype(np.float32)
  for tau in (1e-4, 1e-6):
    found, slope = jax.value_and_grad(
        lambda s, tau=tau: losses.info_nce(s, make_pairs(), SELF, tau)[0])(s)
    assert np.isfinite(found) and bool(jnp.all(jnp.isfinite(slope)))


def test_unknown_similarity_is_named():
  with pytest.raises(ValueError, match="'angle'"):
    losses.gradient_similarity(SELF, SELF, similarity="angle")


def test_unknown_choice_of_positives_is_named():
  with pytest.raises(ValueError, match="'best'"):
    losses.info_nce(np.eye(N, dtype=np.float32), make_pairs(), SELF, 0.1,
                    positives="best")


def test_unit_norm_is_zero_at_length_one_and_pulls_there():
  rows = np.float32([[0.6, 0.8], [3.0, 4.0], [0.0, 0.0], [0.3, 0.4]])
  np.testing.assert_allclose(losses.unit_norm(rows), [0, 16, 1, 0.25], atol=1e-6)
  slopes = jax.grad(lambda rows: jnp.sum(losses.unit_norm(rows)))(rows)
  np.testing.assert_allclose(slopes, [[0, 0], [4.8, 6.4], [0, 0], [-0.6, -0.8]],
                             atol=1e-5)


def test_ignored_entities_are_as_if_they_were_not_there():
  generator = np.random.default_rng(5)
  s = jnp.asarray(generator.uniform(size=(9, 9)))
  positive = jnp.asarray(generator.uniform(size=(9, 9)) < 0.4)
  ignored = np.zeros(9, bool)
  ignored[[2, 5]] = True
  kept = np.flatnonzero(~ignored)
  is_self = np.eye(9, dtype=bool)
  # Void entities have no positives, so they are no anchors either.
  masked = positive & ~ignored[None, :] & ~ignored[:, None]
  total, num = losses.info_nce(s, masked, is_self, 0.3, ignored=jnp.asarray(ignored))
  without = losses.info_nce(s[kept][:, kept], positive[kept][:, kept],
                            np.eye(7, dtype=bool), 0.3)
  np.testing.assert_allclose(total, without[0], rtol=1e-5)
  assert int(num) == int(without[1])
