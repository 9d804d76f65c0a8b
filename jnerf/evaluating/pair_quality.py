"""How often two pixels that features call alike are of one class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def precision_of_positives(similarity: np.ndarray, labels: np.ndarray,
                           shares: Sequence[float]) -> list[float]:
  """Share of equal labels among the most similar pairs, for each of `shares`.

  similarity: `[N, N]` of N pixels; labels: `[N]` ground-truth classes, whose 0 (void)
    takes part in no pair.
  shares: of all pairs, how many are called positive. At equal shares two features can
    be compared whatever their scale; a threshold is a share in disguise.
  """
  known = labels != 0
  first, second = np.nonzero(np.triu(known[:, None] & known[None, :], k=1))
  right = labels[first] == labels[second]
  order = np.argsort(-similarity[first, second], kind="stable")
  hits = np.cumsum(right[order])
  num = [max(1, round(share * len(order))) for share in shares]
  return [float(hits[n - 1] / n) for n in num]
