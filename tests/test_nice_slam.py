"""NICE-SLAM's Replica: what is read, by which camera and unit, what is refused."""

import pathlib
import shutil

from damage import complaint_of, times_refused
import numpy as np
from PIL import Image
import pytest
import real_office
import tiny_nice_slam as tiny
import tiny_replica

from jnerf import main
from jnerf.errors import InputError
from jnerf.scenes import images, load
from jnerf.scenes.formats import nice_slam
from jnerf.scenes.formats.capture import Wishes
from jnerf.scenes.load import SceneSettings


@pytest.fixture
def root(tmp_path):
  return tiny.write(tmp_path / "room0")


def test_frames_cameras_and_depth(root):
  scene = nice_slam.load_nice_slam(root)
  assert scene.frames == tuple(f"frame00000{i}" for i in range(6))
  np.testing.assert_allclose(scene.cam_to_world, tiny_replica.poses(6))
  np.testing.assert_allclose(scene.intrinsics, np.tile([10, 11, 6, 4.25], (6, 1)))
  np.testing.assert_allclose(scene.images[4], images.read_image(
      root / "results" / "frame000004.jpg"))
  np.testing.assert_allclose(scene.depth, 2.0, rtol=1e-6)  # 13107 / 6553.5
  assert scene.semantic is None and scene.class_names == {} and not scene.unbounded
  half = nice_slam.load_nice_slam(root, Wishes(width=6))
  np.testing.assert_allclose(half.intrinsics[0], [5, 5.5, 3, 2.125])


@pytest.mark.parametrize("scale", [1000, 6553.5, 5000.0])
def test_the_unit_of_depth_is_the_files(root, scale):
  tiny.store(root, {"camera": {**tiny.CAMERA, "scale": scale}})
  scene = nice_slam.load_nice_slam(root)
  np.testing.assert_allclose(scene.depth, 13107 / scale, rtol=1e-6)
  assert f"depth of 6 frames, {scale:g} to a metre" in scene.source


def test_the_camera_may_lie_above(root):
  shutil.move(root / "cam_params.json", root.parent / "cam_params.json")
  scene = nice_slam.load_nice_slam(root)
  assert scene.intrinsics[0, 0] == 10 and str(root.parent / "cam_params") in scene.source


def test_without_a_file_images_of_replicas_size_have_its_camera(tmp_path):
  root = tiny.write(tmp_path / "room0", num=2, size=(1200, 680), camera=None)
  scene = nice_slam.load_nice_slam(root, Wishes(width=600))
  np.testing.assert_allclose(scene.intrinsics[0], [300, 300, 300, 170])
  np.testing.assert_allclose(scene.depth, 2.0, rtol=1e-6)
  assert "Replica's own camera" in scene.source


def test_the_number_is_the_line_of_the_trajectory(root):
  (root / "results" / "frame000002.jpg").unlink()
  (root / "results" / "depth000004.png").unlink()
  (root / "results" / "frame000001.jpg").rename(root / "results" / "frame1.jpg")
  scene = nice_slam.load_nice_slam(root)
  np.testing.assert_allclose(scene.cam_to_world[:, 0, 3], [0, 0.1, 0.3, 0.4, 0.5])
  assert scene.frames[1] == "frame1"
  assert (scene.depth > 0).all(axis=(1, 2)).tolist() == [True, True, True, False, True]
  assert "1 frames without image left out (frame000002.jpg)" in scene.source
  assert "depth of 4 frames" in scene.source
  with pytest.raises(InputError, match=r"line 3.*frame000002.*1 of 6 are missing"):
    nice_slam.load_nice_slam(root, Wishes(strict=True))


def test_images_resized_since_get_the_camera_resized(root):
  tiny.store(root, {"camera": {**tiny.CAMERA, "w": 24, "h": 16, "fx": 20.0, "fy": 22.0,
                               "cx": 11.5, "cy": 8.0}})
  np.testing.assert_allclose(nice_slam.load_nice_slam(root).intrinsics[0],
                             [10, 11, 6, 4.25])


def test_the_layout_is_recognised_and_inspected(root, tmp_path, capsys):
  source = load.load_scene(SceneSettings(path=str(root))).source
  assert source.startswith("NICE-SLAM layout in") and (
      "found results/ and traj.txt, so the nice_slam layout" in source)
  experiment = f"{pathlib.Path(__file__).parent}/tiny_experiment.py:{root}"
  main.main(["jnerf", f"--config={experiment}", f"--workdir={tmp_path / 'run'}",
             "--mode=inspect", "--config.scene.format=auto"])
  assert "NICE-SLAM layout" in capsys.readouterr().out


def camera(**changes):
  return lambda root: tiny.store(root, {"camera": {**tiny.CAMERA, **changes}})


def without(key):
  return lambda root: tiny.store(root, {"camera": {
      name: value for name, value in tiny.CAMERA.items() if name != key}})


def text(name, content):
  return lambda root: (root / name).write_text(content)


def poses(change):
  def damage(root):
    changed = tiny_replica.poses(6)
    change(changed)
    tiny.store_poses(root, changed)
  return damage


def picture(name, array):
  return lambda root: tiny.save(root / "results" / name, np.array(array))


def cut(name, length):
  def damage(root):
    path = root / "results" / name
    path.write_bytes(path.read_bytes()[:length])
  return damage


