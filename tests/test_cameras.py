"""Cameras: conventions, round trips, and what a resize does to intrinsics."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnerf.geometry import cameras, lenses
from jnerf.geometry.poses import look_at

INTRINSICS = np.array([150.0, 140.0, 80.0, 61.0])
POSE = look_at((1.0, -2.0, 0.5), (0.3, 0.2, 1.0))


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


LENSES = {  # what phones, action cameras and machine-vision lenses have
    "barrel": [-0.28, 0.09, 4e-4, -7e-4, -0.012],
    "pincushion": [0.058, -0.08, -1e-3, 2e-4, 0],
    "wide": [-0.12, 0.015, 0, 0, 0], "none": [0, 0, 0, 0, 0]}


def lens(name) -> np.ndarray:
  return np.concatenate([INTRINSICS, LENSES[name]])


def image_xy(num=400):
  return np.random.default_rng(3).uniform(0, [160, 122], (num, 2))


@pytest.mark.parametrize("name", LENSES)
def test_distortion_agrees_with_opencv(name):
  points = np.random.default_rng(4).uniform([-0.5, -0.4, 1], [0.5, 0.4, 1], (200, 3))
  fx, fy, cx, cy = INTRINSICS
  matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
  expected = cv2.projectPoints(points, np.zeros(3), np.zeros(3), matrix,
                               np.array(LENSES[name], np.float64))[0][:, 0]
  found, _ = cameras.project(points, np.eye(4), lens(name), xnp=np)
  np.testing.assert_allclose(found, expected, atol=1e-9)
  back = cameras.pixel_directions(found, np.tile(lens(name), (200, 1)), np)
  np.testing.assert_allclose(back, points, atol=1e-9)


@pytest.mark.parametrize("name", LENSES)
@pytest.mark.parametrize("xnp", [np, jnp])
def test_rays_of_a_lens_come_back_to_their_pixels(name, xnp):
  """In single precision, as training casts them, to a thousandth of a pixel."""
  xy = image_xy().astype(np.float32)
  intrinsics = np.tile(lens(name).astype(np.float32), (len(xy), 1))
  poses = np.tile(POSE.astype(np.float32), (len(xy), 1, 1))
  rays = cameras.cast_rays(xnp.asarray(xy), xnp.asarray(poses), xnp.asarray(intrinsics),
                           0.1, 5.0, xnp)
  points = np.asarray(rays.origins, np.float64) + 2 * np.asarray(rays.directions)
  back, _ = cameras.project(points, POSE, lens(name), xnp=np)
  np.testing.assert_allclose(back, xy, atol=1e-3)
  if name != "none":
    pinhole, _ = cameras.project(points, POSE, INTRINSICS, xnp=np)
    assert np.abs(pinhole - xy).max() > 0.1  # the lens does bend them


def test_a_pinhole_with_zero_distortion_is_the_same_camera():
  xy = image_xy()
  np.testing.assert_allclose(
      cameras.pixel_directions(xy, np.tile(lens("none"), (400, 1)), np),
      cameras.pixel_directions(xy, np.tile(INTRINSICS, (400, 1)), np), atol=1e-15)
  np.testing.assert_allclose(cameras.distance_per_depth(lens("none"), (16, 12)),
                             cameras.distance_per_depth(INTRINSICS, (16, 12)))


def test_distortion_stays_when_the_image_is_resized_or_recentred():
  small = cameras.scale_intrinsics(lens("barrel"), (160, 120), (80, 40))
  np.testing.assert_allclose(small[4:], LENSES["barrel"])
  np.testing.assert_allclose(small[:4], INTRINSICS * [1 / 2, 1 / 3, 1 / 2, 1 / 3])
  moved = cameras.from_integer_centres(lens("barrel")) - lens("barrel")
  np.testing.assert_allclose(moved, [0, 0, 0.5, 0.5, 0, 0, 0, 0, 0])


def test_undistorting_is_finite_everywhere():
  """Far beyond the image a lens model folds back; that must not poison a batch."""
  xy = np.stack(np.meshgrid(*[np.linspace(-30, 30, 41)] * 2), -1).reshape(-1, 2)
  for terms in [*LENSES.values(), *FISHEYES.values()]:
    coefficients = np.tile(terms, (len(xy), 1))
    assert np.isfinite(lenses.undistort(xy, coefficients, np)).all()


FISHEYES = {"equidistant": [0, 0, 0, 0], "phone": [0.03, -0.012, 4e-3, -6e-4],
            "action": [-0.04, 0.02, -0.02, 5e-3]}


@pytest.mark.parametrize("name", FISHEYES)
def test_a_fisheye_agrees_with_opencv(name):
  """To 80 degrees from the axis, where a pinhole sees 6 focal lengths from the middle."""
  rng = np.random.default_rng(5)
  theta, phi = np.radians(rng.uniform(0, 80, 300)), rng.uniform(0, 2 * np.pi, 300)
  points = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi),
                     np.cos(theta)], -1)
  fx, fy, cx, cy = INTRINSICS
  matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
  expected = cv2.fisheye.projectPoints(
      points[:, None], np.zeros((1, 1, 3)), np.zeros((1, 1, 3)), matrix,
      np.array(FISHEYES[name], np.float64))[0][:, 0]
  camera = np.concatenate([INTRINSICS, FISHEYES[name]])
  found, _ = cameras.project(points, np.eye(4), camera, xnp=np)
  np.testing.assert_allclose(found, expected, atol=1e-9)
  back = cameras.pixel_directions(found, np.tile(camera, (300, 1)), np)
  np.testing.assert_allclose(back, points / points[:, 2:], rtol=1e-6, atol=1e-9)
  single = cameras.pixel_directions(jnp.asarray(found, jnp.float32), jnp.asarray(
      np.tile(camera, (300, 1)), jnp.float32))
  again, _ = cameras.project(np.asarray(single, np.float64), np.eye(4), camera, xnp=np)
  np.testing.assert_allclose(again, found, atol=1e-3)  # pixels, as training casts them


def test_the_middle_of_a_fisheye_looks_straight_ahead():
  camera = np.concatenate([INTRINSICS, FISHEYES["phone"]])
  for xnp in (np, jnp):
    ahead = cameras.pixel_directions(xnp.asarray(INTRINSICS[None, 2:]), xnp.asarray(
        camera[None]), xnp)
    np.testing.assert_allclose(ahead, [[0, 0, 1]], atol=1e-6)


def test_pixels_whose_rays_are_not_known_are_told():
  """A circle of 86 degrees around the middle of an image that is wider than that."""
  camera = np.array([40.0, 40.0, 100.0, 80.0, 0, 0, 0, 0])
  seen = cameras.seen_by_lens(camera, (200, 160))
  angle = np.linalg.norm(cameras.pixel_centres(200, 160) - camera[2:4], axis=-1) / 40
  assert (seen == (angle < lenses.WIDEST)).mean() > 0.999 and not seen.all()
  assert cameras.seen_by_lens(INTRINSICS, (160, 122)).all()
  for name in LENSES:
    assert cameras.seen_by_lens(lens(name), (160, 122)).all()
  folding = np.concatenate([INTRINSICS, [-1.5, 0, 0, 0, 0]])  # r (1 - 1.5 r^2) < 0.32
  told = cameras.seen_by_lens(folding, (160, 122))
  assert told[61, 80] and not told[0, 0] and not told[-1, -1]
