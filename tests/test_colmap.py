"""COLMAP models: cameras against pycolmap, what is read from where, what is refused."""

import pathlib
import shutil
import struct
import sys

from damage import complaint_of
import jax
import numpy as np
from PIL import Image
import pytest
import tiny_colmap as tiny
import tiny_transforms

from jnerf import main
from jnerf.errors import InputError
from jnerf.geometry import cameras, lenses
from jnerf.scenes import bounds, load
from jnerf.scenes.formats import colmap, colmap_camera, colmap_files
from jnerf.scenes.formats.capture import Wishes
from jnerf.scenes.load import SceneSettings

pycolmap = pytest.importorskip("pycolmap")

LENSES = {  # ends of what parameters are drawn between, behind focal length and centre
    "SIMPLE_PINHOLE": (), "PINHOLE": (), "SIMPLE_RADIAL": (0.1,), "RADIAL": (0.1, 0.02),
    "OPENCV": (0.1, 0.02, 5e-3, 5e-3), "OPENCV_FISHEYE": (0.05, 0.01, 5e-3, 1e-3),
    "SIMPLE_RADIAL_FISHEYE": (0.05,), "RADIAL_FISHEYE": (0.05, 0.01)}
if "FISHEYE" in pycolmap.CameraModelId.__members__:  # since 4.0
  LENSES |= {"SIMPLE_FISHEYE": (), "FISHEYE": ()}


@pytest.fixture
def root(tmp_path):
  return tiny.write(tmp_path / "cap")


directions = jax.jit(cameras.pixel_directions)  # as a training step has them


def random_camera(model, rng):
  focal = rng.uniform(400, 700, 1 if pycolmap.Camera(model=model).params_info
                      .startswith("f,") else 2)
  lens = [rng.uniform(-end, end) for end in LENSES[model]]
  return pycolmap.Camera(
      camera_id=1, model=model, width=640, height=480,
      params=[*focal, *rng.uniform([300, 220], [340, 260]), *lens])


def test_every_model_that_is_known_is_tried():
  known = set(colmap_camera.BROWN + colmap_camera.FISHEYE)
  assert known & set(pycolmap.CameraModelId.__members__) == set(LENSES)


@pytest.mark.parametrize("model", LENSES)
def test_cameras_agree_with_pycolmap_and_rays_come_back(model):
  rng = np.random.default_rng(len(model))
  for _ in range(5):
    camera = random_camera(model, rng)
    row = colmap_camera.intrinsics_of(camera, "here")
    points = rng.uniform([-1.2, -0.9, 1.5], [1.2, 0.9, 4], (200, 3))
    xy, _ = cameras.project(points, np.eye(4), row, xnp=np)
    np.testing.assert_allclose(xy, camera.img_from_cam(points), atol=1e-6)
    seen = lenses.sees((xy - row[2:4]) / row[:2], np.tile(row[4:], (len(xy), 1)), 1e-6)
    seen &= (xy > 0).all(axis=1) & (xy < [[640, 480]]).all(axis=1)
    assert seen.sum() > 100
    single = xy.astype(np.float32)
    rays = directions(single, np.tile(row.astype(np.float32), (len(xy), 1)))
    back = camera.img_from_cam(np.asarray(rays, np.float64))
    assert np.abs(back - single)[seen].max() < 1e-3


def test_the_upper_left_pixel_has_its_centre_at_one_half(tmp_path):
  """As COLMAP has it: its camera in the middle looks through the middle of the image."""
  camera = pycolmap.Camera.create_from_model_name(1, "SIMPLE_PINHOLE", 6.0, 12, 8)
  np.testing.assert_allclose(camera.cam_from_img(np.array([0.5, 0.5])),
                             [-5.5 / 6, -3.5 / 6])
  model = "SIMPLE_PINHOLE", tuple(camera.params)
  scene = colmap.load_colmap(tiny.write(tmp_path / "cap", cameras=[model]))
  np.testing.assert_allclose(
      cameras.view_rays(np.eye(4), scene.intrinsics[0], scene.size, 1, 2).directions[0],
      np.array([-5.5, -3.5, 6]) / np.linalg.norm([-5.5, -3.5, 6]), atol=1e-6)


