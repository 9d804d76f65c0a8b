"""Captures with a transforms.json: what is read, how it is turned, what is refused."""

import json
import pathlib

from damage import times_refused
import numpy as np
from PIL import Image
import pytest
import tiny_transforms as tiny
from tiny_transforms import complaint, edit

from jnerf import main
from jnerf.errors import InputError
from jnerf.geometry import cameras
from jnerf.runs import loading, parts
from jnerf.runs.run import Run
from jnerf.runs.workdir import Workdir
from jnerf.scenes import load
from jnerf.scenes.formats import transforms
from jnerf.scenes.formats.capture import Wishes
from jnerf.scenes.load import SceneSettings
from jnerf.stages import render

DATA = pathlib.Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture
def root(tmp_path):
  return tiny.write(tmp_path / "cap", **tiny.LENS)


def test_poses_are_turned_to_opencv_axes(root):
  scene = transforms.load_transforms(root)
  np.testing.assert_allclose(scene.cam_to_world, tiny.poses(6), atol=1e-12)
  # The ring looks at the origin, which so lies on every optical axis.
  for pose, intrinsics in zip(scene.cam_to_world, scene.intrinsics, strict=True):
    xy, depth = cameras.project(np.zeros((1, 3)), pose, intrinsics, xnp=np)
    np.testing.assert_allclose(xy[0], intrinsics[2:4], atol=1e-9)
    assert depth[0] > 0


def test_images_names_and_intrinsics(root):
  scene = transforms.load_transforms(root)
  assert scene.frames == tuple(f"{i:02}" for i in range(6)) and scene.name == "cap"
  expected = np.asarray(tiny.photo(2)).astype(np.float32) / 255
  np.testing.assert_allclose(scene.images[2], expected, atol=1e-6)
  np.testing.assert_allclose(
      scene.intrinsics, np.tile([10, 11, 6.5, 3.5, 0.05, -0.02, 1e-3, -2e-3, 0], (6, 1)))
  assert scene.alpha is None and scene.depth is None and scene.semantic is None
  assert "OpenGL" in scene.source and "distortion" in scene.source
  assert scene.test.tolist() == [0] and scene.train.tolist() == [1, 2, 3, 4, 5]


def test_a_pinhole_has_four_intrinsics(tmp_path):
  scene = transforms.load_transforms(tiny.write(tmp_path / "cap"))
  np.testing.assert_allclose(scene.intrinsics, np.tile([10, 11, 6.5, 3.5], (6, 1)))
  assert "pinhole" in scene.source


def test_half_size_scales_intrinsics_and_not_the_lens(root):
  scene = transforms.load_transforms(root, Wishes(width=6))
  assert scene.size == (6, 4) and scene.full_size == (12, 8)
  np.testing.assert_allclose(
      scene.intrinsics[0], [5, 5.5, 3.25, 1.75, 0.05, -0.02, 1e-3, -2e-3, 0])


def test_intrinsics_are_for_the_size_that_the_file_names(root):
  edit(root, lambda raw: raw.update(w=24, h=16, fl_x=20.0, fl_y=22.0, cx=13.0, cy=7.0))
  np.testing.assert_allclose(transforms.load_transforms(root).intrinsics[0, :4],
                             [10, 11, 6.5, 3.5])


def test_a_frame_may_have_a_camera_of_its_own(root):
  edit(root, lambda raw: raw["frames"][3].update(fl_x=14.0, k1=0.0))
  intrinsics = transforms.load_transforms(root).intrinsics
  np.testing.assert_allclose(intrinsics[3, [0, 1, 4, 5]], [14, 11, 0, -0.02])
  np.testing.assert_allclose(intrinsics[2, [0, 4]], [10, 0.05])


def test_angles_stand_for_focal_lengths(tmp_path):
  root = tiny.write(tmp_path / "cap", camera={"camera_angle_x": np.pi / 2})
  np.testing.assert_allclose(transforms.load_transforms(root).intrinsics[0], [6, 6, 6, 4])
  edit(root, lambda raw: raw.update(camera_angle_y=2 * np.arctan(0.8)))
  np.testing.assert_allclose(transforms.load_transforms(root).intrinsics[0], [6, 5, 6, 4])


