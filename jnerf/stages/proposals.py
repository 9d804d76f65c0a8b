"""Where to click next, as a file: `next_clicks.json` in the working folder."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from jnerf.files import write_json
from jnerf.labeling import bayes, views
from jnerf.labeling.next_click import propose_clicks
from jnerf.labeling.views import ViewRenderer
from jnerf.scenes.clicks import full_resolution_xy
from jnerf.scenes.pixels import random_pixels
from jnerf.stages import labels as labels_lib
from jnerf.stages.labels import LabelSet
from jnerf.stages.session import Session

POOL = 4096  # random pixels of the training views that are to be told apart
CANDIDATES = 1024  # of those, that may be proposed
MAX_PARAMS = 8192  # P beyond which the classifier's P x P posterior is too large


def write_proposals(session: Session, renderer: ViewRenderer, params,
                    label_set: LabelSet, J) -> None:
  """Writes the config's number of proposals, best first.

  Each is `{"frame", "x", "y"}` as in a clicks file, the class that it has now with its
  name and probability, and `settles`: the share of all doubt that a click there would
  end, given those before it. By the Bayesian classifier, whatever the method that
  labels.

  J: `[M, P]` gradients of the labelled pixels.
  """
  settings, scene, labels = session.config.label, session.scene, label_set.labels
  path = session.workdir.folder() / "next_clicks.json"
  path.unlink(missing_ok=True)  # of earlier clicks
  if not settings.proposals:
    return
  if J.shape[1] > MAX_PARAMS:
    print(f"propagate: no proposals of clicks, gradients of {J.shape[1]} parameters are "
          f"more than {MAX_PARAMS}; sketch them by shape.jacobian=sketch")
    return
  pixels = random_pixels(scene, POOL, session.config.seed)
  pool = renderer.gradients(params, views.rays_of_pixels(scene, pixels))
  state = bayes.fit_bayes(J, labels.class_ids, np.array(labels.classes),
                          ridge=settings.ridge)
  candidates = min(CANDIDATES, len(pixels))
  chosen, shares = (np.asarray(v) for v in propose_clicks(
      state, pool, min(settings.proposals, candidates), candidates))
  probabilities = np.asarray(bayes.class_probabilities(state, jnp.asarray(pool[chosen])))
  names, proposals = labels_lib.class_names(session), []
  for (view, row, column), share, of_classes in zip(
      pixels[chosen].tolist(), shares, probabilities, strict=True):
    x, y = full_resolution_xy(row, column, scene)
    class_id = labels.classes[int(np.argmax(of_classes))]
    proposals.append({
        "frame": scene.frames[view], "x": x, "y": y, "class": class_id,
        "name": names.get(class_id, f"class {class_id}"),
        "probability": float(np.max(of_classes)), "settles": float(share)})
  write_json(path, {"proposals": proposals})
