"""The paper's recipe: its choices against loops over classes, seeds and samples."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnerf.labeling.assignment import best_classes
from jnerf.labeling.paper_recipe import PaperRecipe, normalize_view
from jnerf.labeling.response import finite_response, response_3d
from jnerf.labeling.seeds import REDUCTIONS
from jnerf.shaping import jacobians
from jnerf.structs import Entities, Rendering

N, S, H, STEP = 60, 4, 8, 0.1
CLASSES = [4, 9, 2]  # nothing is labelled 9


def entities(seed=0):
  """N entities with the closed form's gradients, and their labels."""
  rng = np.random.default_rng(seed)
  labels = rng.choice([2, 4], N)
  hidden = rng.exponential(size=(N, S, H)) + 2 * (labels == 2)[:, None, None]
  filler = jnp.zeros(N)
  rendering = Rendering(
      rgb=jnp.zeros((N, 3)), acc=filler, distance=filler, distance_median=filler,
      t=jnp.zeros((N, S + 1)), weights=jnp.asarray(rng.dirichlet(np.ones(S), N)),
      sigma=jnp.zeros((N, S)), hidden=jnp.asarray(hidden),
      logits=jnp.asarray(0.3 * rng.normal(size=(N, S, 3))))
  rendering = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), rendering)
  points = jnp.asarray(rng.normal(size=(N, 3)), jnp.float32)
  return Entities(J=jacobians.closed_form(rendering), points=points,
                  rendering=rendering), labels


def nudged(recipe, some, V):
  """Response of one direction `V [3H]`, by the plain functions."""
  r, V = some.rendering, V[:, None]
  if recipe.response == "3d":
    return np.asarray(response_3d(r.weights, r.hidden, V, step=STEP))[:, 0]
  if recipe.nudges_rgb:
    return np.asarray(finite_response(r.weights, r.hidden, r.logits, V, step=STEP))[:, 0]
  return np.abs(np.asarray(some.J) @ np.asarray(V))[:, 0] * STEP


@pytest.mark.parametrize("changes", [{}, {"nudges_rgb": False}, {"response": "3d"}],
                         ids=str)
@pytest.mark.parametrize("directions", REDUCTIONS)
def test_scores_equal_a_loop_over_classes_and_directions(directions, changes):
  some, labels = entities()
  recipe = PaperRecipe(directions=directions, num_centres=3, **changes)
  classifier = recipe.fit(some, labels, CLASSES)
  scores = jax.jit(lambda fitted: fitted.scores(some))(classifier)
  seeds = classifier.seeds
  assert scores.shape == (N, 3)
  for k in range(3):
    each = [nudged(recipe, some, seeds.directions[k, i])
            for i in np.flatnonzero(seeds.mask[k])]
    reduce = {"mean": np.mean, "max": np.max}[REDUCTIONS[directions]]
    expected = reduce(each, axis=0) if each else 0
    np.testing.assert_allclose(scores[:, k], expected, rtol=2e-4, atol=1e-7)
  assert seeds.mask.sum(1).tolist() == {
      "mean_response": [np.sum(labels == 4), 0, np.sum(labels == 2)],
      "k_means": [3, 0, 3]}.get(directions, [1, 0, 1])


def test_mean_response_is_that_of_every_labelled_pixel():
  some, labels = entities()
  recipe = PaperRecipe(nudges_rgb=False, directions="mean_response")
  scores = recipe.fit(some, labels, CLASSES).scores(some)
  rows = np.asarray(some.J) / np.linalg.norm(some.J, axis=1, keepdims=True)
  for k, class_id in enumerate(CLASSES[::2]):
    expected = np.mean([np.abs(np.asarray(some.J) @ row) * STEP
                        for row in rows[labels == class_id]], axis=0)
    np.testing.assert_allclose(scores[:, 2 * k], expected, rtol=1e-4)


def test_responses_fade_with_the_distance_from_the_labelled_pixel():
  some, labels = entities()
  recipe = PaperRecipe(directions="mean_response", position_scale=0.6)
  classifier = recipe.fit(some, labels, CLASSES)
  scores = classifier.scores(some)
  points = np.asarray(some.points)
  for k, class_id in enumerate(CLASSES[::2]):
    each = []
    for i, pixel in enumerate(np.flatnonzero(labels == class_id)):
      distance = np.linalg.norm(points - points[pixel], axis=1)
      near = np.exp(-distance**2 / (2 * 0.6**2))
      each.append(near * nudged(recipe, some, classifier.seeds.directions[2 * k, i]))
    np.testing.assert_allclose(scores[:, 2 * k], np.mean(each, axis=0), rtol=2e-4)
  wide, off = (dataclasses.replace(recipe, position_scale=scale).fit(
      some, labels, CLASSES).scores(some) for scale in (1e5, 0.0))
  np.testing.assert_allclose(wide, off, rtol=1e-5)


def test_samples_are_asked_for_where_they_are_read():
  assert [PaperRecipe(**choices).needs_samples for choices in (
      {}, {"nudges_rgb": False}, {"nudges_rgb": False, "response": "3d"})] == [
          True, False, True]


def test_paper_recipe_linear_is_the_limit_of_the_finite_step():
  some, labels = entities()
  finite, linear = (PaperRecipe(paper_step=1e-3, nudges_rgb=exact).fit(
      some, labels, CLASSES) for exact in (True, False))
  exact = finite.scores(some)
  bare = some.replace(rendering=None)
  np.testing.assert_allclose(linear.scores(bare), exact, rtol=0.02, atol=1e-6)


def test_normalize_view_follows_the_recipe_step_by_step():
  rng = np.random.default_rng(0)
  maps = rng.uniform(0, 1.5, (9, 7, 2)).astype(np.float32)
  expected = np.zeros_like(maps)
  clipped = np.pad(np.minimum(maps, 0.8), ((1, 1), (1, 1), (0, 0)), mode="reflect")
  for row in range(9):
    for column in range(7):
      for i, a in enumerate((0.25, 0.5, 0.25)):
        for j, b in enumerate((0.25, 0.5, 0.25)):
          expected[row, column] += a * b * clipped[row + i, column + j]
  expected /= expected.max(axis=(0, 1))
  np.testing.assert_allclose(normalize_view(jnp.asarray(maps)), expected, atol=1e-5)


def test_a_class_out_of_view_is_dropped_and_one_in_view_is_not():
  maps = np.zeros((100, 100, 3), np.float32)
  maps[:50, :, 0] = 1e-3  # weak, but an object: its own maximum is what counts
  maps[70, 70, 1] = 1e-3  # one hot pixel
  scores = normalize_view(jnp.asarray(maps))
  assert bool(jnp.all(jnp.isneginf(scores[..., 1:])))
  labels = np.asarray(best_classes(scores, [4, 5, 6]))
  np.testing.assert_array_equal(np.unique(labels), [4])
  nothing = best_classes(normalize_view(jnp.zeros((5, 5, 2))), [4, 5])
  np.testing.assert_array_equal(nothing, 0)
