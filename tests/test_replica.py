"""The Replica layout: what is read, at which size, split, near, far and bounds."""

import pathlib

import numpy as np
from PIL import Image
import pytest
from scipy import ndimage
import tiny_replica

from jnerf.errors import InputError
from jnerf.geometry import cameras
from jnerf.geometry.poses import focus_point, look_at
from jnerf.scenes import bounds, images, load, stacks
from jnerf.scenes.formats import replica, splits
from jnerf.scenes.formats.capture import Wishes
from jnerf.scenes.load import SceneSettings

DATA = pathlib.Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="module")
def office():
  if not (DATA / "office_0").is_dir():
    pytest.skip("needs ../shared/data/office_0")
  return replica.load_replica(DATA / "office_0", Wishes(width=300))


def test_office_is_read_at_half_size(office):
  assert office.images.shape == (81, 170, 300, 3) and office.images.dtype == np.float32
  assert office.full_size == (600, 340) and office.size == (300, 170)
  np.testing.assert_allclose(office.intrinsics, np.tile([150, 150, 150, 85], (81, 1)))
  assert office.frames[:12:11] == ("rgb_0", "rgb_11")
  assert office.test.tolist() == list(range(4, 81, 8)) and len(office.train) == 71
  assert office.class_names[93] == "wall" and office.class_names[0] == "void"
  assert set(np.unique(office.semantic)) <= set(office.class_names)
  full = images.read_image(DATA / "office_0" / "rgb" / "rgb_7.png")
  blocks = full.reshape(170, 2, 300, 2, 3).mean(axis=(1, 3))
  np.testing.assert_allclose(office.images[7], blocks, atol=1e-6)


def reprojection_error(scene, shift):
  """Median depth error in metres between neighbours, principal point shifted."""
  intrinsics = scene.intrinsics + np.array([[0, 0, shift, shift]])
  errors = []
  for i in range(0, 60, 6):
    one = slice(i, i + 1)
    points, _ = bounds.surface_points(
        scene.depth[one], scene.cam_to_world[one], intrinsics[one], 2000)
    xy, z = cameras.project(points, scene.cam_to_world[i + 4], intrinsics[i + 4], xnp=np)
    seen = (z > 0) & ((xy >= 0) & (xy < np.array([scene.size]))).all(axis=1)
    depth = ndimage.map_coordinates(
        scene.depth[i + 4], xy[seen, ::-1].T - 0.5, order=1, mode="nearest")
    errors.append(np.median(np.abs(depth - z[seen])))
  return np.median(errors)


@pytest.mark.parametrize("name", ["office_0", "living_room"])
def test_depth_reprojects_into_other_frames(office, name):
  """Holds only if poses, axes, intrinsics and depth are read by one convention."""
  scene = office if name == "office_0" else replica.load_replica(DATA / name)
  error = reprojection_error(scene, 0.0)
  assert error < 0.002
  for half_pixel in (-0.5, 0.5):  # so sharp that it tells the two centre conventions
    assert reprojection_error(scene, half_pixel) > 1.5 * error


def test_real_extent_holds_every_surface_and_camera(office):
  distance = office.depth * cameras.distance_per_depth(office.intrinsics[0], office.size)
  assert office.near < distance[distance > 0].min() and distance.max() < office.far
  points, _ = bounds.surface_points(
      office.depth, office.cam_to_world, office.intrinsics, 20_000, seed=1)
  inside = ((points > office.bounds[:1]) & (points < office.bounds[1:])).all(axis=1)
  assert inside.mean() > 0.999
  centres = office.cam_to_world[:, :3, 3]
  assert ((centres > office.bounds[:1]) & (centres < office.bounds[1:])).all()


def test_layers_and_defaults_without_info(tmp_path):
  scene = replica.load_replica(tiny_replica.write(tmp_path / "cap", num=10))
  assert scene.name == "cap"
  # hfov 90 degrees, square pixels, centred
  np.testing.assert_allclose(scene.intrinsics[0], [6, 6, 6, 4])
  assert scene.test.tolist() == [0, 8] and len(scene.train) == 8
  assert (scene.depth == 2).all() and scene.depth.dtype == np.float32
  assert np.unique(scene.semantic).tolist() == [0, 1, 2]
  assert np.unique(scene.instance).tolist() == [0, 300, 600]  # 16 bits survive
  assert scene.class_names == {0: "void", 1: "class 1", 2: "class 2"}
  np.testing.assert_allclose(scene.cam_to_world[3, :3, 3], [0.3, 0, 0])


