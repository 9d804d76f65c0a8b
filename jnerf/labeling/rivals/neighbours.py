"""A rival: the nearest labelled points in colour and 3D position.

No features and no gradients: a pixel is where its ray meets a surface of the fitted
field, and the colour there. M labels, N entities, K classes.
"""

from __future__ import annotations

from flax import struct
import jax
import jax.numpy as jnp
import numpy as np

from jnerf.labeling.assignment import Assignment
from jnerf.structs import Array, Entities


@struct.dataclass
class NeighbourState:
  """rows: `[M, 6]` labelled places and colours, scaled.
  votes: `[M, K]` what a label says, one-hot times its class's weight."""

  rows: Array
  votes: Array


def nearest_neighbours(position_scale: float, color_scale: float, num: int = 8,
                       balance: float = 0.5, max_labels: int = 4096,
                       batch_size: int = 256) -> Assignment:
  """Votes of the `num` nearest labels, weighted by 1 / squared distance.

  With one click per class that is the nearest label.

  Args:
    position_scale: length that counts as much as `color_scale`.
    color_scale: of RGB in [0, 1].
    num: of the neighbours.
    balance: a label's weight is `count(class) ** (balance - 1)`: 1 weighs labels
      alike, 0 classes alike.
    max_labels: labels kept over all classes; a class with more than its share is
      thinned, evenly over the order given.
    batch_size: entities worked on at once.
  """

  def rows_of(entities: Entities):
    return jnp.concatenate([jnp.asarray(entities.points) / position_scale,
                            jnp.asarray(entities.rgb) / color_scale], axis=1)

  def fit(entities, labels, class_ids):
    labels = np.asarray(labels)
    kept = np.concatenate([_thinned(np.flatnonzero(labels == c),
                                    max(max_labels // len(class_ids), 1))
                           for c in class_ids])
    member = (labels[kept, None] == np.asarray(class_ids)[None, :]).astype(np.float32)
    weights = np.maximum(member.sum(axis=0), 1) ** (balance - 1)
    return NeighbourState(rows_of(entities)[kept],
                          jnp.asarray(member * weights.astype(np.float32)[None, :]))

  def scores(state, entities):
    def entity_scores(row):
      # Differences, not |a|^2 + |b|^2 - 2 ab, which loses what is near.
      squared = jnp.sum((state.rows - row[None, :]) ** 2, axis=1)
      nearest, index = jax.lax.top_k(-squared, min(num, state.rows.shape[0]))
      return jnp.sum(state.votes[index] / (1e-6 - nearest)[:, None], axis=0)

    return jax.lax.map(entity_scores, rows_of(entities), batch_size=batch_size)

  return Assignment(fit, scores)


def _thinned(indices, limit: int):
  """At most `limit` of `indices`, evenly spread over their order."""
  return indices[np.unique(np.linspace(0, len(indices) - 1, min(limit, len(indices)))
                           .astype(np.int64))]
