"""Gaussian process over the scene's regions and the gradients within them.

A click says something of the region that it hits, of those that a walk over the scene's
surfaces leads to from there, of those that look alike, and of all entities whose
gradients point the same way. Each of these is a kernel, their sum is one:

  k(a, b) = kernel[region of a, region of b] + gradient_weight (cos(J_a, J_b) + 1)

All labels of one class in one region are one observation, which a labelled frame has a
few thousand of and clicks a few dozen. The posterior mean then is a table of scores, a
row for each region, and a linear function of the gradient: a click costs a small solve,
and labelling a view one look-up and one matrix product.

Clicks do not tell how large a class is: one for the switch, one for the wall, and every
pixel that is a little like a switch becomes one. So the share of each class in what the
training views see is estimated from the scores of unlabelled pixels, by expectation
maximisation (Saerens et al. 2002, Adjusting the Outputs of a Classifier to New a Priori
Probabilities), and counts as its prior, in place of its share in the labels.

Targets, weights of labels and probabilities are those of `bayes`, the same process in
its primal form over gradients alone.
"""

from __future__ import annotations

import dataclasses
import functools

from flax import struct
import jax
import jax.numpy as jnp
import numpy as np
from scipy import sparse

from jnerf.fields.spaces import Space
from jnerf.host_arrays import unit_rows
from jnerf.labeling.assignment import Assignment, Classifier, Ridge
from jnerf.labeling.bayes import PADDED
from jnerf.labeling.response import PRECISION, unit_response
from jnerf.settings import setting
from jnerf.shaping.regions import region_at
from jnerf.shaping.scene_regions import SceneRegions
from jnerf.structs import Array, Entities

# Of scores in the softmax that classes' areas are estimated with, in units of their own
# standard deviation, which grows with the number of clicks.
TEMPERATURE = 0.5
NUM_ROUNDS = 10  # of estimating classes' areas from scores and scores from areas

# Scale of scores in the softmax where all is known; more where little is. Calibrated on
# office_0 and living_room with 1 to 10 clicks a class and a labelled frame: expected
# calibration error 0.03 to 0.15.
NOISE = 0.03


@dataclasses.dataclass(frozen=True, kw_only=True)
class RegionClassifier(Ridge, Assignment):
  """The method, over the regions of one scene; see the module's docstring.

  regions: of the scene; balance: see `bayes`.
  """

  area_prior: float = setting(1.0, "of regions: power of a class's area in its prior; 0: "
                              "none", at_least=0)
  gradient_weight: float = setting(0.5, "of regions: gradients beside the walk over "
                                   "surfaces", at_least=0)
  regions: SceneRegions
  balance: float = 0.5

  @property
  def tells_probabilities(self) -> bool:
    return True

  @property
  def adapts(self) -> bool:
    return self.area_prior > 0

  def fit(self, entities: Entities, labels, class_ids) -> RegionState:
    scene = self.regions
    merged = _merge(regions_of(scene, entities.points), np.asarray(entities.J),
                    np.asarray(labels))
    return RegionState(
        grid=scene.grid, space=scene.space,
        **_posterior(merged, np.asarray(class_ids), scene.kernel, self.ridge,
                     self.gradient_weight, self.balance))

  def adapt(self, classifier: RegionState, unlabelled: Entities) -> RegionState:
    if not self.adapts:
      return classifier
    return _with_area_prior(classifier, unlabelled, self.area_prior)


@struct.dataclass
class RegionState(Classifier):
  """Posterior of K classes over R regions and gradients of P parameters.

  grid: `[n, n, n]` region of every cell; space: whose unit cube it divides.
  table: `[R, K]` mean scores of the regions; weights: `[P, K]` of unit gradients.
  bias: `[K]`; spread: `[R]` scale of the scores in the softmax.
  label_shares: `[K]` how much of all labels is of each class, more than 0. Those within
    one region say nearly the same, and count as `their number ** balance`.
  """

  grid: Array
  table: Array
  weights: Array
  bias: Array
  spread: Array
  label_shares: Array
  space: Space = struct.field(pytree_node=False)

  def scores(self, entities: Entities):
    of_regions = self.table[self._regions(entities)]
    return of_regions + self.bias[None] + unit_response(entities.J, self.weights)

  def probabilities(self, entities: Entities):
    spread = self.spread[self._regions(entities)]
    return jax.nn.softmax(self.scores(entities) / spread[:, None], axis=-1)

  def _regions(self, entities: Entities):
    return region_at(self.grid, self.space.unit_cube(entities.points))


@struct.dataclass
class _Observations:
  """U labels, merged by region and class: `region [U]`, unit gradients `J [U, P]`,
  `labels [U]`, `counts [U]` how many labels each was."""

  region: np.ndarray
  J: np.ndarray
  labels: np.ndarray
  counts: np.ndarray


def regions_of(scene: SceneRegions, points) -> np.ndarray:
  """`[N]` regions of 3D points `[N, 3]`."""
  # Filled up: every other number of points would be compiled anew.
  filled = np.pad(points, ((0, -len(points) % PADDED), (0, 0)))
  return np.asarray(_regions_of(scene.space, scene.grid, filled))[:len(points)]


@functools.partial(jax.jit, static_argnums=0)
def _regions_of(space: Space, grid, points):
  return region_at(grid, space.unit_cube(points))


