"""Which entities belong together: similarities and the adaptive threshold.

`similarity [A, N]` compares A anchors with N entities; pairs above the
threshold are positives, all others negatives. Nothing here sees labels except
`same_label`, the oracle.
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


def position_kernel(anchors, points, scale: float):
  """Gaussian closeness `exp(-d^2 / (2 scale^2)) [A, N]` of 3D points, in (0, 1].

  Multiplied with a feature similarity it joins appearance and place: a pair
  must be alike *and* near.
  """
  # Not |a|^2 + |b|^2 - 2 ab: far from the origin, and in the reduced precision of
  # a GPU's matrix product, that loses small distances.
  squared = sum((anchors[:, None, axis] - points[None, :, axis]) ** 2
                for axis in range(3))
  return jnp.exp(-squared / (2 * scale**2))


def same_label(anchors, labels):
  """The oracle: 1 where labels `[A]`, `[N]` are equal and not void, else 0."""
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
