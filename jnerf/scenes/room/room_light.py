"""Light of the procedural room, baked once onto the surfaces.

Light does not depend on the view, so it is computed at the nodes of a grid on
every face of every solid and interpolated: shadows are soft, the same from all
sides, and free while rendering. A *chart* `uv [N, 2]` unrolls a face: the two
other axes on a box's six faces and on a cylinder's caps, (angle, z) on its side
and on a sphere.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses

import numpy as np

from jnerf.scenes.room import raycast

_SPACING = 0.06  # metres between nodes
_OTHER_AXES = np.array([[1, 2], [0, 2], [0, 1]])
_TOLERANCE = 1e-4  # metres by which a shadow ray may end early


@dataclasses.dataclass(frozen=True)
class Light:
  """A small lamp; several together make one with an extent.

  position: `[3]`; power: `[3]` irradiance at 1 m, linear RGB.
  radius: metres; a lamp with an extent is not infinitely bright close by.
  """

  position: np.ndarray
  power: np.ndarray
  radius: float = 0.3


@dataclasses.dataclass(frozen=True)
class Lightmap:
  """Irradiance on one solid.

  first: `[faces]` row of a face's first node in `nodes`.
  lo, step: `[faces, 2]` where its grid starts and how far apart nodes are.
  count: `[faces, 2]` how many nodes it has.
  nodes: `[M, 3]` irradiance, linear RGB.
  """

  first: np.ndarray
  lo: np.ndarray
  step: np.ndarray
  count: np.ndarray
  nodes: np.ndarray

  def irradiance(self, shape: raycast.Shape, points: np.ndarray) -> np.ndarray:
    """`[N, 3]` at `points [N, 3]` on the surface, in the solid's own frame."""
    face, uv = _to_chart(shape, points)
    place = (uv - self.lo[face]) / self.step[face]
    cell = np.clip(np.floor(place).astype(int), 0, self.count[face] - 2)
    share = np.clip(place - cell, 0.0, 1.0)
    row_length = self.count[face, 1]
    corner = self.first[face] + cell[:, 0] * row_length + cell[:, 1]
    total = 0.0
    for du in (0, 1):
      for dv in (0, 1):
        weight = np.abs(1 - du - share[:, 0]) * np.abs(1 - dv - share[:, 1])
        total = total + weight[:, None] * np.take(
            self.nodes, corner + du * row_length + dv, axis=0)
    return total


def bake(shapes: Sequence[raycast.Shape], lights: Sequence[Light],
         blockers: Sequence[raycast.Shape], ambient: np.ndarray) -> list[Lightmap]:
  """One lightmap per shape: Lambert's law, shadows of `blockers`, `ambient [3]`."""
  grids = [_grid(shape) for shape in shapes]
  nodes = [_node_surface(shape, grid) for shape, grid in zip(shapes, grids)]
  points, normals = (np.concatenate(arrays) for arrays in zip(*nodes))
  light = np.tile(ambient, (len(points), 1)).astype(np.float32)
  for lamp in lights:
    light += _direct(points, normals, lamp, blockers)
  ends = np.cumsum([len(points) for points, _ in nodes])[:-1]
  return [Lightmap(*grid, baked) for grid, baked in zip(grids, np.split(light, ends))]


def _direct(points, normals, lamp: Light, blockers) -> np.ndarray:
  """`[N, 3]` irradiance from one small lamp, 0 in its shadow."""
  ray = points - lamp.position
  distance = np.linalg.norm(ray, axis=-1)
  ray /= np.maximum(distance, 1e-9)[:, None]  # a lamp may sit on a node
  facing = -np.sum(normals * ray, axis=-1)
  lit = np.flatnonzero(facing > 0.0)
  # Followed from the lamp, so that all shadow rays leave one point.
  first, _ = raycast.cast(lamp.position, ray[lit], blockers)
  lit = lit[first > distance[lit] - _TOLERANCE]
  irradiance = np.zeros(points.shape, np.float32)
  falloff = facing[lit] / (distance[lit] ** 2 + lamp.radius**2)
  irradiance[lit] = falloff[:, None] * lamp.power
  return irradiance


