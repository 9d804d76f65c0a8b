"""A field of another kind, and a sampler of more levels: no other code knows of them."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import tiny_models

from jnerf.fields import regularizers
from jnerf.fields.field import Field, FieldOutput
from jnerf.fields.model import Model
from jnerf.fields.samplers import GridSampler, points_along
from jnerf.fields.spaces import Space
from jnerf.labeling.bayes import BayesClassifier
from jnerf.labeling.labeler import fit_labeler
from jnerf.labeling.labels import Labels, LabelSet
from jnerf.rendering import compositing
from jnerf.shaping import jacobians
from jnerf.shaping.contrast import Recipe
from jnerf.shaping.renderer import ViewRenderer, take
from jnerf.shaping.rows import RowKind
from jnerf.structs import Rendering, Samples
from jnerf.training import loop
from jnerf.training import state as state_lib
from jnerf.training.step import Objective, train_step

OPTIMIZER = state_lib.make_optimizer(state_lib.Schedule(
    steps=6, learning_rate=3e-2, final_learning_rate=1e-2, warmup_steps=1))
SPACE = tiny_models.SPACE


@dataclasses.dataclass(frozen=True)
class Fog:
  """Even fog whose colour is linear in a point's waves; no network, no sampler."""

  space: Space = SPACE
  num_samples: int = 5
  closed_form_rows = "field/rgb/kernel"

  def init(self, key, scene=None):
    return {"field": {"density": jnp.zeros(()), "rgb": {
        "kernel": 0.3 * jax.random.normal(key, (7, 3)), "bias": jnp.zeros(3)}}}

  def sample(self, params, rays, jitter=None):
    return Samples(self.space.edges(self.space.clip(rays), self.num_samples,
                                    None if jitter is None else jitter[:, :1]))

  def at_points(self, params, points, viewdirs):
    at = self.space.coordinates(points)
    hidden = jnp.concatenate([jnp.sin(2 * at), jnp.cos(2 * at),
                              jnp.ones_like(at[..., :1])], axis=-1)
    rgb = params["field"]["rgb"]
    sigma = jnp.broadcast_to(jnp.exp(params["field"]["density"]), at.shape[:-1])
    return FieldOutput(sigma, hidden, hidden @ rgb["kernel"] + rgb["bias"][None, None],
                       at)

  def render(self, params, rays, samples, background):
    output = self.at_points(params, points_along(rays, samples.t), rays.viewdirs)
    weights = compositing.compositing_weights(output.sigma, samples.t)
    acc = jnp.sum(weights, axis=-1)
    rgb = compositing.composite(weights, jax.nn.sigmoid(output.logits))
    return Rendering(
        compositing.over_background(rgb, acc, background), acc,
        compositing.mean_distance(weights, samples.t),
        compositing.median_distance(weights, samples.t), samples.t, weights,
        output.sigma, output.hidden, output.logits)

  def regularizers(self, rendering):
    return {"flatness": jnp.mean(rendering.logits ** 2)}


def test_the_kinds_there_are_and_another_one_are_fields():
  for model in (tiny_models.grid(), tiny_models.mlp(), Fog()):
    assert isinstance(model, Field) and isinstance(hash(model), int)
  assert not isinstance(tiny_models.grid().field, Field)  # a network alone is none


def test_another_field_is_trained_and_shaped_with_its_own_regularizer():
  state = state_lib.create(Fog().init(jax.random.key(0)), OPTIMIZER)
  before = jax.tree.map(np.asarray, state.params)
  data = tiny_models.pixel_data()
  data = data.replace(images=np.full_like(data.images, 0.7))
  recipe = Recipe.of(contrast_weight=0.01, contrast_rays=8)
  training = loop.Training(Fog(), OPTIMIZER, Objective(recipe=recipe), 6, num_rays=16,
                           steps_per_call=3)
  logs = []
  state = loop.train(state, data, jax.random.key(3), training,
                     on_call=lambda step, state, of_call: logs.append(of_call))
  assert int(state.step) == 6 and logs[2]["loss"] < logs[1]["loss"]
  for of_call in logs[1:]:
    assert of_call["flatness"] > 0 and of_call["contrast"] > 0
    assert {"interlevel", "distortion", "coarse"}.isdisjoint(of_call)
    np.testing.assert_allclose(
        of_call["loss"], of_call["photometric"] + of_call["flatness"]
        + 0.01 * of_call["contrast"], rtol=1e-5)
  for leaf, old in zip(jax.tree.leaves(state.params), jax.tree.leaves(before)):
    assert np.max(np.abs(leaf - old)) > 1e-3