@pytest.mark.parametrize("binary", [True, False])
def test_what_pycolmap_wrote_is_read(tmp_path, binary):
  scene = colmap.load_colmap(tiny.write(tmp_path / "cap", binary=binary))
  np.testing.assert_allclose(scene.cam_to_world, tiny_transforms.poses(6), atol=1e-9)
  np.testing.assert_allclose(scene.intrinsics, np.tile([*tiny.OPENCV[1], 0], (6, 1)))
  assert scene.frames == tuple(f"{i:02}" for i in range(6)) and scene.name == "cap"
  expected = np.asarray(tiny_transforms.photo(2)).astype(np.float32) / 255
  np.testing.assert_allclose(scene.images[2], expected, atol=1e-6)
  assert scene.unbounded and scene.test.tolist() == [0]
  assert "model sparse/0 with 6 images and 5 sound points" in scene.source


def test_a_model_of_before_rigs_and_frames(root):
  for name in ("rigs", "frames"):
    (root / "sparse" / "0" / f"{name}.bin").unlink()
  scene = colmap.load_colmap(root)
  np.testing.assert_allclose(scene.cam_to_world, tiny_transforms.poses(6), atol=1e-9)


def test_a_text_model_written_by_hand(tmp_path):
  """Natural order, a subfolder, mixed cameras, one for files of twice the size."""
  scene = colmap.load_colmap(tiny.by_hand(tmp_path / "cap"))
  assert scene.frames == ("frame9", "frame10")
  np.testing.assert_allclose(scene.images[1], np.asarray(
      tiny_transforms.photo(1)).astype(np.float32) / 255, atol=1e-6)
  np.testing.assert_allclose(scene.intrinsics, [[10, 11, 6.5, 3.5, 0, 0, 0, 0, 0],
                                                [10, 10, 6.5, 3.5, 0.05, 0, 0, 0, 0]])
  # R of the quaternion takes the world's x to -z; the centre is -R^T t.
  np.testing.assert_allclose(scene.cam_to_world[0, :3], [
      [0, 0, -1, 2], [0, 1, 0, -0.25], [1, 0, 0, -0.5]], atol=1e-12)
  np.testing.assert_allclose(scene.cam_to_world[1, :3, 3], [0, 0, -3])


@pytest.mark.parametrize("place", ["sparse", "sparse/0", "colmap/sparse/0", ""])
def test_where_models_lie(tmp_path, place):
  assert colmap.is_colmap(tiny.write(tmp_path / "cap", model=place))
  assert len(colmap.load_colmap(tmp_path / "cap").frames) == 6


def test_distorted_models_are_of_the_photographs_in_input(tmp_path):
  root = tiny.write(tmp_path / "cap", model="distorted/sparse/0", images="input")
  tiny.photos(root / "images", tiny.names(6))
  assert "/input/" in colmap.load_colmap(root).files[0]


def test_the_largest_of_several_models(tmp_path):
  root = tiny.write(tmp_path / "cap", num=6, model="sparse/1")
  for name, num in (("0", 3), ("2", 6), ("10", 2)):
    tiny.store(root / "sparse" / name, tiny.reconstruction(tiny.names(num)))
  scene = colmap.load_colmap(root)
  assert len(scene.frames) == 6
  assert "model sparse/1 the largest of 4, with 6 images" in scene.source


def test_smaller_copies_of_photographs(tmp_path):
  """Sizes round: 25x17 halved is 12x8."""
  pinhole = "PINHOLE", (20.0, 22.0, 13.0, 7.0)
  root = tiny.write(tmp_path / "cap", images="images_2", cameras=[pinhole], size=(25, 17))
  (root / "images").mkdir()
  scene = colmap.load_colmap(root)
  np.testing.assert_allclose(
      scene.intrinsics[0], [9.6, 22 * 8 / 17, 6.24, 7 * 8 / 17])


