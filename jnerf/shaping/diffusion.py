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

from jnerf.errors import InputError
from jnerf.host_arrays import unit_rows
from jnerf.shaping.regions import Regions, Scales, difference

FLOOR = 1e-4  # of a link; no wall is so thick that nobody ever passes


def links(regions: Regions, scales: Scales) -> sparse.csr_matrix:
  """The symmetric matrix `W [R, R]` of how many go from region to region.

  scales: of differences across which few go.
  """
  first, second = np.asarray(regions.links).T
  weights = regions.contacts * np.exp(
      -difference(regions, first, second, scales)) + FLOOR
  num = len(regions.points)
  one_way = sparse.csr_matrix((weights.astype(np.float64), (first, second)),
                              shape=(num, num))
  return (one_way + one_way.T).tocsr()


def transitions(links: sparse.csr_matrix) -> sparse.csr_matrix:
  """The symmetric matrix `S [R, R]`, whose largest eigenvalue is 1."""
  degree = np.asarray(links.sum(axis=1)).reshape(-1)
  scale = sparse.diags(1 / np.sqrt(np.where(degree > 0, degree, 1.0)))
  return (scale @ links @ scale).tocsr()


def kernel(walk: sparse.csr_matrix, reach: float) -> np.ndarray:
  """`K [R, R]` float32 with a diagonal of 1, made in the memory that it takes.

  walk: S; reach: in [0, 1), how far from home: `1 / (1 - reach)` steps on average.

  Raises InputError where `reach` is so near 1 that single precision has no inverse.
  """
  num = walk.shape[0]
  system = (sparse.identity(num) - np.float32(reach) * walk).astype(np.float32)
  result = system.toarray(order="F")  # LAPACK's order, so that it works in place
  result, info = linalg.lapack.spotrf(result, lower=1, overwrite_a=1)
  _check_solved("spotrf", info, reach)
  result, info = linalg.lapack.spotri(result, lower=1, overwrite_c=1)
  _check_solved("spotri", info, reach)
  _mirror(result)
  result = result.T  # the same by symmetry, in NumPy's order
  scale = 1 / np.sqrt(np.diagonal(result))
  result *= scale[:, None]
  result *= scale[None, :]
  return result


def _check_solved(routine: str, info: int, reach: float) -> None:
  if info:
    raise InputError(f"regions.reach={reach}: the walk over the regions has no kernel "
                     f"in single precision (LAPACK's {routine}: {info}); lower it")


def _mirror(square: np.ndarray, block: int = 512) -> None:
  """Copies what is below the diagonal above it, block by block, in place."""
  for start in range(0, len(square), block):
    here, beyond = slice(start, start + block), slice(start + block, None)
    square[here, beyond] = square[beyond, here].T
    corner = np.tril(square[here, here])
    square[here, here] = corner + np.tril(corner, -1).T


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
  return unit_rows(rows).astype(np.float32)
