"""Masks as hints: numbers of segments from a folder, each for its own view."""

import numpy as np
from PIL import Image
import pytest
import tiny_transforms as tiny

from jnerf.errors import InputError
from jnerf.scenes import hints
from jnerf.scenes.formats import transforms
from jnerf.scenes.formats.capture import Wishes


@pytest.fixture
def scene(tmp_path):
  return transforms.load_transforms(tiny.write(tmp_path / "cap"), Wishes(width=6))


def save(folder, name, ids, dtype=np.uint8):
  folder.mkdir(exist_ok=True)
  Image.fromarray(np.asarray(ids, dtype)).save(folder / name)


def halves(left, right, size=(12, 8)):
  ids = np.full(size[::-1], left)
  ids[:, size[0] // 2:] = right
  return ids


def test_numbers_of_different_views_never_agree(scene, tmp_path):
  folder = tmp_path / "segments"
  save(folder, "01.png", halves(3, 7))
  save(folder, "rgb_4.png", halves(0, 60000), np.uint16)  # other tools' ways to write 04
  save(folder, "05.png", halves(7, 7, (6, 4)))  # at the working size
  (folder / "notes.txt").write_text("from SAM")
  segments = hints.read_hints(folder, scene)
  assert segments.shape == (6, 4, 6) and segments.dtype == np.int32
  assert not segments[[0, 2, 3]].any()  # no file, no hint
  for view in (1, 4, 5):
    assert len(np.unique(segments[view])) == (2 if view != 5 else 1)
  assert not segments[4, :, :3].any() and segments[4, :, 3:].all()
  used = [set(np.unique(segments[view])) - {0} for view in (1, 4, 5)]
  assert [len(u) for u in used] == [2, 1, 1] and len(set.union(*used)) == 4
  assert (segments[1, :, :3] != segments[1, :, 3:]).all()


def test_hints_of_a_smaller_picture_stay_in_it(tmp_path):
  root = tiny.write(tmp_path / "cap")
  Image.fromarray(np.zeros((12, 8, 3), np.uint8)).save(root / "images" / "03.png")
  raw = tiny.stored(root)
  raw["frames"][3].update(w=8, h=12, cx=3.0, cy=6.25)
  tiny.store(root, raw)
  scene = transforms.load_transforms(root)
  save(tmp_path / "s", "03.png", halves(1, 2, (8, 12)))
  segments = hints.read_hints(tmp_path / "s", scene)
  assert segments[3, :, :8].all() and not segments[3, :, 8:].any()


@pytest.mark.parametrize("write, message", [
    (lambda f: None, "no such folder"),
    (lambda f: f.mkdir(), "no file is named after a frame, such as 00.png"),
    (lambda f: save(f, "77.png", halves(1, 2)), "no file is named after a frame"),
    (lambda f: save(f, "01.png", halves(1, 2, (8, 12))), "01.png: is 8x12 pixels"),
    (lambda f: save(f, "01.png", np.zeros((8, 12, 3))), "one channel of ids"),
    (lambda f: (f.mkdir(), (f / "01.png").write_bytes(b"\x89PNG\r\n")), "01.png: cannot"),
])
def test_what_is_no_hint_ends_in_one_line(scene, tmp_path, write, message):
  write(tmp_path / "segments")
  with pytest.raises(InputError) as error:
    hints.read_hints(tmp_path / "segments", scene)
  assert message in str(error.value) and "\n" not in str(error.value)
