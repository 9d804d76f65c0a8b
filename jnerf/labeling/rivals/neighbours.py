"""A rival: the nearest labelled points in colour and 3D position.

No features and no gradients: a pixel is where its ray meets a surface of the fitted
field, and the colour there. M labels, N entities, K classes.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.spatial import cKDTree

from jnerf.labeling.assignment import Assignment, Classifier
from jnerf.structs import Entities


@dataclasses.dataclass(frozen=True)
class NearestNeighbours(Assignment):
  """Votes of the `num` nearest labels, weighted by squared distance to `-power`.

  With one click per class that is the nearest label. In a labelled frame every label
  counts alike, and all are kept: weighing classes alike lost 0.06 mIoU on office_0,
  keeping 4096 labels 0.14. A k-d tree, on the host, holds them; a brute force would
  take a minute per view.

  position_scale: length that counts as much as `color_scale`, of RGB in [0, 1].
  power: the larger, the more the nearest alone decides.
  """

  position_scale: float
  color_scale: float
  num: int = 8
  power: float = 3.0

  @property
  def on_host(self) -> bool:
    return True

  def fit(self, entities: Entities, labels, class_ids) -> NeighbourClassifier:
    votes = np.asarray(labels)[:, None] == np.asarray(class_ids)[None, :]
    used = votes.any(axis=1)
    return NeighbourClassifier(cKDTree(self.places(entities)[used]),
                               votes[used].astype(np.float32), self)

  def places(self, entities: Entities) -> np.ndarray:
    """`[N, 6]` points and colours, in units of their scales."""
    return np.concatenate([np.asarray(entities.points) / self.position_scale,
                           np.asarray(entities.rgb) / self.color_scale], axis=1)


@dataclasses.dataclass(frozen=True)
class NeighbourClassifier(Classifier):
  """The labelled places and what they vote for, `votes [M, K]`."""

  tree: cKDTree
  votes: np.ndarray
  method: NearestNeighbours

  def scores(self, entities: Entities) -> np.ndarray:
    """`[N, K]` weighted votes."""
    num = min(self.method.num, self.tree.n)
    distance, index = self.tree.query(self.method.places(entities), k=range(1, num + 1))
    # Finite where a label itself is asked.
    weights = (distance**2 + 1e-6) ** -self.method.power
    return np.einsum("nm,nmk->nk", weights, self.votes[index])
