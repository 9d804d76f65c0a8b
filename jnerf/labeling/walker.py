"""Random walks over the scene's regions: clicks decide near by, looks far off.

A walker starts in a region, goes on from region to region as in `shaping.diffusion`, and
at every step may die. Where it meets a click, that says what the region is that it came
from; where it dies, what the place looks like does: the class probabilities q of the
Gaussian process `regions`. With links W, their sums D and g deaths to a step, the
probabilities x of all regions solve

  ((1 + g) D - W) x = g D q,   x = the label where there is one

(Grady 2005, Multilabel Random Walker Image Segmentation Using Prior Models). Which g is
right depends on the scene: on one wall with a loud paper looks mislead and walkers should
live long; where a class has many things apart, only looks reach them. So several are
tried, each is asked for labels that it is not told, and they are averaged by how probable
they held these.

How large classes are is estimated as in `regions`, and believed the more the more labels
there are.
"""

from __future__ import annotations

import dataclasses

from flax import struct
import jax.numpy as jnp
import numpy as np
from scipy import sparse, special
from scipy.sparse import linalg as sparse_linalg

from jnerf.fields.spaces import Space
from jnerf.labeling.assignment import Classifier
from jnerf.labeling.region_classifier import (
  TEMPERATURE,
  RegionClassifier,
  log_area_prior,
  regions_of,
)
from jnerf.shaping.diffusion import FLOOR
from jnerf.shaping.regions import region_at
from jnerf.shaping.renderer import take
from jnerf.structs import Array, Entities

DEATHS = (1e-4, 1e-2, 1.0)  # to a step of the walks that are averaged
NUM_FOLDS = 5  # of labels that are held out to weigh them
HALF_BELIEVED = 10  # labels at which half of the areas' estimate is believed
PINNED = 1e3  # how strongly a labelled region is bound to its label, in links
DOUBT = 0.02  # probability that a held-out label is wrong


@dataclasses.dataclass(frozen=True, kw_only=True)
class WalkClassifier(RegionClassifier):
  """The method, over the regions of one scene; see the module's docstring."""

  @property
  def process(self) -> RegionClassifier:
    """The Gaussian process that says what places look like, a method by itself."""
    return RegionClassifier(**{field.name: getattr(self, field.name)
                               for field in dataclasses.fields(RegionClassifier)})

  @property
  def adapts(self) -> bool:
    return True

  def fit(self, entities: Entities, labels, class_ids) -> Taught:
    return Taught(entities, np.asarray(labels), np.asarray(class_ids),
                  regions_of(self.regions, entities.points))

  def adapt(self, classifier: Taught, unlabelled: Entities) -> WalkState:
    taught, num = classifier, len(classifier.labels)
    power = self.area_prior * num / (num + HALF_BELIEVED)
    looks = self._looks(taught, unlabelled, power)
    logs = [np.log(walk(self.regions.links, deaths, looks, *taught.shares()))
            for deaths in DEATHS]
    table = np.tensordot(self._evidence(taught, unlabelled), logs, axes=1)
    return WalkState(grid=self.regions.grid, space=self.regions.space, table=jnp.asarray(
        special.log_softmax(table, axis=1), jnp.float32))

  def _looks(self, taught: Taught, unlabelled: Entities, power: float) -> np.ndarray:
    """`[R, K]` class probabilities of regions by what they look like, by the Gaussian
    process and with the gradients of the unlabelled pixels in them.

    power: of classes' areas in their prior.
    """
    state = self.process.fit(taught.entities, taught.labels, taught.class_ids)
    scores = np.asarray(state.scores(unlabelled))
    spread = np.std(scores - scores.mean(axis=1, keepdims=True))
    table, region = np.asarray(state.table), regions_of(self.regions, unlabelled.points)
    by_gradients = scores - table[region]
    mean = by_gradients.mean(axis=0)
    counts = np.bincount(region, minlength=len(table))
    sums = np.stack([np.bincount(region, column, minlength=len(table))
                     for column in (by_gradients - mean).T], axis=1)
    prior = log_area_prior(scores, state.label_shares, power)
    looks = table + mean + sums / (counts + 1)[:, None] + np.asarray(prior)
    return special.softmax(looks / (TEMPERATURE * max(spread, 1e-6)), axis=1)

  def _evidence(self, taught: Taught, unlabelled: Entities) -> np.ndarray:
    """`[len(DEATHS)]` how probable walks held labels that they were not told, as shares;
    alike where no class has two."""
    logs = np.zeros(len(DEATHS))
    for held in taught.folds():
      told = taught.without(held)
      looks = self._looks(told, unlabelled, power=0.0)
      column = np.searchsorted(taught.class_ids, taught.labels[held])
      for i, deaths in enumerate(DEATHS):
        x = walk(self.regions.links, deaths, looks, *told.shares())[taught.nodes[held]]
        right = x[np.arange(len(held)), column]
        logs[i] += np.log((1 - DOUBT) * right + DOUBT / x.shape[1]).sum()
    return special.softmax(logs)


