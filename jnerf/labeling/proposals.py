"""Where to click next: pixels that a clicks file takes, with what is believed of them.

By the Gaussian process over regions where these label, else by the Bayesian classifier,
whatever the method: both are refitted in no time.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from jnerf.fields.fitted import FittedField
from jnerf.labeling import bayes, next_click, region_clicks
from jnerf.labeling.labeler import Labeler, fit_labeler
from jnerf.labeling.labels import LabelSet
from jnerf.labeling.region_classifier import RegionClassifier
from jnerf.labeling.scene_labeler import SceneLabeler
from jnerf.labeling.walker import WalkClassifier
from jnerf.scenes.clicks import full_resolution_xy
from jnerf.scenes.pixels import random_pixels
from jnerf.scenes.rays import rays_of_pixels
from jnerf.shaping.renderer import ViewRenderer, take
from jnerf.shaping.scene_regions import SceneRegions
from jnerf.structs import Entities, Scene

POOL = 4096  # random pixels of the training views that are to be told apart
CANDIDATES = 1024  # of those, that may be proposed
MAX_PARAMS = 8192  # P beyond which the classifier's P x P posterior is too large
MIN_SHARE = 2e-5  # of all places in a region: a smaller one is hard to hit


@dataclasses.dataclass(frozen=True)
class Proposals:
  """Pixels `[n, 3]` to click next, best first.

  shares: `[n]` of all doubt that a click there would end, given those before it.
  probabilities: `[n, K]` of the classes there.
  """

  pixels: np.ndarray
  shares: np.ndarray
  probabilities: np.ndarray

  def entries(self, scene: Scene, label_set: LabelSet) -> list[dict]:
    """As a file has them: `frame, x, y` of a clicks file, the class that each has now
    with its name and probability, and `settles`, its share."""
    entries, classes = [], label_set.labels.classes
    for (view, row, column), share, of_classes in zip(
        self.pixels.tolist(), self.shares, self.probabilities, strict=True):
      x, y = full_resolution_xy(row, column, scene)
      class_id = classes[int(np.argmax(of_classes))]
      entries.append({
          "frame": scene.frames[view], "x": x, "y": y, "class": class_id,
          "name": label_set.names.get(class_id, f"class {class_id}"),
          "probability": float(np.max(of_classes)), "settles": float(share)})
    return entries


@dataclasses.dataclass(frozen=True)
class RegionClicks:
  """A pixel in every region that is large enough to be clicked.

  pixels: `[C, 3]`; areas: `[C]` how many places saw each; entities: C, of the pixels.
  """

  pixels: np.ndarray
  areas: np.ndarray
  entities: Entities


def clicks_in_regions(renderer: ViewRenderer, field: FittedField, scene: Scene,
                      scene_regions: SceneRegions) -> RegionClicks:
  """Where the regions of a scene can be clicked; field: the one that labels."""
  of_places = scene_regions.of_pixels
  numbers, places = region_clicks.deepest_places(of_places)
  centres = (places[:, 1:] + 0.5) / of_places.shape[1:] * scene.size[::-1]
  pixels = np.concatenate([scene.train[places[:, :1]], centres.astype(np.int64)], axis=1)
  areas = np.asarray(scene_regions.regions.counts)[numbers]
  large = areas >= MIN_SHARE * of_places.size
  if scene.mask is not None:
    large &= scene.mask[tuple(pixels.T)]
  entities = renderer.entities(field.params, rays_of_pixels(scene, pixels[large]))
  return RegionClicks(pixels[large], areas[large], entities)


def propose_by_regions(labeler: Labeler, labelled: Entities, unlabelled: Entities | None,
                       candidates: RegionClicks, num: int) -> Proposals:
  """The best `num` regions to click next.

  labeler: by `RegionClassifier`; labelled, unlabelled: what it was fitted to.
  """
  labels, class_ids = labeler.label_set.labels, labeler.class_ids

  def learn(regions, classes):
    chosen = take(candidates.entities, np.array(regions, np.int64))
    both = jax.tree.map(lambda *rows: np.concatenate(rows), labelled, chosen)
    answers = np.concatenate([labels.class_ids, class_ids[classes]])
    believed = dataclasses.replace(labeler.label_set, labels=dataclasses.replace(
        labels, class_ids=answers))
    refitted = fit_labeler(labeler.assignment, both, believed, unlabelled)
    return np.asarray(refitted.probabilities(candidates.entities))

  numbers, shares = region_clicks.propose_clicks(
      learn, candidates.areas, min(num, len(candidates.areas)))
  return Proposals(candidates.pixels[numbers], shares,
                   np.asarray(labeler.probabilities(candidates.entities))[numbers])


def propose_by_gradients(label_set: LabelSet, labelled: Entities, renderer: ViewRenderer,
                         field: FittedField, scene: Scene, num: int, *, ridge: float,
                         seed: int) -> Proposals:
  """The best `num` of random pixels to click next, by the Bayesian classifier."""
  labels = label_set.labels
  pixels = random_pixels(scene, POOL, seed)
  pool = renderer.gradients(field.params, rays_of_pixels(scene, pixels))
  state = bayes.fit_bayes(labelled.J, labels.class_ids, np.array(labels.classes),
                          ridge=ridge)
  candidates = min(CANDIDATES, len(pixels))
  chosen, shares = (np.asarray(v) for v in next_click.propose_clicks(
      state, pool, min(num, candidates), candidates))
  return Proposals(pixels[chosen], shares, np.asarray(
      bayes.class_probabilities(state, jnp.asarray(pool[chosen]))))


def propose(scene_labeler: SceneLabeler, num: int, *, ridge: float,
            seed: int) -> Proposals | None:
  """The best `num` pixels to click next, by whichever of the two suits.

  ridge, seed: of `propose_by_gradients`. None where gradients are too many for either.
  """
  at_work, method = scene_labeler, scene_labeler.labeler.assignment
  if isinstance(method, RegionClassifier):
    candidates = clicks_in_regions(at_work.renderer, at_work.field, at_work.scene,
                                   method.regions)
    labeler = at_work.labeler
    if isinstance(method, WalkClassifier):
      labeler = fit_labeler(method.process, at_work.labelled, labeler.label_set,
                            at_work.unlabelled)
    return propose_by_regions(labeler, at_work.labelled, at_work.unlabelled, candidates,
                              num)
  if at_work.labelled.J.shape[1] > MAX_PARAMS:
    return None
  return propose_by_gradients(
      at_work.labeler.label_set, at_work.labelled, at_work.renderer, at_work.field,
      at_work.scene, num, ridge=ridge, seed=seed)
