"""Walks with priors, against chains, closed forms and a walker that is followed."""

import jax
import numpy as np
import pytest
from scipy import sparse

from jnerf.fields.spaces import Box
from jnerf.labeling import walker
from jnerf.labeling.region_classifier import RegionClassifier
from jnerf.labeling.walker import Taught, WalkClassifier, walk
from jnerf.shaping.regions import Regions
from jnerf.shaping.scene_regions import SceneRegions
from jnerf.structs import Entities

R = 12  # regions in a row, along x
GRID = np.broadcast_to(np.arange(R, dtype=np.int32)[:, None, None], (R, R, R)).copy()


def chain(weights=None, num=R):
  """Links from each region to the next."""
  weights = np.ones(num - 1) if weights is None else np.asarray(weights, float)
  return sparse.diags([weights, weights], [1, -1]).tocsr()


def scene_regions(links=None, kernel=None):
  """Regions in a row; what they look like is all in the kernel."""
  regions = SceneRegions(Regions(GRID, *7 * [None]), of_pixels=GRID[:1],
                         space=Box(((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))))
  vars(regions)["links"] = chain() if links is None else links
  vars(regions)["kernel"] = (
      np.eye(R) if kernel is None else kernel).astype(np.float32)
  return regions


def at(*regions) -> Entities:
  """Entities in the middle of regions, whose gradients are all alike."""
  points = np.full((len(regions), 3), 0.5, np.float32)
  points[:, 0] = (np.array(regions) + 0.5) / R
  return Entities(J=np.ones((len(regions), 2), np.float32), points=points)


def taught(method, regions, labels, unlabelled=range(R)):
  return method.adapt(method.fit(at(*regions), np.array(labels), np.unique(
      [c for c in labels if c > 0])), at(*unlabelled))


def test_without_deaths_a_row_between_two_labels_is_a_straight_line():
  looks = np.full((R, 2), 0.5)
  x = walk(chain(), 1e-9, looks, np.array([0, R - 1]), np.eye(2))
  np.testing.assert_allclose(x[:, 1], np.arange(R) / (R - 1), atol=2e-3)
  np.testing.assert_allclose(x.sum(axis=1), 1, atol=1e-5)
  # A link that is seldom taken parts the row there.
  weak = np.where(np.arange(R - 1) == 3, 1e-3, 1.0)
  x = walk(chain(weak), 1e-9, looks, np.array([0, R - 1]), np.eye(2))
  assert x[3, 1] < 0.02 and x[4, 1] > 0.98


def test_who_dies_at_once_says_what_the_place_looks_like():
  looks = np.random.default_rng(0).dirichlet(np.ones(3), size=R)
  x = walk(chain(), 1e6, looks, np.array([2]), np.array([[0, 1.0, 0]]))
  rest = np.arange(R) != 2
  np.testing.assert_allclose(x[rest], looks[rest], atol=1e-4)
  assert x[2, 1] < 1  # 1000 links hold it, a million deaths do not care


def test_walks_end_as_those_of_a_walker_that_is_followed():
  """The chance of every end, by the chain's powers: steps to neighbours, deaths."""
  rng, num, deaths = np.random.default_rng(1), 7, 0.05
  links = np.triu(rng.random((num, num)) * (rng.random((num, num)) < 0.6), 1)
  links = links + links.T + np.diag(np.ones(num - 1), 1) + np.diag(np.ones(num - 1), -1)
  looks = rng.dirichlet(np.ones(3), size=num)
  nodes, shares = np.array([1, 4]), np.array([[1.0, 0, 0], [0, 0.25, 0.75]])
  degree = links.sum(axis=1)
  pinned = np.zeros(num)
  pinned[nodes] = walker.PINNED * degree[nodes]
  leaving = degree * (1 + deaths) + pinned
  step = links / leaving[:, None]
  ends = (deaths * degree / leaving)[:, None] * looks
  ends[nodes] += (pinned / leaving)[nodes, None] * shares
  expected, here = np.zeros((num, 3)), np.eye(num)
  for _ in range(5000):
    expected += here @ ends
    here = here @ step
  np.testing.assert_allclose(
      walk(sparse.csr_matrix(links), deaths, looks, nodes, shares), expected, atol=1e-6)


def test_a_region_that_touches_nothing_is_what_it_looks_like():
  links = chain()
  links = sparse.block_diag([links, sparse.csr_matrix((1, 1))]).tocsr()
  looks = np.tile([[0.3, 0.7]], (R + 1, 1))
  x = walk(links, 1e-4, looks, np.array([0]), np.array([[1.0, 0]]))
  np.testing.assert_allclose(x[R], [0.3, 0.7], atol=1e-3)


