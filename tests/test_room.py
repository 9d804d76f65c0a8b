"""The procedural room: exact geometry, true labels, repeatable arrays."""

import numpy as np
import pytest

from jnerf.geometry import cameras
from jnerf.scenes.room import raycast, room_layout, room_light
from jnerf.scenes.room.room import camera_poses, make_room, render_view

SHAPES = {
    "box": raycast.Box((0.3, -0.2, 0.5), (0.4, 0.2, 0.6), yaw=0.7),
    "cylinder": raycast.Cylinder((0.3, -0.2, 0.5), 0.4, 0.3),
    "sphere": raycast.Sphere((0.3, -0.2, 0.5), 0.45),
}
ROOM_BOX = np.array([[-2.5, -2.0, 0.0], [2.5, 2.0, 2.6]])


@pytest.fixture(scope="module")
def scene():
  return make_room(width=80, height=60, num_train=24, num_test=6)


def random_directions(generator, count):
  directions = generator.normal(size=(count, 3))
  return directions / np.linalg.norm(directions, axis=-1, keepdims=True)


def world_points(scene, view):
  """World points `[H * W, 3]` of a view from its depth."""
  xy = cameras.pixel_centres(*scene.size).reshape(-1, 2).astype(np.float64)
  local = cameras.pixel_directions(
      xy, np.broadcast_to(scene.intrinsics[view], (len(xy), 4)), np)
  local *= scene.depth[view].reshape(-1, 1).astype(np.float64)
  pose = scene.cam_to_world[view]
  return local @ pose[:3, :3].T + pose[:3, 3]


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("start", ["outside", "inside"])
def test_intersection_equals_ray_marching(name, start):
  shape, generator = SHAPES[name], np.random.default_rng(0)
  origin = np.array([0.3, -0.2, 0.6] if start == "inside" else [1.6, 0.9, 1.1])
  aim = np.asarray(shape.center) + 0.5 * random_directions(generator, 300) - origin
  directions = (random_directions(generator, 300) if start == "inside"
                else aim / np.linalg.norm(aim, axis=-1, keepdims=True))
  found = shape.intersect(origin, directions)

  steps = np.arange(0.0, 4.0, 1e-3)
  inside = _inside(shape, origin + steps[:, None, None] * directions)
  changes = inside != inside[0]
  marched = np.where(changes.any(0), steps[changes.argmax(0)], np.inf)
  # A ray that grazes an edge for less than a step may be missed by marching.
  both = np.isfinite(found) & np.isfinite(marched)
  assert both.sum() >= 120
  assert np.mean(np.isfinite(found) != np.isfinite(marched)) <= 0.02
  assert np.abs(found[both] - marched[both]).max() <= 1.01e-3 + 0.02 * (
      start == "outside")
  assert np.median(np.abs(found[both] - marched[both])) <= 1e-3


def _inside(shape, points):
  """The definitions of the solids, written out once more."""
  x, y, z = np.moveaxis(points - np.asarray(shape.center), -1, 0)
  if isinstance(shape, raycast.Sphere):
    return x**2 + y**2 + z**2 < shape.radius**2
  if isinstance(shape, raycast.Cylinder):
    return (np.hypot(x, y) < shape.radius) & (np.abs(z) < shape.half_height)
  cos, sin = np.cos(shape.yaw), np.sin(shape.yaw)
  along, across = cos * x + sin * y, cos * y - sin * x
  return ((np.abs(along) < shape.half[0]) & (np.abs(across) < shape.half[1])
          & (np.abs(z) < shape.half[2]))


@pytest.mark.parametrize("name", SHAPES)
def test_hits_lie_on_the_surface_and_normals_are_its_gradient(name):
  shape, generator = SHAPES[name], np.random.default_rng(1)
  origin = np.asarray(shape.center) + [0.02, 0.03, 0.01]
  directions = random_directions(generator, 400)
  distance = shape.intersect(origin, directions)
  points = origin + distance[:, None] * directions
  np.testing.assert_allclose(shape.signed_distance(points), 0.0, atol=1e-12)
  outside = points + 1e-4 * shape.normals(points)
  np.testing.assert_allclose(shape.signed_distance(outside), 1e-4, atol=1e-8)


