"""Multiresolution hash encoding of positions (Mueller et al. 2022).

Points in the unit cube are looked up in L grids of geometrically growing
resolution. A level's corners live in a table of T rows, directly indexed while
the level is small enough and hashed otherwise; the tables are stacked into one
array of `L * T` rows. Two ways to interpolate inside a cell: `trilinear` from
its 8 corners, or `tetrahedral` from the 4 corners of the simplex that holds the
point (Kuhn's triangulation of the cube; cf. the permutohedral lattice of Rosu &
Behnke 2023). Both are continuous; the second halves the table accesses, which
are the cost here.

Arrays are laid out level-major, `[L, M]` for M points, one array per corner and
coordinate: on a CPU the minor axis must be long to be vectorised.
"""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

_PRIMES = (np.uint32(1), np.uint32(2654435761), np.uint32(805459861))


class HashGrid(nn.Module):
  """Encodes `points [M, 3]` in the unit cube as `[M, L * F]`.

  num_levels: number of grids L; features_per_level: F.
  log2_table_size: log2 of the rows T of a level's table.
  coarsest, finest: cells along an axis of the first and the last level.
  interpolation: `tetrahedral` or `trilinear`.
  """

  num_levels: int = 8
  features_per_level: int = 4
  log2_table_size: int = 16
  coarsest: int = 16
  finest: int = 512
  interpolation: str = "tetrahedral"

  @nn.compact
  def __call__(self, points):
    rows = 2**self.log2_table_size
    tables = self.param("tables", _small_uniform,
                        (self.num_levels * rows, self.features_per_level))
    resolutions = level_resolutions(self.num_levels, self.coarsest, self.finest)
    scale = jnp.asarray(resolutions, points.dtype)[:, None]
    scaled = tuple(points[None, :, axis] * scale for axis in range(3))  # [L, M]
    corners, weights = CORNERS[self.interpolation](*scaled)
    index = tuple(table_rows(c, resolutions, rows) for c in corners)
    encoded = lookup(tables, index, weights)  # [L, M, F]
    return jnp.swapaxes(encoded, 0, 1).reshape(points.shape[0], -1)


def _small_uniform(key, shape):
  return jax.random.uniform(key, shape, minval=-1e-4, maxval=1e-4)


def level_resolutions(num_levels: int, coarsest: int, finest: int) -> np.ndarray:
  """Cells along an axis for each level, `[L]`, growing geometrically."""
  exponents = np.arange(num_levels) / max(num_levels - 1, 1)
  return np.round(coarsest * (finest / coarsest) ** exponents).astype(np.int64)


def table_rows(corner, resolutions: np.ndarray, rows: int):
  """`[L, M]` int32 rows in the stacked tables of one corner of every cell.

  corner: its integer `x, y, z`, each `[L, M]` uint32.
  """
  x, y, z = corner
  hashed = ((x * _PRIMES[0]) ^ (y * _PRIMES[1]) ^ (z * _PRIMES[2])) & np.uint32(rows - 1)
  stride = (resolutions + 1).astype(np.uint32)[:, None]
  direct = x + stride * (y + stride * z)
  is_direct = ((resolutions + 1) ** 3 <= rows)[:, None]
  level = (np.arange(len(resolutions)) * rows).astype(np.uint32)[:, None]
  return (jnp.where(is_direct, direct, hashed) + level).astype(jnp.int32)


@jax.custom_vjp
def lookup(tables, index, weights):
  """Interpolated rows: `sum_c weights[c] * tables[index[c]]`.

  tables: `[R, F]`; index: C arrays `[...]` of rows, in range; weights: C arrays
  `[...]`. Returns `[..., F]`.

  The derivative is spelled out because XLA for CPUs fuses C separate gathers
  into one loop but would turn their transposes into C passes over whole tables;
  here all updates go into one table, without ever being stacked.
  """
  return sum(_rows(tables, i) * w[..., None] for i, w in zip(index, weights))


def _lookup_fwd(tables, index, weights):
  return lookup(tables, index, weights), (tables, index, weights)


def _lookup_bwd(residuals, cotangent):
  tables, index, weights = residuals
  table_grad = jnp.zeros_like(tables)
  for i, w in zip(index, weights):
    updates = (w[..., None] * cotangent).reshape(-1, tables.shape[-1])
    table_grad = table_grad.at[i.reshape(-1)].add(updates, mode="promise_in_bounds")
  weight_grad = tuple(jnp.sum(_rows(tables, i) * cotangent, axis=-1) for i in index)
  return table_grad, None, weight_grad


lookup.defvjp(_lookup_fwd, _lookup_bwd)


def _rows(tables, index):
  return jnp.asarray(tables).at[index].get(mode="promise_in_bounds")


def simplex_corners(x, y, z):
  """The 4 corners of the simplex around a point, and barycentric weights.

  x, y, z: coordinates in cells, of one shape `[...]`. Returns 4 corners, each a
  tuple of three uint32 arrays, and 4 weights that sum to one. The simplex
  walks from the cell's low corner to its high corner along one axis at a time,
  the axis with the largest fraction first.
  """
  base, (fx, fy, fz) = _split_cells(x, y, z)
  largest = jnp.maximum(jnp.maximum(fx, fy), fz)
  smallest = jnp.minimum(jnp.minimum(fx, fy), fz)
  middle = fx + fy + fz - largest - smallest
  # The comparisons break ties so that the first and last axis always differ.
  first_x = (fx >= fy) & (fx >= fz)
  first_y = ~first_x & (fy >= fz)
  last_z = (fz <= fx) & (fz <= fy)
  last_y = ~last_z & (fy <= fx)
  first = (first_x, first_y, ~(first_x | first_y))
  not_last = (last_z | last_y, ~last_y, ~last_z)
  corners = [
      base,
      tuple(b + step.astype(jnp.uint32) for b, step in zip(base, first)),
      tuple(b + step.astype(jnp.uint32) for b, step in zip(base, not_last)),
      tuple(b + np.uint32(1) for b in base),
  ]
  weights = (1 - largest, largest - middle, middle - smallest, smallest)
  return corners, weights


def cube_corners(x, y, z):
  """The 8 corners of a point's cell and trilinear weights; as `simplex_corners`."""
  base, fractions = _split_cells(x, y, z)
  corners, weights = [], []
  for bits in np.ndindex(2, 2, 2):
    corners.append(tuple(b + np.uint32(bit) for b, bit in zip(base, bits)))
    factors = [f if bit else 1 - f for f, bit in zip(fractions, bits)]
    weights.append(factors[0] * factors[1] * factors[2])
  return corners, tuple(weights)


CORNERS = {"tetrahedral": simplex_corners, "trilinear": cube_corners}


def _split_cells(x, y, z):
  floors = tuple(jnp.floor(v) for v in (x, y, z))
  fractions = tuple(v - f for v, f in zip((x, y, z), floors))
  return tuple(f.astype(jnp.uint32) for f in floors), fractions


def interpolate_dense(grid, unit_points):
  """Piecewise-linear values `[M]` of a dense `grid [R, R, R]`.

  unit_points: `[M, 3]` in the unit cube, below one; the grid's corners span it.
  """
  size = grid.shape[0]
  scaled = tuple(unit_points[:, axis] * (size - 1) for axis in range(3))
  corners, weights = simplex_corners(*scaled)
  index = tuple(((x * np.uint32(size) + y) * np.uint32(size) + z).astype(jnp.int32)
                for x, y, z in corners)
  return lookup(grid.reshape(-1, 1), index, weights)[:, 0]
