"""Scores against closed forms and loops, and which pixels count."""

import math

import numpy as np
import pytest

from jnerf.evaluating.metrics import (
  confusion_matrix,
  expected_calibration_error,
  median_depth_error,
  psnr,
  reliability,
  segmentation_scores,
  ssim,
)


def test_psnr_of_a_constant_error():
  image = np.full((4, 5, 3), 0.5, np.float32)
  assert psnr(image + 0.1, image) == pytest.approx(20, abs=1e-4)
  assert psnr(image - 0.01, image) == pytest.approx(40, abs=1e-4)
  assert psnr(image, image) == math.inf


def literal_ssim(x, y):
  """Window by window, as the paper writes it."""
  offsets = np.arange(-5, 6)
  gauss = np.exp(-offsets**2 / (2 * 1.5**2))
  window = np.outer(gauss, gauss) / gauss.sum() ** 2
  values = []
  for channel in range(3):
    for row in range(x.shape[0] - 10):
      for column in range(x.shape[1] - 10):
        a = x[row:row + 11, column:column + 11, channel]
        b = y[row:row + 11, column:column + 11, channel]
        mean_a, mean_b = (window * a).sum(), (window * b).sum()
        var_a = (window * (a - mean_a) ** 2).sum()
        var_b = (window * (b - mean_b) ** 2).sum()
        covariance = (window * (a - mean_a) * (b - mean_b)).sum()
        values.append((2 * mean_a * mean_b + 1e-4) * (2 * covariance + 9e-4)
                      / ((mean_a**2 + mean_b**2 + 1e-4) * (var_a + var_b + 9e-4)))
  return np.mean(values)


def test_ssim_equals_a_loop_over_windows():
  rng = np.random.default_rng(0)
  image = rng.uniform(size=(14, 17, 3))
  noisy = np.clip(image + 0.2 * rng.normal(size=image.shape), 0, 1)
  assert ssim(noisy, image) == pytest.approx(literal_ssim(noisy, image), abs=1e-10)
  assert ssim(image, noisy) == pytest.approx(ssim(noisy, image), abs=1e-12)
  assert ssim(image, image) == pytest.approx(1)
  assert ssim(1 - image, image) < 0  # inverted structure
  flat = np.full((12, 12, 3), 0.2)
  assert ssim(flat + 0.3, flat) == pytest.approx((2 * .1 + 1e-4) / (.25 + .04 + 1e-4))
  with pytest.raises(ValueError, match="at least 11 pixels"):
    ssim(image[:10], noisy[:10])


def test_depth_error_ignores_unknown_depth():
  true = np.array([[0, 2.0, 2.0], [0, 2.0, 2.0]])
  pred = np.array([[9, 2.1, 1.8], [9, 2.4, 2.0]])
  assert median_depth_error(pred, true) == pytest.approx(0.15)
  assert math.isnan(median_depth_error(pred, np.zeros_like(true)))


def test_confusion_counts_true_rows_and_predicted_columns():
  rng = np.random.default_rng(1)
  pred, true = rng.integers(0, 5, (2, 6, 7))
  expected = np.zeros((6, 6), int)
  for p, t in zip(pred.flat, true.flat, strict=True):
    expected[t, p] += 1
  np.testing.assert_array_equal(confusion_matrix(pred, true, 6), expected)
  for bad in (pred + 2, pred - 1):
    with pytest.raises(ValueError, match="predicted class ids span"):
      confusion_matrix(bad, true, 5)
  with pytest.raises(ValueError, match="3 predictions for 42 pixels"):
    confusion_matrix(pred[0, :3], true, 5)


def literal_iou(pred, true, class_id):
  return (np.sum((pred == class_id) & (true == class_id))
          / np.sum((pred == class_id) | (true == class_id)))


def test_scores_over_the_clicked_classes_leave_out_what_nobody_clicked():
  rng = np.random.default_rng(2)
  true = rng.integers(0, 6, 2000)
  pred = np.where(rng.uniform(size=2000) < 0.6, true, rng.integers(0, 4, 2000))
  clicked = [1, 2, 3]
  scores = segmentation_scores(confusion_matrix(pred, true, 6), clicked)
  valid = np.isin(true, clicked)
  ious = {c: literal_iou(pred[valid], true[valid], c) for c in clicked}
  assert scores["per_class_iou"] == pytest.approx(ious)
  assert scores["miou"] == pytest.approx(np.mean(list(ious.values())))
  assert scores["total_accuracy"] == pytest.approx(np.mean(pred[valid] == true[valid]))
  assert scores["class_accuracy"] == pytest.approx(
      np.mean([np.mean(pred[true == c] == c) for c in clicked]))
  labelled = true != 0
  over_all = [literal_iou(pred[labelled], true[labelled], c) for c in range(1, 6)]
  assert scores["miou_all"] == pytest.approx(np.mean(over_all))
  assert scores["miou_all"] < scores["miou"]


def test_what_is_predicted_on_void_never_matters():
  true = np.array([0, 0, 0, 1, 1, 2, 2])
  clean = segmentation_scores(
      confusion_matrix(np.array([0, 0, 0, 1, 1, 2, 2]), true, 3), [1, 2])
  painted = segmentation_scores(
      confusion_matrix(np.array([1, 2, 1, 1, 1, 2, 2]), true, 3), [1, 2])
  assert clean == painted and clean["miou"] == clean["miou_all"] == 1


def test_no_answer_is_an_error_and_an_unclicked_class_scores_zero():
  true = np.array([1, 1, 2, 2])
  scores = segmentation_scores(confusion_matrix(np.array([1, 0, 1, 1]), true, 3), [1])
  assert scores["miou"] == 0.5 and scores["total_accuracy"] == 0.5
  assert scores["miou_all"] == pytest.approx(0.25 / 2)  # (1/4 + 0) / 2


def test_a_clicked_class_that_the_test_views_do_not_show_is_not_scored():
  true = np.array([1, 1, 2, 2])
  scores = segmentation_scores(confusion_matrix(true, true, 4), [1, 2, 3])
  assert scores["miou"] == 1 and scores["per_class_iou"][3] is None
  nothing = segmentation_scores(np.zeros((4, 4)), [1, 3])
  assert nothing["miou"] is nothing["total_accuracy"] is nothing["miou_all"] is None


def test_calibration_by_hand():
  confidence = [0.05, 0.3, 0.3, 0.3, 0.3, 1.0, 1.0, 0.99]
  correct = [0, 1, 0, 0, 0, 1, 0, 1]
  bins = reliability(confidence, correct, num_bins=10)
  assert bins.shape == (10, 3)
  np.testing.assert_allclose(bins[[0, 3, 9]], [[0.05, 0, 1], [0.3, 0.25, 4],
                                               [2.99 / 3, 2 / 3, 3]])
  assert not bins[[1, 2, 4, 5, 6, 7, 8]].any()
  error = expected_calibration_error(bins)
  assert error == pytest.approx((0.05 + 4 * 0.05 + 2.99 - 2) / 8)
  assert expected_calibration_error(reliability([], [])) is None


def test_probabilities_that_are_true_are_calibrated():
  rng = np.random.default_rng(0)
  confidence = rng.uniform(0.2, 1, 200_000)
  correct = rng.uniform(size=confidence.size) < confidence
  for shift, expected in ((0, 0), (0.1, 0.1)):
    bins = reliability(confidence, correct & (rng.uniform(size=confidence.size)
                                                      > shift / confidence))
    assert expected_calibration_error(bins) == pytest.approx(expected, abs=0.01)
