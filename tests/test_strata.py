"""Pixels drawn class by class: how often, which, and in which places of a batch."""

import jax
import numpy as np
import pytest

from jnerf.scenes import pixels, strata

SHAPE = (3, 4, 5)
# 40 pixels of class 7, 10 of class 2, 2 of class 9 and 8 void ones, mixed.
LABELS = np.random.default_rng(0).permutation(
    np.repeat([7, 2, 9, 0], [40, 10, 2, 8])).reshape(SHAPE)


def draw(made, num=30_000):
  return np.asarray(jax.jit(lambda key: strata.draw(key, num, made))(jax.random.key(0)))


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_a_class_is_drawn_by_a_power_of_its_pixels_and_evenly_within(balance):
  drawn = draw(strata.by_class(LABELS, balance, every=4))
  counts = np.bincount(drawn, minlength=LABELS.size)
  powers = {c: n ** (1 - balance) for c, n in ((7, 40), (2, 10), (9, 2))}
  for class_id, power in powers.items():
    of_class = counts[LABELS.reshape(-1) == class_id]
    expected = len(drawn) * power / sum(powers.values())
    assert of_class.sum() == pytest.approx(expected, abs=5 * np.sqrt(expected))
    mean = of_class.mean()
    assert np.abs(of_class - mean).max() < 5 * np.sqrt(mean)
  assert not counts[LABELS.reshape(-1) == 0].any()


def test_masked_pixels_are_never_drawn():
  drawable = np.flatnonzero(np.random.default_rng(1).random(LABELS.size) < 0.5)
  drawn = draw(strata.by_class(LABELS, 0.5, 4, drawable.astype(np.int32)))
  expected = drawable[LABELS.reshape(-1)[drawable] != 0]
  np.testing.assert_array_equal(np.unique(drawn), expected)


def test_there_is_nothing_to_draw_where_nothing_is_labelled():
  assert strata.by_class(np.zeros(SHAPE, int), 0.5, 4) is None
  nowhere = np.flatnonzero(LABELS == 0)
  assert strata.by_class(LABELS, 0.5, 4, nowhere) is None


@pytest.mark.parametrize("num", [64, 66])
def test_only_every_so_many_th_pixel_of_a_batch_is_drawn_by_class(num):
  made = strata.by_class(np.where(LABELS == 9, 9, 0), 1.0, every=4)
  batches = [np.asarray(pixels.draw_pixels(key, num, SHAPE, strata=made))
             for key in jax.random.split(jax.random.key(0), 50)]
  of_batches = np.stack([LABELS[tuple(drawn.T)] for drawn in batches])
  assert batches[0].shape == (num, 3) and batches[0].dtype == np.int32
  assert (of_batches[:, ::4] == 9).all()
  others = np.delete(of_batches, np.arange(0, num, 4), axis=1)
  # Uniform over the 60 pixels, void ones too: 2 of them are of class 9.
  assert np.mean(others == 9) == pytest.approx(2 / 60, abs=0.02)
  assert np.mean(others == 0) == pytest.approx(8 / 60, abs=0.04)
