"""Rivals against slow twins and on tiny fields: what they learn, and what they leave."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny_models

from jnerf.fields.hash_grid import HashGrid
from jnerf.labeling import bayes
from jnerf.labeling.assignment import with_rows
from jnerf.labeling.rivals import distilled, on_features, semantic_head
from jnerf.labeling.rivals.neighbours import NearestNeighbours
from jnerf.shaping.renderer import ViewRenderer
from jnerf.structs import Batch, Entities

CLASSES = np.array([2, 5, 9])
MODEL = tiny_models.grid(num_levels=2)


def entities(num, seed=0):
  rng = np.random.default_rng(seed)
  points, rgb, features = (rng.normal(size=(num, n)).astype(np.float32)
                           for n in (3, 3, 7))
  return Entities(points=points, rgb=rgb, features=features)


def labelled(num=30, seed=0):
  return entities(num, seed), np.random.default_rng(seed).choice(CLASSES, num)


def photo_rivals():
  return on_features.feature_rivals("features", on_features.photo_features,
                                    photographed=True)


def label(method, seen, labels, asked, chunk=8):
  """Scores of `asked` after `seen`, a remainder of a chunk among them."""
  seen, asked = (with_rows(method, some, chunk) for some in (seen, asked))
  return method.fit(seen, labels, CLASSES).scores(asked)


def unit(rows):
  return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def test_nearest_prototype_of_features_equals_a_loop():
  method, (seen, labels), asked = photo_rivals()["features"], labelled(), entities(11, 1)
  expected = np.zeros((11, 3))
  for k, class_id in enumerate(CLASSES):
    rows = [unit(row) for row, label in zip(seen.features, labels) if label == class_id]
    for i, row in enumerate(asked.features):
      expected[i, k] = unit(row) @ unit(np.mean(rows, axis=0))
  found = label(method, seen, labels, asked)
  np.testing.assert_allclose(found, expected, atol=1e-5)
  assert method.needs_features and not method.needs_samples


def test_probes_are_the_classifier_on_features_with_and_without_colour():
  (seen, labels), asked, rivals = labelled(), entities(11, 1), photo_rivals()

  def colored(some):
    grey = on_features.COLOR_SCALE * (some.rgb - 0.5)
    return np.concatenate([unit(some.features), grey], axis=1)

  for name, rows in (("features-probe", lambda some: some.features),
                     ("features-probe-color", colored)):
    expected = bayes.mean_scores(
        bayes.fit_bayes(rows(seen), labels, CLASSES, ridge=on_features.RIDGE),
        rows(asked))
    np.testing.assert_allclose(label(rivals[name], seen, labels, asked), expected,
                               atol=1e-5)


def test_neighbours_equal_a_loop_and_know_no_units():
  (seen, labels), asked = labelled(), entities(11, 1)
  method = NearestNeighbours(0.5, 0.2, num=4, power=2.0)
  expected = np.zeros((11, 3))
  for i in range(11):
    squared = [np.sum((seen.points[m] - asked.points[i]) ** 2) / 0.5**2
               + np.sum((seen.rgb[m] - asked.rgb[i]) ** 2) / 0.2**2 for m in range(30)]
    for m in sorted(range(30), key=squared.__getitem__)[:4]:
      expected[i, list(CLASSES).index(labels[m])] += (squared[m] + 1e-6) ** -2
  found = method.fit(seen, labels, CLASSES).scores(asked)
  np.testing.assert_allclose(found, expected, rtol=1e-4)
  feet = NearestNeighbours(3.0 * 0.5, 0.2, num=4, power=2.0)
  seen, asked = (some.replace(points=3 * some.points) for some in (seen, asked))
  np.testing.assert_allclose(feet.fit(seen, labels, CLASSES).scores(asked), found,
                             rtol=1e-4)


def test_neighbours_with_a_click_per_class_are_the_nearest_click():
  seen, asked = entities(3), entities(50, 1)
  method = NearestNeighbours(1.0, 1.0)
  scores = method.fit(seen, CLASSES, CLASSES).scores(asked)
  squared = (np.sum((asked.points[:, None] - seen.points) ** 2, -1)
             + np.sum((asked.rgb[:, None] - seen.rgb) ** 2, -1))
  np.testing.assert_array_equal(np.argmax(scores, 1), np.argmin(squared, 1))
  denied = method.fit(entities(3), np.array([2, -5, 9]), CLASSES)  # "not class 5"
  assert not denied.scores(asked)[:, 1].any()
  own = method.fit(seen, CLASSES, CLASSES).scores(seen)
  assert np.isfinite(own).all() and (np.argmax(own, 1) == np.arange(3)).all()


@pytest.fixture(scope="module")
def params():
  return tiny_models.lively_params(MODEL)


def place_features(model, params, batch):
  """Features that depend on the place alone, so that all views agree on them."""
  rendering = model.render(params, batch.rays, model.sample(params, batch.rays), 0.0)
  points = batch.rays.origins + rendering.distance_median[:, None] * batch.rays.directions
  waves = jnp.stack([jnp.sin(2 * points[:, 0]), jnp.cos(2 * points[:, 1]),
                     0.5 + points[:, 2]], axis=1)
  return unit(np.asarray(waves))


def test_distilled_features_approach_what_views_agree_on(params):
  field = distilled.FeatureField(MODEL.field.space, 3, HashGrid(3, 4, 9, 4, 12), width=16)
  dense = jax.tree.map(np.copy, params)
  dense["field"]["density"]["bias"] += 4  # surfaces, not fog
  batch = tiny_models.batch(256)
  batch = batch.replace(features=place_features(MODEL, dense, batch), jitter=None)
  steps = jax.tree.map(lambda leaf: np.stack([leaf] * 50), batch)
  told = []
  before = jax.tree.map(np.copy, dense)
  trained = distilled.distill(
      distilled.initial_params(field, jax.random.key(0)), dense, field=field,
      model=MODEL, optimizer=optax.adam(2e-2), next_batches=lambda step: steps,
      num_steps=150, steps_per_call=50,
      on_call=lambda step, loss: told.append((step, loss)))
  assert [step for step, _ in told] == [50, 100, 150] and told[-1][1] < told[0][1] / 4
  jax.tree.map(np.testing.assert_array_equal, dense, before)
  renderer = ViewRenderer(MODEL, chunk=100, samples=True)
  clicked = renderer.entities(dense, batch.rays)
  rendered = distilled.rendered_features(field, trained, clicked)
  cosines = np.sum(unit(np.asarray(rendered)) * batch.features, axis=1)
  assert np.median(cosines) > 0.97
  rivals = on_features.feature_rivals(
      "distilled", functools.partial(distilled.rendered_features, field), trained,
      sampled=True)
  labels = CLASSES[np.argmax(batch.features, axis=1)]
  assert rivals["distilled"].needs_samples
  found, expected = (np.argmax(label(rival, seen, labels, seen), axis=1)
                     for rival, seen in (
                         (rivals["distilled"], clicked),
                         (photo_rivals()["features"], Entities(features=batch.features))))
  assert np.mean(found == expected) > 0.9
  # At a point, a ray with one opaque sample, it is the field itself.
  (chunk, _), = ViewRenderer(MODEL, chunk=256, samples=True).chunks(
      dense, batch.rays, clicked.rendering.distance)
  np.testing.assert_allclose(
      distilled.rendered_features(field, trained, chunk),
      field.apply({"params": trained}, chunk.points[:, None])[:, 0], atol=1e-5)


def test_distilling_what_is_not_finite_names_the_steps(params):
  field = distilled.FeatureField(MODEL.field.space, 3, HashGrid(2, 4, 6, 2, 4), width=8)
  batches = photometric_batches(2)

  def next_batches(step):
    return batches.replace(features=batches.features * (np.nan if step == 2 else 1))

  with pytest.raises(FloatingPointError, match="steps 2 to 4"):
    distilled.distill(
        distilled.initial_params(field, jax.random.key(0)), params, field=field,
        model=MODEL, optimizer=optax.adam(2e-2), next_batches=next_batches, num_steps=6,
        steps_per_call=2)


def test_no_gradient_of_distillation_reaches_the_plain_field(params):
  field = distilled.FeatureField(MODEL.field.space, 3, HashGrid(2, 4, 6, 2, 4), width=8)
  loss_fn = functools.partial(distilled.distillation_loss, field=field, model=MODEL)
  own, plain = tiny_models.quick_jit(jax.grad(loss_fn, argnums=(0, 1)))(
      distilled.initial_params(field, jax.random.key(0)), params, tiny_models.batch(16))
  assert all(not np.any(leaf) for leaf in jax.tree.leaves(plain))
  assert all(np.any(leaf) for leaf in jax.tree.leaves(own))


def photometric_batches(num_steps) -> Batch:
  steps = [tiny_models.batch(16, seed) for seed in range(num_steps)]
  return jax.tree.map(lambda *leaves: np.stack(leaves), *steps)


def test_a_semantic_head_fits_its_clicks_and_leaves_the_plain_field(params):
  method = semantic_head.SemanticHead(
      MODEL, params, photometric_batches(150),
      semantic_head.HeadTraining(labelled_rays=16, learning_rate=5e-3))
  batch, before = tiny_models.batch(12), jax.tree.map(np.copy, params)
  clicked = ViewRenderer(MODEL, chunk=12, samples=True).entities(params, batch.rays)
  compiled = semantic_head.train_head._cache_size()
  labels = CLASSES[batch.labels]
  classifier = method.fit(clicked, labels, CLASSES)
  scores = jax.jit(lambda fitted: fitted.scores(clicked))(classifier)
  assert scores.shape == (12, 3)
  np.testing.assert_array_equal(CLASSES[np.argmax(scores, axis=1)], labels)
  jax.tree.map(np.testing.assert_array_equal, params, before)
  trained = classifier.trained
  assert np.any(trained["field"]["trunk"]["kernel"] != params["field"]["trunk"]["kernel"])
  few = jax.tree.map(lambda leaf: leaf[:5], clicked)  # other numbers, one program
  classifier = method.fit(few, CLASSES[[0, 1, 0, 1, 0]], CLASSES[:2])
  assert classifier.scores(few).shape == (5, 2)
  dark = photometric_batches(150)
  dark.rgb[70] = np.nan
  poisoned = semantic_head.SemanticHead(
      MODEL, params, dark,
      semantic_head.HeadTraining(labelled_rays=16, learning_rate=5e-3))
  with pytest.raises(FloatingPointError, match="steps 0 to 150"):
    poisoned.fit(clicked, labels, CLASSES)
  assert semantic_head.train_head._cache_size() == compiled + 1


def test_labelled_rays_are_those_of_their_class():
  rays, labels = tiny_models.rays(6), np.array([5, 2, 9, 5, 77, 2])
  drawn = semantic_head.draw_labelled(rays, labels, CLASSES, 7, 20)
  assert drawn.rays.origins.shape == (7, 20, 3) and drawn.jitter.shape == (7, 20, 2)
  found = {(tuple(d), int(k)) for d, k in zip(
      drawn.rays.directions.reshape(-1, 3), drawn.target.reshape(-1))}
  assert found == {(tuple(d), list(CLASSES).index(c))
                   for d, c in zip(rays.directions, labels) if c != 77}
