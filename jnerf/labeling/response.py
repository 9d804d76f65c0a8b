"""How strongly rendered pixels respond when parameters are nudged.

Notation: a view is N rays with gradients `J [N, P]`; `V [P, K]` holds K
directions in parameter space, one per column. For the `rgb` kernel `[H, 3]`,
P = 3H and a column is `kernel.reshape(-1)`. Colours are `sum_s weights_s *
sigmoid(logits_s)` over a background that no nudge changes; neither does one
change density or sample positions, so `weights`, `hidden` and `logits` of one
render serve all K directions.

Source: JacobiNeRF (arXiv 2304.00341), section 3.2.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from jnerf.shaping.pairs import unit_rows

# Full float32 in every product of gradients: an accelerator's default (TF32,
# bfloat16) loses the small differences between gradients that labels rest on.
PRECISION = jax.lax.Precision.HIGHEST


@jax.jit
def linear_response(J, V):
  """Change of the pixels' values per unit of step: `[N, P], [P, K] -> [N, K]`."""
  return jnp.matmul(J, V, precision=PRECISION)


@jax.jit
def cosine_response(J, V):
  """Cosines between gradients and directions: `[N, P], [P, K] -> [N, K]`.

  Zero rows of J and zero columns of V give 0.
  """
  return linear_response(unit_rows(J), unit_rows(V.T).T)


@jax.jit
def unit_response(J, V):
  """Responses of gradients at unit length: `[N, P], [P, K] -> [N, K]`.

  `linear_response(unit_rows(J), V)` without a second J in memory, which is what a view
  of cached gradients waits for. Zero rows give 0; not to be differentiated.
  """
  squared = jnp.einsum("np,np->n", J, J, precision=PRECISION)
  return linear_response(J, V) / jnp.sqrt(jnp.maximum(squared, 1e-24))[:, None]


@functools.partial(jax.jit, static_argnames=("signed", "batch_size"))
def finite_response(weights, hidden, logits, V, *, step: float,
                    signed: bool = False, batch_size: int = 1024):
  """Exact change of the rendered colours when the `rgb` kernel moves.

  Args:
    weights: `[N, S]` compositing weights.
    hidden: `[N, S, H]` input of the `rgb` layer.
    logits: `[N, S, 3]` its output.
    V: `[3H, K]` directions; kernel k is `kernel + step * V[:, k]`.
    step: length t of the nudge (the paper: 0.1).
    signed: mean change over the channels instead of mean |change|.
    batch_size: rays worked on at once; a ray takes `12 * S * K` bytes.

  Returns:
    `[N, K]`.
  """
  num_hidden, num_directions = hidden.shape[-1], V.shape[-1]
  kernels = step * V.reshape(num_hidden, 3 * num_directions)

  def ray_response(ray):
    ray_weights, ray_hidden, ray_logits = ray
    moves = jnp.matmul(ray_hidden, kernels, precision=PRECISION)
    moves = moves.reshape(-1, 3, num_directions)
    before = ray_logits[:, :, None]
    change = jax.nn.sigmoid(before + moves) - jax.nn.sigmoid(before)
    change = jnp.einsum("s,sck->ck", ray_weights, change, precision=PRECISION)
    return jnp.mean(change if signed else jnp.abs(change), axis=0)

  return jax.lax.map(ray_response, (weights, hidden, logits),
                     batch_size=batch_size)


@functools.partial(jax.jit, static_argnames="batch_size")
def response_3d(weights, hidden, V, *, step: float, batch_size: int = 1024):
  """The paper's 3D response, composited: `[N, S], [N, S, H], [3H, K] -> [N, K]`.

  A sample's response is `|mean over channels of (hidden @ V_k)| * step`, the
  change of its mean logit; samples are composited with the unmoved `weights`.
  """
  kernels = jnp.mean(V.reshape(hidden.shape[-1], 3, -1), axis=1)

  def ray_response(ray):
    ray_weights, ray_hidden = ray
    moves = jnp.abs(jnp.matmul(ray_hidden, kernels, precision=PRECISION)) * step
    return jnp.matmul(ray_weights, moves, precision=PRECISION)

  return jax.lax.map(ray_response, (weights, hidden), batch_size=batch_size)


def response_map(J, direction) -> jax.Array:
  """|cosine| `[N]` of gradients with one direction `[P]`: what answers to a click."""
  return jnp.abs(cosine_response(jnp.asarray(J), jnp.asarray(direction)[:, None]))[:, 0]
