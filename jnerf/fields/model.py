"""A model is a field and a sampler; rendering is one pure function of both.

`sample` decides where to look and `render` what is seen there, so that a
Jacobian can hold the sample positions fixed while it moves the field. Params
are a nested dict with the two subtrees `field` and `sampler`.
"""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from jnerf.fields import samplers
from jnerf.fields.grid_field import GridField
from jnerf.fields.mlp_field import MlpField
from jnerf.fields.outputs import FieldOutput
from jnerf.fields.spaces import Space
from jnerf.rendering import compositing
from jnerf.structs import Rays, Rendering, Samples


@dataclasses.dataclass(frozen=True)
class Model:
  """A field and the sampler that places its samples; hashable, holds no arrays.

  field: module `points [N, S, 3], viewdirs [N, 3] -> FieldOutput`.
  sampler: module `rays, jitter -> Samples`.
  """

  field: nn.Module
  sampler: nn.Module

  def init(self, key) -> dict:
    """Fresh params; the key is consumed."""
    field_key, sampler_key = jax.random.split(key)
    point = jnp.zeros((1, 3))
    direction = jnp.array([[0.0, 0.0, 1.0]])
    rays = Rays(point, direction, direction, jnp.zeros((1, 1)), jnp.ones((1, 1)))
    return {"field": self.field.init(field_key, point[None], direction)["params"],
            "sampler": self.sampler.init(sampler_key, rays)["params"]}

  def sample(self, params, rays: Rays, jitter=None) -> Samples:
    """Interval edges on each ray; `jitter [N, 2]` as in `samplers`."""
    return self.sampler.apply({"params": params["sampler"]}, rays, jitter)

  def at_points(self, params, points, viewdirs) -> FieldOutput:
    """The field at `points [N, S, 3]` seen along `viewdirs [N, 3]`."""
    return self.field.apply({"params": params["field"]}, points, viewdirs)

  def render(self, params, rays: Rays, samples: Samples, background) -> Rendering:
    """Renders `rays` at `samples` over `background`, broadcastable to `[N, 3]`."""
    output = self.at_points(params, samplers.points_along(rays, samples.t),
                            rays.viewdirs)
    weights = compositing.compositing_weights(output.sigma, samples.t)
    acc = jnp.sum(weights, axis=-1)
    rgb = compositing.composite(weights, nn.sigmoid(output.logits))
    coarse_rgb = samples.coarse_rgb
    if coarse_rgb is not None:
      coarse_acc = jnp.sum(samples.proposals[0][1], axis=-1)
      coarse_rgb = compositing.over_background(coarse_rgb, coarse_acc, background)
    return Rendering(
        rgb=compositing.over_background(rgb, acc, background), acc=acc,
        distance=compositing.mean_distance(weights, samples.t),
        distance_median=compositing.median_distance(weights, samples.t),
        t=samples.t, weights=weights, sigma=output.sigma, hidden=output.hidden,
        logits=output.logits, proposals=samples.proposals, coarse_rgb=coarse_rgb)

  def __call__(self, params, rays: Rays, background, jitter=None) -> Rendering:
    """Samples, then renders."""
    return self.render(params, rays, self.sample(params, rays, jitter), background)


def grid_model(space: Space, *, num_levels, features_per_level, log2_table_size,
               coarsest, finest, interpolation, density_width, color_width,
               proposal_cells, proposal_samples, samples) -> Model:
  """The fast model; arguments as in `GridField` and `GridSampler`."""
  field = GridField(
      space, num_levels, features_per_level, log2_table_size, coarsest, finest,
      interpolation, density_width, color_width=color_width)
  return Model(field, samplers.GridSampler(
      space, proposal_cells, proposal_samples, samples))


def mlp_model(space: Space, *, depth, width, skip, color_width, position_octaves,
              direction_octaves, coarse_samples, fine_samples) -> Model:
  """The paper's coarse and fine networks; arguments as in `MlpField`."""
  def field(name):
    return MlpField(space, depth, width, skip, color_width, position_octaves,
                    direction_octaves, name=name)

  return Model(field(None), samplers.CoarseSampler(
      field("coarse"), space, coarse_samples, fine_samples))
