"""The stage `propagate`: from clicks to a label map of every view."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
import dataclasses
import functools
import pathlib
import sys
import time
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from jnerf.labeling import views
from jnerf.labeling.assignment import Assignment, confidence, label_map
from jnerf.labeling.edges import average_alike, snap_to_edges
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
  adapt = labels_lib.adaptation(session, renderer, params, [assignment])
  labeler = ViewLabeler.fit(
      assignment, clicked, labels.class_ids, labels.classes, settings.min_confidence,
      label_set.classes_of, adapt=adapt, edges=labels_lib.edge_settings(session))
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
  write_proposals(session, renderer, params, label_set, clicked, adapt)
  session.workdir.mark_done(
      "propagate", seconds=time.perf_counter() - began, clicks=len(labels.class_ids),
      protocol=label_set.protocol, labels=name, peak_memory_bytes=peak_memory_bytes())
  return name


@dataclasses.dataclass(frozen=True)
class ViewLabeler:
  """A method that has seen its labels, applied to whole views.

  class_ids: `[K]`; min_confidence: below it a pixel is void.
  classes_of: from predicted labels to those that are written.
  edges: as of `labels.edge_settings`.
  """

  assignment: Assignment
  state: Any
  class_ids: np.ndarray
  min_confidence: float
  classes_of: Callable[[np.ndarray], np.ndarray] = lambda predicted: predicted
  edges: Mapping[str, float] | None = None

  @classmethod
  def fit(cls, assignment: Assignment, entities, labels, classes, min_confidence: float,
          classes_of=lambda predicted: predicted, *, adapt,
          edges=None) -> ViewLabeler:
    """Learns from labelled entities; arguments as of `Assignment.fit`.

    adapt: of `labels.adaptation`.
    """
    class_ids = np.array(classes)
    state = adapt(assignment, assignment.fit(entities, labels, class_ids))
    return cls(assignment, state, class_ids, min_confidence, classes_of, edges)

  def write_views(self, renderer: ViewRenderer, params, scene: Scene,
                  chosen: Iterable[int], labels: pathlib.Path,
                  confidences: pathlib.Path) -> None:
    """Writes `<frame>.png` of classes and, of methods that tell it, of confidence.

    Files of other labels, perhaps of other views, are removed from both folders.
    """
    for folder in (labels, confidences):
      for stale in folder.glob("*.png"):
        stale.unlink()
    fns = [jax.jit(functools.partial(fn, self.state)) for fn in (
        self.assignment.scores, self.assignment.probabilities) if fn]
    for view in tqdm(chosen, desc="propagate", unit="view",
                     disable=not sys.stderr.isatty()):
      classes, certain = self._maps(scene.size, *renderer.map(
          params, views.rays_of_view(scene, view), lambda chunk: chunk.rendering.rgb,
          lambda chunk: chunk.rendering.distance_median, *fns))
      inside = True if scene.mask is None else scene.mask[view]
      if certain is not None:
        inside = inside & (certain >= self.min_confidence)
        write_confidence_png(confidences / f"{scene.frames[view]}.png", certain)
      # What the scene does not hold is void, and what nobody can tell.
      write_label_png(labels / f"{scene.frames[view]}.png", np.where(inside, classes, 0))

  def _maps(self, size: tuple[int, int], *flat: np.ndarray):
    """`[H, W]` classes and, or None, how sure they are.

    flat: of all pixels rgb, distance, scores and, of methods that tell them,
      probabilities.
    """
    rgb, distance, scores, *told = (
        values.reshape(size[1], size[0], *values.shape[1:]) for values in flat)
    scores = self.assignment.finish(scores)
    if self.edges:
      scores = snap_to_edges(scores, rgb, distance, **self.edges)
      told = [average_alike(values, rgb, distance, **self.edges) for values in told]
    classes = self.classes_of(np.asarray(label_map(scores, self.class_ids)))
    return classes, np.asarray(confidence(told[0])) if told else None
