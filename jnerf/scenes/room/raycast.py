"""Exact rays against boxes, cylinders and spheres, in NumPy.

All rays of one call leave one point: a camera's pixels do, and so do shadow
rays when they are followed from the light. That makes culling cheap: a shape is
tried only on the rays inside the cone of its bounding sphere.

Every shape is a closed solid that stands upright and may be turned about z by
`yaw` (radians). `distance` is along unit directions; a ray that starts inside a
solid hits its far side. Its *local* frame has the origin at the shape's centre
and the axes turned with it.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import functools

import numpy as np

_TINY = 1e-12  # stands in for a direction component of exactly zero
_CONE_MARGIN = 1e-6  # cosines for culling are in single precision


@dataclasses.dataclass(frozen=True)
class Shape:
  """What all solids share.

  center: `(x, y, z)` in world coordinates; yaw: turn about z, radians.
  """

  center: tuple[float, float, float]
  yaw: float = dataclasses.field(default=0.0, kw_only=True)

  @functools.cached_property
  def rotation(self) -> np.ndarray:
    """`[3, 3]` local to world; `vectors @ rotation` goes the other way."""
    cos, sin = np.cos(self.yaw), np.sin(self.yaw)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])

  def to_local(self, points: np.ndarray) -> np.ndarray:
    """World points `[..., 3]` in the shape's own frame."""
    return (points - np.asarray(self.center)) @ self.rotation

  def intersect(self, origin: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """`[N]` distances from `origin [3]` along unit `directions [N, 3]`, or inf."""
    start = self.to_local(origin)
    local = self.rotation.T @ directions.T
    local[np.abs(local) < _TINY] = _TINY
    enter, leave = self._interval(start, local)
    # NaN stands for "misses" in either end and compares false.
    hit = (leave >= enter) & (leave > 0.0)
    return np.where(hit, np.where(enter > 0.0, enter, leave), np.inf)

  def normals(self, points: np.ndarray) -> np.ndarray:
    """Outward unit normals `[N, 3]` at world `points [N, 3]` on the surface."""
    return self.local_normals(self.to_local(points)) @ self.rotation.T


@dataclasses.dataclass(frozen=True)
class Box(Shape):
  """A cuboid; `half` are its half extents along its own axes."""

  half: tuple[float, float, float]

  @property
  def bounding_radius(self) -> float:
    """Radius of the sphere around `center` that holds the solid."""
    return float(np.linalg.norm(self.half))

  def _interval(self, start, directions):
    # The three slabs between opposite faces.
    middle = -start[:, None] / directions
    reach = np.asarray(self.half)[:, None] / np.abs(directions)
    return (middle - reach).max(0), (middle + reach).min(0)

  def local_normals(self, points):
    """Outward unit normals `[N, 3]` at local `points [N, 3]` on the surface."""
    axis = np.argmax(np.abs(points) - np.asarray(self.half), axis=-1)
    normals = np.zeros_like(points)
    rows = np.arange(len(points))
    normals[rows, axis] = np.where(points[rows, axis] < 0.0, -1.0, 1.0)
    return normals

  def signed_distance(self, points: np.ndarray) -> np.ndarray:
    """`[...]` distance of world points `[..., 3]` to the surface, < 0 inside."""
    excess = np.abs(self.to_local(points)) - np.asarray(self.half)
    outside = np.linalg.norm(np.maximum(excess, 0.0), axis=-1)
    return outside + np.minimum(excess.max(-1), 0.0)


@dataclasses.dataclass(frozen=True)
class Cylinder(Shape):
  """A closed upright cylinder.

  radius: of its circle; half_height: half the extent along its axis.
  """

  radius: float
  half_height: float

  @property
  def bounding_radius(self) -> float:
    return float(np.hypot(self.radius, self.half_height))

  def _interval(self, start, directions):
    middle = -start[2] / directions[2]
    reach = self.half_height / np.abs(directions[2])
    enter, leave = _quadratic_interval(start[:2], directions[:2], self.radius)
    return np.maximum(middle - reach, enter), np.minimum(middle + reach, leave)

  def local_normals(self, points):
    radial = np.linalg.norm(points[:, :2], axis=-1, keepdims=True)
    cap = (np.abs(points[:, 2:]) - self.half_height) > radial - self.radius
    side = np.concatenate(
        [points[:, :2] / np.maximum(radial, _TINY), np.zeros_like(radial)], -1)
    up = np.array([[0.0, 0.0, 1.0]]) * np.sign(points[:, 2:])
    return np.where(cap, up, side)

  def signed_distance(self, points: np.ndarray) -> np.ndarray:
    """`[...]` distance of world points `[..., 3]` to the surface, < 0 inside."""
    local = self.to_local(points)
    excess = np.stack([np.linalg.norm(local[..., :2], axis=-1) - self.radius,
                       np.abs(local[..., 2]) - self.half_height], axis=-1)
    outside = np.linalg.norm(np.maximum(excess, 0.0), axis=-1)
    return outside + np.minimum(excess.max(-1), 0.0)


@dataclasses.dataclass(frozen=True)
class Sphere(Shape):
  """A ball."""

  radius: float

  @property
  def bounding_radius(self) -> float:
    return self.radius

  def _interval(self, start, directions):
    return _quadratic_interval(start, directions, self.radius)

  def local_normals(self, points):
    return points / np.linalg.norm(points, axis=-1, keepdims=True)

  def signed_distance(self, points: np.ndarray) -> np.ndarray:
    """`[...]` distance of world points `[..., 3]` to the surface, < 0 inside."""
    return np.linalg.norm(self.to_local(points), axis=-1) - self.radius


def _quadratic_interval(start, directions, radius):
  """Where `|start + t * directions| <= radius`: `(enter, leave)`, NaN if never.

  start: `[D]`; directions: `[D, N]`.
  """
  square = np.sum(directions**2, axis=0)
  half_slope = start @ directions
  root = half_slope**2 - square * (start @ start - radius**2)
  root = np.sqrt(np.where(root < 0.0, np.nan, root))
  return (-half_slope - root) / square, (-half_slope + root) / square


def cast(origin: np.ndarray, directions: np.ndarray,
         shapes: Sequence[Shape]) -> tuple[np.ndarray, np.ndarray]:
  """The first shape that each ray from `origin [3]` meets.

  Args:
    origin: `[3]` common start of the rays.
    directions: `[N, 3]` of unit length.
    shapes: the solids.

  Returns:
    `(distance [N], index [N])`: inf and -1 where a ray meets nothing.
  """
  distance = np.full(len(directions), np.inf)
  index = np.full(len(directions), -1)
  to_centers = np.array([shape.center for shape in shapes]).reshape(-1, 3) - origin
  ranges = np.linalg.norm(to_centers, axis=-1)
  radii = np.array([shape.bounding_radius for shape in shapes])
  sines = np.minimum(radii / np.maximum(ranges, _TINY), 1.0)
  # From within a bounding sphere every direction may meet the shape.
  cones = np.where(sines < 1.0, np.sqrt(1.0 - sines**2) - _CONE_MARGIN, -2.0)
  axes = to_centers / np.maximum(ranges, _TINY)[:, None]
  cosines = axes.astype(np.float32) @ directions.T.astype(np.float32)
  for i, shape in enumerate(shapes):
    rows = np.flatnonzero(cosines[i] > np.float32(cones[i]))
    if not rows.size:
      continue
    crossing = shape.intersect(origin, directions[rows])
    closer = crossing < distance[rows]
    distance[rows[closer]] = crossing[closer]
    index[rows[closer]] = i
  return distance, index


def clearance(point: np.ndarray, shapes: Sequence[Shape]) -> float:
  """Distance from `point [3]` to the nearest surface; negative inside a solid."""
  return min(float(shape.signed_distance(point)) for shape in shapes)
