"""Which entities belong together: similarities and the adaptive threshold.

`similarity [A, N]` compares A anchors with N entities; pairs above the
threshold are positives, all others negatives. Nothing here sees labels except
`same_label`.
"""

from __future__ import annotations

import jax.numpy as jnp
import optax


def unit_rows(x):
  """Rows of `x [..., D]` at unit length; zero rows stay zero, gradients finite."""
  return x / optax.safe_norm(x, 1e-12, axis=-1, keepdims=True)


def feature_similarity(anchors, features):
  """Cosines `[A, N]` of feature rows `[A, F]`, `[N, F]`, in single precision."""
  return unit_rows(anchors.astype(jnp.float32)) @ unit_rows(
      features.astype(jnp.float32)).T


def gaussian_kernel(anchors, entities, scale: float):
  """Closeness `exp(-d^2 / (2 scale^2)) [A, N]` of rows `[A, 3]`, `[N, 3]`, in (0, 1].

  Of colours, 3D points or normals: multiplied with a feature similarity it joins the
  two, a pair must be alike *and* near.
  """
  # Not |a|^2 + |b|^2 - 2 ab: far from the origin, and in the reduced precision of
  # a GPU's matrix product, that loses small distances.
  squared = sum((anchors[:, None, axis] - entities[None, :, axis]) ** 2
                for axis in range(3))
  return jnp.exp(-squared / (2 * scale**2))


def same_label(anchors, labels):
  """1 where labels `[A]`, `[N]` are equal and not void, else 0.

  Of ground-truth classes it is the oracle, of segments a hint.
  """
  same = (anchors[:, None] == labels[None, :]) & (anchors[:, None] != 0)
  return same.astype(jnp.float32)


def adapt_threshold(threshold, share, *, min_share: float, max_share: float,
                    rate: float):
  """The next step's threshold from the share of positives at this one's.

  Raised by `rate` where positives are more than `max_share` of all pairs,
  lowered where they are fewer than `min_share`. Once per step, on the whole
  batch; the paper's code does it once per anchor inside its loss.
  """
  step = jnp.where(share > max_share, rate, jnp.where(share < min_share, -rate, 0.0))
  return (threshold + step).astype(threshold.dtype)
