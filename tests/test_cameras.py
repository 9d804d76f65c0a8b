"""Cameras: conventions, round trips, and what a resize does to intrinsics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnerf.scenes import cameras

INTRINSICS = np.array([150.0, 140.0, 80.0, 61.0])
POSE = cameras.look_at((1.0, -2.0, 0.5), (0.3, 0.2, 1.0))


def rays_through(xy, xnp=np):
  num = len(xy)
  return cameras.cast_rays(
      xnp.asarray(xy), xnp.asarray(np.tile(POSE, (num, 1, 1))),
      xnp.asarray(np.tile(INTRINSICS, (num, 1))), 0.1, 5.0, xnp)


def test_pixel_to_ray_to_pixel():
  xy = np.random.default_rng(0).uniform(0, 120, (50, 2))
  rays = rays_through(xy)
  distance = np.linspace(0.5, 4, 50)[:, None]
  back, depth = cameras.project(
      rays.origins + distance * rays.directions, POSE, INTRINSICS, xnp=np)
  np.testing.assert_allclose(back, xy, atol=1e-9)
  ratio = np.linalg.norm(cameras.pixel_directions(
      xy, np.tile(INTRINSICS, (50, 1)), np), axis=-1)
  np.testing.assert_allclose(depth * ratio, distance[:, 0], rtol=1e-12)


def test_numpy_and_jax_cast_the_same_rays():
  xy = np.random.default_rng(1).uniform(0, 120, (20, 2))
  on_host = rays_through(xy)
  on_device = jax.jit(lambda xy: rays_through(xy, jnp))(xy[:20])
  for a, b in zip(jax.tree.leaves(on_host), jax.tree.leaves(on_device), strict=True):
    np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6)
  assert on_host.near.shape == (20, 1) and on_host.far[0, 0] == 5.0


def test_axes_are_right_down_forward():
  centre = INTRINSICS[2:]
  rays = rays_through(centre[None] + np.array([[0, 0], [30, 0], [0, 30]]))
  np.testing.assert_allclose(rays.directions[0], POSE[:3, 2], atol=1e-12)
  assert (rays.directions[1] - rays.directions[0]) @ POSE[:3, 0] > 0
  down = rays.directions[2] - rays.directions[0]
  assert down[2] < 0  # world z is up, and rows count downward


def test_look_at_is_rigid_and_looks_at_its_target():
  rotation = POSE[:3, :3]
  np.testing.assert_allclose(rotation.T @ rotation, np.eye(3), atol=1e-12)
  assert np.linalg.det(rotation) == pytest.approx(1)
  xy, depth = cameras.project(np.array([[0.3, 0.2, 1.0]]), POSE, INTRINSICS, xnp=np)
  np.testing.assert_allclose(xy[0], INTRINSICS[2:], atol=1e-9)
  assert depth[0] > 0


def test_integer_centres_shift_the_principal_point_only():
  # With centres at integers the middle of a 600-wide image is at 299.5.
  np.testing.assert_allclose(
      cameras.from_integer_centres([300, 300, 299.5, 169.5]), [300, 300, 300, 170])


def test_resize_scales_focal_length_and_principal_point():
  small = cameras.scale_intrinsics(INTRINSICS, (160, 120), (80, 40))
  np.testing.assert_allclose(small, INTRINSICS * [1 / 2, 1 / 3, 1 / 2, 1 / 3])
  # A direction is the same through the corresponding place of either image.
  xy = np.array([[33.0, 57.0]])
  np.testing.assert_allclose(
      cameras.pixel_directions(xy, INTRINSICS[None], np),
      cameras.pixel_directions(xy * [1 / 2, 1 / 3], small[None], np), atol=1e-12)


def test_field_of_view_reaches_the_edges():
  intrinsics = cameras.pinhole_from_fov(320, 240, 90.0)
  edges = cameras.pixel_directions(
      np.array([[0.0, 120.0], [320.0, 120.0]]), np.tile(intrinsics, (2, 1)), np)
  np.testing.assert_allclose(edges[:, 0], [-1, 1])  # tan 45 degrees
  assert intrinsics[0] == intrinsics[1]


def test_view_rays_run_row_by_row():
  rays = cameras.view_rays(POSE, INTRINSICS, (5, 4), 0.1, 5.0)
  expected = rays_through(np.array([[3.5, 1.5]]))
  np.testing.assert_allclose(rays.directions[1 * 5 + 3], expected.directions[0],
                             atol=1e-6)
  assert rays.origins.shape == (20, 3) and rays.near.dtype == np.float32
  np.testing.assert_allclose(np.linalg.norm(rays.directions, axis=-1), 1, rtol=1e-6)


def test_distance_per_depth():
  ratio = cameras.distance_per_depth(np.array([2.0, 2.0, 1.5, 0.5]), (3, 1))
  np.testing.assert_allclose(ratio, [[np.sqrt(1.25), 1.0, np.sqrt(1.25)]])
