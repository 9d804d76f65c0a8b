"""Spaces: points to coordinates, rays to intervals; NDC against NeRF's own formula."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_models

from jnerf.errors import InputError
from jnerf.fields.spaces import Box, Contracted, Ndc
from jnerf.geometry import cameras
from jnerf.geometry.poses import average_pose, face_one_way, look_at
from jnerf.structs import Rays

N = 7
BOX = ((-1.0, -2.0, 0.0), (3.0, 1.0, 2.0))  # middle (1, -0.5, 1), half side 2
SIZE, FOCAL, NEAR = (40, 30), 32.0, 0.8


def facing(num=9, spread=0.3, turn=0.15, seed=0):
  """`[num, 4, 4]` poses around (5, -3, 2) that look about along (1, 2, -0.5)."""
  rng = np.random.default_rng(seed)
  eyes = np.array([5.0, -3.0, 2.0]) + spread * rng.uniform(-1, 1, (num, 3))
  return np.stack([look_at(
      eye, eye + [1, 2, -0.5] + turn * rng.uniform(-1, 1, 3)) for eye in eyes])


def ndc(poses=None, near=NEAR) -> Ndc:
  poses = facing() if poses is None else poses
  intrinsics = np.tile([FOCAL, FOCAL, SIZE[0] / 2, SIZE[1] / 2], (len(poses), 1))
  return Ndc.of(poses, intrinsics, SIZE, near)


def rays_of(pose, num=N, near=NEAR, far=1e3, seed=1) -> Rays:
  """Rays through random pixels of a camera at `pose`."""
  xy = np.random.default_rng(seed).uniform(0, 1, (num, 2)) * SIZE
  intrinsics = np.array([FOCAL, FOCAL, SIZE[0] / 2, SIZE[1] / 2])
  rays = cameras.cast_rays(xy, np.tile(pose, (num, 1, 1)), np.tile(intrinsics, (num, 1)),
                           near, far, xnp=np)
  return jax.tree.map(lambda leaf: leaf.astype(np.float32), rays)


def test_a_box_is_scaled_by_its_longest_side_and_stays_below_one():
  space = Box(((1.0, 2.0, 3.0), (5.0, 4.0, 4.0)))
  points = np.float32([[1, 2, 3], [5, 4, 4], [3, 3, 3.5], [-9, 9, 99]])
  unit = np.asarray(space.unit_cube(points))
  np.testing.assert_allclose(unit[:3], [[0, 0, 0], [1, 0.5, 0.25], [0.5, 0.25, 0.125]],
                             atol=2e-6)
  assert unit.max() < 1 and unit.min() == 0
  np.testing.assert_allclose(space.coordinates(points), (points - [3, 3, 3.5]) / 2)


def test_contraction_keeps_the_box_and_takes_in_all_of_space():
  rng, space = np.random.default_rng(0), Contracted(BOX)
  inside = rng.uniform(-1, 1, (50, 3)) * 2 + [[1, -0.5, 1]]
  np.testing.assert_allclose(space.coordinates(inside.astype(np.float32)),
                             (inside - [[1, -0.5, 1]]) / 2, atol=1e-6)
  far = np.array([[1 + 4, -0.5, 1], [1, -0.5 - 8, 1], [1e7, 0, 0], [5, 3.5, -3]])
  found = np.asarray(space.coordinates(far.astype(np.float32)))
  np.testing.assert_allclose(found, [[1.5, 0, 0], [0, -1.75, 0], [2, 0, 0],
                                     [1.5, 1.5, -1.5]], atol=1e-5)
  cube = space.unit_cube(jnp.asarray(far, jnp.float32))
  np.testing.assert_allclose(cube, np.minimum((found + 2) / 4, 1), atol=1e-6)
  assert float(jnp.max(cube)) < 1


def test_contraction_is_one_to_one_along_rays_and_smooth_in_the_middle():
  space = Contracted(BOX)
  directions = np.random.default_rng(1).normal(size=(20, 3)).astype(np.float32)
  scales = np.geomspace(1e-3, 1e5, 200, dtype=np.float32)
  points = np.float32([1, -0.5, 1]) + scales[:, None, None] * directions[None]
  found = np.abs(np.asarray(space.coordinates(points))).max(axis=-1)
  assert (np.diff(found, axis=0)[:150] > 0).all() and found.max() <= 2
  slopes = jax.jacobian(space.coordinates)(jnp.array([1.0, -0.5, 1.0]))
  np.testing.assert_allclose(slopes, np.eye(3) / 2, atol=1e-6)


def slab(ray_origin, direction, near, far):
  """Where a ray enters and leaves the box, tried out in tiny steps."""
  t = np.linspace(near, far, 200_001)
  points = ray_origin + t[:, None] * direction
  low, high = tiny_models.BOUNDS
  inside = np.all((points >= low) & (points <= high), axis=1)
  return t[inside][[0, -1]]


def test_a_box_clips_rays_to_where_they_enter_and_leave():
  rays = tiny_models.rays(N)
  origins, directions = rays.origins.copy(), rays.directions.copy()
  origins[0], directions[0] = [0.1, 0.2, 0.0], [0, 0, 1]  # from inside, along an axis
  rays = rays.replace(origins=origins, directions=directions)
  clipped = tiny_models.SPACE.clip(rays)
  for n in range(N):
    expected = slab(origins[n], directions[n], tiny_models.NEAR, tiny_models.FAR)
    np.testing.assert_allclose([clipped.near[n, 0], clipped.far[n, 0]], expected,
                               atol=1e-4)
  np.testing.assert_allclose(clipped.far[0], 0.6, rtol=1e-6)
  for space in (Contracted(tiny_models.SPACE.bounds), ndc()):  # these hold all of them
    assert space.clip(rays) is rays


def test_a_box_keeps_a_sliver_of_rays_that_miss():
  rays = tiny_models.rays(N)
  for change in (dict(origins=rays.origins + 50), dict(directions=-rays.directions),
                 dict(origins=rays.origins - np.float32([[0, 0, 500]]))):
    clipped = tiny_models.SPACE.clip(rays.replace(**change))
    assert bool(jnp.all(clipped.far > clipped.near))
    assert bool(jnp.all(clipped.far - clipped.near < 1e-2))
    assert bool(jnp.all(clipped.near >= tiny_models.NEAR))


def ndc_rays(width, height, focal, near, origin, direction):
  """NeRF's published formula (appendix C, eqs. 25, 26) in OpenGL axes, for one ray.

  Returns the origin, moved to the near plane, and the direction, both in NDC.
  """
  origin = origin - (near + origin[2]) / direction[2] * direction
  (ox, oy, oz), (dx, dy, dz) = origin, direction
  ax, ay = -focal / (width / 2), -focal / (height / 2)
  return (np.array([ax * ox / oz, ay * oy / oz, 1 + 2 * near / oz]),
          np.array([ax * (dx / dz - ox / oz), ay * (dy / dz - oy / oz), -2 * near / oz]))


OPENGL = np.diag([1.0, -1.0, -1.0])  # turns y and z of a camera


@pytest.mark.parametrize("view", range(3))
def test_marching_evenly_in_ndc_is_marching_as_nerf_does(view):
  poses = facing()
  space, rays = ndc(poses), rays_of(poses[view], far=1e5)
  t = np.asarray(space.edges(rays, 16), np.float64)
  reference = np.array(space.world_to_camera)
  for n in range(N):
    origin = OPENGL @ (reference[:, :3] @ rays.origins[n] + reference[:, 3])
    direction = OPENGL @ reference[:, :3] @ rays.directions[n]
    start, along = ndc_rays(*SIZE, FOCAL, space.near, origin, direction)
    points = rays.origins[n] + t[n, :, None] * rays.directions[n]
    found = np.asarray(space.coordinates(points.astype(np.float32)))
    # NeRF's t of its ray from 0 to 1; ours may begin after the near plane.
    nerf = (found[:, 2] - start[2]) / along[2]
    np.testing.assert_allclose(found * [1, -1, 1],  # the axis y of OpenCV is down
                               start + nerf[:, None] * along, atol=2e-4)
    assert nerf[0] >= -1e-6 and nerf[-1] == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(np.diff(nerf), (1 - nerf[0]) / 16, rtol=2e-3)


def test_the_frame_of_the_reference_camera_fills_ndc():
  space = ndc(facing(1))
  back = np.linalg.inv(np.vstack([space.world_to_camera, [0, 0, 0, 1]]))
  corners = np.array([[x, y, 1] for x in (0, SIZE[0]) for y in (0, SIZE[1])]) - [
      SIZE[0] / 2, SIZE[1] / 2, 0]
  corners[:, :2] /= FOCAL
  for depth, expected in ((NEAR, -1), (1e6, 1), (0.5 * NEAR, -1), (-3.0, -1)):
    world = (depth * corners @ back[:3, :3].T + back[:3, 3]).astype(np.float32)
    found = np.asarray(space.coordinates(world))
    np.testing.assert_allclose(found[:, 2], expected, atol=1e-5)
    if depth >= NEAR:
      np.testing.assert_allclose(np.abs(found[:, :2]), 1, atol=1e-3)
    cube = np.asarray(space.unit_cube(world))
    assert (cube >= 0).all() and (cube < 1).all() and np.isfinite(found).all()


def test_densities_grow_as_scenes_shrink():
  """Units of length follow the scene's scale, so optical depths stay what they are."""
  assert Box(BOX).unit == Contracted(BOX).unit == 2
  poses = facing()
  smaller = poses.copy()
  smaller[:, :3, 3] /= 100
  assert ndc(smaller, NEAR / 100).unit == pytest.approx(ndc(poses).unit / 100)
  rays = rays_of(poses[0])
  shrunk = rays_of(smaller[0], near=NEAR / 100, far=10.0)
  t, small_t = ndc(poses).edges(rays, 12), ndc(smaller, NEAR / 100).edges(shrunk, 12)
  np.testing.assert_allclose(small_t, t / 100, rtol=1e-4)


