"""Seeds: each kind against a loop, for one click and for a labelled frame."""

import numpy as np

from jnerf.labeling.adaptive import adaptive_seeds, frame_score
from jnerf.labeling.seeds import (
  class_membership,
  every_gradient,
  k_means_seeds,
  mean_gradient_seeds,
  one_per_class,
)
from jnerf.structs import Entities


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


def frame(num=300, noise=0.4, seed=2):
  """Gradients of a labelled frame, class 5 of two unlike halves, and their labels."""
  rng = np.random.default_rng(seed)
  part = rng.integers(0, 4, num)
  centres = np.random.default_rng(7).normal(size=(4, 10))
  J = centres[part] + noise * rng.normal(size=(num, 10))
  J *= rng.uniform(0.2, 3, (num, 1))
  return J.astype(np.float32), np.array([5, 5, 2, 9])[part]


def test_seeds_of_one_direction_are_the_columns():
  J, labels = frame()
  V = mean_gradient_seeds(J, labels, [9, 4, 5])
  seeds = one_per_class(V, labels, [9, 4, 5])
  np.testing.assert_array_equal(seeds.mask, [[True], [False], [True]])
  np.testing.assert_array_equal(seeds.columns, V)


def test_every_gradient_is_kept_with_its_place_up_to_the_limit():
  J, labels = frame(40)
  points = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
  classes = [9, 4, 5]
  seeds = every_gradient(Entities(J=J, points=points), labels, classes)
  for k, class_id in enumerate(classes):
    rows, mask = np.flatnonzero(labels == class_id), np.asarray(seeds.mask[k])
    assert mask.sum() == len(rows)
    np.testing.assert_allclose(seeds.directions[k][mask], unit(J[rows]), atol=1e-6)
    np.testing.assert_array_equal(seeds.directions[k][~mask], 0)
    np.testing.assert_array_equal(seeds.points[k][mask], points[rows])
  few = every_gradient(Entities(J=J), labels, classes, limit=9)
  assert few.points is None
  np.testing.assert_array_equal(few.mask.sum(1), [3, 0, 3])
  chosen = np.flatnonzero(labels == 5)[[0, (np.sum(labels == 5) - 1) // 2, -1]]
  # Filled up with no directions, so that another click has the same shapes.
  np.testing.assert_allclose(few.directions[2, :3], unit(J[chosen]), atol=1e-6)
  assert few.directions.shape == (3, 4, 10) and not np.any(few.directions[2, 3:])


def test_k_means_with_one_centre_is_the_mean_gradient():
  J, labels = frame()
  seeds = k_means_seeds(J, labels, [5, 4, 2], num_centres=1)
  np.testing.assert_allclose(seeds.columns, mean_gradient_seeds(J, labels, [5, 4, 2]),
                             atol=1e-5)


def test_k_means_finds_the_halves_of_a_class_and_is_repeatable():
  J, labels = frame(noise=0.05)
  seeds = k_means_seeds(J, labels, [5, 2, 4], num_centres=2, seed=3)
  np.testing.assert_array_equal(seeds.mask, [[True] * 2, [True] * 2, [False] * 2])
  cosines = unit(J[labels == 5]) @ np.asarray(seeds.directions[0]).T
  assert (cosines.max(1) > 0.98).all() and (cosines.min(1) < 0.9).all()
  again = k_means_seeds(J, labels, [2, 5], num_centres=2, seed=3)
  np.testing.assert_array_equal(again.directions[1], seeds.directions[0])


def test_k_means_of_few_or_equal_gradients_has_fewer_centres():
  J, _ = frame(3)
  seeds = k_means_seeds(J[[0, 1, 1, 1, 2]], [1, 2, 2, 2, 2], [1, 2], num_centres=4)
  np.testing.assert_array_equal(seeds.mask, [[True, False], [True, True]])
  np.testing.assert_allclose(seeds.directions[0, 0], unit(J[0]), atol=1e-6)
  found = sorted(np.asarray(seeds.directions[1]).tolist())
  np.testing.assert_allclose(found, sorted(unit(J[1:3]).tolist()), atol=1e-6)


def test_the_score_of_a_frame_equals_a_loop():
  rng = np.random.default_rng(0)
  responses, labels = rng.normal(size=(50, 4)), rng.integers(0, 3, 50)  # never a fourth
  maps = np.abs(responses) / np.abs(responses).max(0)
  ious = []
  for k in range(3):
    pred, true = maps.argmax(1) == k, labels == k
    ious.append(np.sum(pred & true) / np.sum(pred | true))
  member = class_membership(labels, [0, 1, 2, 3])
  np.testing.assert_allclose(frame_score(responses, member), np.mean(ious), rtol=1e-5)


def test_adaptive_selection_is_never_worse_on_the_labelled_pixels():
  gains = []
  for seed in range(6):
    J, labels = frame(noise=0.6, seed=seed)
    classes = [2, 5, 9]
    rows, member = unit(J), class_membership(labels, classes)
    before, few, many = (float(frame_score(rows @ np.asarray(V), member)) for V in (
        mean_gradient_seeds(J, labels, classes),
        adaptive_seeds(J, labels, classes, rounds=3, seed=seed),
        adaptive_seeds(J, labels, classes, rounds=20, seed=seed)))
    assert few >= before and many >= before
    gains.append(many - before)
  assert min(gains) >= 0 and np.mean(gains) > 0.02


def test_adaptive_selection_is_repeatable_and_leaves_nothing_to_chance_with_one_click():
  J, labels = frame()
  first, again, other = (np.asarray(adaptive_seeds(J, labels, [5, 2, 4], seed=s))
                         for s in (1, 1, 2))
  np.testing.assert_array_equal(first, again)
  assert np.any(first != other) and np.all(first[:, 2] == 0)
  np.testing.assert_allclose(np.linalg.norm(first[:, :2], axis=0), 1, rtol=1e-5)
  clicks = adaptive_seeds(J[:2], [3, 8], [8, 3])
  np.testing.assert_allclose(clicks.T, unit(J[:2])[[1, 0]], atol=1e-6)
