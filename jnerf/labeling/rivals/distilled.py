"""A rival: a field of visual features, distilled into the fitted field's geometry.

After Distilled Feature Fields (Kobayashi et al. 2022): beside the radiance field a
field of features of its own is trained so that, rendered, it shows what a network saw
in the training photographs. All views speak about one point, so their descriptions are
averaged where they differ. The radiance field is not touched: its samples and weights
render the features, and no gradient flows to it.

Notation: N rays, S samples, F feature channels.
"""

from __future__ import annotations

from collections.abc import Callable
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from jnerf.fields.field import Field
from jnerf.fields.hash_grid import HashGrid
from jnerf.fields.samplers import points_along
from jnerf.fields.spaces import Space
from jnerf.rendering import compositing
from jnerf.shaping.pairs import unit_rows
from jnerf.structs import Batch, Entities
from jnerf.training.loop import run_steps, scan_steps


class FeatureField(nn.Module):
  """`points [N, S, 3] -> [N, S, F]`: a hash grid and one hidden layer.

  space: what it covers; channels: F; encoding: of its own; width: hidden units.
  """

  space: Space
  channels: int
  encoding: HashGrid
  width: int = 128

  @nn.compact
  def __call__(self, points):
    encoded = self.encoding(self.space.unit_cube(points).reshape(-1, 3))
    hidden = nn.relu(nn.Dense(self.width, name="trunk")(encoded))
    features = nn.Dense(self.channels, name="features")(hidden)
    return features.reshape(*points.shape[:2], -1)


def initial_params(field: FeatureField, key):
  """Fresh params of the field; the key is consumed."""
  return jax.jit(field.init)(key, jnp.zeros((1, 1, 3)))["params"]


def rendered_features(field: FeatureField, params, entities: Entities):
  """`[N, F]` of pixels or points, of whose samples `t` and `weights` are known."""
  rendering = entities.rendering
  features = field.apply({"params": params}, points_along(entities.rays, rendering.t))
  return compositing.composite(rendering.weights, features)


def distillation_loss(params, plain_params, batch: Batch, *, field: FeatureField,
                      model: Field):
  """Mean squared error of the rendered features against the views' unit features.

  Its minimum, where views disagree, is their mean direction, the shorter the more they
  disagree.
  """
  samples = model.sample(plain_params, batch.rays, batch.jitter)
  rendering = jax.lax.stop_gradient(model.render(plain_params, batch.rays, samples, 0.0))
  features = rendered_features(
      field, params, Entities(rays=batch.rays, rendering=rendering))
  return jnp.mean(jnp.sum((features - unit_rows(batch.features)) ** 2, axis=-1))


def distill(params, plain_params, *, field: FeatureField, model: Field,
            optimizer: optax.GradientTransformation,
            next_batches: Callable[[int], Batch], num_steps: int, steps_per_call: int,
            on_call: Callable[[int, float], None] = lambda step, loss: None):
  """Trains the feature field and returns its params.

  params: to start from; plain_params: of the fitted `model`, which stay as they are.
  next_batches: `step -> Batch` with a leading axis of `steps_per_call` steps, the ones
    from `step` on.
  on_call: is told the step reached and the mean loss after each device call.

  Raises FloatingPointError naming the steps where the loss became nan or inf.
  """
  loss_fn = functools.partial(distillation_loss, field=field, model=model)

  def one_step(plain_params, state, batch):
    params, opt_state = state
    loss, grads = jax.value_and_grad(loss_fn)(params, plain_params, batch)
    updates, opt_state = optimizer.update(grads, opt_state, params)
    return (optax.apply_updates(params, updates), opt_state), {"loss": loss}

  @jax.jit
  def call(state, plain_params, batches):
    return scan_steps(functools.partial(one_step, plain_params), state, batches)

  state = run_steps(
      lambda state, batches: call(state, plain_params, batches),
      (params, optimizer.init(params)),
      next_batches, first_step=0, num_steps=num_steps, steps_per_call=steps_per_call,
      on_call=lambda step, state, logs: on_call(step, logs["loss"]))
  return state[0]
