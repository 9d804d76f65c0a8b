"""Points and normals from depth: closed forms on planes, spheres and edges."""

import jax.numpy as jnp
import numpy as np
import pytest

from jnerf.geometry import cameras, surfaces
from jnerf.geometry.poses import look_at

SIZE = (20, 14)
CAMERA = np.array([18.0, 17.0, 9.5, 7.2])
POSE = look_at((1.0, -2.0, 0.5), (0.3, 0.2, 1.0))


def rays():
  xy = cameras.pixel_centres(*SIZE)
  directions = cameras.pixel_directions(
      xy, np.broadcast_to(CAMERA, (*xy.shape[:2], 4)), np)
  return directions @ POSE[:3, :3].T


def depth_of_plane(normal, offset):
  """Depth at which the rays meet `normal . x = offset`."""
  return (offset - POSE[:3, 3] @ normal) / (rays() @ normal)


@pytest.mark.parametrize("xnp", [np, jnp])
def test_points_lie_where_their_pixels_look(xnp):
  depth = np.random.default_rng(0).uniform(1, 3, SIZE[::-1])
  points = np.asarray(surfaces.points_of_depth(
      xnp.asarray(depth), xnp.asarray(POSE), xnp.asarray(CAMERA), xnp))
  xy, z = cameras.project(points.reshape(-1, 3), POSE, CAMERA, xnp=np)
  np.testing.assert_allclose(xy.reshape(*depth.shape, 2), cameras.pixel_centres(*SIZE),
                             atol=1e-4)
  np.testing.assert_allclose(z.reshape(depth.shape), depth, rtol=1e-5)


def test_a_grid_of_cells_is_a_small_image():
  full, grid = (80, 60), (9, 7)
  extent = (0.05, 0.1, 0.95, 0.8)
  cells = surfaces.cells_as_pixels(CAMERA, full, grid, extent)
  middle = np.array([[2.5, 4.5]])  # of cell (4, 2), whose place in the image is
  place = (np.array(extent[:2]) + middle / grid * [0.9, 0.7]) * full
  np.testing.assert_allclose(
      cameras.pixel_directions(middle, cells[None], np),
      cameras.pixel_directions(place, CAMERA[None], np), atol=1e-12)
  np.testing.assert_allclose(surfaces.cells_as_pixels(CAMERA, full, grid),
                             cameras.scale_intrinsics(CAMERA, full, grid))


def test_normals_of_a_plane_and_of_a_sphere_face_the_camera():
  normal = np.array([0.3, -0.8, 0.2]) / np.linalg.norm([0.3, -0.8, 0.2])
  points = surfaces.points_of_depth(depth_of_plane(normal, 0.4), POSE, CAMERA, np)
  found = surfaces.normals_of_points(points, POSE[:3, 3])
  facing = normal * np.sign(normal @ (POSE[:3, 3] - points[0, 0]))
  np.testing.assert_allclose(found, np.broadcast_to(facing, found.shape), atol=1e-9)
  angle = np.linspace(-0.3, 0.3, 61)
  a, b = np.meshgrid(angle, angle)
  sphere = np.stack([np.sin(a), np.sin(b), -np.sqrt(1 - np.sin(a)**2 - np.sin(b)**2)], -1)
  found = surfaces.normals_of_points(sphere, np.array([0, 0, -5.0]))
  np.testing.assert_allclose(found, sphere, atol=0.01)


def test_normals_keep_to_their_side_of_an_edge():
  """Two parallel walls, one nearer: no normal leans towards the step between them."""
  depth = np.where(np.arange(SIZE[0]) < 11, 1.0, 4.0)
  depth = np.broadcast_to(depth, SIZE[::-1]).astype(np.float64)
  points = surfaces.points_of_depth(depth, np.eye(4), CAMERA, np)
  found = surfaces.normals_of_points(points, np.zeros(3))
  np.testing.assert_allclose(found, np.broadcast_to([0, 0, -1.0], found.shape), atol=1e-9)