def _extents(shape: raycast.Shape) -> tuple[np.ndarray, np.ndarray]:
  """Chart corners and lengths in metres, each `[faces, 2, ...]` by kind."""
  if isinstance(shape, raycast.Box):
    half = np.repeat(np.asarray(shape.half)[_OTHER_AXES], 2, axis=0)
    return half, 2.0 * half
  turn = np.array([np.pi, shape.radius])  # a sphere's z reaches its radius
  length = np.array([2.0 * np.pi * shape.radius, 2.0 * shape.radius])
  if isinstance(shape, raycast.Sphere):
    return turn[None], length[None]
  turn[1], length[1] = shape.half_height, 2.0 * shape.half_height
  caps = np.full((2, 2), shape.radius)
  return np.vstack([caps, turn[None]]), np.vstack([2.0 * caps, length[None]])


def _grid(shape):
  """`(first, lo, step, count)` of the faces of a shape; see `Lightmap`."""
  half, length = _extents(shape)
  count = np.ceil(length / _SPACING).astype(int) + 1
  count = np.maximum(count, 2)
  first = np.concatenate([[0], np.cumsum(count.prod(-1))[:-1]])
  step = 2.0 * half / (count - 1)
  return first, -half.astype(np.float32), step.astype(np.float32), count


def _node_surface(shape, grid) -> tuple[np.ndarray, np.ndarray]:
  """World points and normals `[M, 3]` of all nodes of a shape, face by face."""
  _, lo, step, count = grid
  points, normals = [], []
  for face in range(len(count)):
    cells = np.indices(count[face]).reshape(2, -1).T
    local, normal = _from_chart(shape, face, lo[face] + cells * step[face])
    points.append(local @ shape.rotation.T + np.asarray(shape.center))
    normals.append(normal @ shape.rotation.T)
  return np.concatenate(points), np.concatenate(normals)


def _to_chart(shape, points) -> tuple[np.ndarray, np.ndarray]:
  """Face and chart coordinates of local surface points `[N, 3]`."""
  if isinstance(shape, raycast.Box):
    axis = np.argmax(np.abs(points) - np.asarray(shape.half, points.dtype), axis=-1)
    rows = np.arange(len(points))
    face = 2 * axis + (points[rows, axis] > 0.0)
    return face, points[rows[:, None], _OTHER_AXES[axis]]
  around = np.stack([np.arctan2(points[:, 1], points[:, 0]), points[:, 2]], axis=-1)
  if isinstance(shape, raycast.Sphere):
    return np.zeros(len(points), int), around
  along = shape.local_normals(points)[:, 2]
  face = np.where(along == 0.0, 2, (along > 0.0).astype(int))
  return face, np.where(along[:, None] == 0.0, around, points[:, :2])


def _from_chart(shape, face: int, uv) -> tuple[np.ndarray, np.ndarray]:
  """Local points and outward normals at chart coordinates of one face."""
  points, normals = np.zeros((len(uv), 3)), np.zeros((len(uv), 3))
  if isinstance(shape, raycast.Box):
    axis, sign = face // 2, 2.0 * (face % 2) - 1.0
    points[:, _OTHER_AXES[axis]], normals[:, axis] = uv, sign
    points[:, axis] = sign * shape.half[axis]
    return points, normals
  if isinstance(shape, raycast.Cylinder) and face < 2:
    sign = 2.0 * face - 1.0
    points[:, :2], points[:, 2], normals[:, 2] = uv, sign * shape.half_height, sign
    return points, normals
  radius = np.full(len(uv), shape.radius)
  if isinstance(shape, raycast.Sphere):
    radius = np.sqrt(np.maximum(shape.radius**2 - uv[:, 1] ** 2, 0.0))
  points[:, 0], points[:, 1] = radius * np.cos(uv[:, 0]), radius * np.sin(uv[:, 0])
  points[:, 2] = uv[:, 1]
  normals[:, :2] = points[:, :2]
  if isinstance(shape, raycast.Sphere):
    normals[:, 2] = uv[:, 1]
  return points, normals / np.linalg.norm(normals, axis=-1, keepdims=True)
