"""Bayesian linear classifier on unit gradients: a Gaussian process, solved P x P.

Every class has a linear score `f_k(x) = x . w_k` with prior `w_k ~ N(0, I)` on
the unit gradient x, extended by a constant 1 as bias; as a process its kernel is
the cosine of gradients plus one. Targets are one-hot minus the uniform 1/K, so
that far from all labels every class is equally probable. With label weights a_m,
ridge r (noise variance over prior variance) and `A = sum_m a_m x_m x_m' + r I`:

  mean of f_k:      x' A^-1 sum_m a_m x_m y_mk
  variance of f:    r x' A^-1 x        (1 unit per unit of prior; all classes)

One Cholesky factor of `[P + 1, P + 1]` serves all classes and any number of
labels: the sums are accumulated by chunks. The dual N x N solution is the same
and is the slow twin in the tests.

A label's weight is `count(class) ** (balance - 1)`: 1 counts every pixel alike,
0 every class alike. Neighbouring pixels are far from independent, and a class is
not less important because it is small; the default 1/2 lies between. (Measured
with stand-in gradients, made from features, colour and position of office_0, not
with a fitted field: frame 8 labelled, 16 classes, 5 test views, ridge 0.1: mIoU
0.35 / 0.43 / 0.30 for 1, 1/2, 0.) Few-click protocols give equal counts, where
it changes nothing but scale.

A negative label, "not class k", tells that f_k is -1/K there, what it is at a pixel
of another class, and nothing of the other scores. That gives class k alone a larger A,
by `sum_n a_n x_n x_n'` of its negative labels, whose weights w_k follow from the shared
factor exactly (Woodbury). The variance is left as the positive labels make it. (24
negative clicks on wrong pixels after one click per class, shaped gradients of
living_room: mIoU 0.29 to 0.33, and 0.29 where they are labels "any other class alike";
office_0: 0.23 either way. As many positive clicks there: 0.43 and 0.35.)

A class's probability is the likelihood of its one-hot target under the
prediction: `softmax(mean / (NOISE * (1 + x' A^-1 x)))`.
"""

from __future__ import annotations

import dataclasses

from flax import struct
import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_factor, cho_solve, solve_triangular
import numpy as np

from jnerf.labeling.assignment import Assignment, Classifier, Ridge
from jnerf.labeling.response import PRECISION, unit_response
from jnerf.shaping.pairs import unit_rows
from jnerf.structs import Array, Entities

# Variance of a score around its target. A constant: with one click per class it
# cannot be estimated, and from a whole labelled frame the estimate is far too
# small, since that frame's pixels are not independent of one another. 0.05 gave
# the best calibration with 1, 3 and 10 clicks per class (expected calibration
# error 0.06-0.08 on the stand-in above); a labelled frame wants 0.1.
NOISE = 0.05


PADDED = 64  # labels are filled up to a multiple of it


@dataclasses.dataclass(frozen=True, kw_only=True)
class BayesClassifier(Ridge, Assignment):
  """The method; balance: 1 weighs pixels alike, 0 classes alike."""

  balance: float = 0.5

  def fit(self, entities: Entities, labels, class_ids) -> BayesState:
    return fit_bayes(entities.J, labels, class_ids, ridge=self.ridge,
                     balance=self.balance)

  @property
  def tells_probabilities(self) -> bool:
    return True


@struct.dataclass
class BayesState(Classifier):
  """Posterior over the classes' weights.

  A ray's probabilities are its mean scores in one softmax, so the best class is
  the same; they need the variance, which costs a P x P solve per ray.

  factor: `[P + 1, P + 1]` lower Cholesky factor of A.
  weights: `[P + 1, K]` posterior means.
  ridge: scalar r.
  """

  factor: Array
  weights: Array
  ridge: Array

  def scores(self, entities: Entities):
    return mean_scores(self, entities.J)

  def probabilities(self, entities: Entities):
    return class_probabilities(self, entities.J)


def extend(J):
  """Unit rows with the constant 1 appended, `[N, P + 1]`."""
  return jnp.concatenate([unit_rows(J), jnp.ones_like(J[:, :1])], axis=1)


