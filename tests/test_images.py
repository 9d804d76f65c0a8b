"""Image files: kinds that are read right or refused, which way up, what breaks none."""

import struct
import zlib

import cv2
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


RNG = np.random.default_rng(0)
DEEP = RNG.integers(0, 65536, (4, 5, 4)).astype(np.uint16)
COLOURS = (DEEP >> 8).astype(np.uint8)
LIGHT = DEEP.astype(np.float32)[..., :3] / 65535


def bgr(array):
  return array[..., [2, 1, 0, 3][:array.shape[2]]]


def close(path, expected, tolerance=1e-6):
  rgba = images.read_rgba(path)
  assert rgba.shape == (4, 5, 4) and rgba.dtype == np.float32
  np.testing.assert_allclose(rgba[..., :3], np.broadcast_to(expected, (4, 5, 3)),
                             atol=tolerance)


@pytest.mark.parametrize("suffix", ["png", "tif", "ppm"])
def test_sixteen_bits_of_colour_are_read_to_eight(tmp_path, suffix):
  """Written by OpenCV; Pillow keeps the upper half of each number."""
  path = tmp_path / f"a.{suffix}"
  cv2.imwrite(str(path), bgr(DEEP[..., :3]))
  close(path, DEEP[..., :3] / 65535, 1 / 255)
  cv2.imwrite(str(path), bgr(COLOURS[..., :3].astype(np.uint16) * 257))
  close(path, COLOURS[..., :3] / 255)


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_sixteen_bits_of_grey(tmp_path, suffix):
  path = tmp_path / f"a.{suffix}"
  cv2.imwrite(str(path), DEEP[..., 0])
  close(path, DEEP[..., :1] / 65535)
  np.testing.assert_array_equal(images.read_labels(path), DEEP[..., 0])
  np.testing.assert_allclose(images.read_depth(path), DEEP[..., 0] / 1000, rtol=1e-6)
  np.testing.assert_allclose(images.read_depth(path, 5000.0), DEEP[..., 0] / 5000)


def test_sixteen_bits_of_grey_that_lie_on_their_side(tmp_path):
  exif = Image.Exif()
  exif[ExifTags.Base.Orientation] = 6
  Image.fromarray(DEEP[..., 0]).save(tmp_path / "a.png", exif=exif)
  expected = np.rot90(DEEP[..., 0], -1)
  np.testing.assert_array_equal(images.read_labels(tmp_path / "a.png"), expected)
  assert images.read_depth(tmp_path / "a.png").shape == (5, 4)


def transparent(image, path, **options):
  """Saved, read, and `(colour over black, opacity)`."""
  image.save(path, **options)
  rgba = images.read_rgba(path)
  return rgba[..., :3], rgba[..., 3]


def test_every_kind_of_transparency(tmp_path):
  path, flat = tmp_path / "a.png", COLOURS[..., :3]
  palette = Image.fromarray(flat).quantize(8)
  index, table = np.asarray(palette), np.array(palette.getpalette()).reshape(-1, 3)
  for clear, opacity in ((2, index != 2), (bytes([0, 51, 255]), np.select(
      [index == 0, index == 1], [0, 0.2], 1))):
    colour, alpha = transparent(palette, path, transparency=clear)
    np.testing.assert_allclose(alpha, opacity)
    np.testing.assert_allclose(colour, table[index] / 255 * opacity[..., None], atol=1e-6)
  for array in (flat, flat[..., 0], DEEP[..., 0]):
    clear = array[1, 2]
    colour, alpha = transparent(Image.fromarray(array), path, transparency=(
        tuple(clear.tolist()) if clear.ndim else int(clear)))
    assert alpha.sum() == 19 and alpha[1, 2] == 0 and not colour[1, 2].any()
    assert colour[0, 0].any()
  colour, alpha = transparent(Image.fromarray(COLOURS[..., 2:], "LA"), path)
  np.testing.assert_allclose(alpha, COLOURS[..., 3] / 255)
  np.testing.assert_allclose(colour[..., 1], COLOURS[..., 2] / 255 * alpha, atol=1e-6)
  cv2.imwrite(str(path), bgr(COLOURS.astype(np.uint16) * 257))
  rgba = images.read_rgba(path)
  np.testing.assert_allclose(rgba[..., 3], COLOURS[..., 3] / 255)


