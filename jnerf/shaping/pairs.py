"""Which entities belong together: similarities and the adaptive threshold.

`similarity [A, N]` compares A anchors with N entities; pairs above the
threshold are positives, all others negatives. Nothing here sees labels except
`same_label`.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import optax

from jnerf.errors import InputError
from jnerf.settings import setting
from jnerf.shaping.rows import points_at
from jnerf.structs import Batch, Rendering


@dataclasses.dataclass(frozen=True)
class PairRule:
  """Which pairs are positives; hashable."""

  threshold: float = setting(0.3, "first value of the adaptive threshold on similarity",
                             at_least=-1, at_most=1)
  min_positives: float = setting(0.18, "share of pairs between which it adapts;",
                                 at_least=0)
  max_positives: float = setting(0.2, "0 and 1 leave the threshold where it is")
  threshold_rate: float = setting(3e-3, "how far it moves in one step", at_least=0)
  color_scale: float = setting(0.0, "of RGB in [0, 1]; above 0 positives are alike in "
                               "colour too", at_least=0)
  position_scale: float = setting(0.0, "metres; above 0 they lie near one another",
                                  at_least=0)
  normal_scale: float = setting(0.0, "radians; above 0 their surfaces face the same way",
                                at_least=0)
  geometry: str = setting("field", "who tells positions, normals and depth",
                          choices=("field", "sensor"))

  def check(self, section: str) -> None:
    """Raises InputError where the bounds cross."""
    if not self.min_positives <= self.max_positives <= 1:
      raise InputError(f"{section}.max_positives={self.max_positives}: must lie between "
                       f"{section}.min_positives={self.min_positives} and 1")

  def adapt(self, threshold, share):
    """The next step's threshold from the share of positives at this one's.

    Raised by `threshold_rate` where positives are more than `max_positives` of all
    pairs, lowered where they are fewer than `min_positives`. Once per step, on the whole
    batch; the paper's code does it once per anchor inside its loss.
    """
    rate = self.threshold_rate
    step = jnp.where(share > self.max_positives, rate,
                     jnp.where(share < self.min_positives, -rate, 0.0))
    return (threshold + step).astype(threshold.dtype)


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


def similarity_of(batch: Batch, rendering: Rendering, gather, rule: PairRule):
  """`[n, N]` similarity of a batch's entities with all, by what the rule joins.

  gather: from this device's rows to those of all.
  """
  similarity = feature_similarity(batch.features, gather(batch.features))
  for scale, rows_fn in (
      (rule.color_scale, lambda: batch.rgb),
      (rule.position_scale, lambda: _places(batch, rendering, rule.geometry)),
      (rule.normal_scale, lambda: unit_rows(batch.normals))):
    if scale:
      rows = rows_fn()
      similarity = similarity * gaussian_kernel(rows, gather(rows), scale)
  return similarity


def _places(batch: Batch, rendering: Rendering, geometry: str):
  """`[N, 3]` where the rays meet a surface, as whom `geometry` trusts says."""
  distance = jax.lax.stop_gradient(rendering.distance_median)
  if geometry == "sensor":
    distance = jnp.where(batch.distance > 0, batch.distance, distance)
  return points_at(batch.rays, distance)