def test_another_field_is_rendered_with_rows_and_labelled():
  model, rays = Fog(), tiny_models.rays(40)
  params = model.init(jax.random.key(1))
  samples = model.sample(params, rays)
  exact = jacobians.by_vjp(lambda *args: jacobians.ray_values(model, *args), params,
                           model.closed_form_rows, rays, samples)
  entities = ViewRenderer(model, chunk=16).entities(params, rays)
  np.testing.assert_allclose(entities.J, exact, atol=1e-5)  # by the closed form
  by_vjp = ViewRenderer(model, RowKind(jacobian="vjp"), chunk=16)
  np.testing.assert_allclose(by_vjp.gradients(params, rays), exact, atol=1e-5)
  classes = 1 + (rays.directions[:, 0] > 0).astype(int)
  clicks = np.concatenate([np.flatnonzero(classes == c)[:4] for c in (1, 2)])
  label_set = LabelSet(Labels(np.zeros((8, 3), np.int64), classes[clicks]))
  labeler = fit_labeler(BayesClassifier(), take(entities, clicks), label_set)
  found = labeler.label_map(labeler.scores(entities).reshape(5, 8, 2))
  assert np.mean(found.classes.reshape(-1) == classes) > 0.85


def two_levels() -> Model:
  one = tiny_models.grid()
  sampler = GridSampler(SPACE, ((8, 8), (16, 8)), 6)
  return Model(one.field, sampler, (("interlevel", regularizers.interlevel),))


def test_a_second_proposal_level_places_samples_and_learns():
  model = two_levels()
  state = state_lib.create(tiny_models.lively_params(model), OPTIMIZER)
  grids = state.params["sampler"]
  assert {name: grid.shape for name, grid in grids.items()} == {
      "density_grid": (8, 8, 8), "density_grid_1": (16, 16, 16)}
  batch = tiny_models.batch(16)
  samples = tiny_models.quick_jit(model.sample)(state.params, batch.rays, batch.jitter)
  assert [p.t.shape for p in samples.proposals] == [(16, 9), (16, 9)]
  for t in (samples.t, *(p.t for p in samples.proposals)):
    assert np.all(np.diff(t, axis=1) >= 0)
  assert samples.t.shape == (16, 7)
  # The second level looks where the first sees something, so it lies elsewhere.
  assert np.abs(samples.proposals[1].t - samples.proposals[0].t).max() > 0.05

  def interlevel(sampler):
    params = {**state.params, "sampler": sampler}
    samples = model.sample(params, batch.rays, batch.jitter)
    rendering = model.render(params, batch.rays, samples, 0.5)
    return model.regularizers(rendering)["interlevel"]

  slopes = tiny_models.quick_jit(jax.grad(interlevel))(grids)
  assert all(np.max(np.abs(slope)) > 1e-6 for slope in slopes.values())
  after, logs = tiny_models.quick_jit(lambda state: train_step(
      state, batch, jax.random.key(0), model=model, optimizer=OPTIMIZER,
      objective=Objective()))(state)
  assert float(logs["interlevel"]) > 0
  for name, grid in after.params["sampler"].items():
    assert np.max(np.abs(grid - grids[name])) > 1e-4


def test_a_level_that_sees_a_slab_draws_the_next_one_to_it():
  model = two_levels()
  params = jax.tree.map(np.copy, tiny_models.lively_params(model))
  params["sampler"]["density_grid"][:] = -15  # empty, but for a slab
  params["sampler"]["density_grid"][:, :, 1] = 8
  rays = tiny_models.rays(7)
  first, second = model.sample(params, rays).proposals
  z = [rays.origins[:, None, 2] + p.t * rays.directions[:, None, 2]
       for p in (first, second)]
  near = [np.mean(np.abs(at[:, 1:-1] - (-0.6 + 2 / 7)) < 0.35) for at in z]
  assert near[0] < 0.7 < 0.9 < near[1]