@pytest.mark.parametrize("clear", [(1, 2, 3), (60000, 2, 3)])
def test_sixteen_bit_colour_with_a_transparent_one(tmp_path, clear):
  """No library writes it: a tRNS chunk is put before the pixels by hand."""
  path = tmp_path / "a.png"
  cv2.imwrite(str(path), bgr(DEEP[..., :3]))
  whole, chunk = path.read_bytes(), b"tRNS" + struct.pack(">HHH", *clear)
  at = whole.index(b"IDAT") - 4
  path.write_bytes(whole[:at] + struct.pack(">I", 6) + chunk
                   + struct.pack(">I", zlib.crc32(chunk)) + whole[at:])
  try:
    close(path, DEEP[..., :3] / 65535, 1 / 255)
  except InputError as error:
    assert "transparent colour" in str(error)


def test_one_bit_and_a_phone_picture_with_previews(tmp_path):
  Image.fromarray(DEEP[..., 0] > 9000).save(tmp_path / "a.png")
  close(tmp_path / "a.png", (DEEP[..., :1] > 9000).astype(np.float32))
  np.testing.assert_array_equal(images.read_labels(tmp_path / "a.png"),
                                DEEP[..., 0] > 9000)
  first = Image.new("RGB", (5, 4), (255, 0, 0))
  first.save(tmp_path / "m.jpg", "MPO", save_all=True,
             append_images=[Image.new("RGB", (5, 4))])
  np.testing.assert_allclose(images.read_image(tmp_path / "m.jpg")[0, 0], [1, 0, 0],
                             atol=0.02)


def pillow(mode, suffix):
  return suffix, lambda path: Image.fromarray(COLOURS[..., :3]).convert(mode).save(path)


def opencv(array, suffix):
  return suffix, lambda path: cv2.imwrite(str(path), array)


def animated(suffix):
  pictures = [Image.fromarray(np.roll(COLOURS[..., :3], i, 0)) for i in range(3)]
  return suffix, lambda path: pictures[0].save(path, save_all=True,
                                               append_images=pictures[1:])


