"""Volume rendering: densities on intervals to weights, weights to pixels.

`alpha = 1 - exp(-sigma * delta)`, `trans` the light that reaches a sample,
`weights = trans * alpha`, `acc` their sum; a rendered quantity is the weighted
sum of its samples (Max 1995; Mildenhall et al. 2020, eq. 3).
"""

from __future__ import annotations

import jax.numpy as jnp

from jnerf.rendering import distances


def compositing_weights(sigma, t):
  """`weights [N, S]` of densities `sigma [N, S]` on intervals `t [N, S + 1]`.

  With unit ray directions `t` is a length, so `sigma` is per unit of length.
  """
  optical_depth = sigma * (t[:, 1:] - t[:, :-1])
  # An exclusive sum: `cumsum - optical_depth` would lose what lies before a wall
  # in the rounding of the wall's own depth.
  before = jnp.pad(jnp.cumsum(optical_depth[:, :-1], axis=-1), ((0, 0), (1, 0)))
  return jnp.exp(-before) * -jnp.expm1(-optical_depth)


def composite(weights, values):
  """Rendered `[N, C]` of per-sample `values [N, S, C]`."""
  return jnp.einsum("ns,nsc->nc", weights, values)


def over_background(rgb, acc, background):
  """`rgb [N, 3]` over `background`, broadcastable to `[N, 3]`."""
  return rgb + (1 - acc[:, None]) * background


def mean_distance(weights, t):
  """`[N]` weight-averaged distance; the ray's far end where nothing was met."""
  acc = jnp.sum(weights, axis=-1)
  moment = jnp.sum(weights * distances.midpoints(t), axis=-1)
  return moment + (1 - acc) * t[:, -1]


def median_distance(weights, t):
  """`[N]` distance at which half of a ray's opacity is accumulated.

  Robust against the tail of the weights behind a surface, which drags the mean
  away from it. The ray's far end where nothing was met.
  """
  acc = jnp.sum(weights, axis=-1, keepdims=True)
  met = acc > 1e-6
  share = (weights + 1e-9) / (acc + 1e-9 * weights.shape[-1])
  median = distances.invert_cdf(t, share, jnp.full_like(acc, 0.5))
  return jnp.where(met, median, t[:, -1:])[:, 0]
