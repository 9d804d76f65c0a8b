"""Which regions belong together: a random walk from region to region.

Regions that touch and look alike are linked. A walker that starts in one of them and
goes on with probability `reach` at every step says by where it has been what that
region is part of: it rounds corners and crosses shades, and seldom an edge. With W the
links' weights and D their sums, `S = D^-1/2 W D^-1/2`, the kernel is

  K = (1 - reach S)^-1,  brought to a diagonal of 1

(Zhou et al. 2003, Learning with Local and Global Consistency; a Gaussian process whose
prior knows the scene). Its largest eigenvectors are an embedding of the regions whose
inner products are K's, small ones left out.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg, sparse

from jnerf.shaping.regions import Regions, difference

FLOOR = 1e-4  # of a link; no wall is so thick that nobody ever passes


def transitions(regions: Regions, *, color_scale: float,
                feature_scale: float) -> sparse.csr_matrix:
  """The symmetric matrix `S [R, R]`, whose largest eigenvalue is 1.

  color_scale, feature_scale: differences across which few go, see `find_regions`.
  """
  first, second = np.asarray(regions.links).T
  unlike = difference(regions.rgb, regions.features, first, second, color_scale,
                      feature_scale)
  weights = regions.contacts * np.exp(-unlike) + FLOOR
  num = len(regions.points)
  links = sparse.csr_matrix((weights.astype(np.float64), (first, second)),
                            shape=(num, num))
  links = links + links.T
  degree = np.asarray(links.sum(axis=1)).reshape(-1)
  scale = sparse.diags(1 / np.sqrt(np.where(degree > 0, degree, 1.0)))
  return (scale @ links @ scale).tocsr()


def kernel(walk: sparse.csr_matrix, reach: float) -> np.ndarray:
  """`K [R, R]` float32 with a diagonal of 1.

  walk: S; reach: in [0, 1), how far from home: `1 / (1 - reach)` steps on average.
  """
  system = np.eye(walk.shape[0], dtype=np.float32) - np.float32(reach) * walk.toarray()
  factor, _ = linalg.lapack.spotrf(system.astype(np.float32), lower=1, overwrite_a=1)
  inverse, _ = linalg.lapack.spotri(factor, lower=1, overwrite_c=1)
  inverse = np.tril(inverse)
  inverse += np.tril(inverse, -1).T
  scale = 1 / np.sqrt(np.diagonal(inverse))
  return scale[:, None] * inverse * scale[None, :]


def embedding(walk: sparse.csr_matrix, reach: float, num_channels: int) -> np.ndarray:
  """`[R, D]` float32 unit rows whose inner products are K's of low rank.

  num_channels: D; fewer where there are no more regions.
  """
  num = walk.shape[0]
  if num <= num_channels + 1:
    values, vectors = np.linalg.eigh(walk.toarray())
  else:
    start = np.random.default_rng(0).normal(size=num)  # the same result every time
    values, vectors = sparse.linalg.eigsh(walk, k=num_channels, which="LA", v0=start,
                                          tol=1e-4)
  rows = vectors / np.sqrt(1 - reach * np.minimum(values, 1.0))
  return (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
          ).astype(np.float32)
