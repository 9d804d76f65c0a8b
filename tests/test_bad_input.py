"""Wrong captures and clicks: one line that names the file or key, never a traceback."""

import json
import shutil
import struct
import zlib

import numpy as np
from PIL import Image
import pytest
import tiny_replica

from jnerf.errors import InputError
from jnerf.features.feature_choice import FeatureChoice
from jnerf.scenes import clicks, images, load
from jnerf.scenes.load import SceneSettings


@pytest.fixture
def root(tmp_path):
  return tiny_replica.write(tmp_path / "cap")


def complaint(root, **settings) -> str:
  """The one line that loading the scene, and its features, ends with."""
  scene = SceneSettings(**{"path": str(root), **settings})
  with pytest.raises(InputError) as error:
    FeatureChoice(capture=scene.path).source.load(load.load_scene(scene))
  message = str(error.value)
  assert "\n" not in message and len(message) < 500
  return message


def test_missing_path(tmp_path):
  assert "scene.path=" in complaint(tmp_path / "nowhere")
  (tmp_path / "file").write_text("")
  assert "no such folder" in complaint(tmp_path / "file")


def test_unknown_layout_says_what_was_looked_for(tmp_path):
  (tmp_path / "images").mkdir()
  message = complaint(tmp_path)
  assert "rgb/ and traj_w_c.txt" in message and "no other layout" in message


def test_capture_one_folder_deeper_is_pointed_out(root):
  assert f"did you mean {root}" in complaint(root.parent)


def test_unknown_format_and_useless_path(root):
  assert "must be one of auto, room, replica, nerf" in complaint(root, format="nerf")
  assert "reads no folder" in complaint(root, format="room")


def test_missing_image_is_named(root):
  (root / "rgb" / "rgb_3.png").unlink()
  message = complaint(root)
  assert "6 poses for the 5 images" in message and "no image number 3" in message


@pytest.mark.parametrize("folder", ["depth", "semantic_class", "semantic_instance"])
def test_missing_layer_image(root, folder):
  (root / folder / f"{folder}_3.png").unlink()
  assert f"{folder}_3.png for rgb_3.png" in complaint(root)


@pytest.mark.parametrize("place, shape, photograph", [
    ("rgb/rgb_4.png", (9, 12, 3), "rgb_0.png"),
    ("semantic_class/semantic_class_4.png", (9, 12), "rgb_4.png")])
def test_image_of_another_size(root, place, shape, photograph):
  tiny_replica.save(root / place, np.zeros(shape, np.uint8))
  message = complaint(root)
  assert place in message and "12x9" in message and f"{photograph} is 12x8" in message


@pytest.mark.parametrize("place", ["rgb/rgb_2.png", "depth/depth_2.png"])
def test_truncated_png(root, place):
  whole = (root / place).read_bytes()
  for length in (0, 7, 20, 45, len(whole) // 2, len(whole) - 20):
    (root / place).write_bytes(whole[:length])
    assert place in complaint(root)


def test_damaged_bytes_never_end_in_a_traceback(root):
  rng = np.random.default_rng(0)
  path = root / "rgb" / "rgb_2.png"
  whole = path.read_bytes()
  refused = 0
  for _ in range(300):
    damaged = bytearray(whole)
    for _ in range(3):
      damaged[rng.integers(len(whole))] = rng.integers(256)
    path.write_bytes(bytes(damaged))
    try:
      assert images.read_image(path).shape[2] == 3
    except InputError as error:
      refused += str(path) in str(error)
  assert refused > 250  # the PNG's checksums find nearly all


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side, message", [
    (20_000, "far too many pixels"),  # Pillow's limit
    (12_000, "pixels are more than")])  # ours
def test_absurdly_large_image(root, side, message):
  path = root / "rgb" / "rgb_0.png"
  header = b"IHDR" + struct.pack(">II", side, side) + path.read_bytes()[24:29]
  claim = header + struct.pack(">I", zlib.crc32(header))
  path.write_bytes(path.read_bytes()[:12] + claim + path.read_bytes()[33:])
  assert "rgb_0.png" in complaint(root) and message in complaint(root)


def test_wrong_kind_of_image(root):
  shutil.copy(root / "semantic_class" / "semantic_class_0.png",
              root / "depth" / "depth_0.png")
  assert "16-bit" in complaint(root)
  shutil.rmtree(root / "depth")
  shutil.copy(root / "rgb" / "rgb_0.png",
              root / "semantic_class" / "semantic_class_0.png")
  assert "one channel" in complaint(root)


