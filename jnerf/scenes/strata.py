"""Pixels drawn by what they are of, so that small things are met as often as need be.

A class of one pixel in a thousand is in one of four batches of 256, alone: it is never
anybody's positive. Where classes are known before training (the oracle's), the pixels
that are contrasted are drawn class by class.

Notation: M pixels of G classes.
"""

from __future__ import annotations

from flax import struct
import jax
import jax.numpy as jnp
import numpy as np

from jnerf.structs import Array


@struct.dataclass
class Strata:
  """How to draw every so many-th pixel of a batch.

  pixels: `[M]` int32 row-major numbers, those of one class side by side.
  first, counts: `[G]` int32 where a class begins, and how many pixels it has.
  cumulative: `[G]` float32 probability of a class and of all before it.
  every: every how many pixels of a batch one is drawn so.
  """

  pixels: Array
  first: Array
  counts: Array
  cumulative: Array
  every: int = struct.field(pytree_node=False)


def by_class(labels: np.ndarray, balance: float, every: int,
             drawable: np.ndarray | None = None) -> Strata | None:
  """Draws class c as often as `its pixels ** (1 - balance)`; None where all are void.

  labels: `[V, H, W]`, 0 is void and not drawn; drawable: numbers of the pixels that may
    be drawn, None for all.
  balance: 0 draws pixels alike, 1 classes alike.
  """
  flat = labels.reshape(-1)
  labelled = np.flatnonzero(flat) if drawable is None else drawable[flat[drawable] != 0]
  if not len(labelled):
    return None
  pixels = labelled[np.argsort(flat[labelled], kind="stable")].astype(np.int32)
  _, first, counts = np.unique(flat[pixels], return_index=True, return_counts=True)
  share = np.cumsum(counts ** (1.0 - balance))
  return Strata(pixels, first.astype(np.int32), counts.astype(np.int32),
                (share / share[-1]).astype(np.float32), every)


def draw(key: jax.Array, num: int, strata: Strata) -> jax.Array:
  """`[num]` int32 row-major numbers of pixels, with replacement; the key is consumed."""
  class_key, pixel_key = jax.random.split(key)
  chosen = jnp.searchsorted(jnp.asarray(strata.cumulative),
                            jax.random.uniform(class_key, (num,)), side="right")
  chosen = jnp.minimum(chosen, len(strata.first) - 1)
  within = jax.random.randint(pixel_key, (num,), 0, jnp.asarray(strata.counts)[chosen])
  return jnp.asarray(strata.pixels)[jnp.asarray(strata.first)[chosen] + within]
