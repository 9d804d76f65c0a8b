"""Files that descriptions name: as other systems write names, or leave them out."""

import contextlib

import numpy as np
import pytest
import tiny_replica
import tiny_transforms as tiny
from tiny_transforms import complaint, edit, frames

from jnerf.errors import InputError
from jnerf.scenes import named_files
from jnerf.scenes.formats import replica, trajectory, transforms
from jnerf.scenes.formats.capture import Wishes


@pytest.fixture
def root(tmp_path):
  return tiny.write(tmp_path / "cap", **tiny.LENS)


def backslashes(root):
  edit(root, frames(lambda frame, _: {
      "file_path": frame["file_path"].replace("/", "\\")}))


def other_case(root):
  for path in (root / "images").iterdir():
    path.rename(path.with_suffix(".PNG"))
  (root / "images").rename(root / "Images")


def no_suffix_and_other_case(root):
  other_case(root)
  edit(root, frames(lambda frame, _: {"file_path": frame["file_path"][:-4]}))


def whole_paths(root):
  edit(root, frames(lambda frame, _: {"file_path": str(root / frame["file_path"])}))


def byte_order_mark(root):
  text = (root / "transforms.json").read_text()
  (root / "transforms.json").write_text(text, encoding="utf-8-sig")


@pytest.mark.parametrize("change", [
    backslashes, other_case, no_suffix_and_other_case, whole_paths, byte_order_mark])
def test_what_has_one_meaning_only_is_read(root, change):
  plain = transforms.load_transforms(root)
  change(root)
  scene = transforms.load_transforms(root, Wishes(strict=True))
  assert scene.frames == plain.frames
  np.testing.assert_array_equal(scene.images, plain.images)
  np.testing.assert_array_equal(scene.cam_to_world, plain.cam_to_world)


def test_names_that_mean_several_files_or_none_of_ours(tmp_path):
  def below(name):
    return named_files.path_below(tmp_path, name, "file", "here", ("", ".jpg"))

  for name in ("a.JPG", "A.jpg", "b\\c.png"):
    (tmp_path / name).write_bytes(b"")
  assert below("a.JPG").name == "a.JPG" and below("A").name == "A.jpg"
  assert below("b\\c.png") == tmp_path / "b\\c.png"  # where it is a name, it is one
  with pytest.raises(InputError, match=r"file 'a.jpg' may be each of A.jpg, a.JPG"):
    below("a.jpg")
  for name in ("..\\x.jpg", "x\\..\\..\\y", "C:\\cap\\x.jpg", "/x", str(tmp_path) + "2/x",
               f"{tmp_path}/../x"):
    with pytest.raises(InputError, match="leads out"):
      below(name)
  for name in (".", "a" * 300, "x/\ud800"):
    with contextlib.suppress(InputError):
      assert not below(name).is_file()


def test_text_with_a_byte_order_mark(tmp_path):
  root = tiny_replica.write(tmp_path / "cap", info={"scene": None, "classes": None})
  poses, _ = trajectory.read_trajectory(root / "traj_w_c.txt")
  text = (root / "traj_w_c.txt").read_text()
  (root / "traj_w_c.txt").write_text(text, encoding="utf-8-sig")
  marked, _ = trajectory.read_trajectory(root / "traj_w_c.txt")
  np.testing.assert_array_equal(marked, poses)
  assert replica.load_replica(root).name == "cap"  # null is no name


def test_null_is_taken_as_not_given(root):
  edit(root, frames(lambda frame, i: {"mask_path": None, "depth_file_path": None,
                                      "fl_x": None}))
  edit(root, lambda raw: raw.update(
      train_filenames=None, k3=None, depth_unit_scale_factor=None, camera_model=None))
  scene = transforms.load_transforms(root)
  assert len(scene.frames) == 6 and scene.mask is None and scene.depth is None
  assert scene.intrinsics[0, 0] == 10


def split_of(scene):
  return ([scene.frames[i] for i in scene.train], [scene.frames[i] for i in scene.test])


NAMES = [f"images/{i:02}.png" for i in range(6)]


@pytest.mark.parametrize("listed", [
    lambda name: name[:-4], lambda name: name.split("/")[1], lambda name: name[7:-4],
    lambda name: name.replace("/", "\\"), str.upper])
@pytest.mark.parametrize("trains", [True, False])
def test_lists_that_name_frames_otherwise(root, listed, trains):
  edit(root, lambda raw: raw.update(
      test_filenames=list(map(listed, NAMES[3:5])),
      **({"train_filenames": list(map(listed, NAMES[:3]))} if trains else {})))
  scene = transforms.load_transforms(root)
  train = ["00", "01", "02"] if trains else ["00", "01", "02", "05"]
  assert split_of(scene) == (train, ["03", "04"])
  assert ("1 frames in no list left out (images/05.png)" in scene.source) == trains


def test_lists_that_name_what_is_no_frame(root):
  edit(root, lambda raw: raw.update(train_filenames=NAMES[:3] + ["images/99.png"],
                                    test_filenames=NAMES[2:5]))
  scene = transforms.load_transforms(root)
  assert split_of(scene) == (["00", "01"], ["02", "03", "04"])
  assert "1 of train_filenames are no frames (images/99.png)" in scene.source
  assert "1 frames of both lists test (images/02.png)" in scene.source
  with pytest.raises(InputError, match=r"train_filenames: 'images/99.png' is no frame"):
    transforms.load_transforms(root, Wishes(strict=True))
  edit(root, lambda raw: raw.update(test_filenames=["x/97", "x/98"]))
  assert "test_filenames: 'x/97' is no frame (nor are 1 more)" in complaint(root)


def test_a_list_entry_that_may_be_several_frames(root):
  (root / "more").mkdir()
  (root / "images" / "05.png").rename(root / "more" / "04.png")
  edit(root, lambda raw: raw["frames"][5].update(file_path="more/04.png"))
  edit(root, lambda raw: raw.update(test_filenames=["04.png"]))
  assert "'04.png' may be each of images/04.png, more/04.png" in complaint(root)


def test_a_split_whose_frames_have_no_images_says_so(root):
  edit(root, lambda raw: raw.update(test_filenames=NAMES[4:]))
  for name in NAMES[4:]:
    (root / name).unlink()
  source = transforms.load_transforms(root).source
  assert "no test frame has its image, so others do" in source