def test_axis_parallel_rays_and_rays_in_a_face_plane_are_finite_or_inf():
  box = raycast.Box((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
  directions = np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0, -1.0], [-1.0, 0, 0]])
  found = box.intersect(np.array([-3.0, 0.0, 0.0]), directions)
  np.testing.assert_allclose(found, [2.0, np.inf, np.inf, np.inf], atol=1e-9)
  assert not np.isnan(box.intersect(np.array([-3.0, 0.0, 1.0]), directions)).any()


def test_cast_with_culling_equals_the_nearest_of_all_shapes():
  shapes = [part.shape for part in room_layout.furnish(3)[0]]
  origin = np.array([-1.9, -1.4, 1.6])
  directions = random_directions(np.random.default_rng(2), 2000)
  distance, index = raycast.cast(origin, directions, shapes)
  each = np.stack([shape.intersect(origin, directions) for shape in shapes])
  np.testing.assert_allclose(distance, each.min(0), rtol=1e-12)
  np.testing.assert_array_equal(index, each.argmin(0))


def test_shell_depth_is_the_closed_form_of_a_box_interior(scene):
  shell = [i for i, name in scene.class_names.items()
           if name in ("wall", "floor", "ceiling")]
  for view in range(0, len(scene.images), 5):
    origin = scene.cam_to_world[view, :3, 3]
    ray = world_points(scene, view) - origin
    distance = np.linalg.norm(ray, axis=-1)
    ray /= distance[:, None]
    exits = np.where(ray > 0.0, ROOM_BOX[1] - origin, ROOM_BOX[0] - origin) / ray
    on_shell = np.isin(scene.semantic[view].ravel(), shell)
    assert on_shell.any()
    np.testing.assert_allclose(
        distance[on_shell], exits.min(-1)[on_shell], rtol=3e-7)
    assert (distance <= exits.min(-1) * (1 + 3e-7)).all()


def test_points_lie_on_a_part_with_their_labels(scene):
  parts, _ = room_layout.furnish(0)
  points = world_points(scene, 7)
  labels = np.stack([scene.semantic[7].ravel(), scene.instance[7].ravel()], -1)
  near = np.stack([np.abs(part.shape.signed_distance(points)) for part in parts])
  owners = np.array([(part.class_id, part.instance) for part in parts])
  matches = (owners[:, None] == labels).all(-1)
  assert np.where(matches, near, np.inf).min(0).max() < 1e-5


def test_depth_reprojects_into_other_views(scene):
  compared = 0
  for first, second in ((0, 1), (1, 2), (2, 3), (4, 5), (10, 11), (15, 16), (20, 21)):
    points = world_points(scene, first)
    xy, depth = cameras.project(
        points, scene.cam_to_world[second], scene.intrinsics[second], xnp=np)
    width, height = scene.size
    column, row = (np.floor(value).astype(int) for value in xy.T)
    seen = ((depth > 0.1) & (column >= 1) & (column < width - 1)
            & (row >= 1) & (row < height - 1))
    # Where the second view is smooth, the 3 x 3 depths around bracket its own.
    around = np.stack([scene.depth[second][row[seen] + dy, column[seen] + dx]
                       for dy in (-1, 0, 1) for dx in (-1, 0, 1)])
    smooth = np.ptp(around, axis=0) < 0.15
    depth = depth[seen][smooth]
    lo, hi = around.min(0)[smooth], around.max(0)[smooth]
    # Nothing lies in front of what the second view sees, apart from thin things
    # between its pixel centres; most is what it sees, the rest is hidden from it.
    assert np.mean(depth > lo - 0.02) > 0.98
    agree = (depth > lo - 0.02) & (depth < hi + 0.02)
    assert agree.mean() > 0.5
    compared += agree.sum()
  assert compared > 4000


def test_same_seed_same_arrays_other_seed_other_room():
  size = dict(width=24, height=18, num_train=3, num_test=1)
  first, again = (make_room(**size, seed=4) for _ in range(2))
  for name in ("images", "depth", "semantic", "instance", "cam_to_world", "test"):
    np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
  one, other = (room_layout.furnish(seed)[0] for seed in (4, 5))
  moved = [a.shape.center != b.shape.center for a, b in zip(one, other)]
  assert any(moved) and not all(moved)  # the chairs, but not the walls
  wall, point = one[0].material, np.array([[0.0, 0.3, 0.2]])
  assert (wall.texture(point) != other[0].material.texture(point)).all()