LINE = "1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1\n"
DAMAGE = {
    "no images": (lambda root: [p.unlink() for p in (root / "results").iterdir()],
                  "holds no image named frame"),
    "a number twice": (text("results/frame2.jpg", ""), "same number"),
    "a depth twice": (text("results/depth2.png", ""), "same number"),
    "poses missing": (text("traj.txt", LINE * 5),
                      "has 5 poses, and so none for frame000005.jpg"),
    "no poses": (text("traj.txt", ""), "has 0 poses"),
    "pose of 12 numbers": (text("traj.txt", LINE * 3 + "1 0 0 0 " * 3 + "\n" + LINE * 2),
                           "line 4: has 12 numbers"),
    "pose of words": (text("traj.txt", LINE * 5 + "x " * 16), "line 6.*no number"),
    "poses of bytes": (lambda root: (root / "traj.txt").write_bytes(b"\xff\xfe"),
                       "traj.txt: cannot be read"),
    "pose nan": (poses(lambda p: p[2].put(3, np.nan)),
                 r"line 3 \(frame000002.jpg\).*not finite"),
    "pose inf": (poses(lambda p: p[2].put(3, -np.inf)), "line 3.*not finite"),
    "pose scaled": (poses(lambda p: p[2].__imul__(1.1)), "line 3.*pose"),
    "pose mirrors": (poses(lambda p: p[2].put(0, -1)), "line 3.*mirrors"),
    "pose last row": (poses(lambda p: p[2].put(14, 1)), "line 3.*last row"),
    "no camera": (lambda root: (root / "cam_params.json").unlink(),
                  "images of 12x8 are not Replica's own; put one there with w, h"),
    "camera no json": (text("cam_params.json", "{"), "is not readable JSON"),
    "camera a list": (text("cam_params.json", "[]"), "one JSON object"),
    "camera empty": (text("cam_params.json", "{}"), "camera must be an object with w, h"),
    "camera a number": (text("cam_params.json", '{"camera": 3}'), "must be an object"),
    "camera deep": (text("cam_params.json", "[" * 99_999), "is not readable JSON"),
    "no width": (without("w"), "camera.w is None"),
    "no scale": (without("scale"), "camera.scale is None"),
    "no centre": (without("cx"), "camera.cx is None"),
    "width zero": (camera(w=0), "camera.w is 0; give a finite number above 0"),
    "width of text": (camera(w="12"), "camera.w is '12'"),
    "size of another shape": (camera(w=8), "w x h in cam_params.json is 8x8, but .* is"),
    "focal length zero": (camera(fx=0), "camera.fx is 0; give a finite number above 0"),
    "focal length negative": (camera(fy=-3), "camera.fy is -3"),
    "focal length nan": (camera(fx=float("nan")), "camera.fx is nan"),
    "focal length true": (camera(fx=True), "camera.fx is True"),
    "centre inf": (camera(cy=float("inf")), "camera.cy is inf; give a finite number"),
    "centre huge": (camera(cx=10**400), "camera.cx is 1000"),
    "scale zero": (camera(scale=0), "camera.scale is 0"),
    "scale negative": (camera(scale=-1000.0), "camera.scale is -1000"),
    "image empty": (cut("frame000003.jpg", 0), "frame000003.jpg: cannot be read"),
    "first image empty": (cut("frame000000.jpg", 0), "frame000000.jpg: cannot be read"),
    "image cut short": (cut("frame000003.jpg", 300), "frame000003.jpg: cannot be read"),
    "image of another size": (picture("frame000003.jpg", np.zeros((12, 8, 3), np.uint8)),
                              "frame000003.jpg: is 8x12 pixels, but the camera's"),
    "depth cut short": (cut("depth000003.png", 50), "depth000003.png: cannot be read"),
    "depth of 8 bits": (picture("depth000003.png", np.ones((8, 12), np.uint8)),
                        "depth needs a 16-bit grey PNG"),
    "depth of colour": (picture("depth000003.png", np.ones((8, 12, 3), np.uint8)),
                        "depth needs a 16-bit grey PNG"),
}


def complaint(root) -> str:
  return complaint_of(lambda: nice_slam.load_nice_slam(root))


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_captures_end_in_one_line(root, damage):
  change, expected = DAMAGE[damage]
  change(root)
  with pytest.raises(InputError, match=expected):
    nice_slam.load_nice_slam(root)
  assert str(root) in complaint(root)


@pytest.mark.parametrize("name", ["traj.txt", "cam_params.json"])
def test_random_bytes_are_read_or_refused(tmp_path, name):
  root = tiny.write(tmp_path / "room0", num=3)
  assert times_refused(root / name, lambda: nice_slam.load_nice_slam(root), 150) > 50


def test_a_real_room_in_this_layout_is_the_same_room(tmp_path):
  room, root = real_office.every_8th_view(), tmp_path / "office0"
  (root / "results").mkdir(parents=True)
  for view, file in enumerate(room.files):
    Image.open(file).save(root / "results" / f"frame{view:06}.jpg", quality=95,
                          subsampling=0)
    tiny.save(root / "results" / f"depth{view:06}.png",
              np.round(6553.5 * room.depth[view]).astype(np.uint16))
  tiny.store_poses(root, room.cam_to_world)
  fx, fy, cx, cy = room.intrinsics[0]
  tiny.store(tmp_path, {"camera": {"w": 600, "h": 340, "fx": fx, "fy": fy, "cx": cx - 0.5,
                                   "cy": cy - 0.5, "scale": 6553.5}})
  found = nice_slam.load_nice_slam(root)
  np.testing.assert_allclose(found.cam_to_world, room.cam_to_world, atol=1e-12)
  np.testing.assert_allclose(found.intrinsics, room.intrinsics, atol=1e-12)
  np.testing.assert_allclose(found.depth, room.depth, atol=1e-4)
  assert np.abs(found.images - room.images).mean() < 0.02  # JPEG's loss
