"""A picture by one camera, seen along the rays of another that stands in its place.

A depth sensor has its own size and intrinsics. Where it shares centre and axes with
the colour camera, what it measured along z is the colour camera's depth too, and only
the pixels have to be found.
"""

from __future__ import annotations

import numpy as np


def registered(image: np.ndarray, its_camera: np.ndarray, camera: np.ndarray,
               size: tuple[int, int]) -> np.ndarray:
  """`image [H', W']` of `its_camera` as a picture `[H, W]` of `camera`, 0 where unseen.

  its_camera, camera: `[4]` pinholes in the one convention; size: `(width, height)`.
  A pixel takes the one that its ray meets: a mean of two surfaces is neither.
  """
  picture = np.zeros(size[::-1], image.dtype)
  (columns, seen_x), (rows, seen_y) = (
      _nearest(its_camera[axis::2], camera[axis::2], size[axis], image.shape[1 - axis])
      for axis in (0, 1))
  picture[np.ix_(seen_y, seen_x)] = image[np.ix_(rows, columns)]
  return picture


def _nearest(its_camera: np.ndarray, camera: np.ndarray, num: int, its_num: int,
             ) -> tuple[np.ndarray, np.ndarray]:
  """`(pixels of the picture, [num] bool: who has one)` along one axis.

  its_camera, camera: focal length and principal point along that axis.
  """
  slope = (np.arange(num) + 0.5 - camera[1]) / camera[0]
  pixels = np.floor(slope * its_camera[0] + its_camera[1])
  inside = (pixels >= 0) & (pixels < its_num)
  return pixels[inside].astype(np.int64), inside
