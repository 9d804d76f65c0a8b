"""Rows at unit length and rows evenly chosen."""

import numpy as np

from jnerf.host_arrays import evenly_spread, unit_rows


def test_rows_have_length_one_but_zero_ones():
  rows = unit_rows(np.array([[3.0, 4.0], [0.0, 0.0], [1e-3, 0.0]]))
  np.testing.assert_allclose(rows, [[0.6, 0.8], [0, 0], [1, 0]])


def test_few_rows_stay_and_of_many_the_ends_and_even_steps_are_kept():
  rows = np.arange(20).reshape(10, 2)
  assert evenly_spread(rows, 10) is rows
  np.testing.assert_array_equal(evenly_spread(np.arange(101), 5), [0, 25, 50, 75, 100])
  np.testing.assert_array_equal(evenly_spread(rows, 2), rows[[0, 9]])
