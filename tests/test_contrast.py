"""The shaping terms of a batch: what is contrasted with what, and what is counted."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_models
from tiny_models import quick_jit

from jnerf.shaping import contrast, jacobians, losses
from jnerf.shaping import rows as rows_lib
from jnerf.shaping.rows import rows_of, surface_points

N, THRESHOLD = 12, np.float32(0.8)


@functools.cache
def case():
  """`(model, params, batch, samples, rendering)` of a tiny grid field."""
  model = tiny_models.grid()
  params, batch = tiny_models.lively_params(model), tiny_models.batch(N)

  @quick_jit
  def prepare(params):
    samples = model.sample(params, batch.rays, batch.jitter)
    return samples, model.render(params, batch.rays, samples, batch.background)

  return (model, params, batch, *prepare(params))


def shaping_terms(recipe, batch=None, key=0):
  model, params, default, samples, rendering = case()
  batch = default if batch is None else batch
  return quick_jit(lambda params, threshold, key: contrast.shaping_terms(
      model, params, batch, samples, rendering, threshold, key, recipe))(
          params, THRESHOLD, jax.random.key(key))


@functools.cache
def gradients(recipe, key=0):
  model, params, batch, samples, rendering = case()
  return np.asarray(quick_jit(lambda params: rows_of(
      model, params, batch.rays, samples, rendering, jax.random.key(key),
      recipe.rows))(params))


def cosines(rows):
  unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
  return unit @ unit.T


def expected_contrast(rows, positive, tau=0.2, **options):
  total, num = losses.info_nce(jnp.abs(cosines(rows)), positive,
                               np.eye(len(rows), dtype=bool), tau, **options)
  return float(total) / max(int(num), 1), int(num)


def test_terms_and_figures_equal_their_definitions():
  recipe = contrast.Recipe.of(norm_weight=1.0, min_positives=0.0, max_positives=0.01,
                              threshold_rate=0.125)
  terms, threshold, figures = shaping_terms(recipe)
  batch = case()[2]
  rows = np.asarray(jacobians.closed_form(case()[4]))
  positive = cosines(batch.features) > THRESHOLD
  loss, num = expected_contrast(rows, positive)
  np.testing.assert_allclose(terms["contrast"], loss, rtol=1e-4)
  np.testing.assert_allclose(
      terms["norm"], np.mean((np.linalg.norm(rows, axis=1) - 1)**2), rtol=1e-5)
  share = (positive.sum() - N) / (N * (N - 1))
  assert 0.01 < share < 0.6
  np.testing.assert_allclose(figures["positives"], share, rtol=1e-6)
  np.testing.assert_allclose(figures["anchors"], num / N, rtol=1e-6)
  np.testing.assert_allclose(threshold, 0.8 + 0.125)


def test_every_other_ray_is_a_smaller_batch():
  model, params, batch, samples, rendering = case()
  halved = jax.tree.map(lambda leaf: leaf[::2], (batch, samples, rendering))
  terms, _, figures = shaping_terms(contrast.Recipe.of(contrast_rays=N // 2))
  other = quick_jit(lambda params: contrast.shaping_terms(
      model, params, *halved, THRESHOLD, jax.random.key(0), contrast.Recipe()))(params)
  np.testing.assert_allclose(terms["contrast"], other[0]["contrast"], rtol=1e-6)
  np.testing.assert_allclose(figures["positives"], other[2]["positives"])


@pytest.mark.parametrize("positives, meant", [("any", "any"), ("auto", "each")])
def test_oracle_pairs_are_labels_and_its_threshold_stays(positives, meant):
  batch = case()[2]
  loss, _ = expected_contrast(
      gradients(contrast.Recipe()),
      (batch.labels[:, None] == batch.labels) & (batch.labels != 0),
      ignored=batch.labels == 0, positives=meant)
  recipe = contrast.Recipe.of(oracle=True, positives=positives, max_positives=0.0,
                              min_positives=0.0)
  terms, threshold, figures = shaping_terms(recipe, batch.replace(features=None))
  np.testing.assert_allclose(terms["contrast"], loss, rtol=1e-4)
  assert float(threshold) == THRESHOLD
  kept = np.mean(batch.labels != 0)  # no void anchors
  np.testing.assert_allclose(figures["anchors"], kept, rtol=1e-6)


def test_position_scale_asks_pairs_to_be_near_too():
  batch, rendering = case()[2], case()[4]
  points = surface_points(batch.rays, rendering)
  distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
  positive = cosines(batch.features) * np.exp(-distance**2 / (2 * 0.6**2)) > THRESHOLD
  _, _, figures = shaping_terms(contrast.Recipe.of(position_scale=0.6))
  share = (positive.sum() - N) / (N * (N - 1))
  assert 0 < share < (np.sum(cosines(batch.features) > THRESHOLD) - N) / (N * (N - 1))
  np.testing.assert_allclose(figures["positives"], share, rtol=1e-6)


def share_of(positive):
  return (positive.sum() - N) / (N * (N - 1))


def test_a_trusted_sensor_tells_places_where_it_measured():
  batch, rendering = case()[2], case()[4]
  distance = np.asarray(rendering.distance_median).copy()
  distance[::2] += np.linspace(0.3, 1.5, N // 2)  # the sensor says otherwise,
  measured = np.where(np.arange(N) % 2, 0.0, distance).astype(np.float32)  # or nothing
  points = batch.rays.origins + distance[:, None] * batch.rays.directions
  apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
  positive = cosines(batch.features) * np.exp(-apart**2 / (2 * 0.6**2)) > THRESHOLD
  by_sensor, by_field = (contrast.Recipe.of(position_scale=0.6, geometry=who)
                         for who in ("sensor", "field"))
  both = batch.replace(distance=measured)
  found = shaping_terms(by_sensor, both)[2]["positives"]
  np.testing.assert_allclose(found, share_of(positive), rtol=1e-6)
  assert found != shaping_terms(by_field, both)[2]["positives"]
  # Depth that only supervises does not tell them.
  assert shaping_terms(by_field, both)[2] == shaping_terms(by_field)[2]


def test_colour_and_normals_join_features():
  batch = case()[2]
  normals = np.random.default_rng(5).normal(size=(N, 3)).astype(np.float32)
  unit = normals / np.linalg.norm(normals, axis=1, keepdims=True)
  joined = cosines(batch.features)
  for rows, scale in ((batch.rgb, 0.5), (unit, 1.2)):
    apart = np.linalg.norm(rows[:, None] - rows[None], axis=-1)
    joined = joined * np.exp(-apart**2 / (2 * scale**2))
  recipe = contrast.Recipe.of(color_scale=0.5, normal_scale=1.2)
  found = shaping_terms(recipe, batch.replace(normals=normals))[2]["positives"]
  np.testing.assert_allclose(found, share_of(joined > THRESHOLD), rtol=1e-6)
  assert 0 < found < share_of(cosines(batch.features) > THRESHOLD)


def test_pixels_of_one_segment_are_positives_whatever_their_features():
  batch = case()[2]
  segments = np.int32([0, 4, 4, 0, 9, 9, 4, 0, 0, 2, 3, 0])
  hinted = (segments[:, None] == segments) & (segments > 0)
  positive = (cosines(batch.features) > THRESHOLD) | hinted
  terms, _, figures = shaping_terms(contrast.Recipe(),
                                    batch.replace(segments=segments))
  loss, _ = expected_contrast(gradients(contrast.Recipe()), positive)
  np.testing.assert_allclose(terms["contrast"], loss, rtol=1e-4)
  np.testing.assert_allclose(figures["positives"], share_of(
      positive | np.eye(N, dtype=bool)), rtol=1e-6)


def test_surface_points_lie_at_the_median_distance_and_carry_no_gradient():
  model, params, batch, samples, rendering = case()
  along = np.sum((surface_points(batch.rays, rendering) - batch.rays.origins)
                 * batch.rays.directions, axis=1)
  np.testing.assert_allclose(along, rendering.distance_median, rtol=1e-5)
  slopes = quick_jit(jax.grad(lambda params: jnp.sum(surface_points(
      batch.rays, model.render(params, batch.rays, samples, 0.0)))))(params)
  assert max(float(jnp.max(jnp.abs(leaf))) for leaf in jax.tree.leaves(slopes)) == 0


def test_auto_is_the_closed_form_for_the_kernel_and_reverse_mode_for_others():
  np.testing.assert_allclose(gradients(contrast.Recipe()),
                             gradients(contrast.Recipe.of(jacobian="vjp")), rtol=1e-4,
                             atol=1e-6)
  wide = gradients(contrast.Recipe.of(params="field/(density|rgb)/kernel"))
  assert wide.shape == (N, 16 + 48)
  np.testing.assert_allclose(wide[:, 16:], gradients(contrast.Recipe()), rtol=1e-4,
                             atol=1e-6)


def test_sketch_has_its_own_width_and_about_the_same_cosines():
  params = "field/(color|rgb)/.*"
  sketched = gradients(contrast.Recipe.of(params=params, jacobian="sketch",
                                          sketch_directions=1500))
  assert sketched.shape == (N, 1500)
  exact = cosines(gradients(contrast.Recipe.of(params=params)))
  np.testing.assert_allclose(cosines(sketched), exact, atol=0.12)


def test_auto_sketches_what_is_too_wide_to_keep(monkeypatch):
  monkeypatch.setattr(rows_lib, "WIDEST", 16 + 47)
  for layer, width in (("(density|rgb)/kernel", 7), ("(density|rgb)/bias", 1 + 3)):
    recipe = contrast.Recipe.of(params=f"field/{layer}", sketch_directions=7)
    assert gradients(recipe).shape == (N, width)
  monkeypatch.setattr(rows_lib, "WIDEST", 1)  # never the closed form
  assert gradients(contrast.Recipe.of(sketch_directions=7)).shape == (N, 48)


def test_random_channel_is_one_of_three_and_follows_the_key():
  recipe = contrast.Recipe.of(value_channel="random")
  channels = [np.asarray(jacobians.closed_form(case()[4], tuple(row)))
              for row in np.eye(3)]
  drawn = []
  for key in range(8):
    rows = gradients(recipe, key)
    matches = [np.allclose(rows, channel, rtol=1e-5) for channel in channels]
    assert sum(matches) == 1
    drawn.append(matches.index(True))
  assert len(set(drawn)) == 3
  np.testing.assert_allclose(sum(channels) / 3, gradients(contrast.Recipe()), rtol=1e-4,
                             atol=1e-7)


@pytest.mark.parametrize("jacobian", ["closed_form", "vjp"])
def test_points_are_entities_at_the_surface(jacobian):
  model, params, batch, _, rendering = case()
  rows = gradients(contrast.Recipe.of(entities="points", jacobian=jacobian))
  points = surface_points(batch.rays, rendering)
  output = quick_jit(model.at_points)(params, points[:, None], batch.rays.viewdirs)
  color = jax.nn.sigmoid(output.logits[:, 0])
  slope = np.asarray(color * (1 - color) / 3)
  expected = np.asarray(output.hidden[:, 0])[:, :, None] * slope[:, None]
  np.testing.assert_allclose(rows, expected.reshape(N, -1), rtol=1e-4, atol=1e-7)
