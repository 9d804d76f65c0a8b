"""Clicks by regions: where each is deepest, what a click is worth, batches."""

import numpy as np
import pytest

from jnerf.labeling.region_clicks import click_gains, deepest_places, propose_clicks


def literal_depth(of_view, row, column):
  """Distance to the nearest place that touches another region, or the margin."""
  height, width = of_view.shape
  nearest = np.inf
  for r in range(height):
    for c in range(width):
      around = [(r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1)]
      if any(not (0 <= y < height and 0 <= x < width)
             or of_view[y, x] != of_view[r, c] for y, x in around):
        nearest = min(nearest, np.hypot(r - row, c - column))
  return nearest


def test_a_region_is_clicked_where_it_is_deepest_in_any_view():
  views = np.zeros((2, 9, 11), np.int32)
  views[0, :, 7:] = 3
  views[0, 2:7, 1:6] = 5
  views[1, 4, 4] = 7
  views[1, :, 8:] = 5
  regions, places = deepest_places(views)
  np.testing.assert_array_equal(regions, [0, 3, 5, 7])
  for region, (view, row, column) in zip(regions, places):
    assert views[view, row, column] == region
    depths = [literal_depth(views[v], r, c) for v, r, c in np.argwhere(views == region)]
    assert literal_depth(views[view], row, column) == max(depths)


def test_a_click_is_worth_the_doubt_and_the_root_of_the_area():
  p = np.array([[0.5, 0.3, 0.2], [0.9, 0.1, 0.0], [0.4, 0.4, 0.2]])
  np.testing.assert_allclose(click_gains(p, np.array([4.0, 100.0, 9.0])),
                             [1.0, 1.0, 1.8])
  np.testing.assert_allclose(click_gains(np.ones((2, 1)), np.array([4.0, 9.0])), [2, 3])


def groups():
  """Regions 0-3 are alike, and so are 4 and 5; region 6 stands alone."""
  group = np.array([0, 0, 0, 0, 1, 1, 2])
  start = np.array([[0.5, 0.5], [0.4, 0.6], [0.6, 0.4]])

  def learn(regions, classes):
    p = start[group].copy()
    for region, class_index in zip(regions, classes):
      p[group == group[region]] = np.eye(2)[class_index] * 0.8 + 0.1
    return p

  return learn


def test_a_batch_is_not_three_times_the_same():
  areas = np.array([9.0, 8, 7, 6, 3, 2, 1])
  learn = groups()
  regions, shares = propose_clicks(learn, areas, 3)
  np.testing.assert_array_equal(regions, [0, 4, 6])
  doubts = [areas @ (1 - learn(regions[:n], [0, 1, 0][:n]).max(axis=1)) for n in range(4)]
  np.testing.assert_allclose(shares, -np.diff(doubts) / doubts[0], rtol=1e-9)


@pytest.mark.parametrize("num", [1, 7])
def test_no_region_is_proposed_twice(num):
  regions, shares = propose_clicks(groups(), np.arange(1.0, 8), num)
  assert len(set(regions.tolist())) == num
  assert (shares >= 0).all() and shares.sum() < 1
