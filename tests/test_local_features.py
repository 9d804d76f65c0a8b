"""Features without weights: what makes two patches alike and what does not."""

import tracemalloc

import numpy as np
import pytest
from scipy import ndimage

from jnerf.features import local_features as local_lib
from jnerf.features.local_features import local_features, oklab


def quilt(generator, size=(96, 128), patch=32):
  """An image of flat patches of random colours with a little texture."""
  rows, columns = size[0] // patch, size[1] // patch
  colors = generator.uniform(0.1, 0.9, size=(rows, columns, 3))
  image = colors.repeat(patch, axis=0).repeat(patch, axis=1)
  return np.clip(image + generator.normal(0.0, 0.01, size=image.shape), 0.0, 1.0)


def wave(size, period, angle, mean=0.5, contrast=0.1):
  y, x = np.indices(size)
  phase = 2 * np.pi * (np.cos(angle) * x + np.sin(angle) * y) / period
  return np.repeat((mean + contrast * np.sin(phase))[..., None], 3, axis=-1)


@pytest.mark.parametrize("size, stride, grid", [
    ((48, 64), 4, (12, 16)), ((50, 70), 8, (6, 9)), ((30, 30), 1, (30, 30))])
def test_shape_dtype_and_unit_rows(size, stride, grid):
  images = np.random.default_rng(0).uniform(size=(2, *size, 3)).astype(np.float32)
  features = local_features(images, stride=stride, num_channels=24)
  assert features.grid.shape == (2, *grid, 24)
  assert features.grid.dtype == np.float16 and features.source == "local"
  norms = np.linalg.norm(features.grid.astype(np.float32), axis=-1)
  np.testing.assert_allclose(norms, 1.0, atol=2e-3)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_constant_images_are_finite_and_alike(value):
  images = np.full((2, 32, 40, 3), value, np.float32)
  rows = local_features(images).grid.astype(np.float32).reshape(2 * 8 * 10, -1)
  assert np.isfinite(rows).all()
  np.testing.assert_allclose(rows @ rows[0], 1.0, atol=5e-3)


def test_the_same_call_gives_the_same_rows():
  images = quilt(np.random.default_rng(1))[None]
  first, again = (local_features(images).grid for _ in range(2))
  np.testing.assert_array_equal(first, again)


def test_shifting_the_image_shifts_the_features():
  image = quilt(np.random.default_rng(2))
  # Both versions as views of one scene, so that they share scaling and codes.
  images = np.stack([image, np.roll(image, (4, 8), axis=(0, 1))])
  grid = local_features(images, scales=(1, 2)).grid.astype(np.float32)
  moved = np.roll(grid[0], (1, 2), axis=(0, 1))
  cosine = np.sum(moved * grid[1], axis=-1)[6:-6, 6:-6]
  assert cosine.min() > 0.999


def test_textures_of_one_mean_colour_are_told_apart():
  size = (64, 64)
  coarse, fine = wave(size, 16, 0.3), wave(size, 5, 0.3)
  flat = np.full((*size, 3), 0.5)
  grid = local_features(np.stack([flat, coarse, fine])).grid.astype(np.float32)
  middle = grid[:, 3:-3, 3:-3]
  rows = middle.reshape(3, -1, middle.shape[-1])
  between = [np.mean(rows[i] @ rows[j].T) for i, j in ((0, 1), (0, 2), (1, 2))]
  within = [np.mean(rows[i] @ rows[i].T) for i in range(3)]
  assert max(between) < 0.5 * min(within)


def test_a_shadow_counts_less_than_another_hue():
  colors = np.array([[0.60, 0.40, 0.30],   # a surface,
                     [0.47, 0.31, 0.23],   # in shade,
                     [0.40, 0.48, 0.30]])  # and one of another hue
  generator = np.random.default_rng(3)
  images = np.stack([quilt(generator, size=(64, 64), patch=8) for _ in range(6)])
  images[:3] = colors[:, None, None]
  grid = local_features(images).grid.astype(np.float32)
  surface, shaded, hue = grid[:3, 8, 8]
  # The step in lightness alone is as large as the whole step to the other hue.
  steps = oklab(colors[1:]) - oklab(colors[:1])
  assert abs(steps[0, 0]) > 0.9 * np.linalg.norm(steps[1])
  assert surface @ shaded > 0.5
  assert surface @ hue < surface @ shaded - 0.2


