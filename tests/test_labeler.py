"""The labeler: from clicks to a label map as a loop would do it, without compiling."""

import contextlib

import jax
import numpy as np
import pytest

from jnerf.fields.spaces import Box
from jnerf.labeling.bayes import BayesClassifier
from jnerf.labeling.cosine import CosineKernel
from jnerf.labeling.edges import EdgeSettings, average_alike, snap_to_edges
from jnerf.labeling.labeler import fit_labeler
from jnerf.labeling.labels import Labels, LabelSet
from jnerf.labeling.paper_recipe import PaperRecipe
from jnerf.labeling.region_classifier import RegionClassifier
from jnerf.labeling.rivals.neighbours import NearestNeighbours
from jnerf.shaping.regions import Regions
from jnerf.shaping.renderer import take
from jnerf.shaping.scene_regions import SceneRegions
from jnerf.structs import Entities

HEIGHT, WIDTH, P, R = 9, 12, 10, 8
CLASSES = np.array([2, 5, 9])
EDGES = EdgeSettings(edge_passes=1, edge_color_scale=0.2, edge_depth_scale=0.2)
EDGE_ARGUMENTS = {"passes": 1, "color_scale": 0.2, "depth_scale": 0.2}


def regions():
  """Eight of them, the octants of a cube."""
  rows = np.random.default_rng(5).normal(size=(R, 4)).astype(np.float32)
  rows /= np.linalg.norm(rows, axis=1, keepdims=True)
  grid = np.arange(R, dtype=np.int32).reshape(2, 2, 2)
  made = SceneRegions(Regions(grid, *7 * [None]), of_pixels=grid[:1],
                      space=Box(((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))))
  vars(made)["kernel"] = rows @ rows.T + 0.1 * np.eye(R, dtype=np.float32)
  return made


METHODS = {
    "regions": RegionClassifier(regions=regions()), "bayes": BayesClassifier(),
    "cosine": CosineKernel(), "paper": PaperRecipe(nudges_rgb=False),
    "neighbours": NearestNeighbours(0.5, 0.5, num=1)}


def entities(num=HEIGHT * WIDTH, seed=0) -> Entities:
  """Three clusters of noisy rows, side by side in the view."""
  rng = np.random.default_rng(seed)
  cluster = np.arange(num) % WIDTH * 3 // WIDTH
  centres = np.random.default_rng(9).normal(size=(3, P))
  single = np.float32
  return Entities(
      J=(centres[cluster] + rng.normal(size=(num, P))).astype(single),
      points=rng.random((num, 3)).astype(single), rgb=rng.random((num, 3)).astype(single),
      distance=rng.uniform(1, 1.5, num).astype(single))


def label_set(clicks, **options) -> LabelSet:
  """clicks: `(number of the pixel, class)` each."""
  index, class_ids = np.array(clicks).T
  pixels = np.stack([0 * index, index // WIDTH, index % WIDTH], axis=1)
  return LabelSet(Labels(pixels, class_ids), **options)


def fitted(name, clicks, view, edges=EDGES, **options):
  index = [pixel for pixel, _ in clicks]
  return fit_labeler(METHODS[name], take(view, index), label_set(clicks, **options),
                     entities(64, seed=1), edges)


def as_view(values):
  return np.asarray(values).reshape(HEIGHT, WIDTH, *np.shape(values)[1:])


def map_of(labeler, view):
  """The view's label map, with confidence where the method tells it."""
  sure = None
  if labeler.assignment.tells_probabilities:
    sure = as_view(labeler.probabilities(view))
  return labeler.label_map(as_view(labeler.scores(view)), as_view(view.rgb),
                           as_view(view.distance), sure)


CLICKS = [(13, 2), (18, 5), (23, 9), (27, 2)]


@pytest.mark.parametrize("merge_into", [None, {2: 1, 5: 4, 9: 1}, {2: 3}])
@pytest.mark.parametrize("name", METHODS)
def test_a_label_map_is_that_of_its_steps_one_by_one(name, merge_into):
  view, method = entities(), METHODS[name]
  found = map_of(fitted(name, CLICKS, view, merge_into=merge_into), view)
  index, labels = np.array(CLICKS).T
  classifier = method.fit(take(view, index), labels, CLASSES)
  if name == "regions":
    classifier = method.adapt(classifier, entities(64, seed=1))
  guide = as_view(view.rgb), as_view(view.distance)
  scores = np.asarray(snap_to_edges(
      method.finish(as_view(classifier.scores(view))), *guide, **EDGE_ARGUMENTS))
  assert found.classes.shape == (HEIGHT, WIDTH)
  for row, column in np.ndindex(HEIGHT, WIDTH):
    of_pixel = scores[row, column]
    best = int(CLASSES[np.argmax(of_pixel)]) if np.any(of_pixel > -np.inf) else 0
    expected = best if merge_into is None else merge_into.get(best, 0)
    assert found.classes[row, column] == expected
  assert len(np.unique(found.classes)) > 1
  if name in ("paper", "neighbours"):
    assert found.confidence is None
  else:
    sure = average_alike(as_view(classifier.probabilities(view)), *guide,
                         **EDGE_ARGUMENTS)
    np.testing.assert_allclose(found.confidence, np.max(sure, axis=-1), rtol=1e-4)


def test_without_passes_or_edges_labels_are_the_best_scores():
  view = entities()
  plain = fitted("bayes", CLICKS, view, EdgeSettings(edge_passes=0))
  scores = as_view(plain.scores(view))
  expected = CLASSES[np.argmax(scores, axis=-1)]
  np.testing.assert_array_equal(map_of(plain, view).classes, expected)
  snapping = fitted("bayes", CLICKS, view)
  assert np.any(map_of(snapping, view).classes != expected)
  blind = snapping.label_map(scores)  # surface points, of which no picture is known
  np.testing.assert_array_equal(blind.classes, expected)
  assert blind.confidence is None


@contextlib.contextmanager
def compilations():
  """The names of the programs that are compiled, or fetched from a cache, inside."""
  names = []

  def listen(event, _, **about):
    if event == "/jax/core/compile/backend_compile_duration":
      names.append(about.get("fun_name", event))

  jax.monitoring.register_event_duration_secs_listener(listen)
  try:
    yield names
  finally:
    jax.monitoring.unregister_event_duration_listener(listen)


@pytest.mark.parametrize("more", [[(27, 2)], [(27, 5), (30, 9), (40, 9)],
                                  [(27, 2), (30, -2), (31, -9), (32, -9)]], ids=str)
@pytest.mark.parametrize("name", ["regions", "bayes", "cosine"])
def test_another_click_on_a_view_compiles_nothing(name, more):
  on_host = entities()
  view = jax.device_put(on_host)
  first = [(13, 2), (18, 5), (23, 9), *[(25, -5)] * (more[-1][1] < 0)]
  before = map_of(fitted(name, first, on_host), view)
  with compilations() as names:
    after = map_of(fitted(name, first + more, on_host), view)
    assert names == []
    jax.jit(lambda x: x + 1)(np.zeros(3))
    assert len(names) == 1  # of what is new, as a state within a program would be
  assert np.any(before.classes != after.classes)