def test_two_files_of_one_number_and_none(root):
  shutil.copy(root / "rgb" / "rgb_1.png", root / "rgb" / "0001.png")
  assert "same number" in complaint(root)
  for path in (root / "rgb").iterdir():
    path.unlink()
  assert "holds no image named" in complaint(root)


def test_poses_count_unequal_to_images(root):
  tiny_replica.write_poses(root, tiny_replica.poses(5))
  assert "traj_w_c.txt: has 5 poses for the 6 images" in complaint(root)


@pytest.mark.parametrize("row, column, value, message", [
    (0, 0, 1.01, "not orthonormal"), (0, 1, 0.1, "not orthonormal"),
    (1, 3, np.nan, "not finite"), (2, 3, np.inf, "not finite"),
    (2, 2, -1.0, "mirrors"), (3, 0, 1.0, "last row")])
def test_non_rigid_pose_names_line_and_image(root, row, column, value, message):
  poses = tiny_replica.poses(6)
  poses[4, row, column] = value
  tiny_replica.write_poses(root, poses)
  found = complaint(root)
  assert "traj_w_c.txt line 5 (image rgb_4.png)" in found and message in found


@pytest.mark.parametrize("line, message", [
    ("1 2 3", "has 3 numbers"), ("1 0 0 x " + "0 " * 12, "no number")])
def test_unreadable_pose_line(root, line, message):
  path = root / "traj_w_c.txt"
  path.write_text("\n" + path.read_text() + line)
  found = complaint(root)
  assert "line 8" in found and message in found  # the empty first line counts


@pytest.mark.parametrize("info, message", [
    ("{", "not readable JSON"), ("[1]", "one JSON object"),
    ('{"fx": 3}', "fy is None"), ('{"fx": 0, "fy": 1, "cx": 1, "cy": 1}', "above 0"),
    ('{"test_every": 2.5, "test_offset": 0}', "test_every is 2.5"),
    ('{"test_every": 2, "test_offset": 2}', "0 <= offset < every"),
    ('{"fx": 1, "fy": 1, "cx": 1, "cy": 1' + '0' * 400 + '}', "cx, cy"),
    ('{"k1": 1e999}', "k1, k2"), ('{"p1": "a"}', "p1 is 'a'"),
    ('{"width": 24, "height": 16}', "24x16"), ('{"classes": {"a": "wall"}}', "class ids"),
    ('{"classes": ["wall"]}', "class ids"), ('{"pixel_center": "half"}', "pixel_center")])
def test_wrong_info(root, info, message):
  (root / "info.json").write_text(info)
  found = complaint(root)
  assert "info.json" in found and message in found


@pytest.mark.parametrize("settings, key", [
    ({"width": 13}, "scene.width=13"), ({"width": -1}, "scene.width"),
    ({"max_pixels": -1}, "scene.max_pixels"), ({"hfov": 180.0}, "scene.hfov"),
    ({"near": 5.0, "far": 2.0}, "scene.near"), ({"bounds": (1, 2)}, "scene.bounds"),
    ({"test_every": 1}, "scene.train_every")])
def test_settings_that_cannot_be(root, settings, key):
  assert key in complaint(root, **settings)


def test_features_of_other_frames(root):
  np.savez(root / "f.npz", features=np.ones((6, 2, 3, 4), np.float16),
           names=np.array([f"kitchen_{i}" for i in range(6)]))
  message = complaint(root)
  assert "f.npz" in message and "rgb_0, rgb_1, rgb_2, ..." in message


def click_complaint(root, entry=None, **raw) -> str:
  """The line that a clicks file with this third entry ends with."""
  good = {"frame": "rgb_1", "x": 11, "y": 7, "class": 1}
  content = {"classes": {"0": "void", "1": "wall"}, "clicks": [good, good]}
  if entry is not None:
    content["clicks"].append({**good, **entry})
  content.update(raw)
  path = root / "clicks.json"
  path.write_text(json.dumps(content))
  with pytest.raises(InputError) as error:
    clicks.read_clicks(path, load.load_scene(SceneSettings(path=str(root), width=6)))
  assert "\n" not in str(error.value)
  return str(error.value)


@pytest.mark.parametrize("entry, message", [
    ({"x": 12}, "x=12 is outside the image, which is 12x8 at full resolution"),
    ({"y": -1}, "y=-1 is outside"), ({"class": 5}, "unknown class 5"),
    ({"class": 0}, "unknown class 0"), ({"frame": "rgb_77"}, "no frame 'rgb_77'"),
    ({"frame": ["rgb_1"]}, "no frame"), ({"x": 3.0}, "x=3.0 is not an integer"),
    ({"x": True}, "not an integer"), ({"class": "1"}, "not an integer"),
    ({"z": 1}, "unknown key 'z'")])
