"""The pixels that masks leave, as what a training step draws from.

Notation: M pixels in V views, of which G have any.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flax import struct
import jax
import jax.numpy as jnp
import numpy as np

from jnerf.errors import InputError
from jnerf.scenes import long_lists
from jnerf.structs import Array


@struct.dataclass
class Drawable:
  """Pixels view by view, so that no number exceeds what 32 bits hold.

  pixels: `[M]` int32, or as `long_lists.packed`: row-major numbers in their view.
  views: `[G]` int32 the views that have any; groups: the pixels of each.
  ends: `[G]` int32 how many pixels come until a view's last, or, of a list too long to
    count, `[G]` float32 which share of all.
  """

  pixels: Array
  views: Array
  groups: long_lists.Groups
  ends: Array

  @classmethod
  def of(cls, masks: Iterable[np.ndarray]) -> Drawable:
    """The pixels where masks, of V views `[H, W]` bool each, are True.

    Raises `InputError` where they are nowhere.
    """
    return cls.of_views([np.flatnonzero(mask).astype(np.int32) for mask in masks])

  @classmethod
  def of_views(cls, pixels: Sequence[np.ndarray]) -> Drawable:
    """From ascending row-major numbers in each of V views; may raise as `of`."""
    views = [view for view, some in enumerate(pixels) if len(some)]
    if not views:
      raise InputError("masks leave no pixel of any training view; white is what is kept")
    counts = np.array([len(pixels[view]) for view in views])
    ends = np.cumsum(counts, dtype=np.int64)
    is_long = ends[-1] > long_lists.LONGEST
    return cls(long_lists.packed(pixels), np.array(views, np.int32),
               long_lists.Groups.of(counts),
               (ends / ends[-1]).astype(np.float32) if is_long else ends.astype(np.int32))

  def __len__(self) -> int:
    return int(np.asarray(self.groups.counts).sum(dtype=np.int64))

  def of_view(self, view: int) -> np.ndarray:
    """Row-major numbers in a view, on the host."""
    group = int(np.searchsorted(self.views, view))
    if group == len(self.views) or self.views[group] != view:
      return np.zeros(0, np.int32)
    block, rest = int(self.groups.block[group]), int(self.groups.rest[group])
    first = block * long_lists.BLOCK + rest
    flat = np.asarray(self.pixels).reshape(-1)
    return flat[first:first + int(self.groups.counts[group])]

  def draw(self, key: jax.Array, num: int) -> tuple[jax.Array, jax.Array]:
    """`([num] views, [num] numbers in them)` of any; the key is consumed."""
    if self.pixels.ndim == 1:
      chosen = jax.random.randint(key, (num,), 0, self.pixels.shape[0])
      group = jnp.searchsorted(jnp.asarray(self.ends), chosen, side="right")
      within = chosen - jnp.asarray(self.groups.rest)[group] - (
          jnp.asarray(self.groups.block)[group] * long_lists.BLOCK)
    else:
      view_key, pixel_key = jax.random.split(key)
      group = jnp.searchsorted(jnp.asarray(self.ends), jax.random.uniform(
          view_key, (num,)), side="right")
      within = long_lists.draw_within(pixel_key, self.groups, group)
    return (jnp.asarray(self.views)[group],
            long_lists.take(self.pixels, self.groups, group, within))

  def draw_of_views(self, key: jax.Array, group: jax.Array,
                    ) -> tuple[jax.Array, jax.Array]:
    """`([N] views, [N] numbers in them)`, of the `group [N]`-th views that have any."""
    within = long_lists.draw_within(key, self.groups, group)
    return (jnp.asarray(self.views)[group],
            long_lists.take(self.pixels, self.groups, group, within))
