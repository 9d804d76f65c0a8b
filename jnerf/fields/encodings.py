"""Fixed encodings of positions and directions: octaves and spherical harmonics."""

from __future__ import annotations

import jax.numpy as jnp


def octaves(x, num_octaves: int):
  """Positional encoding of NeRF (Mildenhall et al. 2020, eq. 4), with `x` itself.

  x: `[..., D]`; returns `[..., D * (1 + 2 * num_octaves)]`: `x`, then
  `sin(2^k x), cos(2^k x)` for k = 0 .. num_octaves - 1 (no factor pi, as in the
  public code of NeRF and of JacobiNeRF).
  """
  scales = 2.0 ** jnp.arange(num_octaves, dtype=x.dtype)
  scaled = x[..., None, :] * scales.reshape((1,) * (x.ndim - 1) + (-1, 1))
  waves = jnp.concatenate([jnp.sin(scaled), jnp.cos(scaled)], axis=-1)
  return jnp.concatenate([x, waves.reshape(*x.shape[:-1], -1)], axis=-1)


def spherical_harmonics(directions):
  """The 16 real spherical harmonics of degrees 0-3 at unit `directions [..., 3]`.

  Constants as in Ramamoorthi & Hanrahan (2001) and Sloan (2008).
  """
  x, y, z = jnp.moveaxis(directions, -1, 0)
  xx, yy, zz = x * x, y * y, z * z
  return jnp.stack([
      jnp.full_like(x, 0.28209479177387814),
      -0.48860251190291987 * y,
      0.48860251190291987 * z,
      -0.48860251190291987 * x,
      1.0925484305920792 * x * y,
      -1.0925484305920792 * y * z,
      0.31539156525252005 * (3 * zz - 1),
      -1.0925484305920792 * x * z,
      0.5462742152960396 * (xx - yy),
      -0.5900435899266435 * y * (3 * xx - yy),
      2.890611442640554 * x * y * z,
      -0.4570457994644658 * y * (5 * zz - 1),
      0.3731763325901154 * z * (5 * zz - 3),
      -0.4570457994644658 * x * (5 * zz - 1),
      1.445305721320277 * z * (xx - yy),
      -0.5900435899266435 * x * (xx - 3 * yy),
  ], axis=-1)