def test_missing_photographs_are_left_out_and_named(root):
  (root / "images" / "03.png").unlink()
  scene = colmap.load_colmap(root)
  assert scene.frames == ("00", "01", "02", "04", "05")
  np.testing.assert_allclose(scene.cam_to_world[3], tiny_transforms.poses(6)[4],
                             atol=1e-9)
  assert "1 frames without image left out (03.png)" in scene.source
  with pytest.raises(InputError, match=r"image '03.png': .*1 of 6 are missing"):
    colmap.load_colmap(root, Wishes(strict=True))


@pytest.mark.parametrize("orientation", [3, 6, 8])
@pytest.mark.parametrize("model", ["OPENCV", "OPENCV_FISHEYE"])
def test_photographs_on_their_side(tmp_path, orientation, model):
  """COLMAP's camera sees a point in the stored pixels, ours in the upright ones."""
  lens = (0.05, -0.02, 1e-2, -2e-2) if model == "OPENCV" else (0.05, -0.02, 0.01, 1e-3)
  model = model, (10.0, 11.0, 6.5, 3.5, *lens)
  root = tiny.write(tmp_path / "cap", cameras=[model])
  stored = np.zeros((8, 12, 3), np.uint8)
  stored[2, 9] = 255
  exif = Image.Exif()
  exif[0x0112] = orientation
  for path in (root / "images").iterdir():
    Image.fromarray(stored).save(path, exif=exif)
  scene = colmap.load_colmap(root)
  camera = pycolmap.Camera(model=model[0], width=12, height=8, params=model[1])
  ray = np.array([*camera.cam_from_img(np.array([9.5, 2.5])), 1.0])
  pose = tiny_transforms.poses(6)[1]
  xy, _ = cameras.project((2 * pose[:3, :3] @ ray + pose[:3, 3])[None],
                          scene.cam_to_world[1], scene.intrinsics[1], xnp=np)
  row, column = np.argwhere(scene.images[1, ..., 0] == 1)[0]
  np.testing.assert_allclose(xy[0], [column + 0.5, row + 0.5], atol=1e-6)


def test_points_that_few_images_agree_on_are_dropped():
  places = tiny.points(250)
  model = tiny.reconstruction(tiny.names(4), places=places)
  for i, point in model.points3D.items():
    point.error = 50.0 if i > 200 else 1.0
  for i in range(1, 51):  # seen by two images only
    model.delete_observation(1, i - 1)
    model.delete_observation(2, i - 1)
  np.testing.assert_allclose(
      sorted(colmap._sound_points(model).tolist()), sorted(places[50:200].tolist()))
  for point in model.points3D.values():
    point.error = 50.0
  assert len(colmap._sound_points(model)) == 250  # better than none


@pytest.mark.parametrize("share", [0.0, 0.5, 0.8])
def test_a_distant_background_does_not_take_the_box(share):
  """Of 1000 points around the origin, which the cameras look at, and far beyond."""
  rng = np.random.default_rng(0)
  sphere = rng.normal(size=(1000, 3))
  sphere /= np.linalg.norm(sphere, axis=1, keepdims=True)
  far_off = np.arange(1000) < 1000 * share
  points = sphere * np.where(far_off, rng.uniform(200, 500, 1000), 0.8)[:, None]
  poses = tiny_transforms.poses(12)
  near, far, box = bounds.unbounded_extent(poses, points)
  np.testing.assert_allclose(box[:, :2], [[-3.3, -3.3], [3.3, 3.3]], atol=0.1)
  assert near < 1 and far > (450 if share else 100)
  # Outward and forward: nothing between the cameras and the nearest points is cut off.
  points = np.where(far_off[:, None], 100, 1) * [0, 0, 3] + sphere
  near, far, box = bounds.unbounded_extent(np.tile(np.eye(4), (2, 1, 1)), points)
  assert near < 2 and far > (300 if share else 4) and np.ptp(box, axis=0).max() < 8


