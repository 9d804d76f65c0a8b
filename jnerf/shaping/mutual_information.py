"""Mutual information of two entities under weight noise, and its estimate.

Perturb the selected weights by n ~ N(0, sigma^2 I): to first order two
entities' values respond as jointly Gaussian variables whose correlation is the
cosine of their gradients, so their mutual information depends on the cosine
alone (paper: section 3.2, eq. 6).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from jnerf.shaping import parameters


def from_cosine(cosine):
  """Mutual information in nats, `-1/2 log(1 - cos^2)`; infinite at |cos| = 1."""
  return -0.5 * jnp.log1p(-(cosine**2))


def perturbed_responses(values_fn, params, pattern: str, key, *, num_draws: int,
                        noise: float):
  """Responses `[num_draws, N]`: values under weight noise minus those without.

  values_fn: `params -> [N]`. noise: standard deviation of the selected weights'
  perturbation. The key is consumed.
  """
  selected, rest = parameters.split(params, pattern)
  vector = parameters.to_vector(selected)
  unperturbed = values_fn(params)

  def draw(draw_key):
    moved = vector + noise * jax.random.normal(draw_key, vector.shape, vector.dtype)
    moved = parameters.from_vector(moved, selected)
    return values_fn(parameters.merge(moved, rest)) - unperturbed

  return jax.lax.map(draw, jax.random.split(key, num_draws))


def estimate(x, y, num_bins: int = 16):
  """Mutual information in nats of samples `x, y [D]`, with no Gaussian assumption.

  Plug-in estimate on a grid of equally populated bins with the Miller-Madow
  bias correction (Paninski 2003); biased low where the information nears
  `log(num_bins)`.
  """
  joint = jnp.zeros((num_bins, num_bins)).at[
      _quantile_bins(x, num_bins), _quantile_bins(y, num_bins)].add(1.0)
  num = x.shape[0]
  p = joint / num
  expected = jnp.sum(p, axis=1)[:, None] * jnp.sum(p, axis=0)[None, :]
  ratio = jnp.where(p > 0, p, 1.0) / expected
  plug_in = jnp.sum(jnp.where(p > 0, p * jnp.log(ratio), 0.0))
  occupied = jnp.sum(p > 0)
  return plug_in - (occupied - 2 * num_bins + 1) / (2 * num)


def _quantile_bins(x, num_bins: int):
  ranks = jnp.argsort(jnp.argsort(x))
  return ranks * num_bins // x.shape[0]
