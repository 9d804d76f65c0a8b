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

from jnerf.scenes import long_lists
from jnerf.scenes.drawable import Drawable
from jnerf.structs import Array


@struct.dataclass
class Strata:
  """How to draw the pixels of a batch that are contrasted.

  views, pixels: `[M]` int32, or as `long_lists.packed`: the view of a pixel and its
    row-major number in that, those of one class side by side.
  groups: a class each, or a part of one that is too large to count.
  cumulative: `[G]` float32 probability of a group and of all before it.
  """

  views: Array
  pixels: Array
  groups: long_lists.Groups
  cumulative: Array


def by_class(labels: np.ndarray, balance: float,
             drawable: Drawable | None = None) -> Strata | None:
  """Draws class c as often as `its pixels ** (1 - balance)`; None where all are void.

  labels: `[V, H, W]`, 0 is void and not drawn; drawable: the pixels that may be drawn,
    None for all.
  balance: 0 draws pixels alike, 1 classes alike.
  """
  of_class: dict[int, list[tuple[int, np.ndarray]]] = {}  # (view, pixels) of each
  for view, picture in enumerate(labels):
    ids = picture.reshape(-1)
    inside = np.flatnonzero(ids) if drawable is None else drawable.of_view(view)
    inside = inside[ids[inside] != 0].astype(np.int32)
    inside = inside[np.argsort(ids[inside], kind="stable")]
    classes, first = np.unique(ids[inside], return_index=True)
    for class_id, some in zip(classes.tolist(), np.split(inside, first[1:])):
      of_class.setdefault(class_id, []).append((view, some))
  if not of_class:
    return None
  parts = [part for class_id in sorted(of_class) for part in of_class[class_id]]
  sizes = [sum(len(inside) for _, inside in of_class[class_id])
           for class_id in sorted(of_class)]
  counts, powers = _countable(np.array(sizes), balance)
  share = np.cumsum(powers)
  return Strata(
      views=long_lists.packed([np.full(len(inside), view, np.int32)
                               for view, inside in parts]),
      pixels=long_lists.packed([inside for _, inside in parts]),
      groups=long_lists.Groups.of(counts),
      cumulative=(share / share[-1]).astype(np.float32))


def _countable(sizes: np.ndarray, balance: float) -> tuple[np.ndarray, np.ndarray]:
  """`(counts [G], how often each is drawn [G])` of classes, large ones in parts."""
  counts, powers = [], []
  for size, power in zip(sizes.tolist(), sizes ** (1.0 - balance), strict=True):
    largest = long_lists.LONGEST // 2
    parts = [min(largest, size - begin) for begin in range(0, size, largest)]
    counts += parts
    powers += [power * part / size for part in parts]
  return np.array(counts), np.array(powers)


def draw(key: jax.Array, num: int, strata: Strata) -> tuple[jax.Array, jax.Array]:
  """`([num] views, [num] row-major numbers in them)` int32; the key is consumed.

  With replacement.
  """
  class_key, pixel_key = jax.random.split(key)
  chosen = jnp.searchsorted(jnp.asarray(strata.cumulative),
                            jax.random.uniform(class_key, (num,)), side="right")
  chosen = jnp.minimum(chosen, len(strata.cumulative) - 1)
  within = long_lists.draw_within(pixel_key, strata.groups, chosen)
  return tuple(long_lists.take(values, strata.groups, chosen, within)
               for values in (strata.views, strata.pixels))