def test_a_fisheye_has_eight_intrinsics_and_its_corners_are_masked(tmp_path):
  camera = {**tiny.CAMERA, "fl_x": 3.5, "fl_y": 3.5, "camera_model": "OPENCV_FISHEYE"}
  root = tiny.write(tmp_path / "cap", camera=camera, k1=0.02, k4=1e-3)
  scene = transforms.load_transforms(root)
  np.testing.assert_allclose(scene.intrinsics[0], [3.5, 3.5, 6.5, 3.5, 0.02, 0, 0, 1e-3])
  assert "fisheye" in scene.source
  assert scene.mask[:, 3, 6].all() and not scene.mask[:, 0, 0].any()  # over 90 degrees


def test_frames_without_images_are_left_out_and_named(root):
  (root / "images" / "03.png").unlink()
  scene = transforms.load_transforms(root)
  assert scene.frames == ("00", "01", "02", "04", "05")
  np.testing.assert_allclose(scene.cam_to_world[3], tiny.poses(6)[4], atol=1e-12)
  assert "1 frames without image left out (03.png)" in scene.source
  with pytest.raises(InputError, match=r"frames\[3\].*03\.png.*1 of 6 are missing"):
    transforms.load_transforms(root, Wishes(strict=True))


def test_named_splits(root):
  edit(root, lambda raw: raw.update(
      train_filenames=["images/00.png", "./images/02.png", "images/04.png"],
      val_filenames=["images/01.png", "images/05.png"]))
  scene = transforms.load_transforms(root)
  assert [scene.frames[i] for i in scene.train] == ["00", "02", "04"]
  assert [scene.frames[i] for i in scene.test] == ["01", "05"]
  assert "as the files say" in scene.source
  edit(root, lambda raw: raw.update(test_filenames=["images/03.png"]))
  scene = transforms.load_transforms(root)  # a test split goes before val
  assert [scene.frames[i] for i in scene.test] == ["03"]
  scene = transforms.load_transforms(root, Wishes(test=(2, 0)))  # the caller's
  assert scene.test.tolist() == [0, 2]


def test_photographs_without_a_box_are_unbounded(root):
  scene = transforms.load_transforms(root)
  centres = np.concatenate([tiny.poses(6)[:, :3, 3], [[0, 0, 0]]])  # all look there
  margin = 0.05 * np.ptp(centres, axis=0).max()
  np.testing.assert_allclose(scene.bounds, [centres.min(0) - margin,
                                            centres.max(0) + margin], atol=1e-9)
  radius = (scene.bounds[1] - scene.bounds[0]).max() / 2
  assert scene.unbounded
  assert (scene.near, scene.far) == pytest.approx((0.05 * radius, 100 * radius))
  bounded = transforms.load_transforms(root, Wishes(unbounded=False))
  assert not bounded.unbounded and bounded.far < 0.5 * scene.far
  assert (bounded.bounds[0] < scene.bounds[0]).all()  # it must hold what is seen
  given = transforms.load_transforms(root, Wishes(bounds=(-1, -1, -1, 1, 1, 1), near=0.2))
  assert not given.unbounded and given.near == 0.2
  both = transforms.load_transforms(
      root, Wishes(bounds=(-1, -1, -1, 1, 1, 1), unbounded=True))
  assert both.unbounded and both.bounds.tolist() == [[-1] * 3, [1] * 3]
  with pytest.raises(InputError, match="give 0 < near < far"):
    transforms.load_transforms(root, Wishes(near=5.0, far=2.0))


def test_sensor_depth_is_read_and_tells_the_bounds(root):
  """Half the photographs' size, one frame without: as phones record it."""
  (root / "depth").mkdir()
  rng, coarse = np.random.default_rng(0), {}
  for i in range(5):
    coarse[i] = rng.integers(2000, 3000, (4, 6)).astype(np.uint16)
    coarse[i][0, 0] = 0
    Image.fromarray(coarse[i]).save(root / "depth" / f"{i}.png")
  edit(root, lambda raw: [frame.update(depth_file_path=f"depth/{i}.png")
                          for i, frame in enumerate(raw["frames"][:5])])
  scene = transforms.load_transforms(root)
  assert scene.depth.shape == (6, 8, 12) and not scene.depth[5].any()
  np.testing.assert_allclose(
      scene.depth[2], np.kron(coarse[2], np.ones((2, 2))) / 1000, rtol=1e-6)
  assert not scene.unbounded and 3.0 < scene.far < 5.0
  assert "depth in millimetres" in scene.source
  assert transforms.load_transforms(root, Wishes(unbounded=True)).unbounded
  edit(root, frame(depth_file_path="../0.png"))
  assert "depth_file_path '../0.png' leads out" in complaint(root)
  edit(root, frame(depth_file_path="depth/none.png"))
  assert "none.png: no such image file" in complaint(root)
  edit(root, frame(depth_file_path="depth/none.npy"))
  assert "none.npy: no such depth file" in complaint(root)
  edit(root, frame(depth_file_path="images/02.png"))
  assert "depth needs a 16-bit grey PNG" in complaint(root)


