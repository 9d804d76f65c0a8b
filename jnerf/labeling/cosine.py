"""Kernel density of each class on the sphere of unit gradients.

A class's score is `bandwidth * log mean exp(cosine / bandwidth)` over its labels: with
one click a class the cosine itself, otherwise between the mean cosine (wide) and the
largest (narrow). The mean, not the sum: a class gains nothing by having more labels. That
mean `D` is halved where the mean over the labels that say "not this class", `D'`, equals
it: the score takes `D * D / (D + D')`.

A class's probability is its share in the sum of all densities. Not calibrated: the
bandwidth is chosen for the best labels, and makes it far too sure.
"""

from __future__ import annotations

import dataclasses

from flax import struct
import jax
import jax.numpy as jnp
import numpy as np

from jnerf.labeling.assignment import Assignment, Classifier, PositionScale
from jnerf.labeling.response import PRECISION
from jnerf.labeling.seeds import MAX_LABELS, Seeds, every_gradient
from jnerf.settings import setting
from jnerf.shaping.pairs import gaussian_kernel, unit_rows
from jnerf.structs import Entities

BATCH = 4096  # rays worked on at once


@dataclasses.dataclass(frozen=True, kw_only=True)
class CosineKernel(PositionScale, Assignment):
  """The method; its settings, and how many labels it keeps.

  position_scale: a label's cosine is multiplied by `exp(-d^2 / (2 scale^2))` of its
    distance d from the entity.
  max_labels: kept over all classes, see `every_gradient`.
  """

  bandwidth: float = setting(0.02, "of the cosine kernel, in units of cosine", above=0)
  max_labels: int = MAX_LABELS

  def fit(self, entities: Entities, labels, class_ids) -> CosineClassifier:
    labels = np.asarray(labels)
    return CosineClassifier(*(
        every_gradient(entities, sign * labels, class_ids, self.max_labels)
        for sign in (1, -1)), self.bandwidth, self.position_scale)

  @property
  def tells_probabilities(self) -> bool:
    return True


@struct.dataclass
class CosineClassifier(Classifier):
  """Labelled directions of every class, and those that are said not to be of it."""

  seeds: Seeds
  against: Seeds
  bandwidth: float = struct.field(pytree_node=False)
  position_scale: float = struct.field(pytree_node=False)

  def scores(self, entities: Entities):
    def ray_scores(entity):
      here, against = (self._closeness(seeds, *entity)
                       for seeds in (self.seeds, self.against))
      against = jnp.maximum(against, -1e30)
      return self.bandwidth * (here + jax.nn.log_sigmoid(here - against))

    return jax.lax.map(ray_scores, (unit_rows(entities.J), entities.points),
                       batch_size=BATCH)

  def probabilities(self, entities: Entities):
    return jax.nn.softmax(self.scores(entities) / self.bandwidth, axis=-1)

  def _closeness(self, seeds: Seeds, row, point):
    """`[K]` logarithm of each class's density; -inf for a class without labels."""
    cosines = jnp.einsum("kmp,p->km", seeds.directions, row, precision=PRECISION)
    if self.position_scale:
      near = gaussian_kernel(point[None], seeds.points.reshape(-1, 3),
                             self.position_scale)
      cosines = cosines * near.reshape(cosines.shape)
    counts = jnp.maximum(jnp.sum(seeds.mask, axis=1), 1)
    return (jax.nn.logsumexp(cosines / self.bandwidth, axis=1, where=seeds.mask)
            - jnp.log(counts))
