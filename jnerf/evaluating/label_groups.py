"""Rows of label scores, put together over seeds.

A *row* is one entry of `labels` in metrics.json; a *group* is the rows that differ in
their seed, and in what came of it, alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import math
from typing import Any

import numpy as np

Row = Mapping[str, Any]
GROUP_KEYS = ("protocol", "dimension", "field", "pairs", "method")
SCORES = ("miou", "miou_all", "class_accuracy", "total_accuracy", "seconds")


@dataclasses.dataclass(frozen=True)
class Group:
  """Rows of one protocol, dimension, field, pairs and method over all seeds."""

  protocol: str
  dimension: str
  field: str
  pairs: str | None
  method: str
  rows: tuple[Row, ...]

  @property
  def uses_truth(self) -> bool:
    """Whether ground truth chose the pairs, so that it is no fair rival."""
    return "oracle" in (self.pairs or "") or "oracle" in self.field

  @property
  def num_seeds(self) -> int:
    """How many seeds the rows are of."""
    return len({row.get("seed") for row in self.rows})

  def score(self, name: str) -> tuple[float | None, float | None]:
    """Mean over seeds and standard deviation (n - 1); None where there is none.

    Without any value both are None, with one value the deviation is.
    """
    values = [float(row[name]) for row in self.rows if is_number(row.get(name))]
    return (float(np.mean(values)) if values else None,
            float(np.std(values, ddof=1)) if len(values) > 1 else None)

  def class_iou(self) -> dict[int, float]:
    """Class id to IoU, the mean over the seeds that scored the class."""
    ious: dict[int, list[float]] = {}
    for row in self.rows:
      for class_id, iou in (row.get("per_class_iou") or {}).items():
        if is_number(iou):
          ious.setdefault(int(class_id), []).append(float(iou))
    return {class_id: float(np.mean(values)) for class_id, values in ious.items()}


def group_rows(rows: Sequence[Row]) -> list[Group]:
  """Groups in order of first appearance."""
  groups: dict[tuple, list[Row]] = {}
  for row in rows:
    groups.setdefault(tuple(row.get(key) for key in GROUP_KEYS), []).append(row)
  return [Group(*key, rows=tuple(members)) for key, members in groups.items()]


def aggregate(rows: Sequence[Row]) -> list[dict]:
  """Groups as plain values, ready for JSON.

  Each has the `GROUP_KEYS`, `seeds` (how many), `clicks` (their mean), and for each of
  `SCORES` a pair `(mean, standard deviation)` as `Group.score` gives it.
  """
  return [{**{key: getattr(group, key) for key in GROUP_KEYS}, "seeds": group.num_seeds,
           "clicks": float(np.mean([row["clicks"] for row in group.rows])),
           **{name: group.score(name) for name in SCORES}}
          for group in group_rows(rows)]


def is_number(value) -> bool:
  """Whether `value` is a finite number, and not None or NaN."""
  return isinstance(value, (int, float, np.number)) and math.isfinite(value)
