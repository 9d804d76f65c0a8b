"""Where to click next: pixels whose labels would teach the classifier most.

The classes' scores are a Gaussian process (`bayes`): what a label does to their
variance is known before anybody gives it, whatever the class. With the posterior
covariance `cov` and noise r, a click at c lowers the variance at q by
`cov(q, c)^2 / (cov(c, c) + r)`. A click's gain is the sum of that over a pool of
pixels q, each weighed by how likely it is to be labelled wrongly, over the number of
pool pixels that are labelled as it is: mIoU counts classes, not pixels.

Clicks of one batch are chosen one after another; after each, the covariance is what it
would be with that pixel labelled. So a batch is not ten times the same chair, nor the
same chair in ten views.

How many clicks it takes, the first one of each class included, until mIoU reaches that
of 5 random clicks per class, in office_0 (120 clicks) and living_room (90): a NumPy loop
on shaped gradients, a click at a time, mean of 5 seeds, looked at after every 4th click;
`w` is the weight of q, `u` a factor on the candidate itself:

  random pixels                                     76   58
  w = 1                                             72   94
  w = error                                         40   38
  w = error / size of the class (this)              40   26
  w = margin / size, margin = 1 - (p_1 - p_2)       40   26
  w = entropy / size                                40   30
  w = error / sqrt(size)                            40   30
  w = error / size, u = error                       40   30
  w = 1, u = margin                                 48   38
  no variances: largest error                       48   34
  no variances: largest margin                      52   30
  the pixel's own variance x error                  60   38

In batches of 10, by this module with 2 seeds: 44 and 28; and from no click at all, where
small classes have yet to be met, 50 and 54.

Notation: C candidates, which are the first ones of Q pixels of the pool.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular

from jnerf.labeling import bayes
from jnerf.labeling.bayes import BayesState
from jnerf.labeling.response import PRECISION
from jnerf.structs import Array


def propose_clicks(state: BayesState, J: Array, num: int, num_candidates: int):
  """The best pixels of a pool to click next, best first, for any classes.

  Args:
    state: what the labels so far have taught.
    J: `[Q, P]` gradients of the pool, random pixels of what is to be labelled.
    num: clicks to propose, at most `num_candidates`.
    num_candidates: pixels that may be proposed, the first ones of the pool.

  Returns:
    Indices `[num]` into the pool, and gains `[num]`: each click's share in the
    weighted variance that there is now, given those before it.
  """
  J = jnp.asarray(J)
  weights = error_weights(bayes.class_probabilities(state, J))
  _, variance = bayes.predict_bayes(state, J)
  indices, gains = best_clicks(covariance(state, J, J[:num_candidates]), weights,
                               state.ridge, num)
  return indices, gains / jnp.sum(weights * variance)


@jax.jit
def covariance(state: BayesState, J, J_other):
  """Posterior covariance of a score at some pixels and at others, `[Q, C]`."""
  half, other = (solve_triangular(state.factor, bayes.extend(rows).T, lower=True)
                 for rows in (J, J_other))
  return state.ridge * jnp.matmul(half.T, other, precision=PRECISION)


@jax.jit
def error_weights(probabilities):
  """Expected error of each of Q pixels over its predicted class's size: `[Q, K] -> [Q]`.

  All alike where there are no two classes to be told apart.
  """
  num_classes = probabilities.shape[1]
  if num_classes < 2:
    return jnp.ones_like(probabilities[:, 0])
  predicted = jnp.argmax(probabilities, axis=1)
  sizes = jnp.bincount(predicted, length=num_classes)
  return (1 - jnp.max(probabilities, axis=1)) / sizes[predicted]


@functools.partial(jax.jit, static_argnames="num")
def best_clicks(cov, weights, ridge, num: int):
  """Greedily, the `num` candidates that lower the weighted sum of variances most.

  Args:
    cov: `[Q, C]`; the candidates are the first C of the Q.
    weights: `[Q]`.
    ridge: noise variance of a label.

  Returns:
    Indices `[num]`, all different, and by how much each lowers the sum, `[num]`.
  """
  candidates = jnp.arange(cov.shape[1])

  def choose(carry, _):
    cov, free = carry
    gains = (jnp.einsum("qc,q->c", cov**2, weights, precision=PRECISION)
             / (cov[candidates, candidates] + ridge))
    best = jnp.argmax(jnp.where(free, gains, -jnp.inf))
    column = cov[:, best]
    cov = cov - jnp.outer(column, cov[best]) / (column[best] + ridge)
    return (cov, free.at[best].set(False)), (best, gains[best])

  _, (indices, gains) = jax.lax.scan(choose, (cov, jnp.ones(len(candidates), bool)),
                                     length=num)
  return indices, gains
