"""The space that a model covers: what a field sees of world points, where rays go.

A `Space` is what field and sampler must agree on, and all that differs between a room,
a scene without end, and one that is seen from one side:

  Box         the inside of a box, as it is; samples are even in distance.
  Contracted  all of space, drawn together outside a box; samples thin out with distance.
  Ndc         all that lies before cameras that face one way, to infinity; samples are
              even in 1 / depth.

Spaces are frozen, hashable values of plain numbers, so that they can be attributes of
modules and static arguments. `points [..., 3]` are in world coordinates.
"""

from __future__ import annotations

import abc
import dataclasses

import jax.numpy as jnp
import numpy as np

from jnerf.errors import InputError
from jnerf.geometry.poses import average_pose, face_one_way
from jnerf.rendering import distances
from jnerf.structs import Rays

_BELOW_ONE = 1.0 - 1e-6  # so that the high corner of a grid's last cell still exists


class Space(abc.ABC):
  """How points become coordinates and how rays are divided; see the module."""

  @abc.abstractmethod
  def coordinates(self, points):
    """`[..., 3]`, the part of space shown in most detail within [-1, 1]; unclipped."""

  @abc.abstractmethod
  def unit_cube(self, points):
    """`[..., 3]` in [0, 1), for grids; what lies outside is clipped to the faces."""

  @property
  @abc.abstractmethod
  def unit(self) -> float:
    """Length in the world of about one unit of `coordinates`, where detail is finest.

    Densities are measured in it, so that a fresh field is the same thin fog whatever
    the units of the scene are.
    """

  def clip(self, rays: Rays) -> Rays:
    """`rays` with near and far at the ends of what `unit_cube` holds unclipped."""
    return rays

  @abc.abstractmethod
  def edges(self, rays: Rays, num_samples: int, jitter=None):
    """`[N, S + 1]` edges `t` of intervals that look about even in `coordinates`.

    jitter: as in `rendering.distances`.
    """


@dataclasses.dataclass(frozen=True)
class Box(Space):
  """The inside of the axis-aligned box `bounds`, `((x, y, z) low, (x, y, z) high)`."""

  bounds: tuple

  @classmethod
  def of(cls, bounds) -> Box:
    """The space of `bounds [2, 3]`, an array."""
    return cls(tuple(tuple(float(v) for v in corner) for corner in bounds))

  @property
  def longest_side(self) -> float:
    """Length of the box's longest side."""
    return max(high - low for low, high in zip(*self.bounds))

  def coordinates(self, points):
    low, high = (_for(points, corner) for corner in self.bounds)
    return (points - (low + high) / 2) / (self.longest_side / 2)

  def unit_cube(self, points):
    """From the low corner on, by the longest side."""
    return jnp.clip((points - _for(points, self.bounds[0])) / self.longest_side, 0.0,
                    _BELOW_ONE)

  @property
  def unit(self) -> float:
    return self.longest_side / 2

  def clip(self, rays: Rays) -> Rays:
    """The part of each ray inside the box.

    A ray that misses the box keeps a sliver at its near end, so that distances
    stay ascending.
    """
    low, high = (_for(rays.origins, corner) for corner in self.bounds)
    safe = jnp.where(jnp.abs(rays.directions) < 1e-9, 1e-9, rays.directions)
    a, b = (low - rays.origins) / safe, (high - rays.origins) / safe
    enter = jnp.max(jnp.minimum(a, b), axis=-1, keepdims=True)
    leave = jnp.min(jnp.maximum(a, b), axis=-1, keepdims=True)
    near = jnp.clip(enter, rays.near, rays.far)
    far = jnp.maximum(jnp.clip(leave, rays.near, rays.far), near + 1e-4 * rays.far)
    return rays.replace(near=near, far=far)

  def edges(self, rays: Rays, num_samples: int, jitter=None):
    return distances.uniform(rays.near, rays.far, num_samples, jitter)


@dataclasses.dataclass(frozen=True)
class Contracted(Box):
  """All of space: the cube around `bounds` is [-1, 1]^3, infinity is 2.

  Mip-NeRF 360 (Barron et al. 2022, eq. 10) with the maximum norm in place of the
  Euclidean one, so that space fills the cube that grids cover. Densities are per
  length in the world, in half sides of the cube everywhere.
  """

  def coordinates(self, points):
    x = super().coordinates(points)
    norm = jnp.maximum(jnp.max(jnp.abs(x), axis=-1, keepdims=True), 1.0)
    return x * (2 - 1 / norm) / norm  # as it is where the norm is at most one

  def unit_cube(self, points):
    return jnp.clip((self.coordinates(points) + 2) / 4, 0.0, _BELOW_ONE)

  def clip(self, rays: Rays) -> Rays:
    return rays

  def edges(self, rays: Rays, num_samples: int, jitter=None):
    return distances.thinning(rays.near, rays.far, num_samples, jitter,
                              radius=self.longest_side / 2)


