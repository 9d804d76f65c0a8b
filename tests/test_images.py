"""Image files: which way up they are, and what their metadata cannot break."""

import numpy as np
from PIL import ExifTags, Image
import pytest

from jnerf.errors import InputError
from jnerf.scenes import images


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_as_their_exif_says(tmp_path, suffix, orientation):
  """The orientation says where the stored first row and column belong."""
  upright = np.zeros((16, 24, 3), np.uint8)
  upright[:8, :8], upright[8:, :8], upright[:8, 16:] = 250, 100, 30
  stored = {1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
            5: upright.swapaxes(0, 1), 6: np.rot90(upright, 1),
            7: upright[::-1, ::-1].swapaxes(0, 1), 8: np.rot90(upright, -1)}[orientation]
  exif = Image.Exif()
  exif[ExifTags.Base.Orientation] = orientation
  path = tmp_path / f"a.{suffix}"
  Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif, quality=100,
                                                     subsampling=0)
  assert images.image_size(path) == (24, 16)
  np.testing.assert_allclose(images.read_image(path), upright / 255, atol=0.03)


@pytest.mark.parametrize("orientation", [0, 9, 6000])
def test_orientations_that_do_not_exist_are_upright(tmp_path, orientation):
  exif, path = Image.Exif(), tmp_path / "a.png"
  exif[ExifTags.Base.Orientation] = orientation
  Image.new("RGB", (6, 4), (9, 9, 9)).save(path, exif=exif)
  assert images.image_size(path) == (6, 4)
  assert images.read_image(path).shape == (4, 6, 3)


@pytest.mark.parametrize("damage", [b"", b"MM", b"Exif\0\0II*\0\xff\xff\xff\xff",
                                    b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + 9 * b"\x01"])
def test_damaged_exif_is_no_reason_to_crash(tmp_path, damage):
  path = tmp_path / "a.jpg"
  Image.new("RGB", (6, 4), (9, 9, 9)).save(path, exif=damage)
  for read in (images.image_size, images.read_image):
    try:
      read(path)
    except InputError as error:
      assert "a.jpg" in str(error)
