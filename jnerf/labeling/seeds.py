"""Directions to nudge along: one per class, from labelled gradients.

Notation: `J [M, P]` gradients of M labelled pixels, `labels [M]` their class
ids, `class_ids [K]` the classes asked for, `V [P, K]` one direction a class.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnerf.labeling.response import PRECISION
from jnerf.shaping.pairs import unit_rows


def class_membership(labels, class_ids, dtype=jnp.float32):
  """`[M, K]` one-hot: which of `class_ids` each label is (none: a zero row)."""
  same = jnp.asarray(labels)[:, None] == jnp.asarray(class_ids)[None, :]
  return same.astype(dtype)


@jax.jit
def _class_means(rows, labels, class_ids):
  member = class_membership(labels, class_ids, rows.dtype)
  sums = jnp.matmul(rows.T, member, precision=PRECISION)
  return sums / jnp.maximum(jnp.sum(member, axis=0), 1)[None, :]


def mean_gradient_seeds(J, labels, class_ids, *, normalize: bool = True):
  """Mean gradient of every class, `V [P, K]`.

  normalize: rows of J are brought to length 1 first (a bright pixel does not
    outweigh a dark one), and so are the means, so that a step along each is
    equally long. Without it: the plain mean, as in the paper's code.

  A class without labels gets a zero direction.
  """
  J = jnp.asarray(J)
  if not normalize:
    return _class_means(J, labels, class_ids)
  return unit_rows(_class_means(unit_rows(J), labels, class_ids).T).T
