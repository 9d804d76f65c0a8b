"""The contrastive loss on gradients (paper: section 3.3) and the unit-norm term.

`J [N, P]` are entities' gradients, `s [A, N]` their similarities for A anchors
among the N entities, tau the temperature.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from jnerf.shaping import pairs


def gradient_similarity(anchors, gradients, *, similarity: str = "cosine",
                        absolute: bool = True):
  """`s [A, N]` of gradient rows `[A, P]`, `[N, P]`.

  similarity: `cosine`, or the paper code's `dot`.
  absolute: |s|, of which the mutual information is a monotone function.
  """
  if similarity == "cosine":
    anchors, gradients = pairs.unit_rows(anchors), pairs.unit_rows(gradients)
  elif similarity != "dot":
    raise ValueError(f"similarity is {similarity!r}, not 'cosine' or 'dot'")
  s = anchors @ gradients.T
  return jnp.abs(s) if absolute else s


def info_nce(s, positive, is_self, temperature: float, self_positive: bool = False,
             ignored=None, positives: str = "any"):
  """InfoNCE summed over usable anchors, and how many those are.

  Per anchor i: `-log(sum_{j in pos(i)} e^{s_ij / tau} / sum_{j != i} e^{s_ij / tau})`,
  which one close positive satisfies: right where some of them are wrong, but a class
  may stay in parts. Of `each` positive by itself, `-mean_{j in pos(i)} log(e^{s_ij /
  tau} / sum_{j != i} e^{s_ij / tau})` (Khosla et al. 2020, Supervised Contrastive
  Learning, L_out), draws all of a class together.

  s: `[A, N]`; positive: `[A, N]` bool; is_self: `[A, N]` bool, the anchor itself.
  self_positive: the anchor counts as its own positive, as in the paper's code;
    otherwise it takes no part.
  ignored: `[N]` bool, entities that are neither positive nor negative for anyone.
  positives: `any` or `each`, see above.

  Anchors without a positive or without a negative say nothing about contrast
  and are left out. Returns `(total [], num_anchors [])`; a mean needs the number
  of anchors of the whole batch, which may be spread over devices.
  """
  positive = (positive | is_self) if self_positive else (positive & ~is_self)
  counted = jnp.ones_like(is_self) if self_positive else ~is_self
  if ignored is not None:
    counted &= ~ignored[None, :]
  usable = jnp.any(positive & ~is_self, axis=1) & jnp.any(counted & ~positive, axis=1)
  logits = s / temperature
  # A finite floor keeps rows without positives differentiable; they are masked.
  floor = jnp.asarray(-1e30, logits.dtype)
  if positives == "each":
    num_positives = jnp.maximum(jnp.sum(positive, axis=1), 1)
    over_positives = jnp.sum(jnp.where(positive, logits, 0.0), axis=1) / num_positives
  elif positives == "any":
    over_positives = jax.nn.logsumexp(jnp.where(positive, logits, floor), axis=1)
  else:
    raise ValueError(f"positives is {positives!r}, not 'any' or 'each'")
  over_all = jax.nn.logsumexp(jnp.where(counted, logits, floor), axis=1)
  per_anchor = jnp.where(usable, over_all - over_positives, 0.0)
  return jnp.sum(per_anchor), jnp.sum(usable)


def unit_norm(gradients):
  """`(|J_i| - 1)^2 [N]`: keeps gradients from growing or vanishing."""
  return (optax.safe_norm(gradients, 1e-12, axis=-1) - 1) ** 2
