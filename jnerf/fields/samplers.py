"""Samplers: where a field is evaluated along each ray.

A sampler is a module `rays, jitter -> Samples`, `jitter [N, 2]` in [-0.5, 0.5) for
its two rounds, None for deterministic sampling. Both kinds first ask a cheap
density where the surfaces are and then sample that histogram: `GridSampler` small
dense grids trained by the interlevel loss, `CoarseSampler` NeRF's coarse
network trained on the colours it renders by itself.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from jnerf.fields import grid_field, hash_grid
from jnerf.fields.spaces import Space
from jnerf.rendering import compositing, distances
from jnerf.structs import Proposal, Rays, Samples

# Log-densities travel far (fog to wall: ten units), and a cell is seen by few rays:
# stored small, they move fast under Adam, whose steps do not know their scale.
GRID_GAIN = 10.0


def points_along(rays: Rays, t):
  """Points `[N, S, 3]` at the interval middles of the edges `t [N, S + 1]`."""
  t_mid = distances.midpoints(t)
  return rays.origins[:, None, :] + t_mid[:, :, None] * rays.directions[:, None, :]


def _rounds(jitter):
  return (None, None) if jitter is None else (jitter[:, :1], jitter[:, 1:])


class GridSampler(nn.Module):
  """Samples where dense density grids see something.

  The first grid is sampled evenly, each further one where the one before sees something,
  and the last one's histogram places the samples of the field.

  space: its unit cube is the grids'.
  levels: of each grid `(corners along each axis, samples on a ray)`, in order.
  num_samples: S.
  """

  space: Space
  levels: tuple[tuple[int, int], ...] = ((64, 48),)
  num_samples: int = 24

  @nn.compact
  def __call__(self, rays: Rays, jitter=None) -> Samples:
    first, second = _rounds(jitter)
    rays = self.space.clip(rays)
    t, proposals = None, []
    for i, (cells, num) in enumerate(self.levels):
      t = (self.space.edges(rays, num, first) if t is None else
           distances.importance(t, proposals[-1].weights, num, first))
      proposals.append(Proposal(t, self._weights(i, cells, rays, t)))
    fine = distances.importance(t, proposals[-1].weights, self.num_samples, second)
    return Samples(t=fine, proposals=tuple(proposals))

  def _weights(self, level: int, cells: int, rays: Rays, t):
    """`[N, S']` compositing weights of one grid at the edges `t [N, S' + 1]`."""
    name = f"density_grid_{level}" if level else "density_grid"
    grid = self.param(name, nn.initializers.zeros, (cells,) * 3)
    points = points_along(rays, t)
    raw = GRID_GAIN * hash_grid.interpolate_dense(
        grid, self.space.unit_cube(points).reshape(-1, 3)).reshape(points.shape[:2])
    return compositing.compositing_weights(grid_field.density(raw, self.space.unit), t)


class CoarseSampler(nn.Module):
  """NeRF's hierarchical sampling: coarse network, then its weights' quantiles.

  coarse: the coarse field, a module; space: its own; num_coarse: stratified samples;
  num_fine: further ones drawn from its weights; S is the union of both.
  """

  coarse: nn.Module
  space: Space
  num_coarse: int = 64
  num_fine: int = 128

  @nn.compact
  def __call__(self, rays: Rays, jitter=None) -> Samples:
    first, second = _rounds(jitter)
    t = self.space.edges(rays, self.num_coarse, first)
    output = self.coarse(points_along(rays, t), rays.viewdirs)
    weights = compositing.compositing_weights(output.sigma, t)
    fine = distances.importance(t, weights, self.num_fine + 1, second)
    union = jnp.sort(jnp.concatenate([t, fine[:, 1:-1]], axis=-1), axis=-1)
    rgb = compositing.composite(weights, nn.sigmoid(output.logits))
    return Samples(t=jax.lax.stop_gradient(union),
                   proposals=(Proposal(t, weights, rgb),))
