"""Octaves against their formula, spherical harmonics against their own definition."""

import jax
import jax.numpy as jnp
import numpy as np

from jnerf.fields import encodings


def test_octaves_equal_the_formula():
  x = np.random.default_rng(0).uniform(-1, 1, (2, 4, 3)).astype(np.float32)
  columns = [x]
  for k in range(3):
    columns += [np.sin(2**k * x), np.cos(2**k * x)]
  encoded = encodings.octaves(x, 3)
  assert encoded.shape == (2, 4, 21)
  np.testing.assert_allclose(encoded, np.concatenate(columns, axis=-1), atol=1e-6)
  np.testing.assert_array_equal(encodings.octaves(x, 0), x)


def sphere_quadrature():
  """Directions `[M, 3]` and weights `[M]`, exact for polynomials up to degree 7."""
  z, z_weights = np.polynomial.legendre.leggauss(8)
  phi = (np.arange(16) + 0.3) * 2 * np.pi / 16
  z, phi = np.meshgrid(z, phi, indexing="ij")
  radius = np.sqrt(1 - z**2)
  directions = np.stack([radius * np.cos(phi), radius * np.sin(phi), z], axis=-1)
  return directions.reshape(-1, 3), np.repeat(z_weights * 2 * np.pi / 16, 16)


def test_spherical_harmonics_are_orthonormal():
  directions, weights = sphere_quadrature()
  with jax.enable_x64(True):
    values = np.asarray(encodings.spherical_harmonics(jnp.asarray(directions)))
  np.testing.assert_allclose(values.T * weights @ values, np.eye(16), atol=1e-12)


def test_spherical_harmonics_of_a_degree_turn_into_each_other():
  """The sum of squares within a degree is the same in all directions."""
  directions, _ = sphere_quadrature()
  values = np.asarray(encodings.spherical_harmonics(directions.astype(np.float32)))
  for degree in range(4):
    block = values[:, degree**2:(degree + 1)**2]
    np.testing.assert_allclose(np.sum(block**2, axis=1),
                               (2 * degree + 1) / (4 * np.pi), rtol=1e-5)


def test_spherical_harmonics_keep_leading_axes():
  directions = np.zeros((2, 3, 3), np.float32)
  assert encodings.spherical_harmonics(directions).shape == (2, 3, 16)