REFUSED = {
    "ink": (pillow("CMYK", "jpg"), "ink for print"),
    "ink, tiff": (pillow("CMYK", "tif"), "ink for print"),
    "lab": (pillow("LAB", "tif"), "LAB colour"),
    "luma": (pillow("YCbCr", "tif"), "YCbCr colour"),
    "integers": (pillow("I", "tif"), "32-bit integers"),
    "floats of grey": (opencv(LIGHT[..., 0], "tif"), "floating-point light"),
    "floats of colour": (opencv(LIGHT, "tif"), "a kind that is not known"),
    "radiance": (opencv(LIGHT, "hdr"), "a kind that is not known"),
    "portable floats": (opencv(LIGHT[..., 0], "pfm"), "floating-point light"),
    "postscript": (pillow("RGB", "eps"), "a kind that is not known"),
    "gif": (animated("gif"), "holds 3 pictures"),
    "webp": (animated("webp"), "holds 3 pictures"),
    "apng": (animated("png"), "holds 3 pictures"),
    "pages": (animated("tif"), "holds 3 pictures"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_kinds_that_would_be_read_wrong_are_refused_by_name(tmp_path, kind):
  (suffix, write), expected = REFUSED[kind]
  path = tmp_path / f"a.{suffix}"
  write(path)
  with pytest.raises(InputError, match=expected) as error:
    images.read_image(path)
  assert str(path) in str(error.value) and "\n" not in str(error.value)
  for read in (images.read_labels, images.read_depth):
    with pytest.raises(InputError, match="a\\."):
      read(path)


def test_depth_of_arrays(tmp_path):
  path = tmp_path / "a.npy"
  depth = np.array([[1.5, 0, -1], [np.nan, np.inf, 1e300]])
  np.save(path, depth)
  np.testing.assert_array_equal(images.read_depth(path), [[1.5, 0, 0], [0, 0, 0]])
  np.save(path, depth[..., None].clip(-9, 9).astype(np.float16))
  np.testing.assert_array_equal(images.read_depth(path), [[1.5, 0, 0], [0, 9, 9]])
  np.save(path, np.array([[1500, -3]], np.int64))
  np.testing.assert_array_equal(images.read_depth(path), [[1.5, 0]])
  np.testing.assert_array_equal(images.read_depth(path, 10.0), [[150, 0]])


def numpy_claim(path, text):
  """A header of 1.0 that says `text`, with nothing after it."""
  path.write_bytes(b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text.encode())


@pytest.mark.parametrize("write, expected", [
    (lambda path: np.save(path, np.zeros((2, 3, 3))), r"shape \(2, 3, 3\)"),
    (lambda path: np.save(path, np.zeros(6)), r"shape \(6,\)"),
    (lambda path: np.save(path, np.zeros((2, 2), complex)), "holds complex128"),
    (lambda path: np.save(path, np.array([["a", "b"]])), "holds <U1"),
    (lambda path: np.save(path, np.array([[None]]), allow_pickle=True), "cannot be read"),
    (lambda path: path.write_bytes(b""), "cannot be read"),
    (lambda path: path.write_bytes(b"PK\3\4"), "cannot be read"),
    (lambda path: path.mkdir(), "cannot be read"),
    (lambda path: numpy_claim(path, "{'descr': '<f8', 'fortran_order': False, "
                              "'shape': (1000000, 1000000)}\n"), "cannot be read"),
    (lambda path: numpy_claim(path, "{'descr': '<f8'"), "cannot be read"),
    (lambda path: numpy_claim(path, "(" * 9000), "cannot be read")])
def test_arrays_that_are_no_depth(tmp_path, write, expected):
  path = tmp_path / "a.npy"
  write(path)
  with pytest.raises(InputError, match=expected) as error:
    images.read_depth(path)
  assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_damaged_arrays_are_read_or_refused(tmp_path):
  path, refused = tmp_path / "a.npy", 0
  np.save(path, RNG.random((6, 8)))
  whole = path.read_bytes()
  for _ in range(400):
    damaged = bytearray(whole)
    for _ in range(2):
      damaged[RNG.integers(128)] = RNG.integers(256)
    path.write_bytes(bytes(damaged))
    try:
      images.read_depth(path)
    except InputError as error:
      refused += "\n" not in str(error)
  assert refused > 100


@pytest.mark.parametrize("name, options", [
    ("a.png", {"transparency": 2}), ("a.tif", {"compression": "tiff_lzw"}), ("a.gif", {}),
    ("a.webp", {}), ("a.jpg", {}), ("a.bmp", {}), ("a.ppm", {})])
def test_damaged_pictures_of_each_kind_are_read_or_refused(tmp_path, name, options):
  picture, path = Image.fromarray(COLOURS[..., :3]), tmp_path / name
  (picture.quantize(8) if options.get("transparency") else picture).save(path, **options)
  whole, rng, refused = path.read_bytes(), np.random.default_rng(0), 0
  for _ in range(60):
    damaged = bytearray(whole)
    for _ in range(rng.integers(1, 6)):
      damaged[rng.integers(len(whole))] = rng.integers(256)
    path.write_bytes(bytes(damaged[:rng.integers(len(whole))] if rng.random() < 0.3
                           else damaged))
    for read in (images.image_size, images.read_rgba, images.read_labels):
      try:
        read(path)
      except InputError as error:
        refused += 1
        assert "\n" not in str(error) and str(path) in str(error)
  assert refused > 60  # none of them but PNG holds labels