def test_labels_and_depth_do_not_depend_on_the_resolution():
  parts, _ = room_layout.furnish(0)
  shapes = [part.shape for part in parts]
  lightmaps = room_light.bake(shapes, [], [], np.ones(3))
  for pose in camera_poses(3, shapes, 0):
    # With three times the pixels, every third centre is a centre of before.
    coarse, fine = (
        render_view(pose, cameras.pinhole_from_fov(*size, 82.0), size, parts, lightmaps)
        for size in ((64, 48), (192, 144)))
    np.testing.assert_allclose(fine[1][1::3, 1::3], coarse[1], rtol=1e-5)
    for labels in (2, 3):
      np.testing.assert_array_equal(fine[labels][1::3, 1::3], coarse[labels])
    # Anti-aliased colour: the mean of the nine pixels, to within what 2 x 2 rays
    # of a pixel can say about it.
    mean = fine[0].reshape(48, 3, 64, 3, 3).mean((1, 3))
    assert np.abs(mean - coarse[0]).mean() < 0.01


def test_classes_instances_and_split(scene):
  ids = set(np.unique(scene.semantic))
  assert ids == set(scene.class_names) - {0} and len(ids) >= 12
  for name in ("chair", "ball", "picture", "table", "lamp", "plant"):
    class_id = {v: k for k, v in scene.class_names.items()}[name]
    assert len(np.unique(scene.instance[scene.semantic == class_id])) >= 2
  for instance in np.unique(scene.instance):
    assert len(np.unique(scene.semantic[scene.instance == instance])) == 1
  complete = [view for view in scene.train
              if set(np.unique(scene.semantic[view])) == ids]
  assert len(complete) >= 3
  assert sorted([*scene.train, *scene.test]) == list(range(30))
  assert len(scene.test) == 6


def test_cameras_keep_clear_and_everything_lies_within_bounds(scene):
  shapes = [part.shape for part in room_layout.furnish(0)[0]]
  for view in range(len(scene.images)):
    eye = scene.cam_to_world[view, :3, 3]
    assert raycast.clearance(eye, shapes) >= 0.4
    assert (eye > ROOM_BOX[0]).all() and (eye < ROOM_BOX[1]).all()
    points = world_points(scene, view)
    assert (points > scene.bounds[0]).all() and (points < scene.bounds[1]).all()
    distance = np.linalg.norm(points - eye, axis=-1)
    assert distance.min() > scene.near and distance.max() < scene.far
  assert scene.images.dtype == np.float32
  assert 0.0 <= scene.images.min() and scene.images.max() <= 1.0
  assert scene.images.std() > 0.1


@pytest.mark.parametrize("name", SHAPES)
def test_baked_light_equals_lamberts_law_away_from_shadow_edges(name):
  shape, generator = SHAPES[name], np.random.default_rng(5)
  lamp = room_light.Light(np.array([2.5, 1.5, 2.5]), np.array([1.0, 0.8, 0.5]))
  ambient = np.array([0.1, 0.1, 0.2])
  baked, = room_light.bake([shape], [lamp], [shape], ambient)
  directions = random_directions(generator, 500)
  points = np.asarray(shape.center) + shape.intersect(
      np.asarray(shape.center), directions)[:, None] * directions
  to_lamp = lamp.position - points
  distance = np.linalg.norm(to_lamp, axis=-1)
  cosine = np.sum(shape.normals(points) * to_lamp, axis=-1) / distance
  # On one convex solid a point is lit if and only if it faces the lamp.
  expected = ambient + (np.maximum(cosine, 0.0) / (
      distance**2 + lamp.radius**2))[:, None] * lamp.power
  found = baked.irradiance(shape, shape.to_local(points))
  error = np.abs(found - expected).max(-1) / expected.max()
  assert np.median(error) < 2e-3
  assert np.quantile(error, 0.95) < 0.03  # nodes straddle the terminator


def test_a_blocker_throws_a_shadow():
  floor = raycast.Box((0.0, 0.0, -0.1), (1.0, 1.0, 0.1))
  blocker = raycast.Sphere((0.0, 0.0, 1.0), 0.3)
  lamp = room_light.Light(np.array([0.0, 0.0, 2.0]), np.ones(3))
  baked, = room_light.bake([floor], [lamp], [blocker], np.zeros(3))
  # The shadow of the sphere is a disc of radius 2 tan(asin(0.3)) = 0.629.
  points = np.array([[0.0, 0.0, 0.1], [0.55, 0.0, 0.1], [0.0, 0.72, 0.1]])
  light = baked.irradiance(floor, points)
  assert (light[:2] == 0.0).all() and (light[2] > 0.1).all()
