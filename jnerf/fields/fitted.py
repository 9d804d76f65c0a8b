"""A field that was fitted: the value that shaping, labelling and rendering start from."""

from __future__ import annotations

from typing import Any

from flax import struct
import jax

from jnerf.fields.field import Field
from jnerf.fields.spaces import Space


@struct.dataclass
class FittedField:
  """A field and what it has learnt.

  model: the field's kind, hashable; params: its parameters.
  background: grey level that is seen behind it outside training.
  regions: of the scene that it was fitted to (`shaping.scene_regions`), where they are
    known already; or None.
  rows: which gradients are, or will be, shaped (`shaping.rows.RowKind`), and compared by
    labels and responses; None: the default.
  """

  model: Field = struct.field(pytree_node=False)
  params: Any
  background: float = struct.field(pytree_node=False, default=0.5)
  regions: Any = struct.field(pytree_node=False, default=None)
  rows: Any = struct.field(pytree_node=False, default=None)

  def __repr__(self) -> str:
    num = sum(leaf.size for leaf in jax.tree.leaves(self.params))
    return f"FittedField({num:,} parameters, {self.space})"

  @property
  def space(self) -> Space:
    """What the field covers."""
    return self.model.space
