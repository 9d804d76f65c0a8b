"""Whether the probabilities of labels are true, on the test views.

Measured in a pass of its own over every few pixels: it would burden the seconds of
the labels' rows, and neighbouring pixels tell nearly the same. They are the methods' own
probabilities, before labels are snapped to edges, which makes them truer (`edges`).
"""

from __future__ import annotations

from collections.abc import Callable
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnerf.evaluating.metrics import expected_calibration_error, reliability
from jnerf.labeling import views
from jnerf.labeling.assignment import confidence
from jnerf.labeling.views import ViewRenderer
from jnerf.structs import Entities, Scene

STRIDE = 7  # prime, so that no width of an image makes columns of it


def sure_labels(probabilities: Callable[[Any, Entities], jax.Array]):
  """`(state, entities (n), class_ids [K]) -> (classes [n], confidence [n])`, jitted.

  probabilities: of an `Assignment`.
  """
  @jax.jit
  def fn(state, entities, class_ids):
    found = probabilities(state, entities)
    return class_ids[jnp.argmax(found, axis=-1)], confidence(found)

  return fn


def calibration_rows(scene: Scene, renderer: ViewRenderer, params, labelers, *,
                     field: str, pairs: str | None) -> list[dict]:
  """One row per labeler that tells probabilities, for metrics.json `calibration`.

  Over the test pixels whose true class, or instance, was clicked: `ece`, `pixels` (how
  many) and `bins`, as `metrics.reliability` gives them. Not of instances that are merged
  into classes, of which nobody tells a probability.

  labelers: `stages.evaluation.Labeler`s, fitted to one field.
  """
  labelers = [labeler for labeler in labelers if labeler.assignment.probabilities
              and labeler.label_set.merge_into is None
              and labeler.label_set.truth(scene) is not None]
  if not labelers:
    return []
  fns = {id(labeler.assignment): sure_labels(labeler.assignment.probabilities)
         for labeler in labelers}
  asked = [functools.partial(fns[id(labeler.assignment)], labeler.state,
                             class_ids=jnp.array(labeler.label_set.labels.classes))
           for labeler in labelers]
  found, every = [], slice(None, None, STRIDE)
  for view in scene.test.tolist():
    rays = views.rows_of(views.rays_of_view(scene, view), every)
    found.append(renderer.map(params, rays, *asked))
  rows = []
  for i, labeler in enumerate(labelers):
    classes, sure = (np.concatenate([of_view[i][part] for of_view in found])
                     for part in (0, 1))
    label_set = labeler.label_set
    truth = label_set.truth(scene)[scene.test].reshape(len(scene.test), -1)[:, every]
    truth = truth.reshape(-1)
    scored = np.isin(truth, label_set.labels.classes)
    bins = reliability(sure[scored], (classes == truth)[scored])
    rows.append({"method": labeler.method, "field": field, "pairs": pairs,
                 "protocol": label_set.protocol, "seed": label_set.seed,
                 "dimension": "2d", "ece": expected_calibration_error(bins),
                 "pixels": int(scored.sum()), "bins": bins.tolist()})
  return rows
