"""Mean-gradient seeds: means per class, for one click and for a labelled frame."""

import numpy as np

from jnerf.labeling.seeds import class_membership, mean_gradient_seeds


def unit(rows):
  return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def test_one_click_per_class_is_its_own_seed():
  J = np.random.default_rng(0).normal(size=(3, 12)).astype(np.float32)
  V = mean_gradient_seeds(J, [30, 10, 20], [10, 20, 30])
  np.testing.assert_allclose(V.T, unit(J)[[1, 2, 0]], atol=1e-6)
  V = mean_gradient_seeds(J, [30, 10, 20], [10, 20, 30], normalize=False)
  np.testing.assert_allclose(V.T, J[[1, 2, 0]], atol=1e-6)


def test_seeds_are_the_means_of_a_loop():
  rng = np.random.default_rng(1)
  J = rng.normal(size=(500, 9)).astype(np.float32)
  labels, classes = rng.choice([0, 2, 5, 9], 500), [5, 2]
  plain, normalized = (mean_gradient_seeds(J, labels, classes, normalize=n)
                       for n in (False, True))
  for k, class_id in enumerate(classes):
    rows = J[labels == class_id]
    np.testing.assert_allclose(plain[:, k], rows.mean(0), atol=1e-5)
    np.testing.assert_allclose(normalized[:, k], unit(unit(rows).mean(0)), atol=1e-5)


def test_brightness_does_not_choose_the_seed():
  """A gradient a thousand times as long counts once, unless asked otherwise."""
  J = np.array([[1000.0, 0.0], [0.0, 1.0]], np.float32)
  normalized = mean_gradient_seeds(J, [1, 1], [1])
  np.testing.assert_allclose(normalized[:, 0], [0.5**0.5, 0.5**0.5], atol=1e-6)
  plain = mean_gradient_seeds(J, [1, 1], [1], normalize=False)
  np.testing.assert_allclose(plain[:, 0], [500, 0.5])


def test_a_class_without_labels_gets_no_direction():
  V = np.asarray(mean_gradient_seeds(np.ones((2, 4), np.float32), [1, 1], [1, 7]))
  np.testing.assert_array_equal(V[:, 1], 0)
  assert np.isfinite(V).all()
  np.testing.assert_array_equal(class_membership([1, 3, 7], [7, 1]),
                                [[0, 1], [0, 0], [1, 0]])