def test_info_names_classes_intrinsics_and_split(tmp_path):
  info = {"scene": "wall", "fx": 5, "fy": 7, "cx": 5.5, "cy": 3.5, "test_every": 3,
          "test_offset": 1, "classes": {"1": "left", "9": "unseen"}}
  root = tiny_replica.write(tmp_path / "cap", info=info)
  scene = replica.load_replica(root, Wishes(width=6))
  assert scene.name == "wall" and scene.test.tolist() == [1, 4]
  np.testing.assert_allclose(scene.intrinsics[0], [2.5, 3.5, 3, 2])
  assert scene.class_names == {0: "void", 1: "left", 2: "class 2", 9: "unseen"}
  assert replica.load_replica(root, Wishes(test=(2, 0))).test.tolist() == [0, 2, 4]
  (root / "info.json").write_text('{"test_every": 3}')
  assert replica.load_replica(root).test.tolist() == [0, 3]


@pytest.mark.parametrize("pattern", ["{}.png", "rgb_{:04d}.png", "{:06d}.jpg"])
def test_numbers_order_the_frames(tmp_path, pattern):
  root = tiny_replica.write(tmp_path / "cap", num=12, name=pattern)
  (root / "rgb" / "vis_rgb_0.png").write_bytes(b"not for us")
  scene = replica.load_replica(root)
  assert scene.frames == tuple(pathlib.Path(pattern.format(i)).stem for i in range(12))
  expected = images.read_image(root / "rgb" / pattern.format(11))
  np.testing.assert_array_equal(scene.images[11], expected)  # not between 1 and 2


def test_rgb_alone_is_enough(tmp_path):
  scene = replica.load_replica(tiny_replica.write(tmp_path / "cap", layers=False))
  assert scene.depth is None and scene.semantic is None and scene.instance is None
  assert 0 < scene.near < tiny_replica.WALL < scene.far * 2
  assert scene.class_names == {0: "void"}


def test_what_other_layouts_have_reaches_this_one(tmp_path):
  """Transparency, masks, a lens, and a photograph that was made smaller since."""
  info = {"fx": 5, "fy": 7, "cx": 5.5, "cy": 3.5, "k1": 0.05, "p2": -0.01}
  root = tiny_replica.write(tmp_path / "cap", layers=False, info=info)
  rgba = np.random.default_rng(0).integers(0, 256, (8, 12, 4)).astype(np.uint8)
  tiny_replica.save(root / "rgb" / "rgb_2.png", rgba)
  tiny_replica.save(root / "rgb" / "rgb_3.png", np.full((4, 6, 3), 51, np.uint8))
  (root / "mask").mkdir()
  white = np.full((8, 12), 255, np.uint8)
  white[5, 7] = 0
  for i in range(6):
    mask = white[::2, ::2] if i == 3 else white
    tiny_replica.save(root / "mask" / f"mask_{i}.png", mask)
  scene = replica.load_replica(root)
  np.testing.assert_allclose(scene.alpha[2], rgba[..., 3] / 255, atol=1e-6)
  np.testing.assert_allclose(scene.images[2], rgba[..., :3] / 255.0
                             * rgba[..., 3:] / 255, atol=1e-6)
  assert (scene.mask[2] == (white > 0)).all()
  assert scene.mask[3, :4, :6].all() and not scene.mask[3].all(axis=1)[4:].any()
  np.testing.assert_allclose(scene.intrinsics[2], [5, 7, 6, 4, 0.05, 0, 0, -0.01, 0])
  np.testing.assert_allclose(scene.intrinsics[3], [2.5, 3.5, 3, 2, 0.05, 0, 0, -0.01, 0])
  assert "lens distortion" in scene.source and not scene.unbounded
  (root / "mask" / "mask_4.png").unlink()
  with pytest.raises(InputError, match=r"mask: has no mask_4\.png for rgb_4\.png"):
    replica.load_replica(root)
  # Of a view that neither trains nor tests nothing is missed.
  replica.load_replica(root, Wishes(train=(5, 0), test=(5, 2)))


