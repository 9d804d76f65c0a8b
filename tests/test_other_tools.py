"""Scenes of any size, intrinsics, masks and label maps as other tools write them."""

import json

import numpy as np
from PIL import Image
import pytest
import tiny_replica
import tiny_transforms as tiny
from tiny_transforms import complaint, edit, frames

from jnerf.errors import InputError
from jnerf.scenes import clicks, images
from jnerf.scenes.formats import replica, transforms


@pytest.fixture
def root(tmp_path):
  return tiny.write(tmp_path / "cap", **tiny.LENS)


@pytest.mark.parametrize("scale", [4.0, 0.1])
def test_blender_scenes_of_another_size(tmp_path, scale):
  root = tiny.write_blender(tmp_path / "cap", {"train": 8, "test": 2}, 4.0 * scale)
  scene = transforms.load_transforms(root, blender=True)
  np.testing.assert_allclose(scene.bounds, scale * np.array([[-1.5] * 3, [1.5] * 3]),
                             atol=1e-6)
  assert (scene.near, scene.far) == pytest.approx((2 * scale, 6 * scale))
  assert f"{scale:g} times that in NeRF's scenes" in scene.source
  moved = tiny.poses(8)
  moved[:, :3, 3] += [50, 0, 0]
  (near, far, box), _ = transforms.blender_extent(moved)
  distance = np.linalg.norm(moved[:, :3, 3] - [50, 0, 0], axis=1)
  assert near < distance.min() < distance.max() < far
  assert (box[0] < [50, 0, 0]).all() and ([50, 0, 0] < box[1]).all()
  outward = tiny.poses(8)
  outward[:, :3, [0, 2]] *= -1
  assert transforms.blender_extent(outward)[0] is None


@pytest.mark.parametrize("change, message", [
    ({"fl_x": 0.3}, r"fx is 0.3, with which 12 pixels see 174 degrees; .* in pixels"),
    ({"cx": 0.5, "cy": 0.5}, "cx, cy are 0.5, 0.5, a corner of the photograph of 12x8"),
    ({"cx": 0.0, "cy": 0.0}, "give the principal point in pixels")])
def test_intrinsics_in_shares_of_the_image(tmp_path, change, message):
  root = tiny.write(tmp_path / "cap")
  edit(root, lambda raw: raw.update(change))
  with pytest.raises(InputError, match=message):
    transforms.load_transforms(root)


def save_masks(root, save):
  (root / "masks").mkdir()
  for i in range(6):
    save(root / "masks", i)
  edit(root, frames(lambda _, i: {
      "mask_path": f"masks/{next((root / 'masks').glob(f'{i}.*')).name}"}))


HOLE = np.ones((8, 12), bool)
HOLE[2:6, 3:9] = False
GREY = np.where(HOLE, 255, 0).astype(np.uint8)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "1"])
def test_black_and_white_masks_of_every_kind(root, mode):
  save_masks(root, lambda folder, i: Image.fromarray(GREY).convert(mode).save(
      folder / f"{i}.png"))
  assert (transforms.load_transforms(root).mask == HOLE).all()


def test_a_mask_by_palette_is_read_by_its_colours(root):
  white_first = Image.fromarray(np.where(HOLE, 0, 1).astype(np.uint8), "P")
  white_first.putpalette([255] * 3 + [0] * 3)
  objects = Image.fromarray(np.where(HOLE, 2, 0).astype(np.uint8), "P")
  objects.putpalette([0] * 3 + [0] * 3 + [40, 0, 0])
  save_masks(root, lambda folder, i: (objects if i % 2 else white_first).save(
      folder / f"{i}.png"))
  assert (transforms.load_transforms(root).mask == HOLE).all()


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_nearly_black_is_black_in_a_mask(tmp_path, suffix):
  """As JPEG makes it beside an edge, also where it was saved as PNG later."""
  hole = np.hypot(*np.mgrid[-32:32, -48:48]) < 25
  Image.fromarray(np.where(hole, 0, 255).astype(np.uint8)).save(
      tmp_path / "a.jpg", quality=60)
  noisy = Image.open(tmp_path / "a.jpg")
  assert (np.asarray(noisy)[hole] > 0).any()
  if suffix == "png":
    noisy.save(tmp_path / "a.png")
  np.testing.assert_array_equal(images.read_mask(tmp_path / f"a.{suffix}") > 0, ~hole)


