"""Where to click next, as a file: `next_clicks.json` in the working folder."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnerf.files import write_json
from jnerf.labeling import bayes, next_click, region_clicks, views
from jnerf.labeling.assignment import Assignment
from jnerf.labeling.views import ViewRenderer
from jnerf.scenes.clicks import full_resolution_xy
from jnerf.scenes.pixels import random_pixels
from jnerf.stages import labels as labels_lib
from jnerf.stages.labels import LabelSet
from jnerf.stages.regions import scene_regions
from jnerf.stages.session import Session
from jnerf.stages.training import trained_params
from jnerf.structs import Entities

POOL = 4096  # random pixels of the training views that are to be told apart
CANDIDATES = 1024  # of those, that may be proposed
MAX_PARAMS = 8192  # P beyond which the classifier's P x P posterior is too large
MIN_SHARE = 2e-5  # of all places in a region: a smaller one is hard to hit


@dataclasses.dataclass(frozen=True)
class Proposals:
  """Pixels `[n, 3]` to click next, best first; `shares [n]`, see `write_proposals`;
  `probabilities [n, K]` of the classes there."""

  pixels: np.ndarray
  shares: np.ndarray
  probabilities: np.ndarray


@dataclasses.dataclass(frozen=True)
class RegionClicks:
  """A pixel in every region that is large enough to be clicked.

  pixels: `[C, 3]`; areas: `[C]` how many places saw each; entities: C, of the pixels.
  """

  pixels: np.ndarray
  areas: np.ndarray
  entities: Entities


def write_proposals(session: Session, renderer: ViewRenderer, params,
                    label_set: LabelSet, clicked: Entities,
                    adapt: Callable[[Assignment, Any], Any]) -> None:
  """Writes the config's number of proposals, best first.

  Each is `{"frame", "x", "y"}` as in a clicks file, the class that it has now with its
  name and probability, and `settles`: the share of all doubt that a click there would
  end, given those before it. By the regions where these label, else by the Bayesian
  classifier, whatever the method.

  clicked: the labelled pixels; adapt: of `labels.adaptation`.
  """
  settings, scene, labels = session.config.label, session.scene, label_set.labels
  path = session.workdir.folder() / "next_clicks.json"
  path.unlink(missing_ok=True)  # of earlier clicks
  if not settings.proposals:
    return
  if settings.primary == "regions":
    found = _by_regions(session, renderer, params, label_set, clicked, adapt)
  elif clicked.J.shape[1] > MAX_PARAMS:
    print(f"propagate: no proposals of clicks, gradients of {clicked.J.shape[1]} "
          f"parameters are more than {MAX_PARAMS}; sketch them by shape.jacobian=sketch")
    return
  else:
    found = _by_gradients(session, renderer, params, label_set, clicked.J)
  names, proposals = labels_lib.class_names(session), []
  for (view, row, column), share, of_classes in zip(
      found.pixels.tolist(), found.shares, found.probabilities, strict=True):
    x, y = full_resolution_xy(row, column, scene)
    class_id = labels.classes[int(np.argmax(of_classes))]
    proposals.append({
        "frame": scene.frames[view], "x": x, "y": y, "class": class_id,
        "name": names.get(class_id, f"class {class_id}"),
        "probability": float(np.max(of_classes)), "settles": float(share)})
  write_json(path, {"proposals": proposals})


def region_clicks_of(session: Session, renderer: ViewRenderer, params) -> RegionClicks:
  """Where the regions of a session can be clicked; params: of the field that labels."""
  scene = session.scene
  regions, of_places = scene_regions(session, trained_params(session, "fit"))
  numbers, places = region_clicks.deepest_places(of_places)
  centres = (places[:, 1:] + 0.5) / of_places.shape[1:] * scene.size[::-1]
  pixels = np.concatenate([scene.train[places[:, :1]], centres.astype(np.int64)], axis=1)
  areas = np.asarray(regions.counts)[numbers]
  kept = areas >= MIN_SHARE * of_places.size
  if scene.mask is not None:
    kept &= scene.mask[tuple(pixels.T)]
  entities = renderer.entities(params, views.rays_of_pixels(scene, pixels[kept]))
  return RegionClicks(pixels[kept], areas[kept], entities)


def _by_regions(session: Session, renderer: ViewRenderer, params, label_set: LabelSet,
                clicked: Entities, adapt) -> Proposals:
  candidates = region_clicks_of(session, renderer, params)
  assignment = labels_lib.assignment(session, "regions")
  class_ids = np.array(label_set.labels.classes)
  probabilities = jax.jit(assignment.probabilities)

  def learn(regions, classes):
    chosen = views.rows_of(candidates.entities, np.array(regions, np.int64))
    seen = jax.tree.map(lambda *parts: np.concatenate(parts), clicked, chosen)
    labels = np.concatenate([label_set.labels.class_ids, class_ids[classes]])
    state = adapt(assignment, assignment.fit(seen, labels, class_ids))
    return np.asarray(probabilities(state, candidates.entities))

  num = min(session.config.label.proposals, len(candidates.areas))
  numbers, shares = region_clicks.propose_clicks(learn, candidates.areas, num)
  return Proposals(candidates.pixels[numbers], shares, learn([], [])[numbers])


def _by_gradients(session: Session, renderer: ViewRenderer, params,
                  label_set: LabelSet, J) -> Proposals:
  settings, labels = session.config.label, label_set.labels
  pixels = random_pixels(session.scene, POOL, session.config.seed)
  pool = renderer.gradients(params, views.rays_of_pixels(session.scene, pixels))
  state = bayes.fit_bayes(J, labels.class_ids, np.array(labels.classes),
                          ridge=settings.ridge)
  candidates = min(CANDIDATES, len(pixels))
  chosen, shares = (np.asarray(v) for v in next_click.propose_clicks(
      state, pool, min(settings.proposals, candidates), candidates))
  return Proposals(pixels[chosen], shares, np.asarray(
      bayes.class_probabilities(state, jnp.asarray(pool[chosen]))))
