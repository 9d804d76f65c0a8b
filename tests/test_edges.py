"""Labels snapped to edges: against loops, closed forms, and what must never mix."""

import jax.numpy as jnp
import numpy as np
import pytest

from jnerf.labeling.assignment import best_classes
from jnerf.labeling.edges import (
  SAMPLED,
  TEMPERATURE,
  average_alike,
  compact,
  snap_to_edges,
  votes,
)

HEIGHT, WIDTH, K = 13, 17, 3
SCALES = {"color_scale": 0.1, "depth_scale": 0.05}
FLAT = np.full((HEIGHT, WIDTH, 3), 0.4, np.float32), np.full((HEIGHT, WIDTH), 2.0,
                                                             np.float32)


def picture(seed=0):
  """Probabilities, colours and distances, so near one another that all of them mix."""
  rng = np.random.default_rng(seed)
  values = rng.dirichlet(np.ones(K), (HEIGHT, WIDTH)).astype(np.float32)
  rgb = rng.uniform(0.3, 0.6, (HEIGHT, WIDTH, 3)).astype(np.float32)
  return values, rgb, rng.uniform(2, 2.3, (HEIGHT, WIDTH)).astype(np.float32)


def halves():
  """Colours and distances that differ between the left and the right of column 8."""
  left = np.broadcast_to(np.arange(WIDTH) < 8, (HEIGHT, WIDTH))
  rgb, distance = FLAT
  return left, np.where(left[..., None], rgb, rgb + 0.5), np.where(left, distance, 3.0)


def loops(values, rgb, distance, passes, color_scale, depth_scale):
  """The module's docstring, a pixel and a neighbour at a time."""
  values = values.astype(np.float64)
  for step in [2**i for i in range(passes)][::-1]:
    before, values = values, np.zeros_like(values)
    for i in range(HEIGHT):
      for j in range(WIDTH):
        total = 0.0
        for m in (i - step, i, i + step):
          for n in (j - step, j, j + step):
            if 0 <= m < HEIGHT and 0 <= n < WIDTH:
              unlike = np.sum((rgb[i, j] - rgb[m, n]) ** 2) / (2 * color_scale**2)
              unlike += (np.log(distance[i, j] / distance[m, n]) ** 2
                         / (2 * depth_scale**2))
              values[i, j] += np.exp(-unlike) * before[m, n]
              total += np.exp(-unlike)
        values[i, j] /= total
  return values


@pytest.mark.parametrize("passes", [1, 2, 4])  # the last one reaches past the picture
def test_average_is_that_of_loops(passes):
  values, rgb, distance = picture()
  found = average_alike(values, rgb, distance, passes=passes, **SCALES)
  expected = loops(values, rgb, distance, passes, **SCALES)
  np.testing.assert_allclose(found, expected, atol=2e-6)
  assert np.abs(expected - values).max() > 0.2
  np.testing.assert_allclose(np.sum(found, axis=-1), 1, rtol=1e-5)


def test_without_passes_nothing_changes():
  values, rgb, distance = picture()
  found = average_alike(values, rgb, distance, passes=0, **SCALES)
  np.testing.assert_array_equal(found, values)


def test_where_nothing_is_seen_the_average_is_plain():
  """Over as many pixels as lie within the picture: at its borders fewer."""
  values, _, _ = picture()
  found = np.asarray(average_alike(values, *FLAT, passes=1, **SCALES))
  for i, j, rows, columns in ((6, 9, slice(5, 8), slice(8, 11)),
                              (0, 0, slice(0, 2), slice(0, 2)),
                              (HEIGHT - 1, 4, slice(-2, None), slice(3, 6))):
    np.testing.assert_allclose(found[i, j], values[rows, columns].mean(axis=(0, 1)),
                               rtol=1e-5)


@pytest.mark.parametrize("seen", ["rgb", "distance"])
def test_an_edge_that_is_seen_lets_nothing_through(seen):
  values, _, _ = picture()
  left, rgb, distance = halves()
  guide = (rgb, FLAT[1]) if seen == "rgb" else (FLAT[0], distance)
  other = np.where(left[..., None], values, 1 - values)
  found, changed = (average_alike(v, *guide, passes=3, **SCALES)
                    for v in (values, other))
  np.testing.assert_allclose(found[left], changed[left], atol=1e-4)
  blind = [average_alike(v, *FLAT, passes=3, **SCALES)[left] for v in (values, other)]
  assert np.abs(blind[0] - blind[1]).max() > 0.1


def test_speckle_goes_and_the_edge_of_labels_moves_to_the_one_seen():
  left, rgb, distance = halves()
  scores = np.where((np.arange(WIDTH) < 9)[:, None], [1.0, 0, 0], [0, 1.0, 0])
  scores = np.broadcast_to(scores, (HEIGHT, WIDTH, K)).copy()  # one column too far
  for pixel in ((3, 3), (9, 5), (6, 13)):
    scores[pixel] = [0, 0, 1]
  found = snap_to_edges(scores, rgb, distance, passes=2, **SCALES)
  expected = np.where(left, 4, 7)
  np.testing.assert_array_equal(best_classes(found, np.array([4, 7, 9])), expected)
  assert np.mean(best_classes(scores, np.array([4, 7, 9])) == expected) < 0.95


def test_votes_are_a_softmax_in_units_of_the_scores_deviation():
  scores = np.random.default_rng(1).normal(size=(HEIGHT, WIDTH, K)).astype(np.float32)
  found = votes(scores)
  some = scores[::SAMPLED, ::SAMPLED].astype(np.float64)
  deviation = np.sqrt(np.mean((some - some.mean(axis=-1, keepdims=True)) ** 2))
  raised = np.exp(scores / (TEMPERATURE * deviation))
  np.testing.assert_allclose(found, raised / raised.sum(axis=-1, keepdims=True),
                             rtol=2e-4, atol=1e-7)
  of_pixels = np.random.default_rng(2).normal(size=(HEIGHT, WIDTH, 1))
  np.testing.assert_allclose(votes((1e-3 * (scores + of_pixels)).astype(np.float32)),
                             found, atol=1e-4)
  # Three significant digits of what is close to the best.
  np.testing.assert_allclose(votes(compact(scores + 40)), found, atol=2e-3)


def test_a_dropped_class_is_nobody_s():
  """-inf is what `finish` says of a class that a view does not show."""
  scores, rgb, distance = picture()
  dropped = scores.copy()
  dropped[..., 1] = -np.inf
  found = snap_to_edges(dropped, rgb, distance, passes=2, **SCALES)
  assert np.all(found[..., 1] == -np.inf) and np.isfinite(found[..., ::2]).all()
  two = snap_to_edges(scores[..., ::2], rgb, distance, passes=2, **SCALES)
  np.testing.assert_allclose(found[..., ::2], two, rtol=1e-5)
  for nothing in (jnp.full_like(scores, -np.inf), compact(np.full_like(scores, -np.inf))):
    snapped = snap_to_edges(nothing, rgb, distance, passes=2, **SCALES)
    assert np.all(best_classes(snapped, np.array([4, 7, 9])) == 0)


def test_empty_space_and_equal_scores_are_no_trouble():
  values, rgb, _ = picture()
  distance = np.zeros((HEIGHT, WIDTH), np.float32)
  distance[3:6] = 1e6
  found = average_alike(values, rgb, distance, passes=2, **SCALES)
  np.testing.assert_allclose(np.sum(found, axis=-1), 1, rtol=1e-5)
  alike = snap_to_edges(np.ones_like(values), rgb, distance, passes=2, **SCALES)
  np.testing.assert_allclose(alike, 1 / K, rtol=1e-5)
