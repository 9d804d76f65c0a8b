"""The classifier over regions against a Gaussian process written out pair by pair."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnerf.labeling import region_classifier as rc
from jnerf.structs import Entities

R, P, CLASSES = 8, 5, np.array([2, 5, 9])
GRID = np.arange(R, dtype=np.int32).reshape(2, 2, 2)
RIDGE, WEIGHT = 0.3, 0.4


def make_kernel(seed=0):
  rows = np.random.default_rng(seed).normal(size=(R, 4))
  rows /= np.linalg.norm(rows, axis=1, keepdims=True)
  return (rows @ rows.T + 0.1 * np.eye(R)).astype(np.float32)


def entities(num, seed=1):
  rng = np.random.default_rng(seed)
  return Entities(J=rng.normal(size=(num, P)).astype(np.float32),
                  points=rng.random((num, 3)).astype(np.float32))


def method(**options):
  return rc.region_classifier(
      GRID, lambda points: points, make_kernel(), np.ones(R), ridge=RIDGE,
      gradient_weight=WEIGHT, **options)


def region(some):
  cells = (some.points * 2).astype(int)
  return GRID[tuple(cells.T)]


def k(a, b):
  """The kernel between entities, pair by pair."""
  unit = [x.J / np.linalg.norm(x.J, axis=1, keepdims=True) for x in (a, b)]
  result = np.zeros((len(a.J), len(b.J)))
  for i, r in enumerate(region(a)):
    for j, q in enumerate(region(b)):
      result[i, j] = make_kernel()[r, q] + WEIGHT * (unit[0][i] @ unit[1][j] + 1)
  return result


def test_one_click_per_class_is_plain_regression():
  clicks, test = entities(3), entities(20, seed=2)
  clicks = clicks.replace(points=np.array(
      [[.1, .1, .1], [.1, .9, .1], [.9, .9, .9]], np.float32))
  targets = np.eye(3) - 1 / 3
  expected = k(test, clicks) @ np.linalg.solve(k(clicks, clicks) + RIDGE * np.eye(3),
                                               targets)
  some = method()
  state = some.fit(clicks, CLASSES, CLASSES)
  np.testing.assert_allclose(jax.jit(some.scores)(state, test), expected, atol=1e-4)


def test_labels_of_one_class_in_one_region_are_one_observation_with_their_weight():
  one = entities(1)
  many = jax.tree.map(lambda leaf: np.repeat(leaf, 6, axis=0), one)
  other = entities(1, seed=7).replace(points=1 - one.points)
  join = lambda a, b: jax.tree.map(lambda x, y: np.concatenate([x, y]), a, b)  # noqa: E731
  state = method(balance=1.0).fit(join(many, other), np.array([2] * 6 + [5]), [2, 5])
  targets = np.array([[0.5, -0.5], [-0.5, 0.5]])
  both = join(one, other)
  noise = np.diag([RIDGE / 6, RIDGE])
  test = entities(9, seed=3)
  expected = k(test, both) @ np.linalg.solve(k(both, both) + noise, targets)
  np.testing.assert_allclose(method().scores(state, test), expected, atol=1e-4)


def test_a_denied_class_alone_changes_and_falls():
  clicks, test = entities(3), entities(20, seed=2)
  labels = CLASSES.copy()
  before = method().fit(clicks, labels, CLASSES)
  denied = jax.tree.map(lambda x, y: np.concatenate([x, y[:1]]), clicks, test)
  after = method().fit(denied, np.append(labels, -5), CLASSES)
  scores = [np.asarray(method().scores(state, test)) for state in (before, after)]
  np.testing.assert_allclose(scores[1][:, [0, 2]], scores[0][:, [0, 2]], atol=1e-5)
  assert scores[1][0, 1] < scores[0][0, 1]


def test_a_class_that_is_denied_only_never_wins():
  clicks = entities(2)
  state = method().fit(clicks, np.array([2, -5]), [2, 9])
  assert np.isfinite(np.asarray(method().scores(state, entities(5)))).all()


def test_probabilities_follow_scores_and_know_what_they_do_not():
  clicks, test = entities(3), entities(30, seed=4)
  some = method()
  state = some.fit(clicks, CLASSES, CLASSES)
  scores, p = some.scores(state, test), some.probabilities(state, test)
  np.testing.assert_allclose(p.sum(1), 1, rtol=1e-5)
  np.testing.assert_array_equal(np.argmax(p, 1), np.argmax(scores, 1))
  clicked = np.unique(region(clicks))
  far = np.argmin(make_kernel()[clicked].max(axis=0))
  assert state.spread[clicked].max() < state.spread[far]


def test_areas_are_those_of_certain_scores():
  member = np.array([0, 0, 1, 2, 2, 2, 2, 2])
  areas = np.arange(1.0, R + 1)
  shares = rc.class_areas(jnp.asarray(5.0 * np.eye(3)[member]), jnp.asarray(areas), 0.5)
  expected = [areas[member == c].sum() / areas.sum() for c in range(3)]
  np.testing.assert_allclose(shares, expected, atol=2e-4)


@pytest.mark.parametrize("power", [0.0, 0.5])
def test_the_area_prior_favours_what_is_large(power):
  clicks, test = entities(3), entities(40, seed=5)
  areas = np.where(np.arange(R) == region(clicks)[0], 1000.0, 1.0)
  some = rc.region_classifier(
      GRID, lambda points: points, make_kernel(), areas, ridge=RIDGE,
      gradient_weight=WEIGHT, area_prior=power)
  plain, state = (one.fit(clicks, CLASSES, CLASSES) for one in (method(), some))
  gain = np.asarray(some.scores(state, test)) - np.asarray(method().scores(plain, test))
  if power == 0:
    np.testing.assert_allclose(gain, 0, atol=1e-6)
  else:
    assert (gain[:, 0] > gain[:, 1]).all() and (gain[:, 0] > gain[:, 2]).all()
