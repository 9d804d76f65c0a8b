"""Files are replaced whole or not at all, pictures too."""

import os

import numpy as np
from PIL import Image
import pytest

from jnerf import files


@pytest.mark.parametrize("image", [
    np.arange(24, dtype=np.uint8).reshape(2, 4, 3), np.arange(6, dtype=np.uint8)[None],
    np.array([[0, 300, 65535]], np.uint16)], ids=["colour", "grey", "16 bits"])
def test_a_picture_is_read_back_as_it_was(tmp_path, image):
  path = files.write_png(tmp_path / "deep" / "a.png", image)
  np.testing.assert_array_equal(np.asarray(Image.open(path)), image)
  files.write_png(path, 0 * image, optimize=True)
  np.testing.assert_array_equal(np.asarray(Image.open(path)), 0 * image)
  assert [file.name for file in path.parent.iterdir()] == ["a.png"]


def test_an_interrupted_picture_leaves_the_older_one(tmp_path, monkeypatch):
  path = files.write_png(tmp_path / "a.png", np.zeros((4, 4, 3), np.uint8))
  before = path.read_bytes()

  def full(*unused):
    raise OSError("No space left on device")

  monkeypatch.setattr(os, "fsync", full)
  with pytest.raises(OSError, match="No space"):
    files.write_png(path, np.ones((4, 4, 3), np.uint8))
  assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1
