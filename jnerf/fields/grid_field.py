"""The fast field: hash grid, small density network, directional colour layer.

After Instant-NGP (Mueller et al. 2022), with one wide colour layer instead of
two narrow ones: its H units are what shaping has to write entities into, and
with 128 of them shaping costs far less colour accuracy than with 64.
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp

from jnerf.fields import encodings, hash_grid
from jnerf.fields.field import FieldOutput
from jnerf.fields.spaces import Space


def density(raw, unit):
  """Density per unit of length from a network's raw output `[...]`.

  unit: of length, see `Space.unit`. Exponential, so that empty space and opaque
  surfaces are a few units apart; of optical depth two per unit of length, four across
  a box, where the network says 0, so that the initial field is a thin fog.
  """
  return jnp.exp(jnp.clip(raw, -15.0, 15.0)) * (2.0 / unit)


class GridField(nn.Module):
  """`points [N, S, 3], viewdirs [N, 3] -> FieldOutput`; positions as hash grid.

  space: what it covers; points are clipped to its unit cube.
  density_width: hidden units of the density network.
  geometry_width: features it hands to the colour network.
  color_width: H, units of the layer that feeds `rgb`.
  """

  space: Space
  num_levels: int = 8
  features_per_level: int = 4
  log2_table_size: int = 16
  coarsest: int = 16
  finest: int = 512
  interpolation: str = "tetrahedral"
  density_width: int = 64
  geometry_width: int = 32
  color_width: int = 128

  @nn.compact
  def __call__(self, points, viewdirs) -> FieldOutput:
    encoded = hash_grid.HashGrid(
        self.num_levels, self.features_per_level, self.log2_table_size,
        self.coarsest, self.finest, self.interpolation, name="encoding")(
            self.space.unit_cube(points).reshape(-1, 3))
    x = nn.relu(nn.Dense(self.density_width, name="trunk")(encoded))
    raw = nn.Dense(1, name="density")(x).reshape(points.shape[:2])
    geometry = nn.Dense(self.geometry_width, name="geometry")(x)
    geometry = geometry.reshape(*points.shape[:2], -1)
    hidden = directional_layer(
        geometry, encodings.spherical_harmonics(viewdirs), self.color_width)
    logits = nn.Dense(3, name="rgb")(hidden)
    return FieldOutput(density(raw, self.space.unit), hidden, logits, geometry)


def directional_layer(geometry, encoded_dirs, width: int):
  """`hidden [N, S, H]` from features `[N, S, G]` of points and of their rays `[N, D]`.

  The layer over both joined, written as a sum, so that the part of the direction
  is computed once per ray. To be called inside a module's `__call__`.
  """
  from_points = nn.Dense(width, use_bias=False, name="color")(geometry)
  from_rays = nn.Dense(width, name="color_direction")(encoded_dirs)
  return nn.relu(from_points + from_rays[:, None, :])
