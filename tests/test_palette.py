"""Class colours, label files, and numbers turned into pictures."""

import hashlib

import numpy as np
from PIL import Image
import pytest

from jnerf.colors import linear_from_srgb, oklab_from_linear
from jnerf.viewing import images
from jnerf.viewing.palette import (
  label_image,
  palette,
  read_confidence_png,
  read_label_png,
  write_confidence_png,
  write_label_png,
)


def test_every_id_has_its_own_color_and_void_is_black():
  colors = palette().astype(np.int64)
  assert colors.shape == (65536, 3)
  assert len(np.unique(colors @ np.array([65536, 256, 1]))) == 65536
  np.testing.assert_array_equal(colors[0], 0)
  assert colors[1:].max(axis=1).min() >= 60  # nothing else looks like void


def test_first_colors_stay_apart_without_red_green_vision():
  # Seen by a deuteranope, red and green are mixed: an old, coarse model of it
  # (unlike the one the palette was chosen with).
  colors = palette()[1:13].astype(float) / 255
  mixed = colors[:, :2] @ np.array([0.625, 0.375])
  seen = np.stack([mixed, colors[:, 2]], axis=1)
  apart = np.linalg.norm(seen[:, None] - seen[None], axis=-1)
  assert apart[~np.eye(12, dtype=bool)].min() > 0.05


# Machado et al. 2009, severity 1: linear light as a protanope and a deuteranope see it.
PROTANOPIA = np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                       [-0.003882, -0.048116, 1.051998]])
DEUTERANOPIA = np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                         [-0.011820, 0.042940, 0.968881]])
OKABE_ITO = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178),
             (213, 94, 0), (204, 121, 167))


def as_seen(rgb):
  """`[3, N, 3]` OKLab of colours `[N, 3]`, 0 to 255, for three kinds of eyes.

  Two of three dimensions are left to a dichromat, so 255 colours cannot be as far apart
  there; without the factor lightness alone would tell them apart.
  """
  linear = linear_from_srgb(np.asarray(rgb, np.float64) / 255)
  return np.stack([oklab_from_linear(linear), *(
      2.0 * oklab_from_linear(np.clip(linear @ eye.T, 0, 1))
      for eye in (PROTANOPIA, DEUTERANOPIA))])


def test_first_256_colors_are_those_that_farthest_point_selection_gives():
  levels = np.linspace(0, 255, 18).round()
  candidates = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1)
  candidates = candidates.reshape(-1, 3)
  lightness = as_seen(candidates)[0, :, 0]
  candidates = candidates[(lightness > 0.35) & (lightness < 0.95)]
  seen, gap = as_seen(candidates), np.full(len(candidates), np.inf)

  def reach(color):
    return np.linalg.norm(seen - as_seen(color[None]), axis=-1).min(axis=0)

  chosen = [np.zeros(3), *map(np.asarray, OKABE_ITO)]
  for color in [np.full(3, 255.0), *chosen]:  # white is the page: keep clear of it
    gap = np.minimum(gap, reach(color))
  while len(chosen) < 256:
    chosen.append(candidates[np.argmax(gap)])
    gap = np.minimum(gap, reach(chosen[-1]))
  np.testing.assert_array_equal(palette()[:256], np.stack(chosen))


def test_colors_of_files_written_before_stay():
  assert hashlib.sha256(palette().tobytes()).hexdigest().startswith("40c27a68ec57a472")


@pytest.mark.parametrize("largest, mode", [(9, "P"), (255, "P"), (256, "I;16"),
                                           (65535, "I;16")])
def test_label_file_gives_back_the_ids(tmp_path, largest, mode):
  labels = np.arange(12).reshape(3, 4) % 5
  labels[1, 2] = largest
  path = write_label_png(tmp_path / "deep" / "rgb_1.png", labels)
  np.testing.assert_array_equal(read_label_png(path), labels)
  with Image.open(path) as image:
    assert image.mode == mode
    if mode == "P":
      np.testing.assert_array_equal(np.asarray(image.convert("RGB")),
                                    label_image(labels))
  assert [p.name for p in path.parent.iterdir()] == ["rgb_1.png"]


