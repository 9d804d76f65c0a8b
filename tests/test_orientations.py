"""Photographs whose camera noted how it was held: rays go with the stored pixels."""

import numpy as np
from PIL import Image
import pytest
import tiny_transforms as tiny
from tiny_transforms import complaint, edit, frames

from jnerf.errors import InputError
from jnerf.geometry import cameras, turns
from jnerf.scenes import hints, images
from jnerf.scenes.formats import transforms


@pytest.fixture
def root(tmp_path):
  return tiny.write(tmp_path / "cap", **tiny.LENS)


NAMES = [f"images/{i:02}.png" for i in range(6)]
TURN = {3: lambda a: a[::-1, ::-1], 6: lambda a: np.rot90(a, 1),
        8: lambda a: np.rot90(a, -1)}  # from the upright picture to the stored one


def turned(root, orientation, views=range(6)):
  exif = Image.Exif()
  exif[0x0112] = orientation
  for view in views:
    path = root / NAMES[view]
    Image.open(path).save(path, exif=exif)


def directions(scene, view):
  rays = cameras.view_rays(scene.cam_to_world[view], scene.intrinsics[view], scene.size,
                           scene.near, scene.far)
  return rays.directions.reshape(*scene.size[::-1], 3)


@pytest.mark.parametrize("with_size", [True, False])
@pytest.mark.parametrize("orientation", TURN)
def test_rays_of_stored_pixels_do_not_depend_on_how_the_camera_was_held(
    root, orientation, with_size):
  """So do masks and depth that lie beside the photographs as those are stored."""
  (root / "mask").mkdir()
  rng = np.random.default_rng(0)
  for i in range(6):
    mask = 255 * (rng.random((8, 12)) > 0.2).astype(np.uint8)
    Image.fromarray(mask).save(root / "mask" / f"{i}.png")
    np.save(root / "mask" / f"{i}.npy", rng.random((4, 6)) + 2)
  edit(root, frames(lambda _, i: {"mask_path": f"mask/{i}.png",
                                  "depth_file_path": f"mask/{i}.npy"}))
  if not with_size:
    edit(root, lambda raw: [raw.pop(key) for key in "wh"])
  plain = transforms.load_transforms(root)
  turned(root, orientation)
  scene = transforms.load_transforms(root)
  assert scene.size == ((12, 8) if orientation == 3 else (8, 12))
  for view in range(6):
    back = TURN[orientation]
    np.testing.assert_allclose(back(directions(scene, view)), directions(plain, view),
                               atol=1e-5)
    np.testing.assert_array_equal(back(scene.images[view]), plain.images[view])
    np.testing.assert_array_equal(back(scene.mask[view]), plain.mask[view])
    np.testing.assert_array_equal(back(scene.depth[view]), plain.depth[view])


def test_intrinsics_for_the_upright_size_are_of_the_upright_picture(root):
  plain = transforms.load_transforms(root).cam_to_world
  turned(root, 6)
  edit(root, lambda raw: raw.update(w=8, h=12, cx=3.5, cy=6.5))
  scene = transforms.load_transforms(root)
  np.testing.assert_array_equal(scene.cam_to_world, plain)
  np.testing.assert_allclose(scene.intrinsics[0, :4], [10, 11, 3.5, 6.5])


def test_what_no_camera_sees_is_refused_by_photograph_and_orientation(root):
  turned(root, 2, [3])
  assert "03.png: its EXIF orientation 2 mirrors it" in complaint(root)


def test_pictures_are_turned_as_readers_turn_photographs(tmp_path):
  stored = np.random.default_rng(0).integers(0, 256, (4, 6, 3)).astype(np.uint8)
  for orientation in range(1, 9):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    upright = turns.upright_picture(stored, orientation) / 255
    np.testing.assert_allclose(images.read_image(tmp_path / "a.png"), upright, atol=1e-6)


def test_hints_lie_as_the_photograph_is_stored_or_upright(root, tmp_path):
  turned(root, 6)
  scene = transforms.load_transforms(root)
  ids = np.random.default_rng(0).integers(0, 3, (12, 8)).astype(np.uint8)
  for number, picture in enumerate((ids, np.rot90(ids))):  # upright, and as it is stored
    folder = tmp_path / str(number)
    folder.mkdir()
    Image.fromarray(picture).save(folder / "02.png")
    found = hints.read_hints(folder, scene)[2]
    np.testing.assert_array_equal(found > 0, ids > 0)
  turned(root, 3)
  with pytest.raises(InputError, match=r"02.png: its EXIF orientation is 3, and which"):
    hints.read_hints(tmp_path / "1", transforms.load_transforms(root))
