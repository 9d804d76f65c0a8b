"""Captures in LLFF's layout: what is read, how it is turned, what is refused."""

import pathlib
import pickle

import jax
import numpy as np
import optax
from PIL import Image
import pytest
import tiny_llff as tiny
import tiny_models
import tiny_transforms

from jnerf import main
from jnerf.errors import InputError
from jnerf.fields.spaces import Box, Contracted, Ndc
from jnerf.geometry import cameras
from jnerf.runs import parts
from jnerf.runs.config import default_config
from jnerf.scenes import load, pixels
from jnerf.scenes.formats import llff
from jnerf.scenes.formats.capture import Wishes
from jnerf.scenes.load import SceneSettings
from jnerf.training import loop
from jnerf.training import state as state_lib
from jnerf.training.step import Objective, train_step

V = 9


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
  return tiny.write(tmp_path_factory.mktemp("llff") / "cap")


@pytest.fixture
def root(tmp_path):
  return tiny.write(tmp_path / "cap")


def stored(root) -> np.ndarray:
  return np.load(root / llff.FILE)


def store(root, rows, **settings) -> None:
  np.save(root / llff.FILE, rows, **settings)


def configured(root, kind="grid", **settings):
  config = default_config()
  config.scene.update(path=str(root), **settings)
  config.field.kind = kind
  return config


def load_scene(root, **settings):
  return load.load_scene(SceneSettings(path=str(root), **settings))


def test_poses_images_and_intrinsics(capture):
  scene = load_scene(capture)
  assert "auto: found poses_bounds.npy, so the llff layout" in scene.source
  assert "LLFF's to OpenCV" in scene.source and "images/" in scene.source
  np.testing.assert_allclose(scene.cam_to_world, tiny.poses(V), atol=1e-12)
  np.testing.assert_allclose(scene.intrinsics, np.tile([15, 15, 8, 6], (V, 1)))
  photo = tiny.photo(tiny.poses(V)[3], (16, 12), 15.0)
  np.testing.assert_allclose(scene.images[3], photo / np.float32(255), atol=1e-6)
  assert scene.frames[3] == "IMG_003" and scene.test.tolist() == [0, 8]


@pytest.mark.parametrize("factor", [4, 8])
def test_smaller_copies_stand_in_for_the_images(tmp_path, factor):
  scene = llff.load_llff(tiny.write(tmp_path / "cap", factor=factor))
  assert scene.full_size == (16, 12) and f"images_{factor}/" in scene.source
  np.testing.assert_allclose(scene.intrinsics, np.tile([15, 15, 8, 6], (V, 1)))


def test_copies_may_have_rounded_sizes(root):
  rows = stored(root)
  rows[:, [4, 9, 14]] = 12 * 8 - 3, 16 * 8 + 3, 15 * 8
  store(root, rows)
  np.testing.assert_allclose(llff.load_llff(root).intrinsics[0], [
      15 * 16 * 8 / 131, 15 * 12 * 8 / 93, 8, 6])


def test_files_of_other_kinds_and_single_precision(root):
  for name in (".DS_Store", "._IMG_000.png", "notes.txt"):
    (root / "images" / name).write_bytes(b"x")
  store(root, np.asfortranarray(stored(root).astype(">f4")))
  np.testing.assert_allclose(llff.load_llff(root).cam_to_world, tiny.poses(V), atol=1e-6)


def test_near_far_and_box(capture):
  scene = llff.load_llff(capture)
  corner = np.sqrt(1 + (8 / 15) ** 2 + (6 / 15) ** 2)
  assert scene.unbounded and scene.near == pytest.approx(0.9 * 1.5)
  assert scene.far == pytest.approx(100 * scene.near)
  centres = tiny.poses(V)[:, :3, 3]
  np.testing.assert_allclose(scene.bounds, [centres.min(0) - scene.near,
                                            centres.max(0) + scene.near])
  plain = llff.load_llff(capture, Wishes(unbounded=False))
  assert not plain.unbounded and plain.near == scene.near
  assert plain.far == pytest.approx(35 * corner)
  # Every ray lies within the box from its camera to the far depth; robustly so.
  for pose, intrinsics in zip(plain.cam_to_world, plain.intrinsics, strict=True):
    rays = cameras.view_rays(pose, intrinsics, (16, 12), 0.0, 1.0)
    ends = rays.origins + 35 * rays.directions
    assert (ends > plain.bounds[0]).all() and (ends < plain.bounds[1]).all()
  given = llff.load_llff(capture, Wishes(bounds=(-1, 0, -1, 1, 9, 1), far=7.0))
  assert not given.unbounded and given.far == 7.0
  np.testing.assert_allclose(given.bounds, [[-1, 0, -1], [1, 9, 1]])


def test_one_wild_depth_does_not_blow_up_the_box():
  depths = np.tile([1.5, 35.0], (200, 1))
  sizes = np.tile([12.0, 16.0, 15.0], (200, 1))
  calm = llff.seen_extent(tiny.poses(200), sizes, depths, unbounded=False)[2]
  depths[7, 1] = 5000.0
  wild = llff.seen_extent(tiny.poses(200), sizes, depths, unbounded=False)[2]
  assert np.abs(wild).max() < 1.2 * np.abs(calm).max()


