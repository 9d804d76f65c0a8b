"""Fewer channels that keep the most of features' dot products.

By default the directions are principal ones about the origin, not about the mean: what
is asked of features is the cosine between them, which is between vectors from the
origin. So all F directions are a rotation, which changes no cosine, and the first K lose
the least of the squared length, F - K of them being left out.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def principal_directions(parts: Iterable[np.ndarray], num: int, *, centred: bool = False
                         ) -> tuple[np.ndarray, np.ndarray, float]:
  """`(origin [F], directions [F, num], share)`, both float32.

  The directions, most important first and of unit length, are about the origin, which
  is 0, or the rows' mean where `centred`: of features that are alike everywhere, only
  what differs tells.

  parts: arrays `[..., F]` whose rows are taken together, seen one at a time.
  share: of the rows' summed squared length from the origin that the directions keep.

  num: at most F. Signs are such that a direction's largest entry is positive.
  """
  moment, total, count = 0.0, 0.0, 0
  for part in parts:
    rows = part.reshape(-1, part.shape[-1]).astype(np.float32)
    moment = moment + (rows.T @ rows).astype(np.float64)
    total, count = total + rows.sum(0, dtype=np.float64), count + len(rows)
  origin = total / count if centred else np.zeros_like(total)
  moment = moment - count * np.outer(origin, origin)
  values, vectors = np.linalg.eigh(moment)  # ascending
  values, vectors = values[::-1], vectors[:, ::-1][:, :num]
  largest = np.take_along_axis(vectors, np.abs(vectors).argmax(0)[None], axis=0)
  vectors = vectors * np.where(largest < 0, -1, 1)
  share = values[:num].sum() / max(values.sum(), np.finfo(np.float64).tiny)
  return origin.astype(np.float32), vectors.astype(np.float32), float(share)
