"""The Bayesian linear classifier against its N x N dual, and what it believes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnerf.labeling import bayes

P, CLASSES = 12, [3, 7, 40]


def labelled(num, seed=0, dtype=np.float64):
  rng = np.random.default_rng(seed)
  return rng.normal(size=(num, P)).astype(dtype), rng.choice(CLASSES, num, p=[.7, .2, .1])


def dual(J, labels, queries, ridge, balance):
  """Kernel ridge regression, label by label: the slow twin."""
  def kernel(a, b):
    a, b = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (a, b))
    return a @ b.T + 1
  counts = {c: np.sum(labels == c) for c in CLASSES}
  noise = np.diag([ridge / counts[c] ** (balance - 1) for c in labels])
  targets = np.array([[float(c == k) - 1 / 3 for k in CLASSES] for c in labels])
  cross = kernel(queries, J)
  inverse = np.linalg.inv(kernel(J, J) + noise)
  variance = np.diag(kernel(queries, queries) - cross @ inverse @ cross.T)
  return cross @ inverse @ targets, variance


@pytest.mark.parametrize("num, balance", [(3, 0.5), (40, 0.0), (40, 0.5), (40, 1.0)])
def test_equals_the_gaussian_process_on_cosines(num, balance):
  J, labels = labelled(num)
  queries, _ = labelled(9, seed=1)
  with jax.enable_x64(True):
    state = bayes.fit_bayes(J, labels, CLASSES, ridge=0.2, balance=balance, chunk=7)
    mean, variance = bayes.predict_bayes(state, jnp.asarray(queries))
    expected_mean, expected_variance = dual(J, labels, queries, 0.2, balance)
    np.testing.assert_allclose(mean, expected_mean, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(variance, expected_variance, rtol=1e-9, atol=1e-12)


def test_float32_is_enough_for_a_labelled_frame():
  """Nearly equal gradients, which a product in low precision would confuse."""
  rng = np.random.default_rng(2)
  labels = rng.choice(CLASSES, 20_000, p=[.98, .015, .005])
  centres = 1 + 0.2 * rng.normal(size=(3, P))
  J = centres[np.searchsorted(CLASSES, labels)] + 0.01 * rng.normal(size=(20_000, P))
  single = bayes.fit_bayes(J.astype(np.float32), labels, CLASSES, ridge=0.3)
  mean, _ = bayes.predict_bayes(single, jnp.asarray(J[:500], jnp.float32))
  with jax.enable_x64(True):
    double = bayes.fit_bayes(J, labels, CLASSES, ridge=0.3)
    expected, _ = bayes.predict_bayes(double, jnp.asarray(J[:500]))
  np.testing.assert_allclose(mean, expected, atol=2e-3)
  everything = bayes.class_probabilities(single, jnp.asarray(J, jnp.float32))
  predicted = np.array(CLASSES)[np.argmax(everything, axis=1)]
  recall = [np.mean(predicted[labels == c] == c) for c in CLASSES]
  assert min(recall) > 0.99  # the rarest class too


def test_variance_shrinks_at_clicks_and_is_prior_far_from_them():
  clicks = np.eye(P, dtype=np.float32)[:3]
  state = bayes.fit_bayes(clicks, CLASSES, CLASSES, ridge=1e-3)
  _, at_clicks = bayes.predict_bayes(state, jnp.asarray(clicks))
  assert float(jnp.max(at_clicks)) < 2e-3
  _, far = bayes.predict_bayes(state, -jnp.asarray(clicks))
  _, orthogonal = bayes.predict_bayes(state, jnp.eye(P)[5:])
  assert float(jnp.min(orthogonal)) > 1  # its own direction is untouched prior
  assert float(jnp.min(far)) > float(jnp.max(at_clicks)) * 100
  unlabelled = bayes.fit_bayes(clicks, [99, 99, 99], CLASSES, ridge=1e-3)
  _, prior = bayes.predict_bayes(unlabelled, jnp.asarray(clicks))
  np.testing.assert_allclose(prior, 2, rtol=1e-5)  # |x|^2 + bias
  more = bayes.fit_bayes(np.repeat(clicks, 5, axis=0), np.repeat(CLASSES, 5), CLASSES,
                         ridge=1e-3)
  assert bool(jnp.all(bayes.predict_bayes(more, jnp.asarray(clicks))[1] < at_clicks))


def test_probabilities_are_sure_at_clicks_and_uniform_where_nothing_is_known():
  clicks = np.eye(P, dtype=np.float32)[:3]
  state = bayes.fit_bayes(clicks, CLASSES, CLASSES, ridge=0.1)
  queries = jnp.concatenate([jnp.asarray(clicks), jnp.eye(P)[7:8], jnp.zeros((1, P))])
  probabilities = bayes.class_probabilities(state, queries)
  np.testing.assert_allclose(jnp.sum(probabilities, axis=1), 1, atol=1e-6)
  np.testing.assert_array_equal(jnp.argmax(probabilities[:3], axis=1), [0, 1, 2])
  np.testing.assert_allclose(probabilities[3:], 1 / 3, atol=1e-4)
  assert float(jnp.min(jnp.max(probabilities[:3], axis=1))) > 0.7


def test_a_negative_label_tells_its_class_alone():
  """Each class's own kernel regression, on its positive and negative labels."""
  J, labels = labelled(20)
  against, _ = labelled(6, seed=3)
  queries, _ = labelled(9, seed=1)
  denied = np.array([-3, -3, -7, -3, -7, -99])  # 40 by none, 99 is nobody's class
  with jax.enable_x64(True):
    state = bayes.fit_bayes(np.concatenate([J, against]), np.r_[labels, denied], CLASSES,
                            ridge=0.2)
    mean = bayes.mean_scores(state, jnp.asarray(queries))

  def rows(a):
    return np.concatenate([a / np.linalg.norm(a, axis=1, keepdims=True),
                           np.ones((len(a), 1))], axis=1)

  weights = np.array([np.sum(labels == c) ** -0.5 for c in labels])
  for k, class_id in enumerate(CLASSES):
    own = np.flatnonzero(denied == -class_id)
    x = np.concatenate([rows(J), rows(against[own])])
    a = np.concatenate([weights, np.full(len(own), max(len(own), 1) ** -0.5)])
    y = np.concatenate([(labels == class_id) - 1 / 3, np.full(len(own), -1 / 3)])
    solved = np.linalg.solve((x.T * a) @ x + 0.2 * np.eye(P + 1), (x.T * a) @ y)
    np.testing.assert_allclose(mean[:, k], rows(queries) @ solved, rtol=1e-8, atol=1e-12)