def test_cameras_all_around_get_the_box_that_they_look_at(root):
  """As the captures of Mip-NeRF 360, which have this file too."""
  store(root, tiny.rows(tiny_transforms.poses(V), (16, 12), 15.0))
  scene = llff.load_llff(root)
  assert scene.unbounded and scene.near == pytest.approx(1.35)
  assert (np.abs(scene.bounds) < 3.5).all()  # the ring's radius is 3
  assert parts.space_of(configured(root, "mlp"), scene) == Contracted.of(scene.bounds)


def test_the_field_and_the_scene_choose_the_space(capture):
  def space(kind, **settings):
    return parts.space_of(configured(capture, kind, **settings), load_scene(
        capture, **settings))

  assert type(space("grid")) is Contracted and type(space("mlp")) is Ndc
  assert type(space("grid", ndc="yes")) is Ndc
  assert type(space("mlp", ndc="no")) is Contracted
  for kind in ("grid", "mlp"):
    assert type(space(kind, unbounded="no")) is Box
  found = space("mlp")
  assert found.tangents == (8 / 15, 6 / 15) and 1.1 < found.near < 1.35


def test_a_tiny_field_in_ndc_learns_the_capture(capture):
  config, scene = configured(capture, "mlp"), load_scene(capture)
  config.field.mlp.update(depth=2, width=32, skip=0, color_width=16, position_octaves=5,
                          coarse_samples=12, fine_samples=8)
  space = parts.space_of(config, scene)
  model = parts.model_of(config, space)
  assert type(space) is Ndc
  data, optimizer = jax.device_put(pixels.pixel_data(scene)), optax.adam(1e-2)

  @tiny_models.quick_jit
  def step(state, key):
    batch = loop.draw_batch(data, key, 128, "random")
    return train_step(state, batch, key, model=model, optimizer=optimizer,
                      objective=Objective())[0]

  view = scene.test[1]
  rays = cameras.view_rays(scene.cam_to_world[view], scene.intrinsics[view], scene.size,
                           scene.near, scene.far)
  photo = scene.images[view].reshape(-1, 3)
  render = tiny_models.quick_jit(lambda params: model(params, rays, 0.0))
  params = tiny_models.quick_jit(model.init)(jax.random.key(0))
  before, state = render(params), state_lib.create(params, optimizer)
  for key in jax.random.split(jax.random.key(1), 120):
    state = step(state, key)
  after = render(state.params)
  mean = np.mean((scene.images[scene.train].mean(axis=(0, 1, 2)) - photo) ** 2)
  assert np.mean((before.rgb - photo) ** 2) > 0.8 * mean
  assert np.mean((after.rgb - photo) ** 2) < 0.5 * mean
  assert np.isfinite(after.distance).all()


def cell(row, column, value):
  """Damage of one number; column 4, 9, 14 are height, width, focal length."""
  def change(root):
    rows = stored(root)
    rows[row, column] = value
    store(root, rows)
  return change


def array(change, **settings):
  return lambda root: store(root, change(stored(root)), **settings)


def file_bytes(change, name=llff.FILE):
  def apply(root):
    path = root / name
    path.write_bytes(change(path.read_bytes()))
  return apply


def header(shape, descr="'<f8'", order="False"):
  """An .npy of a few bytes whose header says `shape`."""
  text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}\n".encode()
  return lambda root: (root / llff.FILE).write_bytes(
      b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + 64 * b"\0")


class Trap:
  """Unpickled, it would raise something that is no InputError."""

  def __reduce__(self):
    return (exec, ("raise SystemExit('unpickled')",))


def mirrored(rows):
  rows[3, [0, 5, 10]] *= -1
  return rows


def scaled(rows):
  rows[3, :15].reshape(3, 5)[:, :3] *= 2
  return rows


def zeroed(rows):
  rows[3, :15].reshape(3, 5)[:, :3] = 0
  return rows


def sheared(rows):
  rows[3, 0:3] += 0.1
  return rows


