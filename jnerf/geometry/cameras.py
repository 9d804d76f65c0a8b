"""Cameras: pixels to rays, rays to pixels, and distance to depth.

One convention, whatever a format uses: poses map camera to world with OpenCV
axes (x right, y down, z forward), and continuous pixel coordinates put the
centre of pixel `(column i, row j)` at `(i + 0.5, j + 0.5)`, so an image spans
`[0, W] x [0, H]`. `from_integer_centres` is the one place that converts
intrinsics whose pixel centres are at integers.

`intrinsics` is `[..., 4]`, `fx, fy, cx, cy` of a pinhole, or `[..., 8 or 9]` with a
lens's coefficients after them, see `lenses`: photographs are never resampled, rays
leave the camera where the lens bends them.
Functions take `xnp=jnp` or `xnp=np`, so loaders (NumPy) and training steps (JAX)
share them.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from jnerf.geometry import lenses
from jnerf.structs import Rays

PINHOLE = 4  # numbers before a lens's coefficients


def from_integer_centres(intrinsics: np.ndarray) -> np.ndarray:
  """Intrinsics that have pixel centres at integers, in the one convention."""
  shifted = np.array(intrinsics, np.float64)
  shifted[..., 2:4] += 0.5
  return shifted


def scale_intrinsics(intrinsics: np.ndarray, old_size: tuple[int, int],
                     new_size: tuple[int, int]) -> np.ndarray:
  """Intrinsics of an image resized from `old_size` to `new_size`.

  Sizes are `(width, height)`. Focal lengths *and* principal point scale: with
  half-integer pixel centres that is a plain product. Distortion has no unit.
  """
  scale_x, scale_y = (new_size[i] / old_size[i] for i in (0, 1))
  scaled = np.array(intrinsics, np.float64)
  scaled[..., :4] *= [scale_x, scale_y, scale_x, scale_y]
  return scaled


def pinhole_from_fov(width: int, height: int, hfov_degrees: float) -> np.ndarray:
  """`[4]` intrinsics with a centred principal point and square pixels."""
  focal = width / 2 / np.tan(np.radians(hfov_degrees) / 2)
  return np.array([focal, focal, width / 2, height / 2])


def pixel_directions(xy, intrinsics, xnp=jnp):
  """`[..., 3]` camera-space directions with z = 1 through `xy [..., 2]`.

  xy: continuous pixel coordinates; a pixel's centre is its index + 0.5.
  intrinsics: `[..., 4, 8 or 9]`, with the same leading shape as `xy`.
  """
  camera_xy = (xy - intrinsics[..., 2:4]) / intrinsics[..., :2]
  if intrinsics.shape[-1] > PINHOLE:
    camera_xy = lenses.undistort(camera_xy, intrinsics[..., PINHOLE:], xnp)
  return xnp.concatenate([camera_xy, xnp.ones_like(camera_xy[..., :1])], axis=-1)


def cast_rays(xy, cam_to_world, intrinsics, near: float, far: float,
              xnp=jnp) -> Rays:
  """Rays through the continuous pixel coordinates `xy [N, 2]`.

  cam_to_world: `[N, 4, 4]`; intrinsics: `[N, 4, 8 or 9]`, one per ray.
  near, far: scalars, distances along every ray.
  """
  camera_directions = pixel_directions(xy, intrinsics, xnp)
  directions = xnp.einsum("nij,nj->ni", cam_to_world[:, :3, :3], camera_directions)
  viewdirs = directions / xnp.linalg.norm(directions, axis=-1, keepdims=True)
  ones = xnp.ones_like(viewdirs[:, :1])
  return Rays(origins=cam_to_world[:, :3, 3], directions=viewdirs,
              viewdirs=viewdirs, near=near * ones, far=far * ones)


def pixel_centres(width: int, height: int) -> np.ndarray:
  """`[H, W, 2]` float32 coordinates of all pixel centres of an image."""
  x, y = np.meshgrid(np.arange(width), np.arange(height))
  return (np.stack([x, y], axis=-1) + 0.5).astype(np.float32)


def view_rays(cam_to_world, intrinsics, size: tuple[int, int], near: float,
              far: float) -> Rays:
  """All H * W rays of one view on the host, row by row, float32.

  cam_to_world: `[4, 4]`; intrinsics: `[4, 8 or 9]`; size: `(width, height)`.
  """
  xy = pixel_centres(*size).reshape(-1, 2)
  rays = cast_rays(
      xy, np.broadcast_to(np.asarray(cam_to_world, np.float32), (len(xy), 4, 4)),
      _repeated(np.asarray(intrinsics, np.float32), xy), near, far, xnp=np)
  return rays.replace(near=rays.near.astype(np.float32),
                      far=rays.far.astype(np.float32))


def distance_per_depth(intrinsics, size: tuple[int, int]) -> np.ndarray:
  """`[H, W]` ray length per unit of depth: `distance = depth * this`."""
  xy = pixel_centres(*size)
  directions = pixel_directions(xy, _repeated(np.asarray(intrinsics), xy), np)
  return np.linalg.norm(directions, axis=-1)


def seen_by_lens(intrinsics: np.ndarray, size: tuple[int, int]) -> np.ndarray:
  """`[H, W]` bool: the pixels of one camera whose rays are known, to a 20th pixel.

  False in the corners of a fisheye that sees more than rays can reach, and where a
  lens's polynomial folds back, beyond what it was calibrated on.
  """
  xy = pixel_centres(*size).astype(np.float64)
  if len(intrinsics) == PINHOLE:
    return np.ones(xy.shape[:2], bool)
  camera_xy = (xy - intrinsics[2:4]) / intrinsics[:2]
  return lenses.sees(camera_xy, _repeated(intrinsics[PINHOLE:], xy),
                     0.05 / np.max(intrinsics[:2]))


def _repeated(intrinsics: np.ndarray, xy: np.ndarray) -> np.ndarray:
  """One camera's intrinsics for every place of `xy [..., 2]`."""
  return np.broadcast_to(intrinsics, (*xy.shape[:-1], intrinsics.shape[-1]))


def project(points, cam_to_world, intrinsics, xnp=jnp):
  """World points `[N, 3]` to `(xy [N, 2], depth [N])` in one camera.

  cam_to_world: `[4, 4]`; intrinsics: `[4, 8 or 9]`.
  Points behind the camera have depth <= 0 and meaningless `xy`.
  """
  rotation, centre = cam_to_world[:3, :3], cam_to_world[:3, 3]
  camera = (points - centre[None]) @ rotation
  depth = camera[:, 2]
  camera_xy = camera[:, :2] / depth[:, None]
  if intrinsics.shape[-1] > PINHOLE:
    camera_xy = lenses.distort(camera_xy, intrinsics[None, PINHOLE:], xnp)
  return camera_xy * intrinsics[None, :2] + intrinsics[None, 2:4], depth
