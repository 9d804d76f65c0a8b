"""How good images, depth and label maps are; NumPy, on the host.

Which pixels count in segmentation scores, here as in the paper's code: pixels
whose true class is void (0) never do. Scores *over the clicked classes* leave
out pixels whose true class was not clicked (nobody could have named it) and
average over clicked classes that occur in the truth; scores *over all* classes
count every pixel that is not void and average over all classes that occur, so a
class nobody clicked scores 0. A predicted 0 ("no class") is an error like any.

Notation: C is one more than the largest class id; `confusion [C, C]` counts
pixels, rows are true and columns predicted classes.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy import ndimage

SSIM_SIGMA, SSIM_RADIUS = 1.5, 5  # Gaussian window of 11 pixels


def psnr(image, reference) -> float:
  """Peak signal-to-noise ratio in dB of arrays in [0, 1]; inf if equal."""
  error = np.asarray(image, np.float64) - np.asarray(reference, np.float64)
  mean_square = np.mean(error**2)
  return float("inf") if mean_square == 0 else float(-10 * np.log10(mean_square))


def ssim(image, reference) -> float:
  """Mean structural similarity of `[H, W, 3]` images in [0, 1].

  Wang et al. 2004: Gaussian window with sigma 1.5 and 11 pixels, K1 = 0.01, K2 =
  0.03, population covariances, mean over channels and over the windows that lie
  within the image. Raises ValueError for images smaller than the window.
  """
  x, y = (np.asarray(v, np.float64) for v in (image, reference))
  if min(x.shape[:2]) <= 2 * SSIM_RADIUS:
    raise ValueError(f"ssim needs at least {2 * SSIM_RADIUS + 1} pixels a side, "
                     f"got {x.shape[1]}x{x.shape[0]}")

  def blur(values):
    blurred = ndimage.gaussian_filter(values, SSIM_SIGMA, axes=(0, 1),
                                      radius=SSIM_RADIUS)
    inside = slice(SSIM_RADIUS, -SSIM_RADIUS)
    return blurred[inside, inside]

  mean_x, mean_y = blur(x), blur(y)
  var_x, var_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
  covariance = blur(x * y) - mean_x * mean_y
  c1, c2 = 0.01**2, 0.03**2
  similarity = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)
                / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)))
  return float(np.mean(similarity))


def median_depth_error(depth_pred, depth_true) -> float:
  """Median |difference| where `depth_true` is known (not 0), in its unit.

  Pass all test views at once for the median over all their pixels. NaN where no
  depth is known.
  """
  depth_true = np.asarray(depth_true)
  known = depth_true > 0
  if not known.any():
    return float("nan")
  return float(np.median(np.abs(np.asarray(depth_pred)[known] - depth_true[known])))


def confusion_matrix(pred, true, num: int) -> np.ndarray:
  """`[num, num]` int64: pixels of true class (row) by predicted class (column).

  pred, true: class ids in [0, num), of one shape. Add the matrices of several
  views for their joint scores. Raises ValueError for an id out of range.
  """
  pred, true = (np.asarray(v, np.int64).reshape(-1) for v in (pred, true))
  if pred.shape != true.shape:
    raise ValueError(f"{pred.size} predictions for {true.size} pixels")
  for name, ids in (("predicted", pred), ("true", true)):
    if ids.size and not 0 <= ids.min() <= ids.max() < num:
      raise ValueError(f"{name} class ids span {ids.min()}..{ids.max()}, "
                       f"outside 0..{num - 1}")
  return np.bincount(true * num + pred, minlength=num * num).reshape(num, num)


def segmentation_scores(confusion, clicked: Iterable[int]) -> dict:
  """Scores over the clicked classes and over all (see the module docstring).

  Returns:
    `miou`, `class_accuracy` (mean recall) and `total_accuracy` (share of right
    pixels) over the clicked classes; `miou_all`; `per_class_iou`: class id to
    IoU for every clicked class, None for one that the truth does not show.
    Where nothing can be scored the numbers are None, so that JSON can hold them.
  """
  confusion = np.array(confusion, np.float64)
  confusion[0] = 0  # void is never scored
  clicked = np.array(sorted(set(clicked) - {0}), np.int64)
  iou_all, occurs_all, _ = _per_class(confusion)
  among_clicked = np.zeros_like(confusion)
  among_clicked[clicked] = confusion[clicked]
  iou, occurs, recall = _per_class(among_clicked)
  scored = clicked[occurs[clicked]]
  hits, pixels = np.trace(among_clicked), among_clicked.sum()
  return {
      "miou": _mean(iou[scored]),
      "miou_all": _mean(iou_all[occurs_all]),
      "class_accuracy": _mean(recall[scored]),
      "total_accuracy": float(hits / pixels) if pixels else None,
      "per_class_iou": {int(c): float(iou[c]) if occurs[c] else None for c in clicked},
  }


def reliability(confidence, correct, num_bins: int = 15) -> np.ndarray:
  """How often predictions of every confidence are right.

  confidence: `[N]` in [0, 1], the probability of what was predicted; correct: `[N]`.

  Returns `[num_bins, 3]` mean confidence, share that is correct, and number, of equal
  intervals of confidence; the first two are 0 where the number is.
  """
  confidence = np.asarray(confidence, np.float64)
  bins = np.minimum((confidence * num_bins).astype(np.int64), num_bins - 1)
  count, sure, right = (np.bincount(bins, weights, num_bins) for weights in (
      np.ones_like(confidence), confidence, np.asarray(correct, np.float64)))
  filled = np.maximum(count, 1)
  return np.stack([sure / filled, right / filled, count], axis=1)


def expected_calibration_error(bins) -> float | None:
  """Mean |confidence - share correct| over all predictions; None where there are none.

  bins: of `reliability`. Guo et al. 2017, "On calibration of modern neural networks".
  """
  sure, right, count = np.asarray(bins).T
  if not count.any():
    return None
  return float(np.sum(count * np.abs(sure - right)) / count.sum())


def _per_class(confusion):
  """`(iou, occurs in the truth, recall)`, each `[C]`."""
  hits, true, pred = np.diag(confusion), confusion.sum(1), confusion.sum(0)
  return hits / np.maximum(true + pred - hits, 1), true > 0, hits / np.maximum(true, 1)


def _mean(values) -> float | None:
  return float(np.mean(values)) if len(values) else None
