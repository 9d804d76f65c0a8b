"""The hash grid: interpolation is exact, continuous and differentiated rightly."""

import functools

import jax
import jax.numpy as jnp
from jax.test_util import check_grads
import numpy as np
import pytest

from jnerf.fields import hash_grid

KINDS = sorted(hash_grid.CORNERS)


def cell_points():
  """`[M, 3]`, in cells: random ones, ties of every kind, faces, edges, corners."""
  rng = np.random.default_rng(0)
  values = np.array([0.0, 0.25, 0.25, 0.75])
  ties = np.stack(np.meshgrid(values, values, values), -1).reshape(-1, 3)
  return np.concatenate([rng.uniform(0, 4, (200, 3)), ties + rng.integers(0, 3, (64, 3))])


def interpolate(kind, points, corner_values):
  """Values at `points [M, 3]` of a function that is known at integer corners."""
  corners, weights = hash_grid.CORNERS[kind](*points.T)
  at_corners = [corner_values(*(np.asarray(v).astype(np.float64) for v in corner))
                for corner in corners]
  return sum(np.asarray(w) * v for w, v in zip(weights, at_corners))


@pytest.mark.parametrize("kind", KINDS)
def test_weights_are_a_partition_of_one(kind):
  with jax.enable_x64(True):
    points = jnp.asarray(cell_points())
    corners, weights = hash_grid.CORNERS[kind](*points.T)
    assert len(corners) == len(weights) == {"tetrahedral": 4, "trilinear": 8}[kind]
    np.testing.assert_allclose(sum(weights), 1, atol=1e-14)
    assert min(float(jnp.min(weight)) for weight in weights) >= -1e-14
    for corner, weight in zip(corners, weights):
      offsets = np.stack(corner, -1).astype(np.float64) - np.floor(points)
      assert set(np.unique(offsets)) <= {0, 1}
      assert np.max(np.asarray(weight)[np.abs(points - np.stack(corner, -1)).max(1) >= 1],
                    initial=0) == 0  # a corner that is a whole cell away


@pytest.mark.parametrize("kind", KINDS)
def test_linear_functions_and_corner_values_are_exact(kind):
  def linear(x, y, z):
    return 3 * x - 2 * y + 0.5 * z + 1

  def wild(x, y, z):
    return np.sin(12.3 * x + 7.1 * y) * np.cos(5.7 * z + x * y)

  points = cell_points()
  with jax.enable_x64(True):
    np.testing.assert_allclose(interpolate(kind, points, linear), linear(*points.T),
                               atol=1e-12)
    corners = np.floor(points)
    np.testing.assert_allclose(interpolate(kind, corners, wild), wild(*corners.T),
                               atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_interpolation_is_continuous_across_faces_and_simplices(kind):
  def wild(x, y, z):
    return np.sin(12.3 * x + 7.1 * y) * np.cos(5.7 * z + x * y)

  with jax.enable_x64(True):
    points = cell_points()[200:] + 1  # ties lie on the faces between simplices
    here = interpolate(kind, points, wild)
    for direction in np.random.default_rng(1).normal(size=(12, 3)):
      np.testing.assert_allclose(interpolate(kind, points + 1e-9 * direction, wild),
                                 here, atol=1e-7)


def plain_lookup(tables, index, weights):
  return sum(tables[i] * w[..., None] for i, w in zip(index, weights))


def test_lookup_and_its_derivatives_equal_the_plain_formula():
  rng = np.random.default_rng(0)
  tables, weights = rng.normal(size=(11, 2)), tuple(rng.random((4, 3, 5)))
  index = tuple(rng.integers(0, 11, (4, 3, 5), np.int32))  # with many collisions
  cotangent = rng.normal(size=(3, 5, 2))
  with jax.enable_x64(True):
    @functools.partial(jax.jit, static_argnums=0)
    def with_derivatives(lookup, tables, weights):
      values, pullback = jax.vjp(lambda t, w: lookup(t, index, w), tables, weights)
      return values, *pullback(jnp.asarray(cotangent))

    for found, wanted in zip(
        jax.tree.leaves(with_derivatives(hash_grid.lookup, tables, weights)),
        jax.tree.leaves(with_derivatives(plain_lookup, tables, weights)), strict=True):
      assert float(np.max(np.abs(wanted))) > 0.1
      np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-14)