def test_the_near_plane_is_before_all_that_views_see():
  poses = facing(3, spread=0.0, turn=0.0)
  assert ndc(poses).near == pytest.approx(NEAR)
  poses[0, :3, 3] -= 0.3 * poses[0, :3, 2]  # this one stands back,
  poses[1, :3, 3] += 0.3 * poses[0, :3, 2]
  assert ndc(poses).near == pytest.approx(NEAR - 0.3)
  poses[0, :3, 3] -= 9 * poses[0, :3, 2]  # and so far no plane would be left
  assert ndc(poses).near == pytest.approx(NEAR / 4)


def test_ndc_edges_ascend_whatever_way_rays_go():
  space, rays = ndc(), rays_of(facing(1)[0], 60)
  rng = np.random.default_rng(0)
  anywhere = rng.normal(size=(60, 3)).astype(np.float32)
  anywhere /= np.linalg.norm(anywhere, axis=1, keepdims=True)
  far_off = rays.origins + np.float32(100) * anywhere
  for change in ({}, {"directions": anywhere}, {"origins": far_off},
                 {"origins": far_off, "directions": -anywhere}):
    changed = rays.replace(**change)
    for jitter in (None, rng.uniform(-0.5, 0.5, (60, 1)).astype(np.float32)):
      t = np.asarray(space.edges(changed, 24, jitter))
      assert np.isfinite(t).all() and (np.diff(t, axis=1) > 0).all()
      assert (t[:, 0] >= NEAR).all() and (t[:, -1] == 1e3).all()