@jax.jit
def _accumulate(sums, J, targets, label_weights):
  """Adds a chunk to `(sum a x x', sum a x y)`."""
  x = extend(J)
  weighted = x * label_weights[:, None]
  return (sums[0] + jnp.matmul(weighted.T, x, precision=PRECISION),
          sums[1] + jnp.matmul(weighted.T, targets, precision=PRECISION))


@jax.jit
def _posterior(gram, moments, ridge):
  factor, _ = cho_factor(gram + ridge * jnp.eye(len(gram), dtype=gram.dtype), lower=True)
  return BayesState(factor, cho_solve((factor, True), moments), ridge)


def fit_bayes(J, labels, class_ids, *, ridge: float, balance: float = 0.5,
              chunk: int = 8192) -> BayesState:
  """Posterior given M labelled gradients.

  Args:
    J: `[M, P]` gradients, on the host or on a device.
    labels: `[M]` class ids, or -c for "not class c"; labels whose class is not in
      `class_ids` are left out.
    class_ids: `[K]`.
    ridge: noise variance over prior variance, > 0.
    balance: 1 weighs pixels alike, 0 classes alike.
    chunk: labels accumulated at once.
  """
  J, labels = np.asarray(J), np.asarray(labels)
  member = (labels[:, None] == np.asarray(class_ids)[None, :]).astype(J.dtype)
  counts = np.maximum(member.sum(axis=0), 1)
  label_weights = np.sum(member * counts ** (balance - 1), axis=1).astype(J.dtype)
  size, num_classes = J.shape[1] + 1, member.shape[1]
  sums = jnp.zeros((size, size), J.dtype), jnp.zeros((size, num_classes), J.dtype)
  # Filled up with rows of no weight: every other number of labels would be compiled anew.
  whole = [np.pad(x, [(0, -len(x) % PADDED), *[(0, 0)] * (x.ndim - 1)])
           for x in (J, member - 1 / num_classes, label_weights)]
  for start in range(0, len(whole[0]), chunk):
    sums = _accumulate(sums, *(jnp.asarray(x[start:start + chunk]) for x in whole))
  state = _posterior(*sums, jnp.asarray(ridge, J.dtype))
  for k, class_id in enumerate(np.asarray(class_ids)):
    rows = np.flatnonzero(labels == -class_id)
    if len(rows):
      label_weights = np.full(len(rows), len(rows) ** (balance - 1), J.dtype)
      more = (0, -len(rows) % PADDED)
      state = _deny(state, k, np.pad(J[rows], (more, (0, 0))),
                    np.pad(label_weights, more))
  return state


@jax.jit
def _deny(state: BayesState, k, J, label_weights) -> BayesState:
  """The posterior given that the pixels with gradients `J [n, P]` are not class k.

  label_weights: `[n]`; rows of no weight say nothing.
  """
  used = label_weights > 0
  x = jnp.where(used[:, None], extend(J), 0)
  solved = cho_solve((state.factor, True), x.T)
  gram = (jnp.matmul(x, solved, precision=PRECISION)
          + jnp.diag(1 / jnp.where(used, label_weights, 1)))
  score = jnp.matmul(x, state.weights[:, k], precision=PRECISION)
  missing = jnp.linalg.solve(gram, -1 / state.weights.shape[1] - score)
  change = jnp.matmul(solved, missing, precision=PRECISION)
  return state.replace(weights=state.weights.at[:, k].add(change))


def mean_scores(state: BayesState, J):
  """Posterior mean of every class's score, `[N, K]`."""
  return unit_response(J, state.weights[:-1]) + state.weights[-1][None]


@jax.jit
def predict_bayes(state: BayesState, J):
  """Scores' `(mean [N, K], variance [N])`; the prior variance of a row is 2 or,
  for a zero gradient, 1 (the bias alone)."""
  half = solve_triangular(state.factor, extend(J).T, lower=True)
  return mean_scores(state, J), state.ridge * jnp.sum(half**2, axis=0)


@jax.jit
def class_probabilities(state: BayesState, J):
  """`[N, K]`, rows sum to one; uniform where nothing is known."""
  mean, variance = predict_bayes(state, J)
  scale = NOISE * (1 + variance / state.ridge)
  return jax.nn.softmax(mean / scale[:, None], axis=-1)