@pytest.mark.parametrize("labels", [
    np.array([[-1, 0]]), np.array([[65536]]), np.array([[0.5]]), np.zeros(3, int)])
def test_what_is_no_label_map_is_refused(tmp_path, labels):
  with pytest.raises(ValueError):
    write_label_png(tmp_path / "x.png", labels)
  assert not list(tmp_path.iterdir())


def test_confidence_file_is_grey_and_true_to_8_bits(tmp_path):
  confidence = np.linspace(0, 1, 511).reshape(7, 73)
  path = write_confidence_png(tmp_path / "c.png", confidence)
  with Image.open(path) as image:
    assert image.mode == "L" and image.getextrema() == (0, 255)
  np.testing.assert_allclose(read_confidence_png(path), confidence, atol=0.51 / 255)


def test_color_maps_match_their_published_colors():
  # matplotlib's viridis and inferno at 0, 1/2 and 1.
  expected = {"viridis": [(.267, .005, .329), (.128, .567, .551), (.993, .906, .144)],
              "inferno": [(.001, .000, .014), (.736, .216, .330), (.988, .998, .645)]}
  for name, colors in expected.items():
    got = images.color_map(np.array([-1, 0.5, 7]), name)  # clipped
    np.testing.assert_allclose(got, colors, atol=0.001)


def test_depth_picture_near_is_bright_and_none_is_black():
  depth = np.array([[1.0, 2.0, 0.0, np.nan]])
  lo, hi = images.depth_range(depth, None)
  assert 1.0 <= lo < hi <= 2.0
  picture = images.depth_image(depth, 1.0, 2.0).astype(int)
  assert picture[0, 0].sum() > picture[0, 1].sum() > 0
  np.testing.assert_array_equal(picture[0, 2:], 0)
  assert images.depth_range(np.zeros((2, 2))) == (0.0, 1.0)


def test_response_picture_ignores_scale_and_leaves_the_silent_grey():
  rng = np.random.default_rng(0)
  photo, response = rng.random((8, 9, 3)), rng.normal(size=(8, 9))
  picture = images.response_image(photo, response)
  np.testing.assert_array_equal(picture, images.response_image(photo, 7 * response))
  silent = picture[response <= 0]
  np.testing.assert_array_equal(silent, np.repeat(silent[:, :1], 3, axis=1))
  answer = picture[np.unravel_index(response.argmax(), response.shape)].astype(int)
  assert answer[0] - answer[2] > 60  # hot: much red, little blue
  nothing = images.response_image(photo, np.zeros((8, 9)))
  np.testing.assert_array_equal(nothing[..., 0], nothing[..., 2])


def test_error_picture_tells_right_wrong_and_void():
  picture = images.error_image(np.array([[1, 2, 3]]), np.array([[1, 1, 0]]))
  np.testing.assert_array_equal(
      picture[0], [images.RIGHT, images.WRONG, images.VOID])


def test_mark_is_centred_on_the_pixel_and_shows_on_any_ground():
  for ground in (0, 128, 255):
    image = np.full((41, 61, 3), ground, np.uint8)
    marked = images.mark_pixel(image, 40, 15, radius=8)
    changed = np.argwhere((marked != image).any(axis=-1))
    np.testing.assert_allclose(changed.mean(axis=0), [15, 40], atol=1e-9)
    assert np.abs(changed - np.array([[15, 40]])).max() <= 12
    across = marked[15, 44:52]  # through the ring: a white line in black edges
    assert across.max() == 255 and across.min() < 70
  images.mark_pixel(image, 0, 40)  # at the border: no error


def test_enlarging_is_by_a_whole_factor_and_never_shrinks():
  image = np.full((2, 3, 3), 7, np.uint8)
  np.testing.assert_array_equal(images.enlarge(image, 7), np.full((6, 9, 3), 7))
  assert images.enlarge(image, 3) is image
