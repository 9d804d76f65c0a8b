"""Colour spaces against published colours."""

import numpy as np

from jnerf.colors import linear_from_srgb, oklab


def test_linear_light_of_known_colours():
  # Mid grey of IEC 61966-2-1, the ends, and the joint of its two pieces.
  srgb = np.array([0.0, 0.04045, 0.5, 1.0])
  np.testing.assert_allclose(linear_from_srgb(srgb), [0, 0.0031308, 0.214041, 1],
                             atol=1e-6)
  assert linear_from_srgb(srgb.astype(np.float32)).dtype == np.float32


def test_oklab_of_known_colours():
  known = np.array([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
  expected = np.array([[1.0, 0.0, 0.0], [0.62796, 0.22486, 0.12585],
                       [0.45201, -0.03246, -0.31153]])
  np.testing.assert_allclose(oklab(known), expected, atol=2e-4)
