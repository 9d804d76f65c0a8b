"""NumPy on the host: rows at unit length, and a few rows chosen evenly out of many."""

from __future__ import annotations

import numpy as np


def unit_rows(rows: np.ndarray) -> np.ndarray:
  """`[..., D]` rows at length 1; a zero row stays zero."""
  return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)


def evenly_spread(rows: np.ndarray, limit: int) -> np.ndarray:
  """At most `limit` of `rows [M, ...]`, evenly spread over their order."""
  if len(rows) <= limit:
    return rows
  return rows[np.linspace(0, len(rows) - 1, limit).astype(np.int64)]