def test_ndc_needs_cameras_that_face_one_way():
  poses = facing()
  assert face_one_way(poses)
  poses[3, :3, :3] = poses[3, :3, :3] @ np.diag([-1, 1, -1])
  assert not face_one_way(poses)
  with pytest.raises(InputError, match="scene.ndc=yes: needs cameras that all face"):
    ndc(poses)


def test_the_average_pose_is_amid_the_poses():
  poses = facing(50, seed=3)
  mean = average_pose(poses)
  np.testing.assert_allclose(mean[:3, :3] @ mean[:3, :3].T, np.eye(3), atol=1e-12)
  assert np.linalg.det(mean[:3, :3]) > 0
  np.testing.assert_allclose(mean[:3, 3], poses[:, :3, 3].mean(0))
  for axis in range(3):
    assert mean[:3, axis] @ poses[:, :3, axis].mean(0) > 0.99
  np.testing.assert_allclose(average_pose(poses[:1]), poses[0], atol=1e-12)


@pytest.mark.parametrize("kind", tiny_models.KINDS)
@pytest.mark.parametrize("space", [Contracted.of(tiny_models.BOUNDS), ndc()],
                         ids=["contracted", "ndc"])
def test_models_render_and_learn_in_every_space(kind, space):
  """Params are those of a box; a point far off and a ray to it give finite gradients."""
  model = tiny_models.KINDS[kind](space)
  shapes = jax.eval_shape(model.init, jax.random.key(0))
  box = jax.eval_shape(tiny_models.KINDS[kind]().init, jax.random.key(0))
  assert shapes == box
  params, rays = tiny_models.lively_params(model), rays_of(facing(1)[0])

  def loss(params):
    rendering = model(params, rays, 0.5)
    return jnp.mean(rendering.rgb ** 2) + jnp.mean(rendering.distance) / 1e3

  value, grads = tiny_models.quick_jit(jax.value_and_grad(loss))(params)
  leaves = jax.tree.leaves(grads["field"])
  assert all(bool(jnp.isfinite(leaf).all()) for leaf in (value, *leaves))
  assert all(float(jnp.abs(leaf).max()) > 0 for leaf in leaves)
