"""Instances merged into classes: who clicks on an instance knows its class.

Labelling instances and merging what was predicted tells things of one class apart
first and names them alike afterwards, which a class of unlike things gains by.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def instance_classes(instance_ids, class_ids) -> dict[int, int]:
  """Instance id to class, from clicks: `[M]` instances clicked, `[M]` their classes.

  The class that most clicks on an instance name, the lowest on ties.
  """
  instance_ids, class_ids = np.asarray(instance_ids), np.asarray(class_ids)
  return {int(i): int(np.bincount(class_ids[instance_ids == i]).argmax())
          for i in np.unique(instance_ids)}


def merge_instances(predicted, classes: Mapping[int, int]) -> np.ndarray:
  """Classes of predicted instances, of one shape; 0 where an instance has no class."""
  predicted = np.asarray(predicted)
  ids, place = np.unique(predicted, return_inverse=True)
  merged = np.array([classes.get(int(i), 0) for i in ids], predicted.dtype)
  return merged[place].reshape(predicted.shape)
