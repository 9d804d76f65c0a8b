"""The stage `propagate`: from clicks to a label map of every view."""

from __future__ import annotations

import functools
import sys
import time

import jax
import numpy as np
from tqdm import tqdm

from jnerf.labeling import views
from jnerf.labeling.assignment import label_map
from jnerf.stages import labels as labels_lib
from jnerf.stages.session import Session
from jnerf.stages.training import trained_params
from jnerf.training.compilation import peak_memory_bytes
from jnerf.viewing.palette import write_label_png


def propagate(session: Session) -> str:
  """Labels views by the config's primary method; returns the labels' name.

  The clicks are the user's, else the first draw of the first protocol; the field
  is the shaped one.
  """
  began = time.perf_counter()
  scene, method = session.scene, session.config.label.primary
  label_set = labels_lib.label_sets(session)[0]
  labels_lib.store_clicks(session, [label_set])
  labels, renderer = label_set.labels, labels_lib.view_renderer(session)
  assignment = labels_lib.assignments(session)[method]
  params = trained_params(session, "shape")
  clicked = renderer.entities(params, views.rays_of_pixels(scene, labels.pixels))
  state = assignment.fit(clicked, labels.class_ids, np.array(labels.classes))
  scores = functools.partial(jax.jit(assignment.scores), state)
  name = f"shaped-{method}"
  folder = session.workdir.folder("labels", name)
  session.workdir.forget(["propagate"])
  for stale in folder.glob("*.png"):  # of other clicks, perhaps of other views
    stale.unlink()
  width, height = scene.size
  only_test = session.config.label.views == "test"
  chosen = scene.test if only_test else range(len(scene.frames))
  print(f"propagate: {len(labels.class_ids)} labelled pixels to {len(chosen)} views",
        flush=True)
  for view in tqdm(chosen, desc="propagate", unit="view",
                   disable=not sys.stderr.isatty()):
    flat, = renderer.map(params, views.rays_of_view(scene, view), scores)
    finished = assignment.finish(flat.reshape(height, width, -1))
    classes = label_set.classes_of(
        np.asarray(label_map(finished, np.array(labels.classes))))
    if scene.mask is not None:  # what the scene does not hold is void
      classes = np.where(scene.mask[view], classes, 0)
    write_label_png(folder / f"{scene.frames[view]}.png", classes)
  session.workdir.mark_done(
      "propagate", seconds=time.perf_counter() - began, clicks=len(labels.class_ids),
      protocol=label_set.protocol, labels=name, peak_memory_bytes=peak_memory_bytes())
  return name
