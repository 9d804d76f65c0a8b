"""The stage `propagate`: from clicks to a label map of every view."""

from __future__ import annotations

from collections.abc import Callable, Iterable
import dataclasses
import pathlib
import sys
import time
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from jnerf.labeling import views
from jnerf.labeling.assignment import Assignment, confidence, label_map
from jnerf.labeling.views import ViewRenderer
from jnerf.stages import labels as labels_lib
from jnerf.stages.label_session import label_session, write_label_session
from jnerf.stages.proposals import write_proposals
from jnerf.stages.session import Session
from jnerf.stages.training import trained_params
from jnerf.structs import Scene
from jnerf.training.compilation import peak_memory_bytes
from jnerf.viewing.palette import write_confidence_png, write_label_png


def propagate(session: Session) -> str:
  """Labels views by the config's primary method; returns the labels' name.

  The clicks are the user's, else the first draw of the first protocol; the field
  is the shaped one. Also says where to click next, and keeps the clicks for other
  photographs of the scene.
  """
  began = time.perf_counter()
  scene, settings = session.scene, session.config.label
  label_set = labels_lib.label_sets(session)[0]
  labels_lib.store_clicks(session, [label_set])
  labels, renderer = label_set.labels, labels_lib.view_renderer(session)
  params = trained_params(session, "shape")
  clicked = renderer.entities(params, views.rays_of_pixels(scene, labels.pixels))
  assignment = labels_lib.assignment(session, settings.primary)
  labeler = ViewLabeler.fit(
      assignment, clicked, labels.class_ids, labels.classes, settings.min_confidence,
      label_set.classes_of,
      adapt=labels_lib.adaptation(session, renderer, params, [assignment]))
  name = f"shaped-{settings.primary}"
  session.workdir.forget(["propagate"])
  chosen = scene.test if settings.views == "test" else range(len(scene.frames))
  print(f"propagate: {len(labels.class_ids)} labelled pixels to {len(chosen)} views",
        flush=True)
  labeler.write_views(renderer, params, scene, chosen,
                      session.workdir.folder("labels", name),
                      session.workdir.path / "confidence" / name)
  write_label_session(session.workdir.path / "label_session.json",
                      label_session(session, label_set))
  write_proposals(session, renderer, params, label_set, clicked.J)
  session.workdir.mark_done(
      "propagate", seconds=time.perf_counter() - began, clicks=len(labels.class_ids),
      protocol=label_set.protocol, labels=name, peak_memory_bytes=peak_memory_bytes())
  return name


@dataclasses.dataclass(frozen=True)
class ViewLabeler:
  """A method that has seen its labels, applied to whole views.

  class_ids: `[K]`; min_confidence: below it a pixel is void.
  classes_of: from predicted labels to those that are written.
  """

  assignment: Assignment
  state: Any
  class_ids: np.ndarray
  min_confidence: float
  classes_of: Callable[[np.ndarray], np.ndarray] = lambda predicted: predicted

  @classmethod
  def fit(cls, assignment: Assignment, entities, labels, classes, min_confidence: float,
          classes_of=lambda predicted: predicted, *, adapt) -> ViewLabeler:
    """Learns from labelled entities; arguments as of `Assignment.fit`.

    adapt: of `labels.adaptation`.
    """
    class_ids = np.array(classes)
    state = adapt(assignment, assignment.fit(entities, labels, class_ids))
    return cls(assignment, state, class_ids, min_confidence, classes_of)

  def write_views(self, renderer: ViewRenderer, params, scene: Scene,
                  chosen: Iterable[int], labels: pathlib.Path,
                  confidences: pathlib.Path) -> None:
    """Writes `<frame>.png` of classes and, of methods that tell it, of confidence.

    Files of other labels, perhaps of other views, are removed from both folders.
    """
    for folder in (labels, confidences):
      for stale in folder.glob("*.png"):
        stale.unlink()
    fns = [jax.jit(lambda entities: self.assignment.scores(self.state, entities))]
    if self.assignment.probabilities:
      fns.append(jax.jit(lambda entities: confidence(
          self.assignment.probabilities(self.state, entities))))
    for view in tqdm(chosen, desc="propagate", unit="view",
                     disable=not sys.stderr.isatty()):
      scores, *sure = renderer.map(params, views.rays_of_view(scene, view), *fns)
      maps = scores.reshape(scene.size[1], scene.size[0], -1)
      classes = self.classes_of(np.asarray(
          label_map(self.assignment.finish(maps), self.class_ids)))
      inside = True if scene.mask is None else scene.mask[view]
      for flat in sure:
        certain = flat.reshape(classes.shape)
        inside = inside & (certain >= self.min_confidence)
        write_confidence_png(confidences / f"{scene.frames[view]}.png", certain)
      # What the scene does not hold is void, and what nobody can tell.
      write_label_png(labels / f"{scene.frames[view]}.png", np.where(inside, classes, 0))
