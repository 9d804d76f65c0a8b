"""Blur and exposure: frames that were spoilt are found, and others are not."""

import pathlib

import numpy as np
import pytest
from scipy import ndimage

from jnerf.inspecting import inspection
from jnerf.inspecting.photo_quality import photo_quality, sharpness
from jnerf.scenes import load
from jnerf.scenes.room import room

DATA = pathlib.Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="module")
def scene():
  return room.make_room(width=80, height=60, num_train=40, num_test=8)


def spoilt(scene, view, change):
  images = scene.images.copy()
  images[view] = change(images[view])
  return scene.replace(images=images)


def names(rows):
  return [row["frame"] for row in rows]


def test_a_normal_capture_has_no_outliers(scene):
  found = photo_quality(scene)
  assert found["blurred"] == found["exposed"] == found["clipped_frames"] == []
  assert len(found["sharpness"]) == len(found["exposure"]) == 48


@pytest.mark.parametrize("view", [0, 17, 47])
@pytest.mark.parametrize("change", [
    lambda image: ndimage.gaussian_filter(image, (1.0, 1.0, 0)),
    lambda image: ndimage.uniform_filter1d(image, 5, axis=1),  # a camera that moved
    lambda image: ndimage.uniform_filter1d(image, 5, axis=0)])
def test_a_blurred_frame_is_named(scene, view, change):
  found = photo_quality(spoilt(scene, view, change))
  assert names(found["blurred"]) == [scene.frames[view]] and found["exposed"] == []
  assert 0.4 < found["blurred"][0]["lost"] < 1


@pytest.mark.parametrize("factor, word", [(0.25, "darker"), (3.0, "brighter")])
def test_another_exposure_is_named_with_its_sign(scene, factor, word):
  def expose(image):
    return np.clip(image * factor ** (1 / 2.2), 0, 1)

  found = inspection.inspect_scene(spoilt(scene, 20, expose))
  row, = found["photos"]["exposed"]
  assert row["frame"] == scene.frames[20]
  assert 0.4 < row["stops"] / np.log2(factor) < 1.6
  assert any(f"{scene.frames[20]} (" in w and f"stops {word}" in w
             for w in found["warnings"])


def test_a_blown_out_frame_is_named(scene):
  found = inspection.inspect_scene(spoilt(scene, 5, lambda image: np.ones_like(image)))
  assert found["photos"]["clipped_frames"] == [{"frame": scene.frames[5], "share": 1.0}]
  assert any("pure white or black" in w for w in found["warnings"])


def test_masked_and_transparent_pixels_do_not_count(scene):
  mask = np.ones(scene.images.shape[:3], bool)
  mask[:, :, 60:] = False
  padded = scene.images.copy()
  padded[:, :, 60:] = 0
  padded[9, :, 60:] = 1
  masked = photo_quality(scene.replace(images=padded, mask=mask))
  alpha = photo_quality(scene.replace(images=padded, alpha=mask.astype(np.float32)))
  cropped = photo_quality(scene.replace(images=scene.images[:, :, :60]))
  for name in ("sharpness", "exposure", "clipped"):
    np.testing.assert_allclose(masked[name], cropped[name], rtol=1e-4)
    assert masked[name] == alpha[name]
  mask[3] = False
  nothing = photo_quality(scene.replace(mask=mask))
  assert nothing["sharpness"][3] is None and nothing["clipped"][3] is None


def test_sharpness_does_not_depend_on_contrast_and_falls_with_blur():
  plane = np.random.default_rng(0).random((40, 60), np.float32)
  used = np.ones(plane.shape, bool)
  sharp = sharpness(plane, used)
  assert sharpness(0.2 * plane, used) == pytest.approx(sharp, abs=0.05)
  assert sharpness(ndimage.gaussian_filter(plane, 1), used) < sharp - 2
  assert np.isnan(sharpness(plane, ~used)) and np.isfinite(sharpness(0 * plane, used))


@pytest.mark.parametrize("name", ["office_0", "fox", "lego", "kitchen_mip360",
                                  "living_room"])
def test_real_captures_raise_few_alarms(name):
  if not (DATA / name).is_dir():
    pytest.skip(f"needs ../shared/data/{name}")
  quality = photo_quality(load.load_scene(
      load.SceneSettings(path=str(DATA / name), max_pixels=2_000_000)))
  alarms = len(quality["blurred"]) + len(quality["exposed"])
  assert alarms < 0.05 * len(quality["sharpness"])
