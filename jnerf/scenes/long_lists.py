"""Lists that may hold more than 2^31 numbers, drawn from without 64-bit integers.

Device code has 32-bit integers, which count to 2^31: about 1000 photographs of
1920x1080. So a place in a long list is two numbers, its block and its place in that;
a list that is shorter stays flat. Lists are cut into groups (of a view, of a class) that
lie side by side, and a draw chooses a group first.

Notation: M numbers in G groups.
"""

from __future__ import annotations

from collections.abc import Sequence

from flax import struct
import jax
import jax.numpy as jnp
import numpy as np

from jnerf.structs import Array

LONGEST = 2**31 - 1  # what 32 bits count
BLOCK = 2**24


@struct.dataclass
class Groups:
  """Where in a long list its groups lie.

  block, rest: `[G]` int32 where a group begins, `block * BLOCK + rest`.
  counts: `[G]` int32 numbers in a group.
  """

  block: Array
  rest: Array
  counts: Array

  @classmethod
  def of(cls, counts: np.ndarray) -> Groups:
    """Groups of so many numbers, one after another; `counts [G]`."""
    first = np.cumsum(counts, dtype=np.int64) - counts
    block, rest = np.divmod(first, BLOCK)
    return cls(*(some.astype(np.int32) for some in (block, rest, np.asarray(counts))))


def packed(parts: Sequence[np.ndarray]) -> np.ndarray:
  """The numbers of all parts as a list: `[M]`, or `[B, BLOCK]` where it is long."""
  total = sum(map(len, parts))
  width = BLOCK if total > LONGEST else 1
  flat = np.zeros(-(-total // width) * width, np.int32)
  place = 0
  for part in parts:
    flat[place:place + len(part)] = part
    place += len(part)
  return flat.reshape(-1, BLOCK) if total > LONGEST else flat


def take(values, groups: Groups, group, within) -> jax.Array:
  """`[N]` numbers of a list: those at `within [N]` in its groups `group [N]`."""
  block, rest = _at(groups.block, group), _at(groups.rest, group) + within
  if values.ndim == 1:
    return _at(values, block * BLOCK + rest)
  return _at(values, block + rest // BLOCK, rest % BLOCK)


def draw_within(key: jax.Array, groups: Groups, group) -> jax.Array:
  """`[N]` int32 places, each uniform in its group of `group [N]`; the key is consumed."""
  return jax.random.randint(key, group.shape, 0, _at(groups.counts, group))


def _at(values, *index) -> jax.Array:
  """`values[index]`; of a list on the host only what is asked for goes to a device."""
  if isinstance(values, np.ndarray) and not any(
      isinstance(some, jax.core.Tracer) for some in index):
    return jnp.asarray(values[tuple(np.asarray(some) for some in index)])
  return jnp.asarray(values)[index]
