"""A model is a field and a sampler; rendering is one pure function of both.

`sample` decides where to look and `render` what is seen there, so that a
Jacobian can hold the sample positions fixed while it moves the field. Params
are a nested dict with the two subtrees `field` and `sampler`.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jnerf.fields import samplers
from jnerf.fields.field import RGB_KERNEL, FieldOutput
from jnerf.fields.spaces import Space
from jnerf.rendering import compositing
from jnerf.structs import Proposal, Rays, Rendering, Samples


@dataclasses.dataclass(frozen=True)
class Model:
  """A network and the sampler that places its samples: a `Field`.

  field: module `points [N, S, 3], viewdirs [N, 3] -> FieldOutput`, over `field.space`.
  sampler: module `rays, jitter -> Samples`.
  losses: its own loss terms, `(name, Rendering -> scalar)` each.
  """

  field: nn.Module
  sampler: nn.Module
  losses: tuple[tuple[str, Callable[[Rendering], Any]], ...] = ()

  closed_form_rows = RGB_KERNEL

  @property
  def space(self) -> Space:
    """What the field covers."""
    return self.field.space

  def init(self, key, scene=None) -> dict:
    """Fresh params, whatever the scene; the key is consumed."""
    del scene
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
    return Rendering(
        rgb=compositing.over_background(rgb, acc, background), acc=acc,
        distance=compositing.mean_distance(weights, samples.t),
        distance_median=compositing.median_distance(weights, samples.t),
        t=samples.t, weights=weights, sigma=output.sigma, hidden=output.hidden,
        logits=output.logits,
        proposals=tuple(_over(p, background) for p in samples.proposals))

  def regularizers(self, rendering: Rendering) -> dict:
    """The terms of `losses` by name."""
    return {name: loss(rendering) for name, loss in self.losses}

  def __call__(self, params, rays: Rays, background, jitter=None) -> Rendering:
    """Samples, then renders."""
    return self.render(params, rays, self.sample(params, rays, jitter), background)


def _over(proposal: Proposal, background) -> Proposal:
  """The proposal with its colour, where it has one, over the background."""
  if proposal.rgb is None:
    return proposal
  return proposal.replace(rgb=compositing.over_background(
      proposal.rgb, jnp.sum(proposal.weights, axis=-1), background))