def test_labels_are_held_out_but_never_the_last_of_a_class():
  labels = np.array([1, 1, 1, 2, 3, 3, -1, 2, 1])
  some = Taught(at(*range(9)), labels, np.array([1, 2, 3]), np.arange(9))
  folds = some.folds()
  held = np.concatenate(folds)
  assert len(held) == len(set(held)) and (labels[held] > 0).all()
  for fold in folds:
    rest = some.without(fold)
    assert set(labels[fold]) <= set(rest.labels) and -1 in rest.labels
    assert len(rest.nodes) == len(labels) - len(fold) == len(rest.entities.points)
  alone = Taught(at(0, 1), np.array([1, 2]), np.array([1, 2]), np.arange(2))
  assert alone.folds() == []


def test_shares_of_labels_that_lie_in_one_region():
  some = Taught(at(*range(5)), np.array([1, 2, 2, -2, 1]), np.array([1, 2]),
                np.array([4, 4, 4, 4, 7]))
  nodes, shares = some.shares()
  np.testing.assert_array_equal(nodes, [4, 7])
  np.testing.assert_allclose(shares, [[1 / 3, 2 / 3], [1, 0]])


def test_clicks_decide_near_by_whatever_it_looks_like():
  """Every second region looks like the other class: a striped paper on two walls."""
  stripes = np.arange(R) % 2
  kernel = np.eye(R) + 2.0 * (stripes[:, None] == stripes)
  links = chain(np.where(np.arange(R - 1) == 5, 1e-5, 1.0))  # a crease in the middle
  method = WalkClassifier(regions=scene_regions(links, kernel), gradient_weight=0.0)
  clicks, labels = [0, 2, 4, 7, 9, 11], [1, 1, 1, 2, 2, 2]
  state = taught(method, clicks, labels)
  probabilities = np.asarray(state.probabilities(at(*range(R))))
  np.testing.assert_array_equal(probabilities.argmax(axis=1), [0] * 6 + [1] * 6)
  np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
  np.testing.assert_allclose(np.exp(state.scores(at(*range(R)))), probabilities,
                             rtol=1e-5)


def test_walks_are_weighed_by_labels_that_they_were_not_told():
  stripes = np.arange(R) % 2
  kernel = np.eye(R) + 2.0 * (stripes[:, None] == stripes)
  near = WalkClassifier(regions=scene_regions(
      chain(np.where(np.arange(R - 1) == 5, 1e-5, 1.0)), kernel), gradient_weight=0.0)
  some = near.fit(at(0, 2, 4, 6, 8, 10), np.array([1, 1, 1, 2, 2, 2]), np.array([1, 2]))
  weights = near._evidence(some, at(*range(R)))
  assert weights.sum() == pytest.approx(1) and np.argmax(weights) == 0
  # The labels follow the stripes: looks tell, and long walks mix them up.
  some = near.fit(at(*range(10)), 1 + stripes[:10], np.array([1, 2]))
  assert np.argmax(near._evidence(some, at(*range(R)))) == len(walker.DEATHS) - 1
  single = near.fit(at(0, 11), np.array([1, 2]), np.array([1, 2]))
  np.testing.assert_allclose(near._evidence(single, at(0)), 1 / len(walker.DEATHS))


def test_far_from_all_clicks_looks_decide():
  """A second thing of class 2 stands alone at the end of the row."""
  looks = np.array([0] * 6 + [1] * 3 + [2] * 3)
  alike = np.array([[1, 0, 0], [0, 1, 0.9], [0, 0.9, 1]])[looks][:, looks]
  links = chain(np.where(np.isin(np.arange(R - 1), (5, 8)), 1e-7, 1.0))
  method = WalkClassifier(regions=scene_regions(links, np.eye(R) + 2 * alike),
                          gradient_weight=0.0, area_prior=0.0)
  state = taught(method, [1, 4, 7], [1, 1, 2])
  best = np.asarray(state.scores(at(*range(R)))).argmax(axis=1)
  np.testing.assert_array_equal(best, [0] * 6 + [1] * 6)


def test_the_process_within_has_the_same_settings():
  regions = scene_regions()
  method = WalkClassifier(regions=regions, gradient_weight=0.1, area_prior=0.7, ridge=0.2)
  process = method.process
  assert type(process) is RegionClassifier and process.regions is regions
  assert (process.gradient_weight, process.area_prior, process.ridge) == (0.1, 0.7, 0.2)


def test_another_click_compiles_nothing():
  method, scores = WalkClassifier(regions=scene_regions()), jax.jit(
      lambda state, entities: state.scores(entities))
  view = at(*range(R))
  scores(taught(method, [0, 5, 9], [1, 1, 2]), view)
  scores(taught(method, [0, 5, 9, 11], [1, 1, 2, 2]), view)
  assert scores._cache_size() == 1
