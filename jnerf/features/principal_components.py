"""Fewer channels that keep the most of features' dot products.

The directions are principal ones about the origin, not about the mean: what is asked
of features is the cosine between them, which is between vectors from the origin. So
all F directions are a rotation, which changes no cosine, and the first K lose the
least of the squared length, F - K of them being left out.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def principal_directions(parts: Iterable[np.ndarray], num: int
                         ) -> tuple[np.ndarray, float]:
  """`(directions [F, num] float32, share)`, most important first, of unit length.

  parts: arrays `[..., F]` whose rows are taken together, seen one at a time.
  share: of the rows' summed squared length that the directions keep.

  num: at most F. Signs are such that a direction's largest entry is positive.
  """
  moment = 0.0
  for part in parts:
    rows = part.reshape(-1, part.shape[-1]).astype(np.float32)
    moment = moment + (rows.T @ rows).astype(np.float64)
  values, vectors = np.linalg.eigh(moment)  # ascending
  values, vectors = values[::-1], vectors[:, ::-1][:, :num]
  largest = np.take_along_axis(vectors, np.abs(vectors).argmax(0)[None], axis=0)
  vectors = vectors * np.where(largest < 0, -1, 1)
  share = values[:num].sum() / max(values.sum(), np.finfo(np.float64).tiny)
  return vectors.astype(np.float32), float(share)
