"""What a lens does to where things are seen, and the way back.

Places are camera coordinates on the plane z = 1, `[..., 2]`. A lens is its
`coefficients [..., C]`, and C says which of OpenCV's models they belong to:

    5   k1, k2, p1, p2, k3    Brown-Conrady: radial terms k, tangential terms p
    4   k1, k2, k3, k4        fisheye (Kannala-Brandt): terms of the angle from the axis

Rays reach less than half a sphere: a fisheye that sees more is cut at `WIDEST`.
Functions take `xnp=jnp` or `xnp=np`.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

BROWN, FISHEYE = 5, 4  # numbers of coefficients
UNDISTORT_STEPS = 8  # of Newton's method, which doubles the digits in each
WIDEST = 1.5  # radians from the axis; beyond, z = 1 is too far out to be of use


def distort(camera_xy, coefficients, xnp=jnp):
  """Where a lens puts what a pinhole would see at `camera_xy [..., 2]`."""
  if coefficients.shape[-1] == BROWN:
    return _brown(camera_xy, coefficients, xnp)[0]
  radius = _radius(camera_xy, xnp)
  return camera_xy * (_bent(xnp.arctan(radius), coefficients, xnp)[0] / radius)


def undistort(distorted_xy, coefficients, xnp=jnp):
  """Undoes `distort` by Newton's method, a fixed number of steps.

  Exact where the model is one to one, as it is over the image that it was
  calibrated on; no answer means anything beyond the radius where it folds back.
  `sees` tells the two apart.
  """
  if coefficients.shape[-1] == BROWN:
    return _undo_brown(distorted_xy, coefficients, xnp)
  radius = _radius(distorted_xy, xnp)
  theta = xnp.minimum(radius, WIDEST)
  for _ in range(UNDISTORT_STEPS):
    bent, slope = _bent(theta, coefficients, xnp)
    slope = xnp.where(xnp.abs(slope) < 1e-3, 1e-3, slope)
    theta = xnp.clip(theta - (bent - radius) / slope, 0.0, WIDEST)
  return distorted_xy * (xnp.tan(theta) / radius)


def sees(distorted_xy: np.ndarray, coefficients: np.ndarray,
         tolerance: float) -> np.ndarray:
  """`[...]` bool: where `undistort` is right to within `tolerance`."""
  with np.errstate(over="ignore", invalid="ignore"):  # where Newton's method runs away
    back = distort(undistort(distorted_xy, coefficients, np), coefficients, np)
    return np.linalg.norm(back - distorted_xy, axis=-1) < tolerance


def _radius(camera_xy, xnp):
  """`[..., 1]` distance from the axis; never 0, since directions divide by it."""
  return xnp.sqrt(xnp.sum(camera_xy**2, axis=-1, keepdims=True) + 1e-24)


def _bent(theta, coefficients, xnp):
  """Fisheye: `(distorted radius, its derivative)` at the angle `theta [..., 1]`."""
  k1, k2, k3, k4 = xnp.moveaxis(coefficients, -1, 0)[..., None]
  t2 = theta * theta
  return (theta * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4)))),
          1 + t2 * (3 * k1 + t2 * (5 * k2 + t2 * (7 * k3 + t2 * 9 * k4))))


def _undo_brown(distorted_xy, coefficients, xnp):
  xy = distorted_xy
  for _ in range(UNDISTORT_STEPS):
    bent, (xx, across, yy) = _brown(xy, coefficients, xnp)
    dx, dy = xnp.moveaxis(bent - distorted_xy, -1, 0)
    # The Jacobian is symmetric; where it is singular the model folds back.
    determinant = xx * yy - across * across
    determinant = xnp.where(xnp.abs(determinant) < 1e-6, 1e-6, determinant)
    step = xnp.stack([yy * dx - across * dy, xx * dy - across * dx], axis=-1)
    xy = xy - step / determinant[..., None]
  return xy


def _brown(camera_xy, coefficients, xnp):
  """The distorted place `[..., 2]` and its derivatives `(dxx, dxy, dyy)`."""
  k1, k2, p1, p2, k3 = xnp.moveaxis(coefficients, -1, 0)
  x, y = xnp.moveaxis(camera_xy, -1, 0)
  r2 = x * x + y * y
  radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
  slope = k1 + r2 * (2 * k2 + r2 * 3 * k3)  # d radial / d r2
  distorted = xnp.stack([
      x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
      y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y], axis=-1)
  across = 2 * x * y * slope + 2 * p1 * x + 2 * p2 * y
  return distorted, (radial + 2 * x * x * slope + 2 * p1 * y + 6 * p2 * x, across,
                     radial + 2 * y * y * slope + 6 * p1 * y + 2 * p2 * x)