@pytest.mark.parametrize("dtype, unit, metres", [
    (np.uint16, None, 1e-3), (np.float32, None, 1), (np.uint16, 0.25, 0.25),
    (np.float64, 1e-3, 1e-3)])
def test_depth_units(root, dtype, unit, metres):
  values = np.random.default_rng(0).integers(1, 9, (8, 12)).astype(dtype)
  (root / "depth").mkdir()
  np.save(root / "depth" / "2.npy", values)
  edit(root, frame(depth_file_path="depth/2.npy"))
  if unit:
    edit(root, top(depth_unit_scale_factor=unit))
  scene = transforms.load_transforms(root)
  np.testing.assert_allclose(scene.depth[2], values * metres, rtol=1e-6)
  assert not scene.depth[[0, 1, 3, 4, 5]].any()
  assert (f"depth in units of {unit}" if unit else "in metres where") in scene.source


def test_masks_leave_out_what_is_black(root):
  (root / "masks").mkdir()
  white = np.full((8, 12), 255, np.uint8)
  white[2, 5] = 0
  Image.fromarray(white).save(root / "masks" / "2.png")
  edit(root, frame(mask_path="masks/2.png"))
  scene = transforms.load_transforms(root)
  np.testing.assert_array_equal(scene.mask[2], white > 0)
  assert scene.mask[[0, 1, 3, 4, 5]].all()
  half = transforms.load_transforms(root, Wishes(width=6)).mask[2]
  assert (~half).sum() == 1 and not half[1, 2]  # a pixel partly black is out
  Image.fromarray(0 * white).save(root / "masks" / "2.png")
  assert "2.png: leaves no pixel of 02.png" in complaint(root)
  Image.fromarray(white[:4]).save(root / "masks" / "2.png")
  assert "2.png: is 12x4 pixels" in complaint(root)
  edit(root, frame(mask_path="/etc/passwd"))
  assert "mask_path '/etc/passwd' leads out" in complaint(root)


def test_blender_splits_and_transparency(tmp_path):
  root = tiny.write_blender(tmp_path / "cap", {"train": 4, "val": 2, "test": 3})
  scene = transforms.load_transforms(root, blender=True)
  assert scene.train.tolist() == [0, 1, 2, 3] and scene.test.tolist() == [4, 5, 6]
  assert scene.frames[4] == "test_r_0.png" and len(set(scene.frames)) == 7
  rgba = np.asarray(tiny.photo(21, "RGBA")).astype(np.float32) / 255
  np.testing.assert_allclose(scene.alpha[5], rgba[..., 3], atol=1e-6)
  np.testing.assert_allclose(scene.images[5], rgba[..., :3] * rgba[..., 3:], atol=1e-6)
  np.testing.assert_allclose(scene.bounds, [[-1.5] * 3, [1.5] * 3])
  assert (scene.near, scene.far) == (2.0, 6.0)
  other = transforms.load_transforms(
      root, Wishes(near=1.0, bounds=(0, 0, 0, 1, 1, 1)), blender=True)
  assert other.near == 1.0 and other.bounds.tolist() == [[0, 0, 0], [1, 1, 1]]
  (root / "transforms_test.json").unlink()
  scene = transforms.load_transforms(root, blender=True)
  assert [scene.frames[i] for i in scene.test] == ["val_r_0.png", "val_r_1.png"]
  (root / "transforms_val.json").unlink()
  scene = transforms.load_transforms(root, blender=True)  # every 8th, as ever
  assert scene.frames == ("r_0", "r_1", "r_2", "r_3") and scene.test.tolist() == [0]


@pytest.mark.parametrize("write, kind", [
    (tiny.write, "nerfstudio"),
    (lambda root: tiny.write_blender(root, {"train": 3, "test": 1}), "blender")])
def test_the_layout_is_recognised(tmp_path, write, kind):
  path = str(write(tmp_path / "cap"))
  assert f"the {kind} layout" in load.load_scene(SceneSettings(path=path)).source
  scene = load.load_scene(SceneSettings(path=path, format=kind))
  assert scene.source.endswith(f"[scene.format={kind}]")
  with pytest.raises(InputError, match="did you mean .*cap"):
    load.load_scene(SceneSettings(path=str(tmp_path), format=kind))


