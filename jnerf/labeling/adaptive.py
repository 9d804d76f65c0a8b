"""Greedy selection of each class's direction, scored on the labelled pixels.

From the mean gradients on: in every round each class is offered a random
combination of its own labelled gradients, which takes the place of its direction
only where the labels that the responses would then give to the labelled pixels are
better (mean IoU) than with the best directions so far. The paper's code goes by the
same idea but forgets to raise its best score, and so takes every offer.

With one click per class there is nothing to combine: the seeds are its gradients.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jnerf.labeling.response import linear_response
from jnerf.labeling.seeds import class_membership, mean_gradient_seeds
from jnerf.shaping.pairs import unit_rows

COMBINED = 8  # gradients in one combination


def adaptive_seeds(J, labels, class_ids, *, rounds: int = 32, seed: int = 0):
  """The directions `V [P, K]` that label the labelled pixels best.

  Args:
    J: `[M, P]` gradients; labels: `[M]`; those not in `class_ids` are left out.
    class_ids: `[K]`. A class without labels gets a zero direction.
    rounds: offers to every class.
    seed: of the random combinations.
  """
  labels = np.asarray(labels)
  rows = unit_rows(jnp.asarray(J)[np.isin(labels, class_ids)])
  labels = labels[np.isin(labels, class_ids)]
  start = mean_gradient_seeds(rows, labels, class_ids)
  if not len(labels):
    return start
  member = class_membership(labels, class_ids, rows.dtype)
  order = jnp.argsort(jnp.argmax(member, axis=1))  # pixels by class
  counts = jnp.sum(member, axis=0).astype(jnp.int32)
  return _select(rows, member, order, counts, start, jax.random.key(seed), rounds)


def frame_score(responses, member):
  """Mean IoU of the label map that responses give to pixels of known class.

  responses: `[M, K]`, each class's divided by its largest, as the paper does.
  member: `[M, K]` one-hot classes. Classes without a pixel do not count.
  """
  maps = jnp.abs(responses)
  maps /= jnp.max(maps, axis=0, keepdims=True) + 1e-7
  chosen = jax.nn.one_hot(jnp.argmax(maps, axis=1), maps.shape[1], dtype=maps.dtype)
  hits, true = jnp.sum(chosen * member, axis=0), jnp.sum(member, axis=0)
  iou = hits / jnp.maximum(jnp.sum(chosen, axis=0) + true - hits, 1)
  return jnp.sum(iou) / jnp.maximum(jnp.sum(true > 0), 1)


@functools.partial(jax.jit, static_argnames="rounds")
def _select(rows, member, order, counts, V, key, rounds: int):
  """`V [P, K]` after all offers; the key is consumed."""
  starts = jnp.cumsum(counts) - counts

  def offers(key):
    """`[P, K]`: a random combination of a few gradients of every class."""
    index_key, weight_key = jax.random.split(key)
    shape = (len(counts), COMBINED)
    place = (jax.random.uniform(index_key, shape) * counts[:, None]).astype(jnp.int32)
    weights = jax.random.exponential(weight_key, shape, rows.dtype)
    weights = weights * (counts > 0)[:, None]
    drawn = rows[order[jnp.minimum(starts[:, None] + place, len(order) - 1)]]
    return unit_rows(jnp.einsum("kn,knp->kp", weights, drawn)).T

  def try_class(k, best):
    V, responses, score, offered, offered_responses = best
    tried = responses.at[:, k].set(offered_responses[:, k])
    tried_score = frame_score(tried, member)
    better = tried_score > score
    return (jnp.where(better, V.at[:, k].set(offered[:, k]), V),
            jnp.where(better, tried, responses), jnp.where(better, tried_score, score),
            offered, offered_responses)

  def one_round(best, key):
    offered = offers(key)
    best = jax.lax.fori_loop(0, len(counts), try_class,
                             (*best, offered, linear_response(rows, offered)))
    return best[:3], None

  responses = linear_response(rows, V)
  best = V, responses, frame_score(responses, member)
  return jax.lax.scan(one_round, best, jax.random.split(key, rounds))[0][0]
