"""Colour spaces: sRGB as files hold it, linear light, and OKLab.

Colours are `[..., 3]`, red, green and blue in [0, 1]. OKLab is the space of B. Ottosson
(2020), in which distance is about how different two colours look.
"""

from __future__ import annotations

import numpy as np

# Linear sRGB to the responses of the eye's cones, and their cube roots to L, a, b.
_LINEAR_TO_LMS = np.array([[0.4122214708, 0.5363325363, 0.0514459929],
                           [0.2119034982, 0.6806995451, 0.1073969566],
                           [0.0883024619, 0.2817188376, 0.6299787005]])
_LMS_TO_OKLAB = np.array([[0.2104542553, 0.7936177850, -0.0040720468],
                          [1.9779984951, -2.4285922050, 0.4505937099],
                          [0.0259040371, 0.7827717662, -0.8086757660]])


def linear_from_srgb(srgb: np.ndarray) -> np.ndarray:
  """sRGB to linear light (IEC 61966-2-1); keeps the dtype."""
  return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def oklab_from_linear(linear: np.ndarray) -> np.ndarray:
  """Linear light to OKLab: lightness in [0, 1], a (green to red), b (blue to yellow)."""
  return np.cbrt(linear @ _LINEAR_TO_LMS.T) @ _LMS_TO_OKLAB.T


def oklab(srgb: np.ndarray) -> np.ndarray:
  """sRGB to OKLab; see `oklab_from_linear`."""
  return oklab_from_linear(linear_from_srgb(srgb))
