"""Photographs that lie on their side: the camera turns with the picture.

A camera stores its picture as the sensor lies, and notes how it was held as an EXIF
orientation, 1 to 8. Whoever passes that over, as COLMAP does, gives poses and
intrinsics of the stored pixels; those of the upright picture are made here. Of the
orientations 2, 4, 5 and 7 the upright picture is a mirror image, which no camera sees.
"""

from __future__ import annotations

import numpy as np

from jnerf.geometry import cameras, lenses

# Of the stored picture's x and y, what the upright one's are, by EXIF orientation.
TURNS = {1: [[1, 0], [0, 1]], 3: [[-1, 0], [0, -1]], 6: [[0, -1], [1, 0]],
         8: [[0, 1], [-1, 0]]}


def upright_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
  """`(width, height)` of the upright picture from that of the stored one, or back."""
  return size[::-1] if orientation >= 5 else size


def upright(intrinsics: np.ndarray, cam_to_world: np.ndarray, size: tuple[int, int],
            orientation: int) -> tuple[np.ndarray, np.ndarray]:
  """`(intrinsics, cam_to_world)` of the camera of the upright photograph.

  intrinsics: `[4, 8 or 9]`, cam_to_world: `[4, 4]`, size: `(width, height)`, all of the
    photograph as it is stored.
  orientation: one of `TURNS`, which are turns of the camera about its axis.
  """
  turn = np.array(TURNS[orientation])
  turned = intrinsics.copy()
  turned[:2] = np.abs(turn) @ intrinsics[:2]
  middle = np.array(size, np.float64) / 2
  turned[2:4] = turn @ (intrinsics[2:4] - middle) + np.abs(turn) @ middle
  if len(intrinsics) == cameras.PINHOLE + lenses.BROWN:
    # The tangential terms act as r^2 v + 2 (v . x) x with the vector v = (p2, p1).
    turned[[7, 6]] = turn @ intrinsics[[7, 6]]
  pose = cam_to_world.copy()
  pose[:3, :2] = cam_to_world[:3, :2] @ turn.T
  return turned, pose


def upright_picture(picture: np.ndarray, orientation: int) -> np.ndarray:
  """`picture [H, W, ...]`, stored like a photograph of that orientation, upright."""
  if orientation >= 5:
    picture = picture.swapaxes(0, 1)
  rows, columns = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (1, -1), 7: (-1, -1),
                   8: (-1, 1)}.get(orientation, (1, 1))
  return picture[::rows, ::columns]
