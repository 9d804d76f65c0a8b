"""Photographs of several sizes in one array."""

import tracemalloc

import numpy as np
from PIL import Image
import pytest
import tiny_transforms as tiny

from jnerf.errors import InputError
from jnerf.geometry import cameras
from jnerf.scenes import images, pixels, stacks
from jnerf.scenes import rays as rays_lib
from jnerf.scenes.formats import transforms
from jnerf.scenes.formats.capture import Wishes

SIZES = ((24, 16), (12, 16), (24, 8))


@pytest.fixture
def paths(tmp_path):
  found = []
  for i, (width, height) in enumerate(SIZES):
    found.append(tmp_path / f"{i}.png")
    colours = np.random.default_rng(i).integers(1, 256, (height, width, 3))
    Image.fromarray(colours.astype(np.uint8)).save(found[-1])
  return found


def test_each_picture_lies_at_the_top_left_at_one_scale(paths):
  canvas = stacks.Canvas.of(paths, width=12, max_pixels=0)
  assert canvas.uneven and canvas.full_size == (24, 16) and canvas.size == (12, 8)
  filled = canvas.filled()
  stack = canvas.read(dict(enumerate(paths)), images.read_image, images.resize_area)
  for view, (width, height) in enumerate(SIZES):
    own = images.read_image(paths[view])
    expected = own.reshape(height // 2, 2, width // 2, 2, 3).mean((1, 3))
    np.testing.assert_allclose(
        stack[view, :height // 2, :width // 2], expected, rtol=1e-6)
    assert filled[view].sum() * 4 == width * height
    assert not stack[view][~filled[view]].any()
  row = np.array([20.0, 21.0, 11.0, 9.0])
  np.testing.assert_allclose(canvas.intrinsics(np.stack([row] * 3)),
                             np.stack([row / 2] * 3))


def test_colour_is_held_once_and_opacity_only_where_there_is_any(tmp_path):
  root = tmp_path / "cap"
  (root / "images").mkdir(parents=True)
  for i in range(24):
    Image.new("RGB", (96, 64), (10 * i, 0, 0)).save(root / "images" / f"{i:02}.png")
  camera = {"fl_x": 80.0, "w": 96, "h": 64}
  tiny.store(root, {**camera, "frames": [
      {"file_path": f"images/{i:02}.png", "transform_matrix": tiny.opengl(pose)}
      for i, pose in enumerate(tiny.poses(24))]})
  transforms.load_transforms(root)  # what is imported or kept once is not counted
  tracemalloc.start()
  scene = transforms.load_transforms(root)
  kept, peak = tracemalloc.get_traced_memory()
  tracemalloc.stop()
  assert scene.images.flags.c_contiguous and scene.images.base is None
  assert kept < 1.1 * scene.images.nbytes and peak < 1.45 * scene.images.nbytes
  Image.new("RGBA", (96, 64), (200, 0, 0, 51)).save(root / "images" / "20.png")
  scene = transforms.load_transforms(root)
  np.testing.assert_allclose(scene.alpha[:, 5, 5], [1] * 20 + [0.2] + [1] * 3, rtol=1e-6)


def test_opacity_beside_a_smaller_picture_is_none(paths):
  Image.new("RGBA", (12, 16), (9, 9, 9, 0)).save(paths[1])
  canvas = stacks.Canvas.of(paths[:2], width=0, max_pixels=0)
  _, alpha = canvas.read_photographs(paths[:2])
  assert (alpha[0] == 1).all() and not alpha[1].any()
  canvas = stacks.Canvas.of(paths[::-1], width=0, max_pixels=0)
  _, alpha = canvas.read_photographs(paths[::-1])
  assert (alpha[0, :8] == 1).all() and not alpha[0, 8:].any()


def test_files_of_one_size_need_no_mask(paths):
  canvas = stacks.Canvas.of(paths[:1] * 2, width=0, max_pixels=0)
  assert not canvas.uneven and canvas.filled() is None and canvas.size == (24, 16)
  with pytest.raises(InputError, match=r"1\.png: is 12x16 pixels, but the photograph"):
    canvas.read({1: paths[1]}, images.read_image, images.resize_area)


def test_some_views_have_a_file_of_any_size(paths):
  canvas = stacks.Canvas.of(paths, width=0, max_pixels=0)
  stack = canvas.read({2: paths[1]}, images.read_image, lambda image, size:
                      images.resize_nearest(image[..., 0], size), any_size=True)
  assert stack.shape == (3, 16, 24) and stack[2, :8].all() and not stack[2, 8:].any()
  assert not stack[:2].any()


def test_uneven_captures_are_trained_and_labelled_where_there_is_a_picture(tmp_path):
  """A portrait among landscapes: its rays are its own, its padding is never drawn."""
  root = tiny.write(tmp_path / "cap")
  upright = Image.fromarray(np.full((12, 8, 3), 200, np.uint8))
  upright.save(root / "images" / "03.png")
  raw = tiny.stored(root)
  raw["frames"][3].update(w=8, h=12, cx=3.0, cy=6.25)
  tiny.store(root, raw)
  scene = transforms.load_transforms(root)
  assert scene.full_size == (12, 12) and scene.size == (12, 12) and scene.alpha is None
  np.testing.assert_allclose(scene.intrinsics[[2, 3]],
                             [[10, 11, 6.5, 3.5], [10, 11, 3.0, 6.25]])
  np.testing.assert_allclose(scene.images[3, :, :8], 200 / 255, rtol=1e-6)
  assert scene.mask[3, :, :8].all() and not scene.mask[3, :, 8:].any()
  assert scene.mask[2, :8].all() and not scene.mask[2, 8:].any()
  assert "up to 12x12" in scene.source
  data = pixels.pixel_data(scene)
  assert len(data.drawable) == 5 * 96  # the five landscapes and portraits that train
  rays = rays_lib.rays_of_view(scene, 3)
  xy, _ = cameras.project(np.asarray(rays.origins + 2 * rays.directions, np.float64),
                          scene.cam_to_world[3], scene.intrinsics[3], xnp=np)
  np.testing.assert_allclose(xy, cameras.pixel_centres(12, 12).reshape(-1, 2), atol=1e-3)
  full = stacks.full_photo(scene, 3, 0.5)
  np.testing.assert_allclose(full[:, :8], 200 / 255, rtol=1e-6)
  assert full.shape == (12, 12, 3) and (full[:, 8:] == 0.5).all()
  half = transforms.load_transforms(root, Wishes(width=6))
  np.testing.assert_allclose(half.intrinsics[3], [5, 5.5, 1.5, 3.125])