def test_wrong_click_names_the_entry(root, entry, message):
  found = click_complaint(root, entry)
  assert "clicks.json: clicks[2]" in found and message in found


@pytest.mark.parametrize("raw, message", [
    ({"clicks": {}}, "clicks must be a list"), ({"classes": ["wall"]}, "class ids"),
    ({"classes": {"one": "wall"}}, "'one'"), ({"classes": {"1": 5}}, "class ids"),
    ({"clicks": [7]}, "clicks[0]: must be an object"),
    ({"clicks": [{"frame": "rgb_1", "x": 1, "class": 1}]}, "clicks[0]: lacks 'y'"),
    ({"negative": [{"frame": "no", "x": 1, "y": 1, "class": 1}]}, "negative[0]"),
    ({"negatives": []}, "unknown key 'negatives'")])
def test_wrong_clicks_file(root, raw, message):
  assert message in click_complaint(root, **raw)


SCRIBBLE = {"frame": "rgb_1", "points": [[1, 1], [5, 5]], "class": 1}


@pytest.mark.parametrize("entry, message", [
    ({"frame": "no"}, "scribbles[0]: the scene has no frame 'no'"),
    ({"class": 9}, "scribbles[0]: unknown class 9"),
    ({"points": [[1, 1], [12, 0]]}, "scribbles[0].points[1]: x=12 is outside"),
    ({"points": [[1, 1.5]]}, "scribbles[0].points[0]: y=1.5 is not an integer"),
    ({"points": []}, "must be a list of pairs"), ({"points": [1, 2]}, "list of pairs"),
    ({"points": "abc"}, "list of pairs"), ({"width": 0}, "width=0 must lie between"),
    ({"width": 10**9}, "width=1000000000 must"), ({"width": True}, "not an integer"),
    ({"x": 1}, "unknown key 'x'; known are frame, points, class, width")])
def test_wrong_scribble_names_the_entry(root, entry, message):
  assert message in click_complaint(root, scribbles=[{**SCRIBBLE, **entry}])


@pytest.mark.parametrize("entry, message", [
    ({"frame": "no"}, "the scene has no frame"), ({"class": 9}, "unknown class 9"),
    ({"file": "../rgb/rgb_1.png"}, "does not lie beside the clicks file"),
    ({"file": "/etc/passwd"}, "does not lie beside"),
    ({"file": "a\0b"}, "does not lie beside"), ({"file": 7}, "file=7 is not the name"),
    ({"file": "absent.png"}, "absent.png: no such image file"),
    ({"file": "clicks.json"}, "cannot be read as an image"),
    ({"file": "narrow.png"}, "is 8x12 pixels, of another shape"),
    ({"file": "ids.png"}, "ids.png: unknown class 3; classes lists 1"),
    ({"file": "."}, "cannot be read"), ({"file": "loop.png"}, "loop.png")])
def test_wrong_mask_names_the_entry(root, entry, message):
  folder = root / "clicking"
  folder.mkdir()
  Image.fromarray(np.ones((12, 8), np.uint8)).save(folder / "narrow.png")
  Image.fromarray(np.full((8, 12), 3, np.uint8)).save(folder / "ids.png")
  (folder / "loop.png").symlink_to(folder / "loop.png")
  (folder / "clicks.json").write_text(json.dumps({
      "classes": {"1": "wall"}, "masks": [
          {"frame": "rgb_1", "file": "ids.png", **entry}]}))
  scene = load.load_scene(SceneSettings(path=str(root)))
  with pytest.raises(InputError) as error:
    clicks.read_clicks(folder / "clicks.json", scene)
  assert "clicks.json: masks[0]: " in str(error.value) and message in str(error.value)
  assert "\n" not in str(error.value)


def test_clicks_that_are_no_json(root):
  scene = load.load_scene(SceneSettings(path=str(root)))
  for content in (b"", b"[1, 2]", b"{\"classes\": {}}", b"\xff\xfe", b"[" * 100_000):
    (root / "c.json").write_bytes(content)
    with pytest.raises(InputError, match=r"c\.json"):
      clicks.read_clicks(root / "c.json", scene)
  with pytest.raises(InputError, match="no such clicks file"):
    clicks.read_clicks(root / "absent.json", scene)
