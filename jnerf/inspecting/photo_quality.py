"""Which photographs are blurred, or exposed unlike the others of their capture.

A view is compared with those before and after it in capture order, which show much the
same. How large a difference must be to be reported grows with how much all views of the
capture differ from theirs, so that one that jumps from place to place is judged less
strictly. A difference that nobody would see is never reported.

Sharpness is the energy of second differences from pixel to pixel over that of the
photograph at a quarter of its size, as log2, along rows and along columns, of which
the lower counts: camera shake blurs along one of them. The quotient takes the
scene's own contrast out. What is measured is the picture at its working size: blur
that the resizing hides does no harm.

Exposure is log2 of linear luminance, in stops, at three percentiles. Other content
moves some of them; other exposure moves all three the same way. The smallest of the three
differences is taken, and none where they disagree about the sign.
"""

from __future__ import annotations

import numpy as np

from jnerf.structs import Scene

NEIGHBOURS = 4  # views before, and as many after, that a view is compared with
COARSE = 4  # pixels a side that become one for the coarse picture
MIN_BLUR, BLUR_SPREADS = 1.2, 3.5  # log2 of the energy lost, and in (robust) spreads
MIN_STOPS, STOPS_SPREADS = 0.8, 2.5  # stops, and times what nine of ten keep to
PERCENTILES = (20, 50, 80)  # of luminance, at which exposure is read
CLIPPED = 0.25  # share of clipped pixels that is worth a word
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
_NOISE = 1e-7  # energy below which a picture is taken as flat
_DARK = 1e-3  # linear luminance added, so that black has a logarithm


def photo_quality(scene: Scene) -> dict:
  """Sharpness, exposure and clipping of every view, and the outliers by name.

  `sharpness`, `exposure` (median, stops), `clipped`: V numbers each, None where a
  view has too few pixels that count; masked and transparent ones do not.
  `blurred`: of frames far less sharp than their neighbours `{frame, lost}`, the share
  of fine detail that is gone; `exposed`: `{frame, stops}` brighter (or darker, < 0);
  `clipped_frames`: `{frame, share}`.
  """
  fine, light, clipped = (np.array(values) for values in zip(
      *(_measure(scene, view) for view in range(len(scene.frames))), strict=True))
  blur = _against_neighbours(fine)
  shifts = np.stack([_against_neighbours(column) for column in light.T], axis=1)
  # The least shift of the three, 0 where they disagree about the sign.
  alike = (np.sign(shifts) == np.sign(shifts[:, :1])).all(axis=1)
  stops = np.where(alike, np.sign(shifts[:, 0]) * np.abs(shifts).min(axis=1), 0.0)
  is_blurred = blur < -max(MIN_BLUR, BLUR_SPREADS * _spread(blur))
  usual = np.percentile(np.abs(stops), 90)
  is_exposed = np.abs(stops) > max(MIN_STOPS, STOPS_SPREADS * usual)
  return {
      "sharpness": _plain(fine), "exposure": _plain(light[:, 1]),
      "clipped": _plain(clipped),
      "blurred": [{"frame": scene.frames[i], "lost": 1 - 2.0 ** (blur[i] / 2)}
                  for i in np.flatnonzero(is_blurred)],
      "exposed": [{"frame": scene.frames[i], "stops": float(stops[i])}
                  for i in np.flatnonzero(is_exposed)],
      "clipped_frames": [{"frame": scene.frames[i], "share": float(clipped[i])}
                         for i in np.flatnonzero(clipped > CLIPPED)]}


def sharpness(luminance: np.ndarray, used: np.ndarray) -> float:
  """log2 of fine over coarse energy of `luminance [H, W]`, see above; NaN if unknown.

  used: `[H, W]` bool, the pixels that count.
  """
  fine = _energies(luminance, used)
  coarse = _energies(_reduced(luminance),
                     _reduced(used.astype(np.float32)) > 1 - 0.5 / COARSE**2)
  return float(np.min(np.log2((fine + _NOISE) / (coarse + _NOISE))))


def _measure(scene: Scene, view: int) -> tuple[float, list[float], float]:
  """`(sharpness, log2 luminance at the percentiles, share clipped)` of one view."""
  image = scene.images[view]
  used = np.ones(image.shape[:2], bool)
  if scene.mask is not None:
    used &= scene.mask[view]
  if scene.alpha is not None:
    used &= scene.alpha[view] > 0.99
  if not used.any():
    return np.nan, [np.nan] * len(PERCENTILES), np.nan
  colour = image[used]
  linear = colour**2.2 @ _LUMINANCE
  light = np.log2(np.percentile(linear, PERCENTILES) + _DARK)
  ends = (colour.min(axis=1) > 0.996) | (colour.max(axis=1) < 0.004)
  return sharpness(image @ _LUMINANCE, used), light.tolist(), float(ends.mean())


def _energies(plane: np.ndarray, used: np.ndarray) -> np.ndarray:
  """`[2]` mean squared second difference down and across, where all three count."""
  energies = []
  for values, ok in ((plane, used), (plane.T, used.T)):
    ok = ok[:-2] & ok[1:-1] & ok[2:]
    second = values[:-2] - 2 * values[1:-1] + values[2:]
    energies.append(np.mean(second[ok] ** 2) if ok.any() else np.nan)
  return np.array(energies)


def _reduced(plane: np.ndarray) -> np.ndarray:
  """Means over squares of `COARSE` pixels a side; a rest at the end is left out."""
  rows, columns = (size // COARSE for size in plane.shape)
  return plane[:rows * COARSE, :columns * COARSE].reshape(
      rows, COARSE, columns, COARSE).mean(axis=(1, 3))


def _against_neighbours(values: np.ndarray) -> np.ndarray:
  """`[V]` less the median of each view's neighbours; NaN counts as no difference."""
  result = np.zeros(len(values))
  for i, value in enumerate(values):
    around = np.delete(values[max(i - NEIGHBOURS, 0):i + NEIGHBOURS + 1],
                       min(i, NEIGHBOURS))
    around = around[np.isfinite(around)]
    if np.isfinite(value) and len(around):
      result[i] = value - np.median(around)
  return result


def _spread(values: np.ndarray) -> float:
  """Standard deviation, estimated from the median absolute deviation."""
  return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _plain(values: np.ndarray) -> list[float | None]:
  return [float(v) if np.isfinite(v) else None for v in values]
