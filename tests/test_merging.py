"""Instances merged into classes, pixel by pixel."""

import numpy as np

from jnerf.labeling.merging import instance_classes, merge_instances


def test_merged_labels_equal_a_loop():
  rng = np.random.default_rng(0)
  predicted = rng.choice([0, 3, 40, 70, 60000], (7, 9)).astype(np.int32)
  classes = {3: 2, 40: 2, 60000: 5}  # nobody knows what 70 is
  merged = merge_instances(predicted, classes)
  expected = [[classes.get(int(i), 0) for i in row] for row in predicted]
  np.testing.assert_array_equal(merged, expected)
  assert merged.dtype == np.int32


def test_most_clicks_say_what_an_instance_is():
  assert instance_classes([7, 7, 7, 9, 9, 300], [4, 2, 4, 6, 3, 1]) == {
      7: 4, 9: 3, 300: 1}
