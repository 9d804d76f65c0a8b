"""Both fields, their samplers and the model that joins them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_models
from tiny_models import quick_jit

from jnerf.fields import grid_field, samplers
from jnerf.fields.spaces import Box, Contracted
from jnerf.rendering import compositing

N, S, H = 7, 4, 16
KINDS = sorted(tiny_models.KINDS)


@functools.cache
def rendered(kind):
  """`(model, params, rays, rendering)` of a tiny model, deterministic."""
  model = tiny_models.KINDS[kind]()
  params, rays = tiny_models.lively_params(model), tiny_models.rays(N)
  rendering = quick_jit(lambda p: model(p, rays, jnp.full((1, 3), 0.4)))(params)
  return model, params, rays, jax.tree.map(np.asarray, rendering)


def box_points(seed=0):
  rng = np.random.default_rng(seed)
  return rng.uniform(*tiny_models.BOUNDS, (N, S, 3)).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_fields_return_the_stated_shapes_and_logits_of_a_linear_layer(kind):
  model, params, rays, _ = rendered(kind)
  output = quick_jit(model.at_points)(params, box_points(), rays.viewdirs)
  assert output.sigma.shape == (N, S) and output.logits.shape == (N, S, 3)
  assert output.hidden.shape == (N, S, H)
  assert float(jnp.min(output.sigma)) >= 0
  rgb = params["field"]["rgb"]
  np.testing.assert_allclose(output.logits, output.hidden @ rgb["kernel"]
                             + rgb["bias"][None, None], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_colour_depends_on_the_direction_and_density_does_not(kind):
  model, params, rays, _ = rendered(kind)
  at_points = quick_jit(model.at_points)
  one = at_points(params, box_points(), rays.viewdirs)
  other = at_points(params, box_points(), np.roll(rays.viewdirs, 1, axis=0))
  np.testing.assert_array_equal(one.sigma, other.sigma)
  assert float(jnp.min(jnp.max(jnp.abs(one.logits - other.logits), axis=(1, 2)))) > 1e-3


def mlp_by_hand(params, points, viewdirs, octaves=(3, 2)):
  """The paper's network for one point, in NumPy; two layers, skip after the first."""
  def dense(name, x):
    return x @ params[name]["kernel"] + params[name].get("bias", 0)

  def encode(x, num):
    waves = [wave(2.0**k * x) for k in range(num) for wave in (np.sin, np.cos)]
    return np.concatenate([x, *waves])

  relu = functools.partial(np.maximum, 0)
  low, high = tiny_models.BOUNDS
  half = (high - low).max() / 2
  position = encode((points - (low + high) / 2) / half, octaves[0])
  x = np.concatenate([position, relu(dense("trunk_0", position))])
  x = relu(dense("trunk_1", x))
  # One layer over features and direction joined, stored as its two parts.
  hidden = relu(dense("color", dense("feature", x))
                + dense("color_direction", encode(viewdirs, octaves[1])))
  return relu(dense("density", x))[0] / half, hidden, dense("rgb", hidden)


def test_mlp_field_equals_its_formula():
  model, params, rays, _ = rendered("mlp")
  points = box_points()
  output = quick_jit(model.at_points)(params, points, rays.viewdirs)
  for n, s in ((0, 0), (3, 2), (6, 3)):
    sigma, hidden, logits = mlp_by_hand(params["field"], points[n, s], rays.viewdirs[n])
    np.testing.assert_allclose(output.sigma[n, s], sigma, atol=1e-5)
    np.testing.assert_allclose(output.hidden[n, s], hidden, atol=1e-5)
    np.testing.assert_allclose(output.logits[n, s], logits, atol=1e-5)


def test_an_unbounded_model_sees_beyond_its_box():
  model = tiny_models.grid(Contracted.of(tiny_models.BOUNDS), proposal_samples=32,
                           samples=16)
  params = tiny_models.lively_params(model)
  rays = tiny_models.rays(6).replace(near=np.full((6, 1), 0.1, np.float32),
                                     far=np.full((6, 1), 100.0, np.float32))
  samples = tiny_models.quick_jit(model.sample)(params, rays)
  t = samples.proposals[0].t
  np.testing.assert_allclose(t[:, [0, -1]], np.tile([[0.1, 100]], (6, 1)), rtol=1e-6)
  points = np.asarray(samplers.points_along(rays, samples.t))
  assert np.abs(points).max() > 20  # the bounded model would stop at the box
  far_away = np.float32([[[50.0, 10.0, 5.0], [500.0, 100.0, 50.0], [60.0, -10.0, 5.0]]])
  sigma = model.at_points(params, far_away, rays.viewdirs[:1]).sigma[0]
  assert float(jnp.abs(sigma[0] - sigma[1])) > 0  # it tells distances apart,
  assert float(jnp.abs(sigma[0] - sigma[2])) > 0  # and directions

  def loss(params):
    return jnp.sum(model(params, rays, 0.5).rgb ** 2)

  grads = tiny_models.quick_jit(jax.grad(loss))(params)
  assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in jax.tree.leaves(grads))
  assert float(jnp.max(jnp.abs(grads["field"]["encoding"]["tables"]))) > 0