def test_only_views_that_train_or_test_are_kept(tmp_path):
  root = tiny_replica.write(tmp_path / "cap", num=10)
  scene = replica.load_replica(root, Wishes(train=(5, 0), test=(5, 2)))
  assert scene.frames == ("rgb_0", "rgb_2", "rgb_5", "rgb_7")
  assert scene.train.tolist() == [0, 2] and scene.test.tolist() == [1, 3]
  np.testing.assert_allclose(scene.cam_to_world[:, 0, 3], [0, 0.2, 0.5, 0.7])


def test_split_rules():
  train, test, _ = splits.split_views(900)
  assert train.tolist() == list(range(0, 900, 5))
  assert test.tolist() == list(range(2, 900, 5))
  train, test, _ = splits.split_views(899)
  assert test.tolist() == list(range(0, 899, 8)) and len(train) + len(test) == 899
  # What info.json says wins over the length; the config wins over both.
  train, test, _ = splits.split_views(1000, file_test=(4, 2))
  assert test[0] == 2 and len(train) == 750
  assert splits.split_views(1000, test=(10, 1), file_test=(4, 2))[1][0] == 1
  train, test, _ = splits.split_views(20, train=(2, 0), test=(4, 0))
  assert not set(train) & set(test) and train.tolist() == [2, 6, 10, 14, 18]
  for wrong in ({"test": (8, 8)}, {"test": (0, 1)}, {"train": (-1, 0)}, {"test": (1, 0)}):
    with pytest.raises(InputError, match=r"scene\.t"):
      splits.split_views(20, **wrong)


@pytest.mark.parametrize("full, num, width, max_pixels, expected", [
    ((600, 340), 81, 300, 0, (300, 170)),
    ((600, 340), 81, 0, 0, (600, 340)),
    ((600, 340), 81, 0, 81 * 300 * 170, (300, 170)),
    ((600, 340), 81, 0, 81 * 300 * 170 - 1, (150, 85)),
    ((601, 341), 10, 0, 10 * 301 * 171, (300, 170)),
    ((600, 340), 81, 600, 1, (600, 340))])  # a width given wins
def test_working_size(full, num, width, max_pixels, expected):
  assert stacks.working_size(full, num, width, max_pixels) == expected


def test_area_resize_equals_a_loop_over_overlaps():
  image = np.random.default_rng(0).random((7, 11, 2)).astype(np.float32)
  small = images.resize_area(image, (4, 3))
  def shares(old, new):  # [new, old] how much of each output each input makes up
    edge = np.arange(new + 1) * old / new
    return np.array([[max(0, min(edge[j + 1], i + 1) - max(edge[j], i)) * new / old
                      for i in range(old)] for j in range(new)])
  expected = np.einsum("ai,bj,ijc->abc", shares(7, 3), shares(11, 4), image)
  np.testing.assert_allclose(small, expected, atol=1e-6)
  np.testing.assert_allclose(small.mean(), image.mean(), rtol=1e-6)


def test_nearest_resize_takes_the_pixel_at_the_centre():
  image = np.arange(6 * 9).reshape(6, 9)
  np.testing.assert_array_equal(images.resize_nearest(image, (3, 2)), image[1::3, 1::3])
  part = images.resize_nearest(image, (2, 1), extent=(1 / 3, 1 / 2, 1, 1))
  np.testing.assert_array_equal(part, image[4:5, 4::3])


@pytest.mark.parametrize("mode, value, expected", [
    ("RGB", (255, 0, 51), (1, 0, 0.2)), ("L", 51, (0.2, 0.2, 0.2)),
    ("RGBA", (255, 0, 0, 51), (0.2, 0, 0)), ("LA", (255, 51), (0.2, 0.2, 0.2)),
    ("I;16", 13107, (0.2, 0.2, 0.2))])
def test_read_image_modes(tmp_path, mode, value, expected):
  Image.new(mode, (3, 2), value).save(tmp_path / "a.png")
  image = images.read_image(tmp_path / "a.png")
  assert image.shape == (2, 3, 3) and image.dtype == np.float32
  np.testing.assert_allclose(image, np.broadcast_to(expected, (2, 3, 3)), atol=1e-6)


