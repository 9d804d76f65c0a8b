"""Where along a ray to look: uniform and importance-sampled interval edges.

`t` are ascending interval edges `[N, S + 1]`, `weights [N, S]` a histogram on
them that need not sum to one. `jitter [N, 1]` in [-0.5, 0.5) moves all positions
of a ray by that part of an interval; None means deterministic. Positions are
treated as constants: no gradient flows through `t`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp


def uniform(near, far, num_samples: int, jitter=None):
  """`[N, S + 1]` edges between `near` and `far [N, 1]`; the jitter moves inner ones.

  One common jitter per ray keeps the edges ascending.
  """
  inner = jnp.arange(1, num_samples, dtype=near.dtype)[None, :]
  if jitter is not None:
    inner = inner + jitter
  span = far - near
  return jnp.concatenate([near, near + span * inner / num_samples, far], axis=-1)


def thinning(near, far, num_samples: int, jitter=None, *, radius: float):
  """`[N, S + 1]` edges as `uniform`'s up to the distance `radius`, beyond it uniform
  in 1 / distance: half of them lie on either side of it if `far` is far.

  near, far: `[N, 1]`, near > 0.
  """
  def warp(t):
    return jnp.where(t < radius, t / radius, 2 - radius / jnp.maximum(t, radius))

  def unwarp(s):
    return jnp.where(s < 1, s * radius, radius / jnp.maximum(2 - s, 1e-9))

  edges = uniform(warp(near), warp(far), num_samples, jitter)
  # The ends as they are given: warping there and back rounds them.
  return jnp.concatenate([near, unwarp(edges[:, 1:-1]), far], axis=-1)


def inverse(near, far, num_samples: int, jitter=None, *, behind):
  """`[N, S + 1]` edges uniform in 1 / (t + behind); `near`, `far`, `behind [N, 1]`.

  behind: how far behind the ray's origin the middle of that is; near + behind > 0.
  """
  start = near + behind
  edges = uniform(jnp.ones_like(start), start / (far + behind), num_samples, jitter)
  # The ends as they are given: there and back they would be rounded.
  return jnp.concatenate([near, start / edges[:, 1:-1] - behind, far], axis=-1)


def importance(t, weights, num_samples: int, jitter=None, padding: float = 1e-2):
  """Draws `[N, num_samples + 1]` edges whose density follows a histogram.

  t: `[N, S' + 1]`; weights: `[N, S']`, non-negative.
  padding: share of the probability that is spread evenly over the bins, so
    that no bin has zero width in the CDF and missed surfaces are found again.

  One stratified quantile per new sample becomes a sample centre; edges lie midway
  between centres, and the outermost ones on the ray's own ends, so the intervals
  always cover the whole ray.
  """
  num_bins = weights.shape[-1]
  weights = jax.lax.stop_gradient(weights)
  total = jnp.sum(weights, axis=-1, keepdims=True)
  share = jnp.where(total > 0, weights / jnp.where(total > 0, total, 1.0),
                    1.0 / num_bins)
  share = (1 - padding) * share + padding / num_bins
  quantiles = (jnp.arange(num_samples, dtype=t.dtype)[None, :] + 0.5) / num_samples
  quantiles = jnp.broadcast_to(quantiles, (t.shape[0], num_samples))
  if jitter is not None:
    quantiles = quantiles + jitter / num_samples
  centres = invert_cdf(t, share, quantiles)
  middles = (centres[:, 1:] + centres[:, :-1]) / 2
  return jax.lax.stop_gradient(
      jnp.concatenate([t[:, :1], middles, t[:, -1:]], axis=-1))


def invert_cdf(t, share, quantiles):
  """Positions `[N, M]` at which a histogram's CDF reaches `quantiles [N, M]`.

  t: `[N, S + 1]` edges; share: `[N, S]` positive, summing to one.
  """
  # Counting the passed edges beats a binary search: it is branch-free, and the
  # [N, M, S] comparison is small beside one field evaluation.
  cdf = jnp.cumsum(share, axis=-1)
  index = jnp.sum(quantiles[:, :, None] >= cdf[:, None, :-1], axis=-1)
  cdf_lo = jnp.pad(cdf[:, :-1], ((0, 0), (1, 0)))

  def at(values):
    return jnp.take_along_axis(values, index, axis=-1)

  fraction = jnp.clip((quantiles - at(cdf_lo)) / at(share), 0.0, 1.0)
  lo, hi = at(t[:, :-1]), at(t[:, 1:])
  return lo + fraction * (hi - lo)


def midpoints(t):
  """`t_mid [N, S]` of the edges `t [N, S + 1]`."""
  return (t[:, 1:] + t[:, :-1]) / 2