def test_grid_density_keeps_its_optical_depth_when_the_scene_is_scaled():
  raw = np.float32([-100, -2, 0, 3, 100])
  metres, millimetres = (grid_field.density(raw, Box(bounds).unit) for bounds in (
      ((0, 0, 0), (1, 2, 4)), ((0, 0, 0), (1000, 2000, 4000))))
  np.testing.assert_allclose(metres[2], 1)  # four depths across the longest side
  np.testing.assert_allclose(metres[1:4], np.exp(raw[1:4]), rtol=1e-6)
  np.testing.assert_allclose(metres, 1000 * millimetres, rtol=1e-5)
  assert bool(jnp.all(jnp.isfinite(metres)))


@pytest.mark.parametrize("kind", KINDS)
def test_rendering_equals_compositing_its_own_samples(kind):
  model, params, rays, rendering = rendered(kind)
  t = rendering.t
  assert np.all(np.diff(t, axis=1) > 0)
  assert t.shape[1] - 1 == {"grid": 6, "mlp": 8 + 6}[kind]
  middle = (t[:, 1:] + t[:, :-1]) / 2
  points = rays.origins[:, None] + middle[..., None] * rays.directions[:, None]
  output = quick_jit(model.at_points)(params, points, rays.viewdirs)
  alpha = 1 - np.exp(-np.asarray(output.sigma, np.float64) * np.diff(t, axis=1))
  weights = alpha * np.cumprod(np.hstack([np.ones((N, 1)), 1 - alpha[:, :-1]]), axis=1)
  np.testing.assert_allclose(rendering.weights, weights, atol=1e-5)
  colors = 1 / (1 + np.exp(-np.asarray(output.logits, np.float64)))
  rgb = np.einsum("ns,nsc->nc", weights, colors)
  acc = weights.sum(1)
  assert acc.min() > 0.01 and acc.max() <= 1 + 1e-6
  np.testing.assert_allclose(rendering.rgb, rgb + (1 - acc[:, None]) * 0.4, atol=1e-5)
  np.testing.assert_allclose(rendering.acc, acc, atol=1e-5)
  np.testing.assert_allclose(rendering.distance_median,
                             compositing.median_distance(rendering.weights, t), atol=1e-4)


def test_coarse_colour_is_rendered_by_the_coarse_network_alone():
  model, params, rays, rendering = rendered("mlp")
  proposal, = rendering.proposals
  t = proposal.t
  points = samplers.points_along(rays, t)
  output = quick_jit(model.field.apply)({"params": params["sampler"]["coarse"]}, points,
                                      rays.viewdirs)
  expected = compositing.compositing_weights(output.sigma, t)
  np.testing.assert_allclose(proposal.weights, expected, atol=1e-5)
  rgb = compositing.composite(expected, jax.nn.sigmoid(output.logits))
  np.testing.assert_allclose(
      proposal.rgb, rgb + (1 - jnp.sum(expected, axis=1)[:, None]) * 0.4,
      atol=1e-5)


def test_samples_gather_where_the_proposal_sees_something():
  model, params, rays, _ = rendered("grid")
  params = jax.tree.map(np.copy, params)
  params["sampler"]["density_grid"][:] = -15  # empty, but for a slab
  params["sampler"]["density_grid"][:, :, 1] = 8
  t = np.asarray(quick_jit(model.sample)(params, rays).t)
  z = rays.origins[:, None, 2] + t * rays.directions[:, None, 2]
  # The grid spans a cube of side 2 from the low corner: layer 1 of 8 is here.
  height = -0.6 + 2 * 1 / 7
  assert np.mean(np.abs(z[:, 1:-1] - height) < 0.35) > 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_jitter_moves_samples_and_none_is_repeatable(kind):
  model, params, rays, rendering = rendered(kind)
  sample = quick_jit(model.sample)
  still = sample(params, rays, np.zeros((N, 2), np.float32))
  np.testing.assert_allclose(still.t, rendering.t, atol=1e-4)
  for jitter in ([0.4, 0.0], [0.0, 0.4]):  # each of the two rounds
    moved = sample(params, rays, np.tile(np.float32(jitter), (N, 1)))
    assert float(jnp.max(jnp.abs(moved.t - still.t))) > 1e-3
    assert bool(jnp.all(jnp.diff(moved.t, axis=1) >= 0))