@dataclasses.dataclass(frozen=True)
class Ndc(Space):
  """Normalised device coordinates of a reference camera, as NeRF's for LLFF captures.

  Mildenhall et al. (2020), appendix C, with the axes of OpenCV (the paper's y and z
  point the other way): a point `(x, y, z)` of the reference camera is at
  `(x / (z tan_x), y / (z tan_y), 1 - 2 near / z)`: the camera's frame spans [-1, 1],
  the plane `z = near` is at -1 and infinity at 1. What is nearer is taken to that plane.

  The map is projective and keeps lines straight, so NeRF's straight march through these
  coordinates is a march through the world with edges even in 1 / z; rays stay in the
  world, and with them distances, depth and all that is rendered.

  Densities are per length in the world, in units of `near` everywhere. NeRF's are per
  length in NDC, of which a ray passes about 2 near / z^2 per length in the world; a
  far surface then needs as large a number as a near one to be opaque, and is learnt
  later (walls at depths 2, 4 and 30: 28.5 dB on training rays after 1200 steps, and
  33.1 dB as it is here).

  world_to_camera: 3 rows of 4 numbers; tangents: of half the fields of view.
  near: depth of the near plane.
  """

  world_to_camera: tuple
  tangents: tuple
  near: float

  # Views beside the reference see past its frame: a grid reaches this far.
  REACH = (1.5, 1.5, 1.0)
  MIN_SLOPE = 0.05  # of a ray against the near plane, where edges are placed

  @classmethod
  def of(cls, cam_to_world, intrinsics, size, near: float) -> Ndc:
    """For views with poses `[V, 4, 4]` and intrinsics `[V, 4, 8 or 9]` of images of
    `size`, which see nothing nearer than `near`. Raises `InputError` unless they face
    one way.
    """
    if not face_one_way(cam_to_world):
      raise InputError("scene.ndc=yes: needs cameras that all face one way; these do "
                       "not, set scene.ndc=no")
    matrix = np.linalg.inv(average_pose(cam_to_world))[:3]
    # Cameras that stand back see things before the reference camera's own near plane.
    back = np.min(cam_to_world[:, :3, 3] @ matrix[2, :3] + matrix[2, 3])
    half_size = np.array(size) / 2
    return cls(tuple(map(tuple, matrix.tolist())),
               tuple((half_size / intrinsics[:, :2].mean(axis=0)).tolist()),
               float(max(near + back, near / 4)))

  def coordinates(self, points):
    x, y, z = self._in_camera(points)
    tan_x, tan_y = self.tangents
    z = jnp.maximum(z, self.near)
    return jnp.stack([x / (z * tan_x), y / (z * tan_y), 1 - 2 * self.near / z], axis=-1)

  def unit_cube(self, points):
    reach = _for(points, self.REACH)
    return jnp.clip((self.coordinates(points) / reach + 1) / 2, 0.0, _BELOW_ONE)

  @property
  def unit(self) -> float:
    return self.near

  def edges(self, rays: Rays, num_samples: int, jitter=None):
    """From where the ray passes the near plane, or from its own near end if later."""
    depth = self._in_camera(rays.origins)[2][:, None]
    slope = self._turned(rays.directions)[2][:, None]
    # A ray that hardly goes away from the cameras is divided as if it went a little.
    slope = jnp.maximum(slope, self.MIN_SLOPE)
    near = jnp.clip((self.near - depth) / slope, rays.near, 0.99 * rays.far)
    behind = jnp.maximum(depth + near * slope, self.near) / slope - near
    return distances.inverse(near, rays.far, num_samples, jitter, behind=behind)

  def _in_camera(self, points):
    """Coordinates `x, y, z`, each `[...]`, in the reference camera."""
    return [part + row[3] for part, row in zip(self._turned(points),
                                               self.world_to_camera)]

  def _turned(self, vectors):
    """`x, y, z` of `vectors [..., 3]` along the axes of the reference camera."""
    return [sum(factor * vectors[..., axis] for axis, factor in enumerate(row[:3]))
            for row in self.world_to_camera]


def _for(points, corner):
  """Three numbers as an array that broadcasts with `points [..., 3]`."""
  return jnp.asarray(corner, points.dtype).reshape((1,) * (points.ndim - 1) + (3,))
