"""The labeler: clicks become a label map. The one place where scores turn into classes.

`fit_labeler` teaches a method what was labelled; the `Labeler` then scores entities chunk
by chunk and makes a label map of a whole view's scores. No files, no clock. What is
compiled depends on the method and on shapes alone: the state is an argument, so that
another click on the same view compiles nothing.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np

from jnerf.labeling.assignment import Assignment, best_classes, confidence
from jnerf.labeling.edges import EdgeSettings, average_alike, snap_to_edges
from jnerf.labeling.labels import LabelSet
from jnerf.structs import Entities


@dataclasses.dataclass(frozen=True)
class LabelMap:
  """The labels of one view.

  classes: `[H, W]` ids; confidence: `[H, W]` in [0, 1], of methods that tell it.
  """

  classes: np.ndarray
  confidence: np.ndarray | None = None

  def __repr__(self) -> str:
    height, width = self.classes.shape[:2]
    sure = "" if self.confidence is None else (
        f", mean confidence {np.mean(self.confidence):.2f}")
    return f"LabelMap({width}x{height}, classes {np.unique(self.classes).tolist()}{sure})"


@dataclasses.dataclass(frozen=True)
class Labeler:
  """A method that has learnt from labels.

  assignment: the method; classifier: what it has learnt, a pytree.
  label_set: the labels; edges: how label maps are snapped to what a view shows.
  """

  assignment: Assignment
  classifier: Any
  label_set: LabelSet
  edges: EdgeSettings = EdgeSettings()

  @property
  def class_ids(self) -> np.ndarray:
    """`[K]` classes, or instances, that scores are of."""
    return np.array(self.label_set.labels.classes)

  def scores(self, entities: Entities):
    """`[N, K]` scores of entities, higher is better."""
    if self.assignment.on_host:
      return self.classifier.scores(entities)
    return _scores(self.classifier, entities)

  def probabilities(self, entities: Entities):
    """`[N, K]`; only of methods that tell them."""
    return _probabilities(self.classifier, entities)

  def label_map(self, scores, rgb=None, distance=None, probabilities=None) -> LabelMap:
    """The label map of one view.

    Args:
      scores: `[H, W, K]` of all its pixels.
      rgb, distance: `[H, W, 3]`, `[H, W]` what is seen there, whose edges count; None
        leaves labels as they are, as of surface points.
      probabilities: `[H, W, K]`, for its confidence; or None.
    """
    scores = self.assignment.finish(scores)
    if rgb is not None and self.edges.edge_passes:
      scores = snap_to_edges(scores, rgb, distance, **self.edges.arguments)
      if probabilities is not None:
        probabilities = average_alike(probabilities, rgb, distance,
                                      **self.edges.arguments)
    classes = np.asarray(best_classes(scores, self.class_ids))
    return LabelMap(
        self.label_set.merged(classes),
        None if probabilities is None else np.asarray(confidence(probabilities)))


@jax.jit
def _scores(classifier, entities: Entities):
  return classifier.scores(entities)


@jax.jit
def _probabilities(classifier, entities: Entities):
  return classifier.probabilities(entities)


def fit_labeler(assignment: Assignment, labelled: Entities, label_set: LabelSet,
                unlabelled: Entities | None = None,
                edges: EdgeSettings = EdgeSettings()) -> Labeler:
  """The labeler that M labelled entities teach.

  labelled: of the set's pixels, in its order, as the method takes them (`with_rows`).
  unlabelled: of random pixels, which methods that adapt need.
  """
  classifier = assignment.fit(labelled, label_set.labels.class_ids,
                              np.array(label_set.labels.classes))
  if assignment.adapts:
    classifier = assignment.adapt(classifier, unlabelled)
  return Labeler(assignment, classifier, label_set, edges)
