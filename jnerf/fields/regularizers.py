"""Regularisers on the histograms `(t, weights)` along the rays of a rendering.

Both are from Mip-NeRF 360 (Barron et al. 2022): the interlevel loss (eq. 13)
teaches the proposals to bound the field's weights, the distortion loss (eq. 15)
pulls the weights of a ray together, against floaters and half-transparency.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnerf.rendering import distances
from jnerf.structs import Rendering


def interlevel(rendering: Rendering):
  """Mean excess of the field's weights over what each proposal allows, summed over these.

  Only the proposals learn from it.
  """
  t, weights = jax.lax.stop_gradient((rendering.t, rendering.weights))
  return sum(excess(t, weights, proposal.t, proposal.weights)
             for proposal in rendering.proposals)


def excess(t, weights, proposal_t, proposal_weights):
  """Mean excess of `weights [N, S]` over what a proposal's `[N, S']` allow."""
  bound = outer_measure(t, proposal_t, proposal_weights)
  above = jnp.maximum(weights - bound, 0.0)
  return jnp.mean(jnp.sum(above**2 / (weights + 1e-5), axis=-1))


def outer_measure(t, proposal_t, proposal_weights):
  """`[N, S]` total proposal weight of the bins that touch each interval of `t`."""
  cumulative = jnp.pad(jnp.cumsum(proposal_weights, axis=-1), ((0, 0), (1, 0)))
  inner = proposal_t[:, None, 1:-1]
  lo = jnp.sum(t[:, :-1, None] >= inner, axis=-1)
  hi = jnp.sum(t[:, 1:, None] > inner, axis=-1) + 1
  return (jnp.take_along_axis(cumulative, hi, axis=-1)
          - jnp.take_along_axis(cumulative, lo, axis=-1))


def distortion(rendering: Rendering):
  """Mean over rays of the weights' spread, with each ray's span scaled to one."""
  return spread(rendering.t, rendering.weights)


def spread(t, weights):
  """Mean over rays of the distance of two samples drawn by `weights [N, S]`, eq. 15."""
  span = t[:, -1:] - t[:, :1]
  s = (t - t[:, :1]) / jnp.where(span > 0, span, 1.0)
  middle = distances.midpoints(s)
  gaps = jnp.abs(middle[:, :, None] - middle[:, None, :])
  between = jnp.einsum("ni,nj,nij->n", weights, weights, gaps)
  within = jnp.sum(weights**2 * (s[:, 1:] - s[:, :-1]), axis=-1) / 3
  return jnp.mean(between + within)