def test_the_layout_is_recognised_after_transforms_json(root):
  def source(path, **settings):
    return load.load_scene(SceneSettings(path=str(path), **settings)).source

  assert "the colmap layout" in source(root)
  tiny_transforms.write(root / "both")
  shutil.copytree(root / "sparse", root / "both" / "sparse")
  assert "the nerfstudio layout" in source(root / "both")
  assert source(root / "both", format="colmap").endswith("[scene.format=colmap]")


def test_inspect(root, tmp_path, capsys):
  experiment = pathlib.Path(__file__).parent / "tiny_experiment.py"
  main.main(["jnerf", f"--config={experiment}:{root}", "--config.scene.format=auto",
             f"--workdir={tmp_path / 'run'}", "--mode=inspect"])
  assert "COLMAP layout" in capsys.readouterr().out


def test_pycolmap_is_an_extra(root, monkeypatch):
  monkeypatch.setitem(sys.modules, "pycolmap", None)
  assert colmap.is_colmap(root)  # told by the files alone
  assert "pip install 'jacobinerf[colmap]'" in complaint(root)


def complaint(root) -> str:
  return complaint_of(lambda: colmap.load_colmap(root))


def test_numbers_of_parameters_are_pycolmaps():
  for model in pycolmap.CameraModelId.__members__.values():
    if model.value >= 0:
      camera = pycolmap.Camera(model=model.name)
      assert colmap_files.NUM_PARAMS[model.value] == len(camera.params_info.split(","))


@pytest.mark.parametrize("model, params", [
    ("FULL_OPENCV", (10, 10, 6, 4, *[0.0] * 8)), ("FOV", (10, 10, 6, 4, 0.5)),
    ("THIN_PRISM_FISHEYE", (10, 10, 6, 4, *[0.0] * 8))])
def test_other_cameras_are_refused_by_name(tmp_path, model, params):
  root = tiny.write(tmp_path / "cap", cameras=[tiny.OPENCV, (model, params)])
  assert f"'01.png': camera 2 is {model}" in complaint(root)
  assert "colmap image_undistorter" in complaint(root)


def test_fisheye_with_others_is_refused(tmp_path):
  fisheye = "OPENCV_FISHEYE", (10.0, 10.0, 6.0, 4.0, 0.0, 0.0, 0.0, 0.0)
  root = tiny.write(tmp_path / "cap", cameras=[tiny.OPENCV, fisheye])
  assert "'01.png': its camera is OPENCV_FISHEYE, that of '00.png' OPENCV" in complaint(
      root)


def text(name, old, new):
  def change(root):
    file = root / "sparse" / f"{name}.txt"
    whole = file.read_text()
    assert old in whole
    file.write_text(whole.replace(old, new))
  return change


def replace(name, content):
  return lambda root: (root / "sparse" / f"{name}.txt").write_bytes(content)


