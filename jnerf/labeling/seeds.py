"""Directions to nudge along, or to compare with, from labelled gradients.

Notation: `J [M, P]` gradients of M labelled pixels, `labels [M]` their class
ids, `class_ids [K]` the classes asked for. `Seeds` hold up to m directions of
each class, so that all responses are one product; a class's response is their
mean or their largest, whichever its kind of seeds has in `REDUCTIONS`:

  mean_gradient  one direction, the mean of the class's gradients
  mean_response  every labelled gradient; the class answers with their mean
  k_means        the centres of the class's clusters; the nearest answers
  adaptive       one combination of gradients, chosen on the labelled pixels
                 themselves, see `adaptive`

Gradients are brought to length 1 first (a bright pixel does not outweigh a dark
one), and so are directions, so that a step along each is equally long.
Source: JacobiNeRF (arXiv 2304.00341), section 4 and its code.
"""

from __future__ import annotations

import warnings

from flax import struct
import jax
import jax.numpy as jnp
import numpy as np
from scipy.cluster.vq import kmeans2

from jnerf.host_arrays import evenly_spread
from jnerf.labeling.response import PRECISION
from jnerf.shaping.pairs import unit_rows
from jnerf.structs import Array, Entities

REDUCTIONS = {"mean_gradient": "mean", "mean_response": "mean", "k_means": "max",
              "adaptive": "mean"}
MAX_LABELS = 512  # gradients kept over all classes where each is a direction
PADDED = 4  # such directions of a class are filled up to a multiple, for fewer compiles


@struct.dataclass
class Seeds:
  """Up to m directions of each of K classes.

  directions: `[K, m, P]` of unit length; zeros where there is none.
  mask: `[K, m]` which of them exist.
  points: `[K, m, 3]` where the labelled pixel of each lies; None where a direction
    is made of several pixels.
  """

  directions: Array
  mask: Array
  points: Array | None = None

  @property
  def columns(self) -> Array:
    """`V [P, K * m]`, the directions side by side."""
    return self.directions.reshape(-1, self.directions.shape[-1]).T


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

  normalize: rows of J are brought to length 1 first, and so are the means. Without
    it: the plain mean, as in the paper's code.

  A class without labels gets a zero direction.
  """
  J = jnp.asarray(J)
  if not normalize:
    return _class_means(J, labels, class_ids)
  return unit_rows(_class_means(unit_rows(J), labels, class_ids).T).T


def one_per_class(V, labels, class_ids) -> Seeds:
  """Seeds of a single direction a class, the columns of `V [P, K]`."""
  return Seeds(V.T[:, None], jnp.asarray(np.isin(class_ids, labels))[:, None])


def every_gradient(entities: Entities, labels, class_ids,
                   limit: int = MAX_LABELS) -> Seeds:
  """Every labelled gradient is a direction, with the place of its pixel.

  limit: directions kept over all classes, evenly strided in the order given, so
    that a fully labelled frame costs no more than this.
  """
  labels, per_class = np.asarray(labels), max(limit // len(class_ids), 1)
  rows = [evenly_spread(np.flatnonzero(labels == c), per_class) for c in class_ids]
  mask = _ragged_mask(rows, PADDED)
  index = np.zeros(mask.shape, np.int64)
  index[mask] = np.concatenate(rows)
  points = None if entities.points is None else jnp.asarray(entities.points[index])
  directions = unit_rows(jnp.asarray(entities.J[index]))
  return Seeds(jnp.where(mask[:, :, None], directions, 0), jnp.asarray(mask), points)


def k_means_seeds(J, labels, class_ids, *, num_centres: int, seed: int = 0) -> Seeds:
  """Centres of each class's unit gradients by k-means, at most `num_centres`.

  A class with fewer distinct gradients has as many centres. Every class has its
  own stream of the seed.
  """
  rows, labels = np.asarray(unit_rows(jnp.asarray(J))), np.asarray(labels)
  centres = [_centres(rows[labels == c], num_centres, [seed, int(c)])
             for c in class_ids]
  mask = _ragged_mask(centres)
  directions = np.zeros((*mask.shape, rows.shape[1]), rows.dtype)
  directions[mask] = np.concatenate(centres)
  return Seeds(unit_rows(jnp.asarray(directions)), jnp.asarray(mask))


def _centres(rows: np.ndarray, num: int, seed) -> np.ndarray:
  """`[<= num, P]` centres of `rows [n, P]`."""
  num = min(num, len(np.unique(rows, axis=0)))
  if num == 0:
    return rows
  with warnings.catch_warnings():  # a cluster that runs empty keeps its last centre
    warnings.filterwarnings("ignore", "One of the clusters is empty")
    return kmeans2(rows, num, minit="++", seed=np.random.default_rng(seed))[0]


def _ragged_mask(rows, multiple: int = 1) -> np.ndarray:
  """`[K, m]` bool: which places K lists of up to m entries fill; m a multiple, not 0."""
  counts = np.array([len(row) for row in rows])
  width = max(-(-counts.max() // multiple), 1) * multiple
  return np.arange(width) < counts[:, None]