def test_lookup_can_be_differentiated_twice():
  """Shaping differentiates gradients: J itself is a derivative of the lookup."""
  rng = np.random.default_rng(1)
  tables, weights = rng.normal(size=(7, 2)), tuple(rng.random((4, 6)))
  index = tuple(rng.integers(0, 7, (4, 6), np.int32))

  @jax.jit
  def slope(tables, weights):
    return jax.grad(lambda t: jnp.sum(hash_grid.lookup(t, index, weights) ** 3))(tables)

  with jax.enable_x64(True):
    check_grads(slope, (tables, weights), order=1, modes=["rev"], atol=1e-6, rtol=1e-6)


def all_corners(size):
  grid = np.stack(np.meshgrid(*[np.arange(size + 1, dtype=np.uint32)] * 3), -1)
  return tuple(np.tile(grid.reshape(-1, 3)[:, axis], (3, 1)) for axis in range(3))


def test_rows_are_direct_where_they_fit_and_in_range_always():
  resolutions, rows = np.array([2, 5, 16]), 256  # 27, 216 and 4913 corners
  for level, resolution in enumerate(resolutions):
    found = np.asarray(hash_grid.table_rows(all_corners(resolution), resolutions, rows))
    own = found[level]
    assert own.min() >= level * rows and own.max() < (level + 1) * rows
    if (resolution + 1)**3 <= rows:
      assert len(np.unique(own)) == (resolution + 1)**3  # no two corners share a row
    else:
      counts = np.bincount(own - level * rows, minlength=rows)
      assert counts.min() > 0 and counts.max() < 4 * counts.mean()  # spread evenly


def test_levels_grow_geometrically_between_the_two_ends():
  np.testing.assert_array_equal(hash_grid.level_resolutions(6, 16, 512),
                                [16, 32, 64, 128, 256, 512])
  np.testing.assert_array_equal(hash_grid.level_resolutions(1, 16, 512), [16])


@pytest.mark.parametrize("kind", KINDS)
def test_encoding_of_a_direct_level_is_the_interpolated_table(kind):
  """Through the module: layout of levels and features, both ends of the cube."""
  grid = hash_grid.HashGrid(num_levels=2, features_per_level=2, log2_table_size=7,
                            coarsest=3, finest=4, interpolation=kind)
  points = np.random.default_rng(0).uniform(0, 1 - 1e-6, (50, 3)).astype(np.float32)
  points[:2] = [[0, 0, 0], [1 - 1e-6] * 3]
  tables = np.zeros((2 * 128, 2), np.float32)
  for level, resolution in enumerate((3, 4)):
    x, y, z = (v[0] for v in all_corners(resolution))
    row = level * 128 + x + (resolution + 1) * (y + (resolution + 1) * z)
    tables[row, 0] = (x + 2.0 * y - z) / resolution
    tables[row, 1] = level + 1
  encoded = jax.jit(grid.apply)({"params": {"tables": tables}}, points)
  linear = points @ np.float32([1, 2, -1])
  expected = np.stack([linear, 1 + 0 * linear, linear, 2 + 0 * linear], axis=1)
  np.testing.assert_allclose(encoded, expected, atol=1e-5)


def test_dense_grid_interpolates_linear_functions_exactly():
  axis = np.linspace(0, 1, 6)
  x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
  points = np.random.default_rng(0).uniform(0, 1 - 1e-6, (40, 3)).astype(np.float32)
  values = jax.jit(hash_grid.interpolate_dense)(
      (x - 2 * y + 4 * z).astype(np.float32), points)
  np.testing.assert_allclose(values, points @ np.float32([1, -2, 4]), atol=1e-5)