def test_one_random_pair_in_ten_exceeds_a_half():
  generator = np.random.default_rng(4)
  images = np.stack([quilt(generator) for _ in range(4)])
  grid = local_features(images, num_channels=256).grid.astype(np.float32)
  rows = grid.reshape(-1, grid.shape[-1])
  first, second = generator.integers(len(rows), size=(2, 20_000))
  share = np.mean(np.sum(rows[first] * rows[second], axis=-1) > 0.5)
  assert 0.07 < share < 0.14


def test_oklab_of_known_colours():
  known = np.array([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
  expected = np.array([[1.0, 0.0, 0.0], [0.62796, 0.22486, 0.12585],
                       [0.45201, -0.03246, -0.31153]])
  np.testing.assert_allclose(oklab(known), expected, atol=2e-4)


def described_slowly(image, stride, scales):
  """`[h, w, D]`: planes blurred whole and then looked up, each statistic by itself."""
  lab = oklab(image)
  light = lab[..., 0] + 0.15
  planes = [np.log(light), lab[..., 1] / light, lab[..., 2] / light]
  slopes = [ndimage.gaussian_filter(planes[0], 0.7, order=order)
            for order in ((1, 0), (0, 1))]
  grid = [max(1, round(size / stride)) for size in light.shape]
  at = np.meshgrid(*((np.arange(num) + 0.5) * size / num - 0.5
                     for num, size in zip(grid, light.shape)), indexing="ij")
  channels = []
  for scale in scales:
    def around(plane, sigma=0.5 * stride * scale):
      blurred = ndimage.gaussian_filter(plane, sigma)
      return ndimage.map_coordinates(blurred, at, order=1, mode="nearest")

    xx, yy, xy = (around(slopes[i] * slopes[j]) for i, j in ((1, 1), (0, 0), (0, 1)))
    channels += [around(planes[1]), around(planes[2]), around(planes[0])]
    channels += [np.sqrt(np.maximum(around(plane**2) - around(plane) ** 2, 0))
                 for plane in planes]
    channels += [np.sqrt(xx + yy), np.sqrt(np.hypot(xx - yy, 2 * xy))]
  return np.stack(channels, axis=-1)


@pytest.mark.parametrize("size, stride, scales", [
    ((48, 64), 4, (1, 2, 4)), ((35, 50), 4, (1, 3)), ((9, 12), 2, (1, 8)),
    ((12, 9), 1, (1, 2))])
def test_descriptors_are_blurred_planes_looked_up(size, stride, scales):
  image = np.random.default_rng(5).uniform(size=(*size, 3)).astype(np.float32)
  expected = described_slowly(image, stride, scales)
  describe = local_lib._Describer(size, stride, scales)
  assert (describe.height, describe.width) == expected.shape[:2]
  np.testing.assert_allclose(describe(image), expected.reshape(-1, expected.shape[-1]),
                             atol=1e-7)


def test_rows_are_those_of_all_views_at_once():
  generator, views = np.random.default_rng(6), 5
  images = np.stack([quilt(generator) for _ in range(views)]).astype(np.float32)
  features = local_features(images, seed=3).grid
  rows = np.concatenate([described_slowly(image, 4, (1, 2, 4)).reshape(-1, 24)
                         for image in images])
  weights = np.concatenate([np.array([1, 1, 0.4] + [0.15] * 5) / 2**rank
                            for rank in range(3)])
  rows = (rows - rows.mean(0)) / rows.std(0) * weights
  stream = np.random.default_rng(3)
  first, second = stream.integers(len(rows), size=(2, 20_000))
  sample = stream.integers(len(rows), size=min(len(rows), 10_240))
  expected = local_lib._feature_rows(rows[first], rows[second], rows[sample], 64)(rows)
  np.testing.assert_allclose(features.reshape(-1, 64).astype(np.float32), expected,
                             atol=1e-3)


def test_further_views_take_the_memory_of_their_features_alone():
  generator, peaks, sizes = np.random.default_rng(7), [], []
  for views in (16, 52):  # from the first on, as many as the codebook samples
    images = generator.uniform(size=(views, 48, 64, 3)).astype(np.float32)
    tracemalloc.start()
    features = local_features(images, stride=2)
    peaks.append(tracemalloc.get_traced_memory()[1])
    tracemalloc.stop()
    sizes.append(features.grid.nbytes)
  assert peaks[1] - peaks[0] < 1.5 * (sizes[1] - sizes[0])
