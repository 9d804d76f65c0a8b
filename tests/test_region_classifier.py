"""The classifier over regions against a Gaussian process written out pair by pair."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnerf.fields.spaces import Box
from jnerf.labeling import region_classifier as rc
from jnerf.shaping.regions import Regions
from jnerf.shaping.scene_regions import SceneRegions
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


def scene_regions():
  """Regions of which only the grid, over a cube that is its own unit, and the kernel are
  there."""
  regions = SceneRegions(
      Regions(GRID, *7 * [None]), of_pixels=GRID[:1],
      space=Box(((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))))
  vars(regions)["kernel"] = make_kernel()
  return regions


def method(**options):
  return rc.RegionClassifier(
      regions=scene_regions(), ridge=RIDGE, gradient_weight=WEIGHT,
      **{"area_prior": 0.0, **options})


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
  scores = jax.jit(lambda state: state.scores(test))(state)
  np.testing.assert_allclose(scores, expected, atol=1e-4)


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
  np.testing.assert_allclose(state.scores(test), expected, atol=1e-4)


def test_a_denied_class_alone_changes_and_falls():
  clicks, test = entities(3), entities(20, seed=2)
  labels = CLASSES.copy()
  before = method().fit(clicks, labels, CLASSES)
  denied = jax.tree.map(lambda x, y: np.concatenate([x, y[:1]]), clicks, test)
  after = method().fit(denied, np.append(labels, -5), CLASSES)
  scores = [np.asarray(state.scores(test)) for state in (before, after)]
  np.testing.assert_allclose(scores[1][:, [0, 2]], scores[0][:, [0, 2]], atol=1e-5)
  assert scores[1][0, 1] < scores[0][0, 1]


def test_a_class_that_is_denied_only_never_wins():
  clicks = entities(2)
  state = method().fit(clicks, np.array([2, -5]), [2, 9])
  assert np.isfinite(np.asarray(state.scores(entities(5)))).all()


def test_probabilities_follow_scores_and_know_what_they_do_not():
  clicks, test = entities(3), entities(30, seed=4)
  some = method()
  state = some.fit(clicks, CLASSES, CLASSES)
  scores, p = state.scores(test), state.probabilities(test)
  np.testing.assert_allclose(p.sum(1), 1, rtol=1e-5)
  np.testing.assert_array_equal(np.argmax(p, 1), np.argmax(scores, 1))
  clicked = np.unique(region(clicks))
  far = np.argmin(make_kernel()[clicked].max(axis=0))
  assert state.spread[clicked].max() < state.spread[far]


def literal_shares(scores, power, label_shares):
  """Expectation maximisation of classes' shares, step by step."""
  temperature = rc.TEMPERATURE * np.std(scores - scores.mean(axis=1, keepdims=True))
  shares = np.full(scores.shape[1], 1 / scores.shape[1])
  for _ in range(rc.NUM_ROUNDS):
    likely = np.exp(scores / temperature) * (shares / label_shares) ** power
    shares = np.mean(likely / likely.sum(axis=1, keepdims=True), axis=0) + 1e-4
  return shares, temperature


@pytest.mark.parametrize("power", [0.5, 1.0])
def test_the_area_prior_is_that_of_the_literal_loop(power):
  scores = np.random.default_rng(6).normal(size=(50, 4)) + [0, 0.5, 1, 0]
  labels = np.array([0.1, 0.2, 0.4, 0.3])
  shares, temperature = literal_shares(scores, power, labels)
  np.testing.assert_allclose(
      rc.log_area_prior(jnp.asarray(scores, jnp.float32), labels, power),
      temperature * power * np.log(shares / labels), atol=1e-4)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_the_unit_of_scores_does_not_matter_to_the_areas(scale):
  scores = np.random.default_rng(7).normal(size=(60, 3)).astype(np.float32)
  alike = jnp.full(3, 1 / 3)
  np.testing.assert_allclose(
      rc.log_area_prior(jnp.asarray(scale * scores), alike) / scale,
      rc.log_area_prior(jnp.asarray(scores), alike), rtol=1e-3, atol=1e-4)


def test_scores_that_say_nothing_give_no_class_more_area():
  prior = np.asarray(rc.log_area_prior(jnp.zeros((20, 3)), jnp.full(3, 1 / 3)))
  assert np.isfinite(prior).all() and np.ptp(prior) == 0


def test_what_the_unlabelled_pixels_show_most_of_gains():
  clicks, test = entities(3), entities(40, seed=5)
  alike = jax.tree.map(lambda leaf: np.repeat(leaf[:1], 200, axis=0), clicks)
  some = method(area_prior=1.0)
  plain = some.fit(clicks, CLASSES, CLASSES)
  state = some.adapt(plain, alike)
  gain = np.asarray(state.scores(test)) - np.asarray(plain.scores(test))
  np.testing.assert_allclose(gain, np.broadcast_to(gain[:1], gain.shape), atol=1e-5)
  assert gain[0, 0] > gain[0, 1] and gain[0, 0] > gain[0, 2]


def test_more_clicks_on_a_class_do_not_make_it_larger():
  """A class's part in the labels is part of its scores, and taken out of them."""
  clicks = entities(9)
  centres = (np.stack(np.unravel_index([0, 0, 0, 0, 1, 2, 3, 4, 4], (2, 2, 2)), axis=1)
             + 0.5) / 2
  labels = np.array([2] * 6 + [5, 9, 9])
  some = method(area_prior=1.0)
  state = some.fit(clicks.replace(points=centres.astype(np.float32)), labels, CLASSES)
  # Four of a region count as two.
  counts = np.array([np.sqrt(4) + 1 + 1, 1, np.sqrt(2)])
  np.testing.assert_allclose(state.label_shares, counts / counts.sum(), rtol=1e-6)
  # With nothing to learn from, shares are found alike, and only the labels' differ.
  flat = state.replace(table=0 * state.table, weights=0 * state.weights,
                       bias=0 * state.bias)
  order = np.argsort(np.asarray(some.adapt(flat, entities(40, seed=5)).bias))
  np.testing.assert_array_equal(order, [0, 2, 1])


def test_without_an_area_prior_nothing_is_learnt_from_unlabelled_pixels():
  assert not method().adapts and method(area_prior=0.5).adapts
  state = method().fit(entities(3), CLASSES, CLASSES)
  assert method().adapt(state, entities(40, seed=5)) is state
