"""Precision of positives: a count by hand, and its limits."""

import numpy as np

from jnerf.evaluating.pair_quality import precision_of_positives


def test_precision_counts_the_most_similar_pairs():
  labels = np.array([1, 1, 2, 2, 0])
  similarity = np.zeros((5, 5))
  for rank, (i, j) in enumerate([(0, 1), (0, 2), (2, 3), (1, 3), (1, 2), (0, 3)]):
    similarity[i, j] = similarity[j, i] = 1 - 0.1 * rank
  similarity[4, :4] = similarity[:4, 4] = 5.0  # void is in no pair
  found = precision_of_positives(similarity, labels, [1 / 6, 2 / 6, 3 / 6, 1.0, 1e-9])
  np.testing.assert_allclose(found, [1, 1 / 2, 2 / 3, 2 / 6, 1])


def test_labels_themselves_are_right_and_noise_is_as_good_as_chance():
  rng = np.random.default_rng(0)
  labels = rng.integers(1, 5, 400)
  same = (labels[:, None] == labels).astype(float)
  assert precision_of_positives(same, labels, [0.2]) == [1.0]
  noise = rng.random((400, 400))
  found, = precision_of_positives(noise + noise.T, labels, [0.1])
  assert abs(found - same[np.triu_indices(400, 1)].mean()) < 0.02