DAMAGE = {  # `|` where versions of pycolmap refuse sooner
    "focal length zero": (text("cameras", "8 10 6.5", "8 0 6.5"), "f, cx, cy, k = 0, "),
    "focal length negative": (text("cameras", "16 20", "16 -20"), "= -20, 22"),
    "focal length nan": (text("cameras", "16 20", "16 nan"), "nan, 22|cannot read"),
    "focal length tiny": (text("cameras", "16 20", "16 1e-300"), "no camera has"),
    "focal length text": (text("cameras", "16 20", "16 wide"), "cannot read"),
    "centre far out": (text("cameras", "6.5 3.5", "6.5 1e300"), "no camera has"),
    "lens inf": (text("cameras", "3.5 0.05", "3.5 inf"), "inf; |cannot read"),
    "lens absurd": (text("cameras", "3.5 0.05", "3.5 1e300"), "no camera has"),
    "lens that nothing passes": (text("cameras", "6.5 3.5 0.05", "600 350 -1e6"),
                                 "frame10.*rays pass nowhere"),
    "too few parameters": (text("cameras", "22 13 7", "22 13"), "cannot read"),
    "too many parameters": (text("cameras", "22 13 7", "22 13 7 1"), "cannot read"),
    "no such model": (text("cameras", "PINHOLE", "BOX"), "cannot read"),
    "size of another shape": (text("cameras", "12 8", "8 12"), "w x h is 8x12"),
    "size zero": (text("cameras", "12 8", "0 8"), "w x h is 0x8"),
    "size huge": (text("cameras", "24 16", "99999999999 16"), "w x h"),
    "camera twice": (text("cameras", "2 PINHOLE", "1 PINHOLE"), "cannot read"),
    "camera missing": (text("cameras", "2 PINHOLE 24 16 20 22 13 7\n", ""),
                       "cannot read"),
    "no cameras": (replace("cameras", b""), "cannot read"),
    "no images": (replace("images", b""), "cannot read"),
    "image id twice": (text("images", "3 0.7", "7 0.7"), "cannot read"),
    "name twice": (text("images", "frame9", "frame10"), "frame10.png': is there twice"),
    "name leads out": (text("images", "walk/frame9.png", "../../etc/passwd"),
                       "leads out"),
    "name hides its way out": (text("images", "walk/frame9", "a/../../x"), "leads out"),
    "name is absolute": (text("images", "walk/frame9.png", "/etc/passwd"), "leads out"),
    "name with a zero": (text("images", "frame9", "a\0b"), "its name is"),
    "name no text": (replace("images", tiny.IMAGES.encode().replace(b"frame9", b"\xff")),
                     "cannot read"),
    "names of nothing": (text("images", "walk", "run"), "2 of 2 are missing"),
    "pose nan": (text("images", "0 0.5 0.25 2", "0 nan 0.25 2"),
                 "not finite|cannot read"),
    "pose far": (text("images", "0 0.5 0.25 2", "0 1e300 0.25 2"), "beyond 1e\\+09"),
    "pose of text": (text("images", "0 0.5 0.25 2", "0 left 0.25 2"), "cannot read"),
    "pose cut short": (replace("images", tiny.IMAGES.encode()[:60]), "cannot read"),
    "point of no image": (text("points3D", "7 0 3 0", "7 0 9 0"), "cannot read"),
    "point beyond an image's": (text("points3D", "7 0 3 0", "7 5 3 0"), "cannot read"),
    "point of text": (text("points3D", "0.1 0.2", "here 0.2"), "cannot read"),
    "photographs missing": (lambda root: shutil.rmtree(root / "images"),
                            "has no images/, input/, .*add them"),
    "photograph cut short": (lambda root: (root / "images/walk/frame9.png").write_bytes(
        (root / "images/walk/frame9.png").read_bytes()[:200]), "frame9.png"),
    "photograph empty": (lambda root: (root / "images/walk/frame9.png").write_bytes(b""),
                         "frame9.png: cannot be read"),
    "photograph mirrored": (lambda root: _mirror(root / "images/walk/frame9.png"),
                            "orientation 2 mirrors"),
}


def _mirror(path):
  exif = Image.Exif()
  exif[0x0112] = 2
  tiny_transforms.photo(0).save(path, exif=exif)


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_text_models_end_in_one_line(tmp_path, capfd, damage):
  root = tiny.by_hand(tmp_path / "cap")
  change, expected = DAMAGE[damage]
  change(root)
  with pytest.raises(InputError, match=expected):
    colmap.load_colmap(root)
  assert str(root) in complaint(root)
  assert capfd.readouterr() == ("", "")  # some versions of pycolmap tell it there too


