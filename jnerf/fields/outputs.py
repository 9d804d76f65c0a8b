"""What every field returns per sample, so that all downstream code is the same."""

from __future__ import annotations

from typing import Any

from flax import struct


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
