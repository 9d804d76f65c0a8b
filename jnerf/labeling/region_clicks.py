"""Where to click next, by regions: where a region is large and its class in doubt.

A region's doubt is the probability that its class is wrong, which the variance of its
score is part of (`region_classifier`). A click is worth

  sqrt(area) (1 - max_k p_k)

with the area in what the training views see. The whole area would send all clicks to
the walls, none to the small things that mIoU counts alike.

Clicks of one batch are chosen one after another. Whoever is asked will most likely
answer with the most probable class, so that is believed of a chosen pixel before the
next is chosen, and doubt in what is alike is less (Ginsbourger et al. 2010, Kriging is
well-suited to parallelize optimization: "kriging believer").

What else was tried, and how many clicks it saves: experiments/results/clicks.md.

Notation: C regions that can be clicked, one pixel in each; K classes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage


def deepest_places(of_places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Where every region is seen best: farthest from all others, in any view.

  of_places: `[V, h, w]` region of each place of V views. What lies beyond a view's
    margin counts as another region.

  Returns:
    The regions that are seen, `[C]`, and their places `[C, 3]`: view, row, column.
  """
  depth = np.stack([_depth(of_view) for of_view in of_places])
  order = np.lexsort((-depth.reshape(-1), of_places.reshape(-1)))
  regions, first = np.unique(of_places.reshape(-1)[order], return_index=True)
  return regions, np.stack(np.unravel_index(order[first], of_places.shape), axis=1)


def _depth(of_view: np.ndarray) -> np.ndarray:
  """`[h, w]` distance of each place from the nearest at its region's border."""
  padded = np.pad(of_view, 1, constant_values=-1)
  inside = np.ones(of_view.shape, bool)
  for axis in (0, 1):
    for shift in (-1, 1):
      inside &= np.roll(padded, shift, axis)[1:-1, 1:-1] == of_view
  return ndimage.distance_transform_edt(inside)


def click_gains(probabilities: np.ndarray, areas: np.ndarray) -> np.ndarray:
  """`[C]` what a click in each region is worth; of its classes `[C, K]` and `[C]` areas.

  Where there are no two classes to be told apart, the largest region is worth most.
  """
  if probabilities.shape[1] < 2:
    return np.sqrt(areas)
  return np.sqrt(areas) * _doubt(probabilities)


def propose_clicks(learn: Callable[[list[int], list[int]], np.ndarray],
                   areas: np.ndarray, num: int):
  """The best regions to click next, best first.

  Args:
    learn: `(regions [n], classes [n]) -> [C, K]` what the classes' probabilities are
      once these regions, numbered from 0 to C, are labelled so, beside what is labelled
      already; classes are numbered from 0 to K.
    areas: `[C]` in any unit.
    num: clicks to propose, at most C.

  Returns:
    Numbers of regions `[num]`, and shares `[num]`: of all area in doubt now, what a
    click there would settle if the answer is the most probable one, given those before.
  """
  probabilities, regions, classes, doubts = learn([], []), [], [], []
  for _ in range(num):
    doubts.append(areas @ _doubt(probabilities))
    gains = click_gains(probabilities, areas)
    gains[regions] = -np.inf
    regions.append(int(np.argmax(gains)))
    classes.append(int(np.argmax(probabilities[regions[-1]])))
    probabilities = learn(regions, classes)
  doubts.append(areas @ _doubt(probabilities))
  # The areas of classes are estimated anew, so that doubt may also grow a little.
  settled = np.maximum(-np.diff(doubts), 0) / max(doubts[0], 1e-12)
  return np.array(regions), settled


def _doubt(probabilities: np.ndarray) -> np.ndarray:
  return 1 - np.max(probabilities, axis=1)