def frame(**changes):
  return lambda raw: raw["frames"][2].update(changes)


def top(**changes):
  return lambda raw: raw.update(changes)


def without(*keys):
  return lambda raw: [raw.pop(key) for key in keys]


POSE = tiny.opengl(tiny.poses(6)[2])
DAMAGE = {
    "no frames": (without("frames"), "frames must be a list"),
    "empty frames": (top(frames=[]), "frames must be a list"),
    "frames an object": (top(frames={"0": 1}), "frames must be a list"),
    "a frame a number": (lambda raw: raw["frames"].insert(0, 3), r"frames\[0\]: must be"),
    "no path": (lambda raw: raw["frames"][2].pop("file_path"), r"frames\[2\]: file_path"),
    "path a number": (frame(file_path=7), r"frames\[2\]: file_path is 7"),
    "path empty": (frame(file_path=""), "file_path is ''"),
    "path with a zero": (frame(file_path="a\0b"), "file_path is"),
    "path leads out": (frame(file_path="../../etc/passwd"), "leads out of"),
    "path hides its way out": (frame(file_path="images/../../x.png"), "leads out of"),
    "path is absolute": (frame(file_path="/etc/passwd"), "leads out of"),
    "path twice": (frame(file_path="images/01.png"), r"same file_path as frames\[1\]"),
    "no pose": (lambda raw: raw["frames"][2].pop("transform_matrix"), "4 rows of 4"),
    "pose of text": (frame(transform_matrix="I"), "4 rows of 4"),
    "pose of 3 numbers": (frame(transform_matrix=[1, 2, 3]), "4 rows of 4"),
    "pose ragged": (frame(transform_matrix=[[1, 2], [3]]), "4 rows of 4"),
    "pose 2 x 4": (frame(transform_matrix=POSE[:2]), "4 rows of 4"),
    "pose nan": (frame(transform_matrix=[[float("nan")] * 4] * 4), "not finite"),
    "pose inf": (frame(transform_matrix=[*POSE[:2], [0, 0, 1, float("inf")], POSE[3]]),
                 "not finite"),
    "pose scaled": (frame(transform_matrix=(2 * np.array(POSE)).tolist()), "pose"),
    "pose mirrors": (frame(transform_matrix=(np.array(POSE) * [[-1, 1, 1, 1]]).tolist()),
                     "mirrors"),
    "pose last row": (frame(transform_matrix=[*POSE[:3], [0, 0, 1, 1]]), "last row"),
    "no focal length": (without("fl_x"), "has no focal length; give fl_x"),
    "focal length zero": (top(fl_x=0), "fl_x is 0"),
    "focal length negative": (frame(fl_y=-3.0), r"frames\[2\]: fl_y is -3"),
    "focal length text": (top(fl_x="10"), "fl_x is '10'"),
    "focal length nan": (top(fl_x=float("nan")), "fl_x is nan"),
    "focal length true": (top(fl_x=True), "fl_x is True"),
    "angle too wide": (lambda raw: (raw.pop("fl_x"), raw.update(camera_angle_x=4.0)),
                       "camera_angle_x is 4"),
    "centre nan": (top(cx=float("nan")), "cx is nan"),
    "centre huge": (top(cx=10**400), "cx is 1000"),
    "depth unit text": (top(depth_unit_scale_factor="mm"), "scale_factor is 'mm'"),
    "depth unit zero": (top(depth_unit_scale_factor=0), "scale_factor is 0.*0.001 for"),
    "depth unit nan": (top(depth_unit_scale_factor=float("nan")), "scale_factor is nan"),
    "depth unit of one frame": (frame(depth_unit_scale_factor=1.0), r"frames\[2\].*is 1"),
    "lens text": (top(k1="a"), "k1 is 'a'"),
    "lens inf": (top(p2=float("inf")), "p2 is inf"),
    "unknown lens": (top(camera_model="EQUIRECTANGULAR"), "EQUIRECTANGULAR.*undistort"),
    "one fisheye": (frame(camera_model="OPENCV_FISHEYE"), "fisheye cameras only"),
    "fourth radial term": (top(k4=0.1), "k4.*undistort"),
    "size of another shape": (top(w=8, h=8), "w x h is 8x8, but .*00.png is 12x8"),
    "size zero": (top(w=0), "w x h"),
    "filenames a string": (top(train_filenames="images/00.png"), "must be a list of"),
    "filenames of numbers": (top(test_filenames=[1]), "must be a list of"),
    "all images missing": (lambda raw: [f.update(file_path=f"{i}.png") for i, f in
                                        enumerate(raw["frames"])], "6 of 6 are missing"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_descriptions_end_in_one_line(root, damage):
  change, expected = DAMAGE[damage]
  edit(root, change)
  with pytest.raises(InputError, match=expected):
    transforms.load_transforms(root)
  assert str(root) in complaint(root)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"frames": [', "\ud800", "nul",
                                  "[" * 100_000])
def test_files_that_are_no_json_object(root, text):
  (root / "transforms.json").write_text(text, errors="surrogatepass")
  assert "transforms.json: " in complaint(root)


def test_random_bytes_are_read_or_refused(root):
  assert times_refused(
      root / "transforms.json", lambda: transforms.load_transforms(root), 300) > 100


def test_damaged_images_are_named(root):
  image = root / "images" / "02.png"
  whole = image.read_bytes()
  image.write_bytes(whole[:len(whole) // 2])
  assert "02.png: cannot be read" in complaint(root)
  Image.new("RGB", (8, 12)).save(image)
  assert f"frames[2]: w x h is 12x8, but {image} is 8x12" in complaint(root)


REAL = {"fox": (50, (270, 480), True, False), "lego": (100, (400, 400), False, True),
        "kitchen_mip360": (24, (777, 517), False, False)}


@pytest.mark.parametrize("name", REAL)
def test_real_captures(name):
  if not (DATA / name).is_dir():
    pytest.skip(f"no capture at {DATA / name}")
  num, size, bent, cut_out = REAL[name]
  scene = load.load_scene(SceneSettings(path=str(DATA / name), width=size[0] // 4))
  assert len(scene.frames) == num and scene.full_size == size
  assert (scene.intrinsics.shape[1] == 9) == bent and (scene.alpha is not None) == cut_out
  assert len(scene.test) == -(-num // 8)
  inside = (scene.bounds[0] < scene.cam_to_world[:, :3, 3]).all()
  assert inside or cut_out  # the Blender cameras look at the box from outside


def test_the_whole_command_on_photographs(tmp_path, capsys):
  """Distorted, transparent, masked, each frame with a camera of its own."""
  root = tiny.write(tmp_path / "cap", mode="RGBA", **tiny.LENS)
  edit(root, lambda raw: raw["frames"][0].update(fl_x=14.0))
  kept = np.tile(np.arange(12) > 4, (8, 1))
  Image.fromarray((255 * kept).astype(np.uint8)).save(root / "mask.png")
  edit(root, frame(mask_path="mask.png"))
  folder, clicks = tmp_path / "run", tmp_path / "clicks.json"
  clicks.write_text(json.dumps({"classes": {"1": "cup", "2": "jug"}, "clicks": [
      {"frame": "01", "x": x, "y": 4, "class": c} for x, c in ((2, 1), (9, 2))]}))
  experiment = f"{pathlib.Path(__file__).parent}/tiny_experiment.py:{root}"
  common = [f"--config={experiment}", f"--workdir={folder}", "--config.scene.format=auto",
            f"--config.label.clicks={clicks}"]
  for mode in ("inspect", "fit", "shape", "propagate"):
    main.main(["jnerf", *common, f"--mode={mode}"])
  assert "all of space beyond" in capsys.readouterr().out
  labels = folder / "labels" / "shaped-cosine"
  assert len(list(labels.iterdir())) == 6
  np.testing.assert_array_equal(np.asarray(Image.open(labels / "02.png")) > 0, kept)
  for path in ("test", "orbit"):
    main.main(["jnerf", *common, "--mode=render", f"--config.render.path={path}"])
  config = Workdir(folder).read_config()
  scene = loading.load_scene(Run(config, Workdir(folder)))
  # Cut-out photographs are shown over white.
  assert parts.background_of(config, scene) == 1.0
  filmed = render.path_cameras(config, scene)  # its path is the default: the test views
  assert [intrinsics[0] for _, intrinsics in filmed] == [
      scene.intrinsics[view, 0] for view in scene.test]
  config.render.path = "orbit"
  assert {len(intrinsics) for _, intrinsics in render.path_cameras(config, scene)} == {4}
