"""Pixels drawn class by class: how often, which, and in which places of a batch."""

import jax
import numpy as np
import pytest

from jnerf.scenes import long_lists, pixels, strata
from jnerf.scenes.drawable import Drawable

SHAPE = (3, 4, 5)
HUGE = (1100, 1080, 1920)  # more pixels than 32 bits count
# 40 pixels of class 7, 10 of class 2, 2 of class 9 and 8 void ones, mixed.
LABELS = np.random.default_rng(0).permutation(
    np.repeat([7, 2, 9, 0], [40, 10, 2, 8])).reshape(SHAPE)


def draw(made, num=30_000):
  """Row-major numbers over all views."""
  views, inside = jax.jit(lambda key: strata.draw(key, num, made))(jax.random.key(0))
  assert views.dtype == inside.dtype == np.int32
  return np.asarray(views) * (SHAPE[1] * SHAPE[2]) + np.asarray(inside)


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_a_class_is_drawn_by_a_power_of_its_pixels_and_evenly_within(balance):
  drawn = draw(strata.by_class(LABELS, balance))
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
  mask = np.random.default_rng(1).random(SHAPE) < 0.5
  drawn = draw(strata.by_class(LABELS, 0.5, Drawable.of(mask)))
  np.testing.assert_array_equal(np.unique(drawn), np.flatnonzero(mask & (LABELS != 0)))


def test_draws_are_what_they_were_when_pixels_had_one_number():
  made, key = strata.by_class(LABELS, 0.5), jax.random.key(7)
  views, inside = strata.draw(key, 64, made)
  class_key, pixel_key = jax.random.split(key)
  flat = LABELS.reshape(-1)
  numbers = [np.flatnonzero(flat == class_id) for class_id in (2, 7, 9)]
  counts = np.array([len(some) for some in numbers])
  share = np.cumsum(counts ** 0.5)
  chosen = np.searchsorted((share / share[-1]).astype(np.float32),
                           jax.random.uniform(class_key, (64,)), side="right")
  within = np.asarray(jax.random.randint(pixel_key, (64,), 0, counts[chosen]))
  expected = [numbers[c][i] for c, i in zip(chosen, within, strict=True)]
  np.testing.assert_array_equal(np.asarray(views) * 20 + np.asarray(inside), expected)


def test_more_pixels_than_32_bits_count():
  labels = np.broadcast_to(np.tile(np.arange(1920) % 2 + 1, (1080, 1)), HUGE)
  inside = np.array([4, 1080 * 1920 - 1], np.int32)  # of class 1 and of class 2
  made = strata.by_class(labels, 0.5, Drawable.of_views([inside] * 1100))
  views, numbers = map(np.asarray, strata.draw(jax.random.key(0), 4000, made))
  assert set(numbers.tolist()) == set(inside.tolist())
  assert views.min() >= 0 and views.max() > 1090 and len(np.unique(views)) > 1000
  drawn = np.asarray(pixels.draw_pixels(
      jax.random.key(0), 64, labels.shape, strata=made, every=4))
  assert {tuple(pair) for pair in drawn[::4, 1:].tolist()} == {(0, 4), (1079, 1919)}


def test_lists_too_long_to_count_are_drawn_alike(monkeypatch):
  """As lists of more than 2^31 numbers are, were 32 bits fewer."""
  monkeypatch.setattr(long_lists, "LONGEST", 30)
  monkeypatch.setattr(long_lists, "BLOCK", 16)
  made = strata.by_class(LABELS, 0.5)
  assert len(made.cumulative) == 5 and made.pixels.ndim == 2  # the 40 of class 7 in three
  counts = np.bincount(draw(made), minlength=60)
  shares = {c: n ** 0.5 / (40 ** 0.5 + 10 ** 0.5 + 2 ** 0.5) / n
            for c, n in ((7, 40), (2, 10), (9, 2))}
  expected = np.array([30_000 * shares.get(c, 0) for c in LABELS.reshape(-1).tolist()])
  assert (np.abs(counts - expected) <= 6 * np.sqrt(expected)).all()


def test_there_is_nothing_to_draw_where_nothing_is_labelled():
  assert strata.by_class(np.zeros(SHAPE, int), 0.5) is None
  assert strata.by_class(LABELS, 0.5, Drawable.of(LABELS == 0)) is None


@pytest.mark.parametrize("num", [64, 66])
def test_only_every_so_many_th_pixel_of_a_batch_is_drawn_by_class(num):
  made = strata.by_class(np.where(LABELS == 9, 9, 0), 1.0)
  batches = [np.asarray(pixels.draw_pixels(key, num, SHAPE, strata=made, every=4))
             for key in jax.random.split(jax.random.key(0), 50)]
  of_batches = np.stack([LABELS[tuple(drawn.T)] for drawn in batches])
  assert batches[0].shape == (num, 3) and batches[0].dtype == np.int32
  assert (of_batches[:, ::4] == 9).all()
  others = np.delete(of_batches, np.arange(0, num, 4), axis=1)
  # Uniform over the 60 pixels, void ones too: 2 of them are of class 9.
  assert np.mean(others == 9) == pytest.approx(2 / 60, abs=0.02)
  assert np.mean(others == 0) == pytest.approx(8 / 60, abs=0.04)
