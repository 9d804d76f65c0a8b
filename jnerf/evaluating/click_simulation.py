"""How many clicks it takes, with proposed clicks and with random ones.

Notation: a pool of pixels that can be clicked, with gradients `[Q, P]` and true classes
`[Q]`, and test pixels, `[T, P]` and `[T]`; 0 is void.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from jnerf.evaluating.metrics import confusion_matrix, segmentation_scores
from jnerf.labeling import bayes
from jnerf.labeling.next_click import propose_clicks

RULES = ("proposed", "random")
SEEN = 4096  # pool pixels that a proposal looks at, drawn anew for each batch
CANDIDATES = 1024  # of those, that can be proposed


def simulate_clicks(pool: tuple, test: tuple, first: Sequence[int], classes, *,
                    rule: str, num: int, batch: int, ridge: float,
                    seed: int = 0) -> list[dict]:
  """Clicks, a batch at a time, each answered with its true class.

  Args:
    pool: `(J [Q, P], truth [Q])`; test: `(J [T, P], truth [T])`.
    first: indices into the pool of the clicks to begin with; may be empty.
    classes: that mIoU is over, also before one of them is clicked.
    rule: `proposed`, or `random`: any pixels of the pool.
    num: clicks in the end, the first ones included.
    batch: clicks between two looks at the answers.
    ridge: of the classifier.
    seed: of what is drawn.

  Returns:
    `{"clicks", "miou"}` after the first clicks and after every batch. A click on void
    counts but teaches nothing. mIoU is None while nothing is labelled.
  """
  rng, labelled, spent, curve = np.random.default_rng(seed), list(first), len(first), []
  while True:
    state, known = _fit(pool, labelled, ridge)
    curve.append({"clicks": spent, "miou": _miou(state, known, test, classes)})
    if spent >= num:
      return curve
    size = min(batch, num - spent)
    drawn = rng.permutation(len(pool[1]))[:SEEN]
    if rule == "proposed":
      indices, _ = propose_clicks(state, pool[0][drawn], size,
                                  min(CANDIDATES, len(drawn)))
      drawn = drawn[np.asarray(indices)]
    labelled += [int(i) for i in drawn[:size] if pool[1][i] > 0]
    spent += size


def clicks_needed(curve: Sequence[dict], miou: float) -> int | None:
  """Clicks at which a curve first reaches `miou`; None where it never does."""
  return next((point["clicks"] for point in curve
               if point["miou"] is not None and point["miou"] >= miou), None)


def _fit(pool, labelled, ridge):
  """The classifier and the classes it knows; without labels, one that knows nothing."""
  J, truth = pool
  rows = np.array(labelled, np.int64)
  known = np.unique(truth[rows]) if labelled else None
  return bayes.fit_bayes(J[rows], truth[rows], [1] if known is None else known,
                         ridge=ridge), known


def _miou(state, known, test, classes) -> float | None:
  if known is None:
    return None
  J, truth = test
  predicted = known[np.argmax(bayes.mean_scores(state, jnp.asarray(J)), axis=1)]
  num = 1 + max(int(truth.max()), int(np.max(classes)), int(known.max()))
  return segmentation_scores(confusion_matrix(predicted, truth, num), classes)["miou"]