@dataclasses.dataclass(frozen=True)
class Taught:
  """M labels, before unlabelled pixels were seen.

  entities: those labelled; labels, class_ids: as of `fit`; nodes: `[M]` their regions.
  """

  entities: Entities
  labels: np.ndarray
  class_ids: np.ndarray
  nodes: np.ndarray

  def shares(self) -> tuple[np.ndarray, np.ndarray]:
    """`([U] labelled regions, [U, K] which share of their labels is of each class)`."""
    positive = self.labels > 0
    nodes, member = np.unique(self.nodes[positive], return_inverse=True)
    counts = np.zeros((len(nodes), len(self.class_ids)))
    column = np.searchsorted(self.class_ids, self.labels[positive])
    np.add.at(counts, (member.reshape(-1), column), 1)
    return nodes, counts / counts.sum(axis=1, keepdims=True)

  def folds(self) -> list[np.ndarray]:
    """Labels to be held out together; of every class some always stay."""
    order = np.random.default_rng(0).permutation(len(self.labels))
    folds = []
    for i in range(NUM_FOLDS):
      held = order[i::NUM_FOLDS]
      rest = np.setdiff1d(order, held)
      held = held[(self.labels[held] > 0)
                  & np.isin(self.labels[held], self.labels[rest])]
      if len(held):
        folds.append(held)
    return folds

  def without(self, held: np.ndarray) -> Taught:
    """The other labels."""
    keep = np.setdiff1d(np.arange(len(self.labels)), held)
    return Taught(take(self.entities, keep), self.labels[keep], self.class_ids,
                  self.nodes[keep])


@struct.dataclass
class WalkState(Classifier):
  """Log probabilities `table [R, K]` of the regions.

  grid: `[n, n, n]` region of every cell; space: whose unit cube it divides.
  """

  grid: Array
  table: Array
  space: Space = struct.field(pytree_node=False)

  def scores(self, entities: Entities):
    return self.table[region_at(self.grid, self.space.unit_cube(entities.points))]

  def probabilities(self, entities: Entities):
    return jnp.exp(self.scores(entities))


def walk(links: sparse.csr_matrix, deaths: float, looks, nodes, shares) -> np.ndarray:
  """`[R, K]` probabilities of the classes where walks end, none of them 0.

  links: W `[R, R]`; deaths: g, to a step; looks: q `[R, K]` where they die.
  nodes, shares: `[U]`, `[U, K]` labelled regions and of what.
  """
  degree = np.maximum(np.asarray(links.sum(axis=1)).reshape(-1), FLOOR)
  pinned = np.zeros(len(degree))
  pinned[nodes] = PINNED * degree[nodes]
  ends = deaths * degree[:, None] * looks
  ends[nodes] += pinned[nodes, None] * shares
  system = sparse.diags(degree * (1 + deaths) + pinned) - links
  x = sparse_linalg.splu(system.tocsc()).solve(ends)
  x /= x.sum(axis=1, keepdims=True)  # 1 but where no link leads away
  return np.clip(x, 1e-6, 1.0)