def test_numbers_without_white_are_kept_as_they_are(tmp_path):
  ids = np.array([[0, 1, 2], [7, 0, 90]], np.uint8)
  Image.fromarray(ids).save(tmp_path / "a.png")
  np.testing.assert_array_equal(images.read_mask(tmp_path / "a.png"), ids)


@pytest.mark.parametrize("picture, message", [
    (np.dstack([GREY, GREY, 0 * GREY]), "is no mask, for it has colours; save it as"),
    (np.dstack([GREY] * 4), "is transparent in parts, so what its mask is")])
def test_what_is_no_mask_says_so(root, picture, message):
  save_masks(root, lambda folder, i: Image.fromarray(picture).save(folder / f"{i}.png"))
  assert f"0.png: {message}" in complaint(root)


def with_palette(path, ids, colours):
  """As tools do that number anew the colours that a picture has."""
  used, packed = np.unique(ids, return_inverse=True)
  image = Image.fromarray(packed.reshape(ids.shape).astype(np.uint8), "P")
  image.putpalette(colours[used].reshape(-1).tolist())
  image.save(path)


def test_label_maps_with_a_palette_each_are_refused(tmp_path):
  root = tiny_replica.write(tmp_path / "cap")
  colours = np.random.default_rng(0).integers(0, 256, (9, 3))
  file = root / "semantic_class" / "semantic_class_{}.png"
  for i in range(6):
    with_palette(str(file).format(i), np.tile(np.arange(12) % 3, (8, 1)), colours)
  plain = replica.load_replica(root)
  assert set(np.unique(plain.semantic)) == {0, 1, 2}  # one palette
  with_palette(str(file).format(4), np.tile(np.arange(12) % 3 * 2, (8, 1)), colours)
  with pytest.raises(InputError, match=r"class_4.png: gives id 1 the colour #\w+, "
                                       r"semantic_class_0.png #\w+: palettes differ"):
    replica.load_replica(root)


def test_label_maps_in_jpeg_are_refused(tmp_path):
  Image.fromarray(GREY).save(tmp_path / "a.png", format="JPEG")
  with pytest.raises(InputError, match="a.png: is a JPEG, whose numbers are only nearly"):
    images.read_labels(tmp_path / "a.png")


def write_clicks(path, scene, **more):
  path.write_text(json.dumps({"classes": {"1": "cup", "2": "jug"}, "clicks": [], **more}))
  return clicks.read_clicks(path, scene)


def test_painted_masks_of_other_tools(root):
  scene = transforms.load_transforms(root)
  path = root / "clicks.json"
  (root / "Painted").mkdir()
  Image.fromarray(GREY).convert("RGB").save(root / "Painted" / "a.PNG")
  entry = {"frame": "01", "file": "painted\\a.png", "class": 1}
  mask, = write_clicks(path, scene, masks=[entry], negative=None, scribbles=[
      {"frame": "01", "points": [[0, 0]], "class": 1, "width": None}]).masks
  np.testing.assert_array_equal(mask.ids > 0, HOLE)
  colours = np.random.default_rng(0).integers(0, 256, (9, 3))
  with_palette(root / "b.png", np.where(HOLE, 1, 0), colours)
  with_palette(root / "c.png", np.where(HOLE, 2, 0), colours)
  both = [{"frame": "01", "file": name, "class": None} for name in ("b.png", "c.png")]
  assert len(write_clicks(path, scene, masks=both[:1]).masks) == 1
  with pytest.raises(InputError, match=r"masks\[1\]: .*c.png: gives id 1 the colour"):
    write_clicks(path, scene, masks=both)


@pytest.mark.parametrize("number", ["65536", "70000", "9" * 5000])
def test_a_class_id_that_no_label_map_holds(root, number):
  scene = transforms.load_transforms(root)
  write_clicks(root / "c.json", scene, classes={"65535": "a"})
  with pytest.raises(InputError, match=f"c.json: classes has the id {number[:20]}, but "
                                       "label maps hold ids up to 65535"):
    write_clicks(root / "c.json", scene, classes={number: "a"})
