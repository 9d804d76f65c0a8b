"""Whether the probabilities of labels are true, on the test views.

Measured in a pass of its own over every few pixels: it would burden the seconds of
the labels' rows, and neighbouring pixels tell nearly the same. They are the methods' own
probabilities, before labels are snapped to edges, which makes them truer (`edges`).
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jnerf.evaluating.metrics import expected_calibration_error, reliability
from jnerf.fields.fitted import FittedField
from jnerf.labeling.assignment import best_classes, confidence
from jnerf.labeling.labeler import Labeler
from jnerf.scenes.rays import rays_of_view
from jnerf.shaping.renderer import ViewRenderer, take
from jnerf.structs import Entities, Scene

STRIDE = 7  # prime, so that no width of an image makes columns of it


@jax.jit
def sure_labels(classifier, entities: Entities, class_ids):
  """`(classes [n], confidence [n])` of n entities, `class_ids [K]`."""
  probabilities = classifier.probabilities(entities)
  return best_classes(probabilities, class_ids), confidence(probabilities)


def calibration_rows(scene: Scene, renderer: ViewRenderer, field: FittedField,
                     labelers: Sequence[tuple[str, Labeler]], *, name: str,
                     pairs: str | None) -> list[dict]:
  """One row per labeler that tells probabilities, for metrics.json `calibration`.

  Over the test pixels whose true class, or instance, was clicked: `ece`, `pixels` (how
  many) and `bins`, as `metrics.reliability` gives them. Not of instances that are merged
  into classes, of which nobody tells a probability.

  labelers: `(method's name, labeler)` fitted to the field; name: of the field.
  """
  labelers = [(method, labeler) for method, labeler in labelers
              if labeler.assignment.tells_probabilities
              and labeler.label_set.merge_into is None
              and labeler.label_set.truth(scene) is not None]
  if not labelers:
    return []
  fns = [lambda chunk, of=labeler: sure_labels(of.classifier, chunk,
                                               jnp.asarray(of.class_ids))
         for _, labeler in labelers]
  every = slice(None, None, STRIDE)
  views = [renderer.map(field.params, take(rays_of_view(scene, view), every), *fns)
           for view in scene.test.tolist()]
  rows = []
  for i, (method, labeler) in enumerate(labelers):
    classes, sure = (np.concatenate([of_view[i][part] for of_view in views])
                     for part in (0, 1))
    label_set = labeler.label_set
    truth = label_set.truth(scene)[scene.test].reshape(len(scene.test), -1)[:, every]
    truth = truth.reshape(-1)
    scored = np.isin(truth, label_set.labels.classes)
    bins = reliability(sure[scored], (classes == truth)[scored])
    rows.append({"method": method, "field": name, "pairs": pairs,
                 "protocol": label_set.protocol, "seed": label_set.seed,
                 "dimension": "2d", "ece": expected_calibration_error(bins),
                 "pixels": int(scored.sum()), "bins": bins.tolist()})
  return rows
