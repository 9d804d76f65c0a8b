"""The fast field: hash grid, small density network, directional colour layer.

After Instant-NGP (Mueller et al. 2022), with one wide colour layer instead of
two narrow ones: its H units are what shaping has to write entities into, and
with 128 of them shaping costs far less colour accuracy than with 64.
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp

from jnerf.fields import encodings, hash_grid
from jnerf.fields.outputs import FieldOutput


def to_unit_cube(points, bounds, unbounded: bool = False):
  """Points `[..., 3]` of the box `bounds` scaled by its longest side, clipped to [0, 1).

  bounds: `((x, y, z) low, (x, y, z) high)`.
  unbounded: all of space goes in, see `contract`.
  """
  if unbounded:
    return jnp.clip((contract(points, bounds) + 2) / 4, 0.0, 1.0 - 1e-6)
  low, extent = jnp.asarray(bounds[0]), longest_side(bounds)
  low = low.astype(points.dtype).reshape((1,) * (points.ndim - 1) + (3,))
  # Just below one, so that the high corner of the last cell still exists.
  return jnp.clip((points - low) / extent, 0.0, 1.0 - 1e-6)


def contract(points, bounds):
  """All of space to [-2, 2]^3: the cube around `bounds` to [-1, 1]^3, infinity to 2.

  Mip-NeRF 360 (Barron et al. 2022, eq. 10) with the maximum norm in place of the
  Euclidean one, so that space fills the cube that the grids cover.
  """
  low, high = (jnp.asarray(corner, points.dtype).reshape((1,) * (points.ndim - 1) + (3,))
               for corner in bounds)
  x = (points - (low + high) / 2) / (longest_side(bounds) / 2)
  norm = jnp.maximum(jnp.max(jnp.abs(x), axis=-1, keepdims=True), 1.0)
  return x * (2 - 1 / norm) / norm  # as it is where the norm is at most one


def longest_side(bounds) -> float:
  """Length of the longest side of the box."""
  return max(high - low for low, high in zip(*bounds))


def density(raw, bounds):
  """Density per unit of length from a network's raw output.

  Exponential, so that empty space and opaque surfaces are a few units apart;
  measured in longest sides of the box, so that the initial field is a thin fog
  whatever the units of the scene are.
  """
  return jnp.exp(jnp.clip(raw, -15.0, 15.0)) * (4.0 / longest_side(bounds))


class GridField(nn.Module):
  """`points [N, S, 3], viewdirs [N, 3] -> FieldOutput`; positions as hash grid.

  bounds: the box it covers; it is evaluated on the cube of the longest side that
    starts at the low corner, and points outside that are clipped to it.
  density_width: hidden units of the density network.
  geometry_width: features it hands to the colour network.
  color_width: H, units of the layer that feeds `rgb`.
  unbounded: it covers all of space, the box at full resolution, see `contract`.
  """

  bounds: tuple
  num_levels: int = 8
  features_per_level: int = 4
  log2_table_size: int = 16
  coarsest: int = 16
  finest: int = 512
  interpolation: str = "tetrahedral"
  density_width: int = 64
  geometry_width: int = 32
  color_width: int = 128
  unbounded: bool = False

  @nn.compact
  def __call__(self, points, viewdirs) -> FieldOutput:
    encoded = hash_grid.HashGrid(
        self.num_levels, self.features_per_level, self.log2_table_size,
        self.coarsest, self.finest, self.interpolation, name="encoding")(
            to_unit_cube(points, self.bounds, self.unbounded).reshape(-1, 3))
    x = nn.relu(nn.Dense(self.density_width, name="trunk")(encoded))
    raw = nn.Dense(1, name="density")(x).reshape(points.shape[:2])
    geometry = nn.Dense(self.geometry_width, name="geometry")(x)
    hidden = directional_layer(
        geometry.reshape(*points.shape[:2], -1),
        encodings.spherical_harmonics(viewdirs), self.color_width)
    logits = nn.Dense(3, name="rgb")(hidden)
    return FieldOutput(density(raw, self.bounds), hidden, logits)


def directional_layer(geometry, encoded_dirs, width: int):
  """`hidden [N, S, H]` from features `[N, S, G]` of points and of their rays `[N, D]`.

  The layer over both joined, written as a sum, so that the part of the direction
  is computed once per ray. To be called inside a module's `__call__`.
  """
  from_points = nn.Dense(width, use_bias=False, name="color")(geometry)
  from_rays = nn.Dense(width, name="color_direction")(encoded_dirs)
  return nn.relu(from_points + from_rays[:, None, :])
