"""Proposals against posteriors that are computed anew, and that they are worth it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnerf.evaluating.click_simulation import clicks_needed, simulate_clicks
from jnerf.labeling import bayes, next_click

P, RIDGE = 10, 0.3


def rows(J):
  """Unit rows with the bias: what the scores are linear in."""
  return np.concatenate([J / np.linalg.norm(J, axis=1, keepdims=True),
                         np.ones((len(J), 1))], axis=1)


def posterior_variances(clicked, queries):
  """From nothing, with every click of weight one: the slow twin."""
  x = rows(clicked)
  inverse = np.linalg.inv(x.T @ x + RIDGE * np.eye(P + 1))
  return RIDGE * np.einsum("qp,pr,qr->q", rows(queries), inverse, rows(queries))


def problem(seed=0, num_pool=40):
  rng = np.random.default_rng(seed)
  return rng.normal(size=(5, P)), np.array([1, 2, 2, 3, 1]), rng.normal(
      size=(num_pool, P))


def test_gains_are_what_recomputed_posteriors_lose():
  clicked, labels, pool = problem()
  weights = np.random.default_rng(1).uniform(0.1, 1, len(pool))
  with jax.enable_x64(True):
    state = bayes.fit_bayes(clicked, labels, [1, 2, 3], ridge=RIDGE, balance=1.0)
    cov = next_click.covariance(state, jnp.asarray(pool), jnp.asarray(pool[:12]))
    indices, gains = next_click.best_clicks(cov, jnp.asarray(weights), RIDGE, 5)
  done = clicked
  for index, gain in zip(np.asarray(indices), np.asarray(gains)):
    before = weights @ posterior_variances(done, pool)
    losses = [before - weights @ posterior_variances(np.r_[done, pool[c:c + 1]], pool)
              for c in range(12)]
    assert index == np.argmax(losses)
    np.testing.assert_allclose(gain, losses[index], rtol=1e-9)
    done = np.r_[done, pool[index:index + 1]]
  assert len(set(np.asarray(indices).tolist())) == 5


def test_weights_are_the_expected_error_over_the_size_of_the_class():
  probabilities = jnp.array([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3], [0.2, 0.8]])
  np.testing.assert_allclose(next_click.error_weights(probabilities),
                             [0.1 / 3, 0.4 / 3, 0.3 / 3, 0.2], rtol=1e-6)
  np.testing.assert_array_equal(next_click.error_weights(jnp.ones((3, 1))), 1)


def entities(seed, num=400, num_classes=6):
  """Noisy clusters of gradients, some of them rare."""
  rng = np.random.default_rng(seed)
  centres = np.random.default_rng(9).normal(size=(num_classes, P))
  truth = rng.choice(num_classes, num, p=[.6, .3, .04, .03, .02, .01])
  J = centres[truth] + 0.2 * rng.normal(size=(num, P))
  return J.astype(np.float32), truth + 1


def test_a_batch_is_spread_over_the_clusters():
  J, truth = entities(0)
  state = bayes.fit_bayes(J[:1], truth[:1], truth[:1], ridge=RIDGE)
  indices, shares = next_click.propose_clicks(state, J, 6, 400)
  assert len(set(truth[np.asarray(indices)])) >= 4
  assert np.all(np.asarray(shares) > 0) and np.sum(shares) < 1
  alone = next_click.propose_clicks(state, J, 1, 400)
  assert int(alone[0][0]) == int(indices[0])


def needed_clicks(rule, pool, test, first, seed):
  """Clicks until five of six classes, whatever their size, are told apart well."""
  (J, truth), rng = pool, np.random.default_rng(seed)

  def learn(labelled):
    known = np.unique(truth[labelled]) if labelled else np.array([1])
    return known, bayes.fit_bayes(J[labelled], truth[labelled], known, ridge=RIDGE)

  def choose(learnt, clicked, size):
    drawn = np.setdiff1d(rng.permutation(len(truth)), clicked)
    if rule == "random":
      return rng.permutation(drawn)[:size]
    return drawn[np.asarray(next_click.propose_clicks(learnt[1], J[drawn], size,
                                                      len(drawn))[0])]

  def score(learnt):
    known, state = learnt
    predicted = known[np.argmax(bayes.mean_scores(state, jnp.asarray(test[0])), axis=1)]
    return np.mean([np.mean(predicted[test[1] == c] == c) for c in range(1, 7)])

  curve = simulate_clicks(truth, first, learn=learn, choose=choose, score=score, num=60,
                          batch=4)
  assert curve[0]["clicks"] == len(first) and curve[-1]["clicks"] == 60
  assert curve[0]["score"] == pytest.approx(1 / 6)
  return clicks_needed(curve, 0.9) or 100


@pytest.mark.parametrize("start", ["nothing", "one class"])
def test_proposed_clicks_need_fewer_than_random_ones(start):
  pool, test = entities(1, 1500), entities(2, 600)
  first = [] if start == "nothing" else [int(np.flatnonzero(pool[1] == 1)[0])]
  needed = {rule: np.mean([needed_clicks(rule, pool, test, first, seed)
                           for seed in range(2)]) for rule in ("proposed", "random")}
  assert needed["proposed"] < needed["random"] / 2


def test_a_click_on_void_is_spent_and_teaches_nothing():
  truth, seen = np.array([0, 3, 0, 5]), []

  def learn(labelled):
    seen.append(list(labelled))
    return len(labelled)

  curve = simulate_clicks(
      truth, [0], learn=learn, score=lambda learnt: learnt / 2, num=4, batch=2,
      choose=lambda learnt, clicked, size: [max(clicked) + 1 + i for i in range(size)])
  assert curve == [{"clicks": 1, "score": 0}, {"clicks": 3, "score": 0.5},
                   {"clicks": 4, "score": 1}]
  assert seen == [[], [1], [1, 3]]
  assert clicks_needed(curve, 0.5) == 3 and clicks_needed(curve, 1.1) is None
