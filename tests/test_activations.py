"""Activations: their sum, what they are the gradient of, and who gets them as rows."""

import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_models
from tiny_models import quick_jit

from jnerf.fields import samplers
from jnerf.shaping import activations, contrast, jacobians, losses, parameters
from jnerf.shaping.contrast import Recipe
from jnerf.shaping.renderer import ViewRenderer
from jnerf.shaping.rows import rows_of, surface_points
from jnerf.structs import Batch, Samples

N, KERNEL = 10, "field/rgb/kernel"
RECIPE = Recipe.of(align="activations")
POINTS = Recipe.of(align="activations", entities="points")


@pytest.fixture(scope="module", params=sorted(tiny_models.KINDS))
def case(request):
  """A model rendered at fixed samples, float64; ray 0 is empty: no sample has a length.

  `output` is the field at the samples, from which the tests sum by themselves.
  """
  model = tiny_models.KINDS[request.param]()
  params = tiny_models.lively_params(model, dtype=np.float64)
  rays = tiny_models.rays(N, dtype=np.float64)

  @quick_jit
  def prepare(params):
    t = model.sample(params, rays).t
    samples = Samples(t=t.at[0].set(t[0, 0]))
    rendering = model.render(params, rays, samples, 0.3)
    output = model.at_points(params, samplers.points_along(rays, samples.t),
                             rays.viewdirs)
    return dict(samples=samples, rendering=rendering, output=output,
                rows=activations.of_rays(rendering))

  with jax.enable_x64(True):
    prepared = jax.tree.map(np.asarray, prepare(params))
  return types.SimpleNamespace(model=model, params=params, rays=rays, **prepared)


def test_rows_are_the_literal_sum_over_the_samples(case):
  output, t = case.output, case.samples.t
  expected = np.zeros((N, output.hidden.shape[-1]))
  for ray in range(N):
    light = 1.0
    for sample in range(t.shape[1] - 1):
      alpha = 1 - np.exp(-output.sigma[ray, sample] * (t[ray, sample + 1]
                                                       - t[ray, sample]))
      expected[ray] += light * alpha * output.hidden[ray, sample]
      light *= 1 - alpha
  np.testing.assert_allclose(case.rows, expected, rtol=1e-10, atol=1e-13)
  np.testing.assert_array_equal(case.rows[0], 0)
  assert np.linalg.norm(case.rows[1:], axis=1).min() > 1e-2


@pytest.mark.parametrize("channel", [0, 2])
def test_rows_are_gradients_of_a_rendered_logit(case, channel):
  """In the column of the kernel that makes the logit, and in no other."""
  def logits(params, ray, samples):
    rays, samples = jax.tree.map(lambda leaf: leaf[None], (ray, samples))
    rendering = case.model.render(params, rays, samples, 0.0)
    return jnp.sum(rendering.weights * rendering.logits[..., channel])

  selected, rest = parameters.split(case.params, KERNEL)
  with jax.enable_x64(True):
    found = quick_jit(jax.vmap(jax.grad(lambda kernel, ray, samples: logits(
        parameters.merge({KERNEL: kernel}, rest), ray, samples)), in_axes=(None, 0, 0)))(
            selected[KERNEL], case.rays, case.samples)
  np.testing.assert_allclose(found[:, :, channel], case.rows, rtol=1e-10, atol=1e-13)
  np.testing.assert_array_equal(np.delete(found, channel, axis=2), 0)


def cosines(rows):
  unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
  return unit @ unit.T


def test_gradients_are_activations_times_the_slope_of_a_ray_s_colour(case):
  """Where one colour holds along a ray; so the cosine is a product of two."""
  color = np.random.default_rng(1).uniform(0.1, 0.9, (N, 1, 3))
  logits = np.broadcast_to(np.log(color / (1 - color)), case.rendering.logits.shape)
  slope = (color * (1 - color) / 3)[:, 0]
  with jax.enable_x64(True):
    gradients = np.asarray(jacobians.closed_form(case.rendering.replace(logits=logits)))
  expected = case.rows[:, :, None] * slope[:, None, :]
  np.testing.assert_allclose(gradients, expected.reshape(N, -1), rtol=1e-9, atol=1e-15)
  np.testing.assert_allclose(cosines(gradients[1:]),
                             cosines(case.rows[1:]) * cosines(slope[1:]), rtol=1e-9)


@functools.cache
def single(kind="grid"):
  """`(model, params, batch)` in single precision."""
  model = tiny_models.KINDS[kind]()
  return model, tiny_models.lively_params(model), tiny_models.batch(N)


