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

import numpy as np
from scipy import ndimage, spatial

from jnerf.colors import oklab
from jnerf.structs import FeatureMaps

_DARK = 0.15  # lightness below which chromaticity is mostly noise
_WEIGHTS = {"chroma": 1.0, "lightness": 0.4, "texture": 0.15}
_SCALE_DECAY = 0.5  # weight of a scale relative to the next finer one
_CODEBOOK = 256
_NUM_PAIRS = 20_000
_PAIR_SHARE, _PAIR_COSINE = 0.10, 0.5  # one pair in ten is above a half
_MIN_BANDWIDTH = 0.02  # squared, relative to the mean squared distance


def local_features(images: np.ndarray, *, stride: int = 4,
                   scales: Sequence[float] = (1, 2, 4),
                   num_channels: int = 64, seed: int = 0) -> FeatureMaps:
  """Features of every view on a grid of `stride` pixels.

  Args:
    images: `[V, H, W, 3]` sRGB in [0, 1].
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
  generator = np.random.default_rng(seed)
  described = [_describe(image, stride, scales) for image in images]
  weights = described[0][1]
  grid = np.stack([values for values, _ in described])
  rows = grid.reshape(-1, grid.shape[-1])
  spread = rows.std(0)
  rows = (rows - rows.mean(0)) / np.where(spread > 1e-6, spread, 1.0) * weights
  features = _kernel_rows(rows, num_channels, generator)
  return FeatureMaps(grid=features.reshape(*grid.shape[:3], -1).astype(np.float16),
                     source="local", origin="made anew where needed")


def _describe(image, stride, scales) -> tuple[np.ndarray, np.ndarray]:
  """Descriptors `[h, w, D]` of one image and the weights `[D]` of the channels."""
  lab = oklab(np.asarray(image, np.float32))
  lightness = lab[..., 0]
  chroma = lab[..., 1:] / (lightness + _DARK)[..., None]
  height, width = (max(1, round(size / stride)) for size in lightness.shape)
  at = np.meshgrid((np.arange(height) + 0.5) * lightness.shape[0] / height - 0.5,
                   (np.arange(width) + 0.5) * lightness.shape[1] / width - 0.5,
                   indexing="ij")
  log_light = np.log(lightness + _DARK)
  slope_y, slope_x = (ndimage.gaussian_filter(log_light, 0.7, order=order)
                      for order in ((1, 0), (0, 1)))
  channels, weights = [], []
  for rank, scale in enumerate(scales):
    sigma = 0.5 * stride * scale

    def around(plane, sigma=sigma):
      smooth = ndimage.gaussian_filter(plane, sigma)
      return ndimage.map_coordinates(smooth, at, order=1, mode="nearest")

    def spread(plane, around=around):
      return np.sqrt(np.maximum(around(plane**2) - around(plane) ** 2, 0.0))

    xx, yy, xy = (around(p) for p in (slope_x**2, slope_y**2, slope_x * slope_y))
    groups = {
        "chroma": [around(chroma[..., 0]), around(chroma[..., 1])],
        "lightness": [around(log_light)],
        "texture": [spread(log_light), spread(chroma[..., 0]), spread(chroma[..., 1]),
                    np.sqrt(xx + yy), np.sqrt(np.hypot(xx - yy, 2.0 * xy))],
    }
    for name, planes in groups.items():
      channels += planes
      weights += [_WEIGHTS[name] * _SCALE_DECAY**rank] * len(planes)
  return np.stack(channels, axis=-1), np.array(weights)


def _kernel_rows(rows, num_channels, generator) -> np.ndarray:
  """Unit rows `[M, F]` whose dot product nears a Gaussian kernel of `rows`.

  Nystroem: with codes c and K = kernel(c, c) = U diag(s) U^T, a descriptor x has
  the coordinates kernel(x, c) U s^(-1/2); the largest `num_channels` are kept.
  """
  first, second = generator.integers(len(rows), size=(2, _NUM_PAIRS))
  square = np.sum((rows[first] - rows[second]) ** 2, axis=-1)
  # exp(-d^2 / 2 l^2) = _PAIR_COSINE at the quantile _PAIR_SHARE of d^2. Where
  # more pairs than that are equal, the kernel must not shrink to a point.
  bandwidth = np.quantile(square, _PAIR_SHARE) / (-2.0 * np.log(_PAIR_COSINE))
  bandwidth = max(bandwidth, _MIN_BANDWIDTH * square.mean(), 1e-6)

  def kernel(a, b):
    return np.exp(-spatial.distance.cdist(a, b, "sqeuclidean") / (2.0 * bandwidth))

  sample = rows[generator.integers(len(rows), size=min(len(rows), 40 * _CODEBOOK))]
  codes = _codes(sample, kernel)
  values, vectors = np.linalg.eigh(kernel(codes, codes))
  basis = (vectors / np.sqrt(np.maximum(values, 1e-6)))[:, -num_channels:]
  features = np.concatenate([
      kernel(chunk, codes) @ basis
      for chunk in np.array_split(rows, max(1, len(rows) // 8192))])
  return features / np.maximum(np.linalg.norm(features, axis=-1, keepdims=True), 1e-12)


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
