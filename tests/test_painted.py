"""Scribbles and masks: which pixels they label, and that the file keeps them."""

import json

import numpy as np
from PIL import Image
import pytest
from test_clicks import scene_of

from jnerf.errors import InputError
from jnerf.scenes import clicks, painted
from jnerf.structs import Click, Clicks, Mask, Scribble

SCENE = scene_of((20, 15), (40, 30))
CLASSES = {1: "wall", 7: "chair"}


def cells(pixels):
  """`{(row, column)}`, of view 1 all of them."""
  assert pixels.dtype == np.int64 and set(pixels[:, 0].tolist()) == {1}
  return {tuple(pixel) for pixel in pixels[:, 1:].tolist()}


def scribbled(points, width=1):
  pixels, ids = painted.scribble_labels(Scribble("rgb_12", points, 7, width), SCENE)
  assert len(cells(pixels)) == len(ids) and set(ids.tolist()) == {7}
  return cells(pixels)


def test_a_scribble_labels_the_working_pixels_along_it():
  assert scribbled(((4, 10), (13, 10))) == {(5, column) for column in range(2, 7)}
  assert scribbled(((8, 0), (8, 29))) == {(row, 4) for row in range(15)}
  assert scribbled(((0, 0), (29, 29))) == {(i, i) for i in range(15)}
  assert scribbled(((39, 29),)) == {(14, 19)}  # a point is a click
  corner = scribbled(((0, 0), (8, 0), (8, 8)))
  assert corner == {(0, i) for i in range(5)} | {(i, 4) for i in range(5)}
  wide = scribbled(((20, 10), (20, 20)), width=6)
  assert {9, 10} <= {column for _, column in wide} <= {8, 9, 10, 11}
  assert wide > scribbled(((20, 10), (20, 20)))


def test_a_mask_labels_its_pixels_evenly_and_few():
  ids = np.zeros((30, 40), np.int32)
  ids[10:20, 4:14] = 3
  one = Mask("rgb_12", "a.png", ids, 7)
  pixels, found = painted.mask_labels(one, SCENE)
  assert cells(pixels) == {(r, c) for r in range(5, 10) for c in range(2, 7)}
  assert set(found.tolist()) == {7}
  half = Mask("rgb_12", "a.png", ids[::2, ::2], 7)  # saved at another size
  np.testing.assert_array_equal(painted.mask_labels(half, SCENE)[0], pixels)
  empty = painted.mask_labels(Mask("rgb_12", "a.png", 0 * ids, 7), SCENE)
  assert empty[0].shape == (0, 3) and empty[1].shape == (0,)
  large = scene_of((400, 300), (400, 300))
  ids = np.where(np.arange(400) < 100, 1, 7) * np.ones((300, 1), np.int32)
  pixels, found = painted.mask_labels(Mask("rgb_12", "a.png", ids), large)
  assert np.unique(found, return_counts=True)[1].tolist() == [painted.MAX_LABELS] * 2
  np.testing.assert_array_equal(ids[pixels[:, 1], pixels[:, 2]], found)
  assert len(cells(pixels)) == len(pixels) and np.ptp(pixels[:, 1]) > 290


def everything():
  ids = np.zeros((30, 40), np.int32)
  ids[:4], ids[20:] = 1, 7
  return Clicks(
      CLASSES, positive=(Click("rgb_3", 1, 2, 1),), negative=(Click("rgb_3", 5, 5, 7),),
      scribbles=(Scribble("rgb_12", ((0, 0), (39, 29)), 1, 3),),
      masks=(Mask("rgb_12", "masks/ids.png", ids),
             Mask("rgb_3", "chair.png", 900 * (ids > 1), 7)))


def test_the_file_keeps_everything(tmp_path):
  first, second = (tmp_path / name / "clicks.json" for name in "ab")
  clicks.write_clicks(first, everything())
  read = clicks.read_clicks(first, SCENE)
  clicks.write_clicks(second, read)  # the pictures go along
  again = clicks.read_clicks(second, SCENE)
  assert read == again == everything()
  assert first.read_text() == second.read_text()
  for mask, other in zip(again.masks, everything().masks, strict=True):
    np.testing.assert_array_equal(mask.ids, other.ids)
  for before, after in zip(clicks.labelled_pixels(everything(), SCENE),
                           clicks.labelled_pixels(again, SCENE), strict=True):
    np.testing.assert_array_equal(before, after)


def test_labels_of_all_kinds_follow_one_another():
  pixels, ids = clicks.labelled_pixels(everything(), SCENE)
  assert ids[:2].tolist() == [1, -7] and ids.dtype == np.int64
  np.testing.assert_array_equal(pixels[:2], [[0, 1, 0], [0, 2, 2]])
  assert {tuple(pair) for pair in zip(pixels[2:, 0].tolist(), ids[2:].tolist())} == {
      (1, 1), (1, 7), (0, 7)}


def test_scribbles_alone_are_a_clicks_file(tmp_path):
  path = tmp_path / "c.json"
  path.write_text(json.dumps({"classes": {"1": "wall"}, "scribbles": [
      {"frame": "rgb_3", "points": [[0, 0], [3, 3]], "class": 1}]}))
  assert clicks.read_clicks(path, SCENE).scribbles[0].width == 1


def test_nothing_is_written_outside_the_folder(tmp_path):
  mask = Mask("rgb_3", "../chair.png", np.ones((30, 40), np.int32), 7)
  with pytest.raises(InputError, match="does not lie beside the clicks file"):
    clicks.write_clicks(tmp_path / "in" / "c.json", Clicks(CLASSES, (), masks=(mask,)))
  assert not list(tmp_path.rglob("*.png")) and not list(tmp_path.rglob("*.json"))


def test_a_palette_picture_is_read_by_its_numbers(tmp_path):
  image = Image.fromarray(np.full((30, 40), 7, np.uint8)).convert("P")
  image.putpalette([3] * 768)
  image.save(tmp_path / "p.png")
  path = tmp_path / "c.json"
  path.write_text(json.dumps({"classes": {"7": "chair"}, "masks": [
      {"frame": "rgb_3", "file": "p.png"}]}))
  assert set(np.unique(clicks.read_clicks(path, SCENE).masks[0].ids)) == {7}