@jax.jit
def _with_area_prior(classifier: RegionState, unlabelled: Entities, power):
  prior = log_area_prior(classifier.scores(unlabelled), classifier.label_shares, power)
  return classifier.replace(bias=classifier.bias + prior)


def log_area_prior(scores, label_shares, power: float = 1.0):
  """`[K]` what the classes' areas add to scores, from those of N pixels `[N, K]`.

  label_shares: `[K]` what scores know already: many clicks on a class raise it.
  power: of the shares in the prior, those that are found and those they rest on.
  """
  spread = jnp.std(scores - jnp.mean(scores, axis=1, keepdims=True))
  temperature = TEMPERATURE * jnp.maximum(spread, 1e-6)
  num_classes = scores.shape[1]

  def log_prior(shares):
    return power * jnp.log(shares / label_shares)

  def estimate(_, shares):
    likely = jax.nn.softmax(scores / temperature + log_prior(shares)[None], axis=1)
    return jnp.mean(likely, axis=0) + 1e-4

  shares = jax.lax.fori_loop(0, NUM_ROUNDS, estimate,
                             jnp.full(num_classes, 1 / num_classes, scores.dtype))
  return temperature * log_prior(shares)


def _merge(region, J, labels) -> _Observations:
  keys = np.stack([region, labels], axis=1)
  unique, member, counts = np.unique(keys, axis=0, return_inverse=True,
                                     return_counts=True)
  one = np.ones(len(J)), (member.reshape(-1), np.arange(len(J)))
  sums = sparse.csr_matrix(one, shape=(len(unique), len(J))) @ unit_rows(J)
  return _Observations(unique[:, 0], unit_rows(sums), unique[:, 1], counts)


def _posterior(observed: _Observations, class_ids, kernel, ridge, gradient_weight,
               balance) -> dict[str, Array]:
  """All of a `RegionState` that labels decide."""
  per_class = np.array([np.sum(observed.counts[observed.labels == c]) for c in class_ids])
  share = dict(zip(class_ids.tolist(), np.maximum(per_class, 1) ** (balance - 1.0)))
  positive = np.isin(observed.labels, class_ids)
  num_classes = len(class_ids)
  member = (observed.labels[:, None] == class_ids[None, :]).astype(np.float64)

  def solve(rows, targets):
    """Dual weights `[U, k]` of all observations, 0 but of `rows`."""
    part = jax.tree.map(lambda leaf: leaf[rows], observed)
    weights = part.counts * np.array([share[abs(c)] for c in part.labels.tolist()])
    gram = (kernel[np.ix_(part.region, part.region)]
            + gradient_weight * (part.J @ part.J.T + 1))
    alpha = np.zeros((len(observed.labels), targets.shape[1]))
    alpha[rows] = np.linalg.solve(gram + np.diag(ridge / weights), targets[rows])
    return alpha

  targets = member - 1 / num_classes
  alpha = solve(np.flatnonzero(positive), targets)
  for k, class_id in enumerate(class_ids.tolist()):
    denied = observed.labels == -class_id
    if denied.any():  # only this class's score learns from it
      alpha[:, k:k + 1] = solve(np.flatnonzero(positive | denied), targets[:, k:k + 1])
  whiten = _whitening(observed, positive, kernel, ridge)
  counted = np.maximum(member.T @ observed.counts**balance, 1)
  # Filled up with observations of no weight, as in `bayes`; no other number compiles.
  more = -len(alpha) % PADDED
  table, weights, bias, variance = _over_regions(*(
      np.pad(part, widths).astype(np.float32) for part, widths in (
          (kernel[observed.region], ((0, more), (0, 0))),
          (observed.J, ((0, more), (0, 0))), (alpha, ((0, more), (0, 0))),
          (whiten, (0, more)))),
      jnp.asarray(np.diagonal(kernel), jnp.float32))
  return {"table": table, "weights": gradient_weight * weights,
          "bias": gradient_weight * bias, "spread": NOISE * (1 + variance),
          "label_shares": jnp.asarray((counted / counted.sum()).astype(np.float32))}


def _whitening(observed: _Observations, positive, kernel, ridge) -> np.ndarray:
  """`[U, U]` W with `W' W` the inverse of positive labels' covariance in the regions'
  part of a score; 0 for other labels."""
  region, counts = observed.region[positive], observed.counts[positive]
  factor = np.linalg.cholesky(kernel[np.ix_(region, region)] + np.diag(ridge / counts))
  whiten = np.zeros((len(positive), len(positive)))
  whiten[np.ix_(positive, positive)] = np.linalg.inv(factor)
  return whiten


@jax.jit
def _over_regions(rows, J, alpha, whiten, diagonal):
  """`table [R, K]`, `weights [P, K]`, `bias [K]` and, of the regions' part of a score,
  `variance [R]`.

  rows: `[U, R]` kernel between observations and regions, `diagonal [R]` of regions with
  themselves. Here and not on the host, whose threads would keep the device's waiting.
  """
  product = functools.partial(jnp.matmul, precision=PRECISION)
  explained = jnp.sum(product(whiten, rows) ** 2, axis=0)
  return (product(rows.T, alpha), product(J.T, alpha), jnp.sum(alpha, axis=0),
          jnp.maximum(diagonal - explained, 0.0))
