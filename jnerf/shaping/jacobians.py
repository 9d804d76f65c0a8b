"""Per-entity gradients `J [N, P]`, in three ways that agree.

An entity is a ray or a 3D point. Its value y is the mean over the channels of
its rendered colour (a ray, without background) or of its colour (a point), or a
single channel, `channel [3]` weights say which. Row i of J is dy_i / dtheta for
the selected parameters theta, leaves in the order of their sorted paths
(`parameters.to_vector`); sample positions are held fixed. Paper: section 3.2.

 - `by_vjp`: reverse mode, one row at a time, any subset, exact.
 - `closed_form`: for the kernel of the layer `rgb` alone. Neither the weights
   nor the positions depend on it, so `J = sum_s weights_s c_s (1 - c_s) channel
   (x) hidden_s`: one more rendered quantity, of 3 H channels.
 - `sketch`: `J @ V` for K random directions V with E[V V^T] = I / K, for
   subsets too wide to store; inner products and cosines are kept in
   expectation, with an error that shrinks as 1 / sqrt(K).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnerf.fields.field import Field
from jnerf.shaping import parameters
from jnerf.structs import Rays, Rendering, Samples

MEAN_CHANNEL = (1 / 3, 1 / 3, 1 / 3)


def ray_values(model: Field, params, rays: Rays, samples: Samples,
               channel=MEAN_CHANNEL):
  """Entity values `[N]` of rays."""
  rendering = model.render(params, rays, samples, 0.0)
  return rendering.rgb @ jnp.asarray(channel, rendering.rgb.dtype)


def point_values(model: Field, params, points, viewdirs, channel=MEAN_CHANNEL):
  """Entity values `[N]` of 3D points `[N, 3]` seen along `viewdirs [N, 3]`."""
  output = model.at_points(params, points[:, None, :], viewdirs)
  return jax.nn.sigmoid(output.logits[:, 0]) @ jnp.asarray(channel, points.dtype)


def by_vjp(values_fn, params, pattern: str, *entities):
  """Exact `J [N, P]` by reverse mode, for any subset of the parameters.

  values_fn: `(params, *entities) -> [N]`, e.g. a partial `ray_values`.
  entities: pytrees whose leaves have the entity axis N in front.
  """
  selected, rest = parameters.split(params, pattern)

  def one_value(selected, entity):
    batch = jax.tree.map(lambda leaf: leaf[None], entity)
    return values_fn(parameters.merge(selected, rest), *batch)[0]

  rows = jax.vmap(jax.grad(one_value), in_axes=(None, 0))(selected, entities)
  return parameters.to_vector(rows, batch_dims=1)


def closed_form(rendering: Rendering, channel=MEAN_CHANNEL):
  """`J [N, 3 H]` of rays for the pattern `field/rgb/kernel`."""
  color = jax.nn.sigmoid(rendering.logits)
  slope = color * (1 - color) * jnp.asarray(channel, color.dtype).reshape(1, 1, 3)
  # In full: labels rest on small differences, which an accelerator's default loses.
  jacobian = jnp.einsum("nsh,nsc->nhc", rendering.hidden,
                        rendering.weights[:, :, None] * slope,
                        precision=jax.lax.Precision.HIGHEST)
  return jacobian.reshape(jacobian.shape[0], -1)


def closed_form_points(hidden, logits, channel=MEAN_CHANNEL):
  """`J [N, 3 H]` of points for `field/rgb/kernel`; hidden `[N, H]`, logits `[N, 3]`."""
  color = jax.nn.sigmoid(logits)
  slope = color * (1 - color) * jnp.asarray(channel, color.dtype)[None, :]
  return (hidden[:, :, None] * slope[:, None, :]).reshape(hidden.shape[0], -1)


def sketch(values_fn, params, pattern: str, num_directions: int, key, *entities):
  """`J @ V [N, K]` for K random directions, the same for equal keys.

  The key is consumed. Directions are drawn and used one after another, so the
  memory is N x K and one direction, whatever P is. Forward mode is written as
  the transpose of reverse mode: the hash grid's lookup has a hand-made reverse
  rule, and JAX would refuse to push a tangent through it.
  """
  selected, rest = parameters.split(params, pattern)
  shapes = parameters.to_vector(selected)

  def values(selected):
    return values_fn(parameters.merge(selected, rest), *entities)

  primal, pullback = jax.vjp(values, selected)
  _, push_forward = jax.vjp(lambda cotangent: pullback(cotangent)[0],
                            jnp.zeros_like(primal))

  def along(direction_key):
    direction = jax.random.normal(direction_key, shapes.shape, shapes.dtype)
    return push_forward(parameters.from_vector(direction, selected))[0]

  columns = jax.lax.map(along, jax.random.split(key, num_directions))
  return columns.T / jnp.sqrt(jnp.asarray(num_directions, primal.dtype))
