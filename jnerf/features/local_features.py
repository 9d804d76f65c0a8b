"""Visual features from colour and texture alone: no network, no weights.

They say which pixels look alike, for choosing the pairs that shaping contrasts.
A pixel is described by its surroundings at several scales:

 - chromaticity, OKLab's `a / L, b / L`: a surface keeps it in light and shade;
 - lightness, with a small weight, since shading changes it;
 - texture: the spread of lightness and chromaticity, and the energy and
   anisotropy of lightness gradients, all relative to the lightness.

Descriptors of a scene are scaled to unit spread and mapped to rows whose cosine
is a Gaussian of the descriptors' distance (the Nystroem method).
A plain cosine of centred descriptors would compare directions from the scene's
average and tell two patches of an average wall apart by their noise.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses

import numpy as np
from scipy import ndimage, sparse, spatial

from jnerf.colors import oklab
from jnerf.errors import InputError
from jnerf.settings import setting
from jnerf.structs import FeatureMaps

_DARK = 0.15  # lightness below which chromaticity is mostly noise
_WEIGHTS = {"chroma": 1.0, "lightness": 0.4, "texture": 0.15}
_SCALE_DECAY = 0.5  # weight of a scale relative to the next finer one
_CODEBOOK = 256
_NUM_PAIRS = 20_000
_PAIR_SHARE, _PAIR_COSINE = 0.10, 0.5  # one pair in ten is above a half
_MIN_BANDWIDTH = 0.02  # squared, relative to the mean squared distance


@dataclasses.dataclass(frozen=True)
class LocalSettings:
  """Of colour and texture statistics."""

  scales: tuple = setting((1, 2, 4), "of the statistics, in feature cells")
  stride: int = setting(4, "pixels per feature cell", at_least=1)

  def check(self, section: str) -> None:
    """Raises InputError where a scale is less than a cell."""
    if not self.scales or min(self.scales) < 1:
      raise InputError(f"{section}.scales={tuple(self.scales)}: must be one or more "
                       "sizes of at least 1")


def local_features(images: np.ndarray, *, stride: int = 4,
                   scales: Sequence[float] = (1, 2, 4),
                   num_channels: int = 64, seed: int = 0) -> FeatureMaps:
  """Features of every view on a grid of `stride` pixels.

  Args:
    images: `[V, H, W, 3]` sRGB in [0, 1]; each is looked at twice, one at a time.
    stride: pixels per cell; the grid has `round(H / stride)` rows.
    scales: of the neighbourhoods, in cells.
    num_channels: largest length F of a row; a plain scene needs fewer.
    seed: of the codebook and of the pairs that set the bandwidth.

  Returns:
    `FeatureMaps` with `grid [V, h, w, F]` float16 of unit rows. The cosine of
    two rows falls from 1 towards 0 as they look less alike. With all channels
    one random pair of cells in ten is above 0.5; leaving channels out raises
    cosines a little, to about one pair in six with 64.
  """
  generator, views = np.random.default_rng(seed), len(images)
  describe = _Describer(images[0].shape[:2], stride, scales)
  cells = describe.height * describe.width
  num = views * cells
  pairs = generator.integers(num, size=(2, _NUM_PAIRS))
  sample = generator.integers(num, size=min(num, 40 * _CODEBOOK))
  chosen, mean, spread = _survey(images, describe, np.append(pairs.reshape(-1), sample))
  scale = describe.weights / np.where(spread > 1e-6, spread, 1.0)
  chosen = (chosen - mean) * scale
  first, second, sample = np.split(chosen, [_NUM_PAIRS, 2 * _NUM_PAIRS])
  feature_rows = _feature_rows(first, second, sample, num_channels)
  grid = None
  for view, image in enumerate(images):  # described again: cheaper than to keep it
    rows = feature_rows((describe(image) - mean) * scale)
    if grid is None:
      grid = np.empty((views, *rows.shape), np.float16)
    grid[view] = rows
  return FeatureMaps(grid=grid.reshape(views, describe.height, describe.width, -1),
                     source="local", origin="made anew where needed")


def _survey(images, describe, numbers):
  """`(chosen [m, D], mean [D], spread [D])` over the cells of all views.

  numbers: `[m]` which of all cells, in the views' order, are `chosen`.
  """
  order = np.argsort(numbers, kind="stable")
  cells = describe.height * describe.width
  ends = np.searchsorted(numbers[order], cells * np.arange(len(images) + 1))
  means, variances, parts = [], [], []
  for view, image in enumerate(images):
    rows = describe(image)
    means.append(rows.mean(0))
    variances.append(rows.var(0))
    parts.append(rows[numbers[order[ends[view]:ends[view + 1]]] - view * cells])
  chosen = np.empty((len(numbers), len(describe.weights)))
  chosen[order] = np.concatenate(parts)
  mean = np.mean(means, axis=0)
  variance = np.mean(variances, axis=0) + np.mean((np.array(means) - mean) ** 2, axis=0)
  return chosen, mean, np.sqrt(variance)


class _Describer:
  """Descriptors of images of one size, `[H, W, 3] -> [height * width, D]`.

  height, width: of the grid of cells; weights: `[D]` of the descriptors.
  """

  def __init__(self, size: tuple[int, int], stride: int, scales: Sequence[float]):
    self.height, self.width = (max(1, round(edge / stride)) for edge in size)
    self._blurs = [[_blur(edge, num, 0.5 * stride * scale)
                    for edge, num in zip(size, (self.height, self.width))]
                   for scale in scales]
    groups = [_WEIGHTS[name] for name in
              ("chroma", "chroma", "lightness", *["texture"] * 5)]
    self.weights = np.concatenate([np.array(groups) * _SCALE_DECAY**rank
                                   for rank in range(len(scales))])

  def __call__(self, image: np.ndarray) -> np.ndarray:
    lab = oklab(np.asarray(image, np.float32))
    lightness = lab[..., 0]
    chroma = lab[..., 1:] / (lightness + _DARK)[..., None]
    log_light = np.log(lightness + _DARK)
    slope_y, slope_x = (ndimage.gaussian_filter(log_light, 0.7, order=order)
                        for order in ((1, 0), (0, 1)))
    planes = [log_light, chroma[..., 0], chroma[..., 1]]
    planes += [plane**2 for plane in planes]
    planes += [slope_x**2, slope_y**2, slope_x * slope_y]
    channels = []
    for blur_y, blur_x in self._blurs:
      around = [blur_x @ (blur_y @ plane).T for plane in planes]
      means, squares, (xx, yy, xy) = around[:3], around[3:6], around[6:]
      light, *colour = means
      spreads = [np.sqrt(np.maximum(square - mean**2, 0.0))
                 for square, mean in zip(squares, means)]
      channels += [*colour, light, *spreads,
                   np.sqrt(xx + yy), np.sqrt(np.hypot(xx - yy, 2.0 * xy))]
    return np.stack([channel.T.reshape(-1) for channel in channels], axis=-1)


def _blur(size: int, num: int, sigma: float) -> sparse.csr_matrix:
  """`[num, size]`: a line of pixels, blurred, at the centres of `num` cells.

  What `ndimage.gaussian_filter` and a linear look-up give, for these places alone.
  """
  radius = int(4 * sigma + 0.5)
  offsets = np.arange(-radius, radius + 1)
  weights = np.exp(-0.5 * (offsets / sigma) ** 2)
  at = np.clip((np.arange(num) + 0.5) * size / num - 0.5, 0, size - 1)
  low = np.floor(at).astype(int)
  matrix = np.zeros((num, size))
  for centre, share in ((low, 1 - (at - low)), (np.minimum(low + 1, size - 1), at - low)):
    pixel = (centre[:, None] + offsets) % (2 * size)
    pixel = np.minimum(pixel, 2 * size - 1 - pixel)  # mirrored beyond the edges
    np.add.at(matrix, (np.arange(num)[:, None], pixel),
              share[:, None] * weights / weights.sum())
  return sparse.csr_matrix(matrix)


def _feature_rows(first, second, sample, num_channels):
  """A function from descriptors `[M, D]` to unit rows `[M, F]`.

  The dot product of two rows nears a Gaussian kernel of their descriptors. Nystroem:
  with codes c and K = kernel(c, c) = U diag(s) U^T, a descriptor x has the coordinates
  kernel(x, c) U s^(-1/2); the largest `num_channels` are kept.

  first, second: `[m, D]` random pairs, which set the bandwidth; sample: `[m, D]`, of
    which the codes are taken.
  """
  square = np.sum((first - second) ** 2, axis=-1)
  # exp(-d^2 / 2 l^2) = _PAIR_COSINE at the quantile _PAIR_SHARE of d^2. Where
  # more pairs than that are equal, the kernel must not shrink to a point.
  bandwidth = np.quantile(square, _PAIR_SHARE) / (-2.0 * np.log(_PAIR_COSINE))
  bandwidth = max(bandwidth, _MIN_BANDWIDTH * square.mean(), 1e-6)

  def kernel(a, b):
    return np.exp(-spatial.distance.cdist(a, b, "sqeuclidean") / (2.0 * bandwidth))

  codes = _codes(sample, kernel)
  values, vectors = np.linalg.eigh(kernel(codes, codes))
  basis = (vectors / np.sqrt(np.maximum(values, 1e-6)))[:, -num_channels:]

  def rows_of(descriptors):
    features = np.concatenate([
        kernel(chunk, codes) @ basis
        for chunk in np.array_split(descriptors, max(1, len(descriptors) // 8192))])
    norm = np.linalg.norm(features, axis=-1, keepdims=True)
    return features / np.maximum(norm, 1e-12)

  return rows_of


def _codes(sample, kernel) -> np.ndarray:
  """Up to `_CODEBOOK` rows that span the sample `[M, D]` best, greedily.

  A pivoted Cholesky factorisation: each next code is the row that the codes so
  far explain least, so rare things get codes as well as walls do.
  """
  factor = np.zeros((len(sample), _CODEBOOK))
  residual, chosen = np.ones(len(sample)), []
  while len(chosen) < _CODEBOOK and residual.max() > 1e-3:
    pivot = int(residual.argmax())
    column = kernel(sample, sample[pivot:pivot + 1])[:, 0] - factor @ factor[pivot]
    column /= np.sqrt(residual[pivot])
    factor[:, len(chosen)] = column
    residual = residual - column**2
    chosen.append(pivot)
  return sample[chosen]