@pytest.mark.parametrize("name", ["cameras", "images", "points3D", "rigs", "frames"])
def test_counts_are_not_believed(root, name):
  """Left to pycolmap, such counts take all memory, or hours."""
  file = root / "sparse" / "0" / f"{name}.bin"
  whole = file.read_bytes()
  for count in (2**63, 2**64 - 1, 7_000_000):
    file.write_bytes(struct.pack("<Q", count) + whole[8:])
    assert f"{name}.bin: " in complaint(root)
  for cut in range(0, len(whole), max(1, len(whole) // 40)):
    file.write_bytes(whole[:cut])
    assert f"{name}.bin: " in complaint(root)
  file.write_bytes(whole + b"\0")
  assert "1 bytes more than it counts" in complaint(root)


@pytest.mark.parametrize("binary", [True, False])
def test_random_damage_either_loads_or_ends_in_one_line(tmp_path, binary):
  root = tiny.write(tmp_path / "cap", num=3, binary=binary)
  files = sorted((root / "sparse" / "0").iterdir())
  rng = np.random.default_rng(0)
  refused = 0
  for i in range(300):
    file = files[i % len(files)]
    whole = file.read_bytes()
    damaged = bytearray(whole)
    for place in rng.integers(0, len(whole), rng.integers(1, 9)):
      damaged[place] = rng.integers(256)
    file.write_bytes(damaged)
    try:
      colmap.load_colmap(root)
    except InputError as error:
      refused += 1
      assert "\n" not in str(error) and len(str(error)) < 600
    file.write_bytes(whole)
  assert refused > 30
  assert len(colmap.load_colmap(root).frames) == 3


def named(folder, names):
  """Writes a text model of photographs with these names; its `[V, 4, 4]` poses."""
  poses = tiny_transforms.poses(len(names))
  model = tiny.reconstruction(tiny.names(len(names)))
  tiny.store(folder / "sparse" / "0", model, binary=False)
  file = folder / "sparse" / "0" / "images.txt"
  text = file.read_text()
  for old, new in zip(tiny.names(len(names)), names, strict=True):
    text = text.replace(old, new)
  file.write_text(text)
  tiny.photos(folder / "images", names)
  return poses


@pytest.mark.parametrize("names", [
    [f"IMG {i} (402).png" for i in range(4)], [f"{i:04} (copy).png" for i in range(4)],
    ["a b/1.png", "a b/2 .png", "plain.png", "ä  ö.png"]])
def test_names_with_spaces_in_a_text_model(tmp_path, names):
  poses = named(tmp_path, names)
  scene = colmap.load_colmap(tmp_path)
  order = [names.index(str(pathlib.Path(file).relative_to(tmp_path / "images")))
           for file in scene.files]
  assert sorted(order) == [0, 1, 2, 3]
  np.testing.assert_allclose(scene.cam_to_world, poses[order], atol=1e-9)
  assert "5 sound points" in scene.source


def test_image_lines_without_their_second_lines_are_not_read_by_halves(tmp_path):
  named(tmp_path, [f"{i}.png" for i in range(4)])
  file = tmp_path / "sparse" / "0" / "images.txt"
  lines = [line for line in file.read_text().splitlines() if line.endswith(".png")]
  file.write_text("\n".join(lines) + "\n")
  assert "images.txt line 2: cannot read this as image points" in complaint(tmp_path)


@pytest.mark.parametrize("binary", [True, False])
def test_a_model_without_its_points(tmp_path, binary):
  root = tiny.write(tmp_path / "cap", binary=binary)
  file = root / "sparse" / "0" / f"points3D{'.bin' if binary else '.txt'}"
  file.unlink()
  file.with_suffix(".ply").write_text("ply\n")
  scene = colmap.load_colmap(root)
  np.testing.assert_allclose(scene.cam_to_world, tiny_transforms.poses(6), atol=1e-9)
  assert f"no {file.name}, so the cameras tell" in scene.source and scene.unbounded
  tiny.store(root / "sparse" / "0", tiny.reconstruction(tiny.names(6)), not binary)
  assert "5 sound points" in colmap.load_colmap(root).source  # the whole one goes before


def test_text_with_a_byte_order_mark_and_other_case(tmp_path):
  root = tiny.by_hand(tmp_path / "cap")
  plain = colmap.load_colmap(root)
  for file in (root / "sparse").iterdir():
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
  (root / "images" / "walk").rename(root / "images" / "Walk")
  scene = colmap.load_colmap(root)
  assert scene.frames == plain.frames
  np.testing.assert_array_equal(scene.cam_to_world, plain.cam_to_world)