@functools.partial(quick_jit, static_argnums=(0, 1))
def rows_and_terms(model, recipe, params, batch):
  """What is aligned of a batch, with the loss and the figures on it."""
  samples = model.sample(params, batch.rays, batch.jitter)
  rendering = model.render(params, batch.rays, samples, batch.background)
  rows = rows_of(model, params, batch.rays, samples, rendering, jax.random.key(0),
                 recipe.rows)
  return rows, contrast.shaping_terms(model, params, batch, samples, rendering,
                                      np.float32(0.8), jax.random.key(0), recipe)


@pytest.mark.parametrize("entities", ["pixels", "points"])
def test_the_loss_is_that_of_the_activations(entities):
  model, params, batch = single()
  recipe = Recipe.of(align="activations", entities=entities, norm_weight=1.0)
  rows, (terms, _, _) = rows_and_terms(model, recipe, params, batch)
  positive = cosines(batch.features) > 0.8
  loss, num = losses.info_nce(jnp.asarray(cosines(rows)), positive, np.eye(N, dtype=bool),
                              recipe.contrast.temperature)
  np.testing.assert_allclose(terms["contrast"], float(loss) / int(num), rtol=1e-4)
  np.testing.assert_allclose(
      terms["norm"], np.mean((np.linalg.norm(rows, axis=1) - 1) ** 2), rtol=1e-5)
  gradients, _ = rows_and_terms(model, Recipe.of(entities=entities), params, batch)
  assert gradients.shape[1] == 3 * rows.shape[1]


def test_a_point_s_activation_is_its_own_hidden():
  model, params, batch = single()
  rows, _ = rows_and_terms(model, POINTS, params, batch)
  rendering = quick_jit(model)(params, batch.rays, batch.background, batch.jitter)
  points = surface_points(batch.rays, rendering)
  output = quick_jit(model.at_points)(params, points[:, None], batch.rays.viewdirs)
  np.testing.assert_allclose(rows, output.hidden[:, 0], rtol=1e-5, atol=1e-6)
  assert np.abs(rows - rows_and_terms(model, RECIPE, params, batch)[0]).max() > 1e-2


@pytest.mark.parametrize("entities", ["pixels", "points"])
def test_a_change_of_the_colour_layer_leaves_activations_but_not_gradients(entities):
  model, params, batch = single()
  edited = jax.tree.map(np.copy, params)
  edited["field"]["rgb"]["kernel"] += 0.7
  edited["field"]["rgb"]["bias"] -= [0.2, -0.9, 0.4]
  change = {}
  for align in ("activations", "gradients"):
    before, after = (np.asarray(rows_and_terms(
        model, Recipe.of(align=align, entities=entities), of, batch)[0])
                     for of in (params, edited))
    change[align] = np.abs(cosines(after) - cosines(before)).max()
  assert change["activations"] == 0 and change["gradients"] > 1e-2


@pytest.mark.parametrize("recipe", [RECIPE, POINTS],
                         ids=lambda recipe: recipe.rows.entities)
@pytest.mark.parametrize("kind", sorted(tiny_models.KINDS))
def test_views_are_labelled_by_what_was_shaped(kind, recipe):
  """Of pixels, and of points where distances are given, whatever shaping took."""
  model, params, batch = single(kind)
  renderer = ViewRenderer(model, recipe.rows, chunk=4)
  rays = batch.rays
  whole = quick_jit(model)(params, rays, 0.5)
  np.testing.assert_allclose(renderer.gradients(params, rays),
                             activations.of_rays(whole), atol=1e-5)
  distance = np.linspace(1.3, 2.6, N, dtype=np.float32)
  points = rays.origins + distance[:, None] * rays.directions
  output = quick_jit(model.at_points)(params, points[:, None], rays.viewdirs)
  J, = renderer.map(params, rays, lambda chunk: chunk.J, distance=distance)
  np.testing.assert_allclose(J, output.hidden[:, 0], atol=1e-5)


def test_an_empty_ray_has_finite_gradients(case):
  """A loss on cosines is differentiated through a row of zeros."""
  selected, rest = parameters.split(case.params, "field/(color|density)/kernel")
  batch = Batch(case.rays, np.zeros((N, 3)), features=np.eye(3)[np.arange(N) % 3])

  @jax.grad
  def slopes(selected):
    params = parameters.merge(selected, rest)
    rendering = case.model.render(params, case.rays, case.samples, 0.0)
    return contrast.shaping_terms(
        case.model, params, batch, case.samples, rendering, np.float32(0.5),
        jax.random.key(0), RECIPE)[0]["contrast"]

  with jax.enable_x64(True):
    for path, slope in quick_jit(slopes)(selected).items():
      assert np.all(np.isfinite(slope)) and np.max(np.abs(slope)) > 1e-6, path
