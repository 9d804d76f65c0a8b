"""How many clicks it takes, by a rule that says where, each answered with the truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def simulate_clicks(truth: np.ndarray, first: Sequence[int], *,
                    learn: Callable[[list[int]], Any],
                    choose: Callable[[Any, list[int], int], Sequence[int]],
                    score: Callable[[Any], float], num: int, batch: int = 1
                    ) -> list[dict]:
  """Clicks, a batch at a time.

  Args:
    truth: `[Q]` class of every pixel that can be clicked, 0 for void.
    first: which of them are clicked to begin with; may be empty.
    learn: from the labelled pixels, by their numbers, to what it teaches.
    choose: `(what was learnt, pixels clicked so far, size) -> size` pixels to click.
    score: of what was learnt.
    num: clicks in the end, the first ones included.
    batch: clicks between two looks at the answers.

  Returns:
    `{"clicks", "score"}` after the first clicks and after every batch. A click on void
    counts but teaches nothing.
  """
  clicked, curve = [int(i) for i in first], []
  while True:
    learnt = learn([i for i in clicked if truth[i] > 0])
    curve.append({"clicks": len(clicked), "score": score(learnt)})
    if len(clicked) >= num:
      return curve
    chosen = choose(learnt, clicked, min(batch, num - len(clicked)))
    clicked += [int(i) for i in chosen]


def clicks_needed(curve: Sequence[dict], score: float) -> int | None:
  """Clicks at which a curve first reaches `score`; None where it never does."""
  return next((point["clicks"] for point in curve if point["score"] >= score), None)
