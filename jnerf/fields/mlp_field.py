"""The paper's field: NeRF's 8 x 256 multilayer perceptron.

Mildenhall et al. (2020), fig. 7, as in the public code of JacobiNeRF: skip
connection after layer 4, densities through a ReLU, a 128-wide directional
layer before `rgb`. Deviation: positions are coordinates of the model's space, so that
the octaves mean the same in every unit; all spaces lie within the lowest one's period.
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp

from jnerf.fields import encodings
from jnerf.fields.field import FieldOutput
from jnerf.fields.grid_field import directional_layer
from jnerf.fields.spaces import Space


class MlpField(nn.Module):
  """`points [N, S, 3], viewdirs [N, 3] -> FieldOutput`.

  space: what it covers.
  depth, width: layers and units of the trunk.
  skip: the encoded position is joined to this layer's output (0-based).
  color_width: H, units of the layer that feeds `rgb`.
  position_octaves, direction_octaves: octaves of the encodings.
  """

  space: Space
  depth: int = 8
  width: int = 256
  skip: int = 4
  color_width: int = 128
  position_octaves: int = 10
  direction_octaves: int = 4

  @nn.compact
  def __call__(self, points, viewdirs) -> FieldOutput:
    position = encodings.octaves(self.space.coordinates(points), self.position_octaves)
    x = position
    for i in range(self.depth):
      x = nn.relu(nn.Dense(self.width, name=f"trunk_{i}")(x))
      if i == self.skip:
        x = jnp.concatenate([position, x], axis=-1)
    # Above zero at the start: a ReLU that is dead everywhere would never learn.
    raw = nn.Dense(1, bias_init=nn.initializers.constant(0.1), name="density")(x)[..., 0]
    feature = nn.Dense(self.width, name="feature")(x)
    hidden = directional_layer(
        feature, encodings.octaves(viewdirs, self.direction_octaves), self.color_width)
    logits = nn.Dense(3, name="rgb")(hidden)
    return FieldOutput(nn.relu(raw) / self.space.unit, hidden, logits, feature)