NPY = "cannot be read as an .npy file"
FORM = r"floating-point \[V, 17\] is needed"
DAMAGE = {
    "empty file": (file_bytes(lambda raw: b""), NPY),
    "text": (file_bytes(lambda raw: b"poses"), NPY),
    "a pickle": (file_bytes(lambda raw: pickle.dumps(Trap())), NPY),
    "a zip": (file_bytes(lambda raw: b"PK\x03\x04" + raw), NPY),
    "objects": (array(lambda rows: np.array([[Trap()] * 17] * V, object)), NPY),
    "truncated numbers": (file_bytes(lambda raw: raw[:-9]), NPY),
    "truncated header": (file_bytes(lambda raw: raw[:40]), NPY),
    "unknown version": (file_bytes(lambda raw: raw[:6] + b"\x09" + raw[7:]), NPY),
    "header a call": (header("exit()"), NPY),
    "header deep": (header("(" * 500), NPY),
    "header long": (header("(" + " " * 20_000 + "9, 17)"), NPY),
    "a trillion rows": (header("(1000000000000, 17)"), NPY),
    "rows beyond counting": (header(f"({10**30}, 17)"), NPY),
    "minus one row": (header("(-1, 17)"), NPY),
    "half a row": (header("(0.5, 17)"), NPY),
    "a trillion objects": (header("(1000000000000, 17)", "'|O'"), NPY),
    "huge items": (header("(9, 17)", "'<U1000000000'"), NPY),
    "unknown type": (header("(9, 17)", "'<q9'"), NPY),
    "no rows": (array(lambda rows: rows[:0]), FORM),
    "16 columns": (array(lambda rows: rows[:, :16]), FORM),
    "one row flat": (array(lambda rows: rows[0]), FORM),
    "3 x 5 matrices": (array(lambda rows: rows[:, :15].reshape(-1, 3, 5)), FORM),
    "integers": (array(lambda rows: rows.astype(int)), FORM),
    "complex": (array(lambda rows: rows.astype(complex)), FORM),
    "text numbers": (array(lambda rows: rows.astype("U8")), FORM),
    "too few rows": (array(lambda rows: rows[:-1]), "holds 9 images, but .* has 8 rows"),
    "too many rows": (array(lambda rows: np.tile(rows, (2, 1))), "9 images.* 18 rows"),
    "image missing": (lambda root: (root / "images" / "IMG_002.png").unlink(),
                      "holds 8 images"),
    "image too many": (lambda root: Image.new("RGB", (16, 12)).save(
        root / "images" / "a.jpg"), "holds 10 images"),
    "no folder": (lambda root: (root / "images").rename(root / "photos"),
                  "lacks the images"),
    "nan": (cell(2, 7, np.nan), r"row 2 \(IMG_002.png\): holds a number that is not"),
    "infinite": (cell(0, 16, np.inf), "row 0 .*not finite"),
    "absurd": (cell(1, 3, 1e200), "row 1 .*absurdly large"),
    "focal length zero": (cell(4, 14, 0.0), "focal length 0 must be above 0"),
    "focal length negative": (cell(4, 14, -9.0), "focal length -9 must be above 0"),
    "focal length next to zero": (cell(4, 14, 1e-300), "focal length 1e-300 must"),
    "height zero": (cell(4, 4, 0.0), "height 0, width 16"),
    "width negative": (cell(4, 9, -16.0), "width -16 "),
    "size of another shape": (cell(4, 9, 12.0), "12x12, but .* is 16x12"),
    "near zero": (cell(5, 15, 0.0), "row 5 .*from depth 0 to 35"),
    "near negative": (cell(5, 15, -1.0), "from depth -1 to 35"),
    "near beyond far": (cell(5, 15, 40.0), "from depth 40 to 35"),
    "near next to zero": (cell(5, 15, 1e-300), "from depth 1e-300"),
    "pose mirrors": (array(mirrored), "row 3 .*mirrors"),
    "pose scaled": (array(scaled), "row 3 .*not orthonormal"),
    "pose sheared": (array(sheared), "row 3 .*not orthonormal"),
    "pose of zeros": (array(zeroed), "row 3 .*not orthonormal"),
    "image torn": (file_bytes(lambda raw: raw[:99], "images/IMG_004.png"),
                   "IMG_004.png: cannot be read"),
    "image of another shape": (lambda root: Image.new("RGB", (12, 16)).save(
        root / "images" / "IMG_004.png"), "row 4 .*16x12, but .* is 12x16"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_captures_end_in_one_line(root, damage):
  change, expected = DAMAGE[damage]
  change(root)
  with pytest.raises(InputError, match=expected) as error:
    load_scene(root)
  assert "\n" not in str(error.value) and str(root) in str(error.value)
  assert len(str(error.value)) < 600


def test_random_damage_loads_or_ends_in_one_line(root):
  path = root / llff.FILE
  whole, rng, outcomes = path.read_bytes(), np.random.default_rng(0), set()
  for case in range(300):
    raw = bytearray(whole)
    # Every other time in the header, which is a twelfth of the file.
    places = rng.integers(0, 128 if case % 2 else len(raw), rng.integers(1, 4))
    for place in places:
      raw[place] = rng.integers(0, 256)
    path.write_bytes(raw)
    try:
      scene = load_scene(root)
      assert 0 < scene.near < scene.far and np.isfinite(scene.bounds).all()
      outcomes.add("read")
    except InputError as error:
      assert "\n" not in str(error)
      outcomes.add("refused")
  assert outcomes == {"read", "refused"}


def test_the_command_says_what_it_found(capture, tmp_path, capsys):
  experiment = f"{pathlib.Path(__file__).parent}/tiny_experiment.py:{capture}"
  main.main(["jnerf", f"--config={experiment}", f"--workdir={tmp_path}",
             "--config.scene.format=llff", "--mode=inspect"])
  shown = capsys.readouterr().out
  assert "LLFF layout" in shown and "all of space beyond" in shown