def test_palette_is_colour_for_images_and_ids_for_labels(tmp_path):
  picture = Image.fromarray(np.array([[0, 1, 2]], np.uint8)).convert("P")
  picture.putpalette([0, 0, 0, 255, 0, 0, 0, 0, 255])
  picture.save(tmp_path / "p.png")
  np.testing.assert_array_equal(images.read_labels(tmp_path / "p.png"), [[0, 1, 2]])
  np.testing.assert_array_equal(
      images.read_image(tmp_path / "p.png")[0], [[0, 0, 0], [1, 0, 0], [0, 0, 1]])


def test_extent_from_depth_in_closed_form(tmp_path):
  scene = replica.load_replica(tiny_replica.write(tmp_path / "cap", num=10))
  # The wall at z = 2 is seen from x = 0.1 (first training view) to 0.9.
  half_x = tiny_replica.WALL * 5.5 / 6  # outermost pixel centre at focal length 6
  half_y = tiny_replica.WALL * 3.5 / 6
  low, high = np.array([0.1 - half_x, -half_y, 0]), np.array([0.9 + half_x, half_y, 2])
  margin = bounds.BOX_MARGIN * (high - low).max()
  np.testing.assert_allclose(scene.bounds, [low - margin, high + margin], atol=1e-6)
  nearest = 2 * np.linalg.norm([0.5 / 6, 0.5 / 6, 1])
  farthest = 2 * np.linalg.norm([5.5 / 6, 3.5 / 6, 1])
  assert scene.near == pytest.approx(bounds.NEAR_MARGIN * nearest, rel=1e-6)
  assert scene.far == pytest.approx(bounds.FAR_MARGIN * farthest, rel=1e-6)


def test_extent_does_not_look_at_test_views(tmp_path):
  root = tiny_replica.write(tmp_path / "cap", num=10)
  tiny_replica.save(root / "depth" / "depth_8.png", np.full((8, 12), 60000, np.uint16))
  assert replica.load_replica(root).far < 5  # 8 tests; with it far would be > 60


def test_outliers_do_not_move_the_extent():
  rng = np.random.default_rng(0)
  points = rng.uniform(-1, 1, (100_000, 3))
  clean = bounds.box_of_points(points, np.eye(4)[None])
  points[:20] *= 1000
  np.testing.assert_allclose(bounds.box_of_points(points, np.eye(4)[None]), clean,
                             atol=0.01)


def test_extent_from_cameras_and_overrides():
  poses = np.stack([look_at((np.cos(a), np.sin(a), 0.5), (0, 0, 0.2))
                    for a in np.linspace(0, 5, 12)])
  np.testing.assert_allclose(focus_point(poses), [0, 0, 0.2], atol=1e-9)
  outward = poses.copy()
  outward[:, :3, [0, 2]] *= -1
  assert focus_point(outward) is None
  near, far, box = bounds.scene_extent(poses)
  assert (box[0] < -1).all() and (box[1] > 1).all() and 0 < near < far
  given = bounds.scene_extent(poses, near=0.3, far=7.0, bounds=(0, 0, 0, 1, 2, 3))
  assert given[:2] == (0.3, 7.0) and given[2].tolist() == [[0, 0, 0], [1, 2, 3]]
  for wrong in ({"near": 9.0, "far": 1.0}, {"bounds": (0, 0, 0, 1, 1)},
                {"bounds": (0, 0, 0, 1, 1, 0)}, {"far": float("nan")}):
    with pytest.raises(InputError, match=r"scene\."):
      bounds.scene_extent(poses, **wrong)
  one_place = np.tile(np.eye(4), (3, 1, 1))
  with pytest.raises(InputError, match=r"scene\.bounds"):
    bounds.scene_extent(one_place)
  bounds.scene_extent(one_place, near=0.1, far=3.0, bounds=(-1, -1, -1, 1, 1, 1))


def test_auto_says_what_it_took(tmp_path, monkeypatch):
  root = tiny_replica.write(tmp_path / "cap")
  scene = load.load_scene(SceneSettings(path=str(root), width=6))
  assert scene.size == (6, 4) and "auto: found rgb/" in scene.source
  assert "12x8 read at 6x4" in scene.source and "\n" not in scene.source
  asked = {}
  monkeypatch.setattr(  # the room itself takes seconds and has its own tests
      load, "make_room", lambda **kwargs: asked.update(kwargs) or scene)
  assert "so the procedural room" in load.load_scene(SceneSettings()).source
  assert asked == {"width": 160, "height": 120, "num_train": 96, "num_test": 24,
                   "seed": 0}
