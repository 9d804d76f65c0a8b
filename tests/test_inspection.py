"""The inspection: its numbers in closed form, its warnings, its text."""

import json
import pathlib

import numpy as np
import pytest
import tiny_replica
import tiny_transforms

from jnerf.inspecting import inspection, visibility
from jnerf.scenes.formats import replica, transforms
from jnerf.scenes.formats.capture import Wishes
from jnerf.viewing.inspection_text import format_inspection

DATA = pathlib.Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture
def scene(tmp_path):
  return replica.load_replica(tiny_replica.write(tmp_path / "cap", num=10))


def test_counts_classes_and_depth(scene):
  result = inspection.inspect_scene(scene)
  json.dumps(result)  # plain values only
  assert result["views"] == {"all": 10, "train": 8, "test": 2}
  assert result["hfov"] == pytest.approx(90)
  assert result["cameras"]["spacing"] == pytest.approx(0.1)
  assert result["depth"] == {"known": 1.0, "low": 2.0, "median": 2.0, "high": 2.0}
  left, right = result["classes"]
  assert left["pixels"] == right["pixels"] == pytest.approx(7 / 16)  # top row is void
  assert (left["train_frames"], left["test_frames"], left["instances"]) == (8, 2, 1)
  assert result["instances"] == 2 and result["warnings"] == []
  text = format_inspection(result)
  assert "10: 8 train, 2 test" in text and "class 2" in text and "43.75%" in text


def test_coverage_sees_what_is_hidden(scene):
  assert visibility.coverage(scene)["seen"] > 0.9  # one wall, cameras side by side
  depth = scene.depth.copy()
  depth[scene.train] = 1.0  # something stands in front of every training view
  hidden = inspection.inspect_scene(scene.replace(depth=depth))
  assert hidden["coverage"]["seen"] == 0
  assert any("training views see only 0%" in w for w in hidden["warnings"])


def test_warnings(scene):
  def warnings_of(**changes):
    return "\n".join(inspection.inspect_scene(scene.replace(**changes))["warnings"])

  semantic = scene.semantic.copy()
  semantic[scene.train] = np.minimum(semantic[scene.train], 1)
  assert "class 2 (class 2) is seen in test frames only" in warnings_of(semantic=semantic)
  assert "seen in no test frame" in warnings_of(
      semantic=np.where(np.isin(np.arange(10), scene.test)[:, None, None], 0, 1))
  assert "no labels" in warnings_of(semantic=None, instance=None)
  assert "no depth" in warnings_of(depth=None)
  assert "no test views" in warnings_of(test=np.array([], np.int64))
  outside = warnings_of(bounds=np.array([[-3.0, -2, -1], [0.65, 2, 3]]))
  assert "3 cameras are outside scene.bounds: rgb_7, rgb_8, rgb_9" in outside
  poses, pictures = scene.cam_to_world.copy(), scene.images.copy()
  poses[4], pictures[4] = poses[0], pictures[0]
  assert "frames rgb_0 and rgb_4 are nearly equal" in warnings_of(
      cam_to_world=poses, images=pictures)
  assert "nearly equal" not in warnings_of(images=pictures)  # elsewhere, same picture
  assert "depth is known for 0% of pixels" in warnings_of(depth=0 * scene.depth)


def test_a_lens_is_shown_and_cameras_around_an_object_are_no_mistake(tmp_path):
  root = tiny_transforms.write(tmp_path / "cap", **tiny_transforms.LENS)
  around = transforms.load_transforms(root, Wishes(bounds=(-1, -1, -1, 1, 1, 1)))
  result = inspection.inspect_scene(around)
  text = format_inspection(result)
  assert "lens         k1 0.05  k2 -0.02  p1 0.001  p2 -0.002  k3 0" in text
  assert len(result["cameras"]["outside_bounds"]) == 6 and "are outside" not in text
  some = inspection.inspect_scene(transforms.load_transforms(
      root, Wishes(bounds=(-1, -1, -1, 4, 4, 4))))
  assert any("are outside scene.bounds" in line for line in some["warnings"])


@pytest.mark.parametrize("name, classes, instances", [
    ("office_0", 24, 44), ("living_room", 18, 29)])
def test_real_scenes(name, classes, instances):
  if not (DATA / name).is_dir():
    pytest.skip(f"needs ../shared/data/{name}")
  scene = replica.load_replica(DATA / name, Wishes(width=160))
  result = inspection.inspect_scene(scene)
  assert len(result["classes"]) == classes and result["instances"] == instances
  assert result["coverage"]["seen"] > 0.98 and result["warnings"] == []
