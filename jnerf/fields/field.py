"""What every field is: the protocol that training, shaping and labelling rest on.

A field of another kind is a class with these members, in files of its own, and one entry
in `kinds.FIELDS`; no loss and no stage asks which kind it has. Whatever renders `hidden`
features through a last layer named `rgb` gets Jacobians in closed form, responses and
every labelling method unchanged.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from flax import struct

from jnerf.fields.spaces import Space
from jnerf.structs import Rays, Rendering, Samples

RGB_KERNEL = "field/rgb/kernel"  # the kernel of the last layer, the paper's choice


@struct.dataclass
class FieldOutput:
  """A field at S points on each of N rays.

  sigma: `[N, S]` density per unit of length.
  hidden: `[N, S, H]` input of the last layer, which is named `rgb`.
  logits: `[N, S, 3]` output of that layer; the colour is `sigmoid(logits)`.
  geometry: `[N, S, G]` what the field knows of the points, whatever the direction.
  """

  sigma: Any
  hidden: Any
  logits: Any
  geometry: Any


@runtime_checkable
class Field(Protocol):
  """A field with all that renders it; a hashable value that holds no arrays.

  space: what it covers.
  closed_form_rows: pattern of the parameters for which `jacobians.closed_form` holds of
    its renderings; "" for none.

  A field may also have `after_call(state) -> state`: called between device calls of
  training with the `TrainState`, to grow or prune.
  """

  space: Space
  closed_form_rows: str

  def init(self, key, scene=None) -> dict:
    """Fresh params, a nested dict; the key is consumed.

    scene: the `Scene` to be fitted, for fields that start from what is known of it.
    """

  def sample(self, params, rays: Rays, jitter=None) -> Samples:
    """Where to look along each ray; `jitter [N, 2]`, None for deterministic sampling."""

  def render(self, params, rays: Rays, samples: Samples, background) -> Rendering:
    """What is seen there, over `background`, broadcastable to `[N, 3]`."""

  def at_points(self, params, points, viewdirs) -> FieldOutput:
    """The field at `points [N, S, 3]` seen along `viewdirs [N, 3]`."""

  def regularizers(self, rendering: Rendering) -> dict[str, Any]:
    """The field's own loss terms, unweighted scalars by name."""
