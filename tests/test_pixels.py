"""What a training step sees: training views only, the same on host and device."""

import functools
import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_replica

from jnerf.errors import InputError
from jnerf.geometry import cameras, patch_grids
from jnerf.scenes import long_lists, pixels
from jnerf.scenes.drawable import Drawable
from jnerf.scenes.formats import replica
from jnerf.structs import FeatureMaps

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
  return replica.load_replica(tiny_replica.write(tmp_path_factory.mktemp("s") / "cap"))


@pytest.fixture(scope="module")
def maps(scene):
  grid = RNG.normal(size=(len(scene.frames), 3, 4, 5)).astype(np.float16)
  return FeatureMaps(grid=grid, source="precomputed")


def test_only_training_views_go_in(scene, maps):
  data = pixels.pixel_data(scene, maps, with_labels=True)
  assert scene.test.tolist() == [0] and data.shape == (5, 8, 12)
  np.testing.assert_array_equal(data.images, scene.images[1:])
  np.testing.assert_array_equal(data.features, maps.grid[1:])
  np.testing.assert_array_equal(data.labels, scene.semantic[1:])
  segments = np.arange(scene.semantic.size, dtype=np.int32).reshape(scene.semantic.shape)
  data = pixels.pixel_data(scene, segments=segments)
  chosen = np.array([[4, 7, 11], [0, 2, 1]])
  assert pixels.gather_batch(data, chosen, np).segments.tolist() == [
      segments[5, 7, 11], segments[1, 2, 1]]
  assert data.cam_to_world.dtype == data.intrinsics.dtype == np.float32
  plain = pixels.pixel_data(scene)
  assert plain.features is None and plain.labels is None
  with pytest.raises(ValueError, match="no labels"):
    pixels.pixel_data(scene.replace(semantic=None), with_labels=True)


def test_batch_equals_a_loop_over_pixels(scene, maps):
  data = pixels.pixel_data(scene, maps, with_labels=True)
  chosen = np.array([[0, 0, 0], [4, 7, 11], [2, 3, 9], [2, 3, 9]])
  batch = pixels.gather_batch(data, chosen, np)
  for n, (view, row, column) in enumerate(chosen):
    frame = scene.train[view]
    np.testing.assert_array_equal(batch.rgb[n], scene.images[frame, row, column])
    assert batch.labels[n] == scene.semantic[frame, row, column]
    rays = cameras.view_rays(scene.cam_to_world[frame], scene.intrinsics[frame],
                             scene.size, scene.near, scene.far)
    ray = row * scene.size[0] + column
    np.testing.assert_allclose(batch.rays.directions[n], rays.directions[ray], atol=1e-6)
    np.testing.assert_allclose(batch.rays.origins[n], rays.origins[ray], atol=1e-6)
    xy = np.array([[(column + 0.5) / 12, (row + 0.5) / 8]])
    np.testing.assert_allclose(
        batch.features[n], patch_grids.sample_features(
            maps.grid, np.array([frame]), xy, np)[0], atol=1e-5)


@pytest.mark.parametrize("with_all", [True, False])
def test_host_and_device_gather_the_same_batch(scene, maps, with_all):
  data = pixels.pixel_data(scene, maps if with_all else None, with_labels=with_all)
  chosen = pixels.draw_pixels(jax.random.key(3), 500, data.shape)
  on_device = jax.jit(pixels.gather_batch)(jax.device_put(data), chosen)
  on_host = pixels.gather_batch(data, np.asarray(chosen), np)
  assert jax.tree.structure(on_device) == jax.tree.structure(on_host)
  for a, b in zip(jax.tree.leaves(on_device), jax.tree.leaves(on_host), strict=True):
    assert a.dtype == b.dtype and isinstance(b, np.ndarray)
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_measured_depth_goes_in_as_distance_where_it_is_asked_for(scene):
  data = pixels.pixel_data(scene, with_depth=True)
  chosen = np.array([[0, 0, 0], [3, 4, 11], [1, 7, 5]])
  batch = pixels.gather_batch(data, chosen, np)
  points = batch.rays.origins + batch.distance[:, None] * batch.rays.directions
  for n, (view, row, column) in enumerate(chosen):
    frame = scene.train[view]
    _, depth = cameras.project(points[n:n + 1], scene.cam_to_world[frame],
                               scene.intrinsics[frame], xnp=np)
    np.testing.assert_allclose(depth[0], scene.depth[frame, row, column], rtol=1e-5)
  assert pixels.pixel_data(scene).distance is None
  bare = pixels.pixel_data(scene.replace(depth=None), with_depth=True)
  assert bare.distance is None and pixels.gather_batch(bare, chosen, np).distance is None


@pytest.mark.parametrize("xnp", [np, jnp])
def test_transparent_photographs_show_the_background(scene, xnp):
  alpha = np.random.default_rng(0).random(scene.images.shape[:3]).astype(np.float32)
  cut = scene.replace(images=scene.images * alpha[..., None], alpha=alpha)
  data = pixels.pixel_data(cut)
  chosen = np.asarray(pixels.draw_pixels(jax.random.key(3), 50, data.shape))
  behind = np.random.default_rng(1).random((50, 3)).astype(np.float32)
  batch = pixels.gather_batch(data, chosen, xnp, xnp.asarray(behind))
  view, row, column = chosen.T
  a = alpha[scene.train][view, row, column][:, None]
  photo = scene.images[scene.train][view, row, column]
  np.testing.assert_allclose(batch.rgb, a * photo + (1 - a) * behind, atol=1e-6)
  np.testing.assert_array_equal(batch.background, behind)
  np.testing.assert_array_equal(  # over black they are as they are stored
      pixels.gather_batch(data, chosen, np).rgb, data.images[view, row, column])
  np.testing.assert_allclose(cut.photos(scene.test, 0.0), cut.images[scene.test])
  white = cut.photos(int(scene.test[0]), 1.0)
  np.testing.assert_allclose(white, cut.images[scene.test[0]]
                             + 1 - alpha[scene.test[0], ..., None], atol=1e-6)


def test_draws_are_repeatable_and_reach_every_pixel():
  shape = (3, 4, 5)
  drawn = np.asarray(pixels.draw_pixels(jax.random.key(0), 6000, shape))
  again = pixels.draw_pixels(jax.random.key(0), 6000, shape)
  other = pixels.draw_pixels(jax.random.key(1), 6000, shape)
  np.testing.assert_array_equal(drawn, again)
  assert (drawn != np.asarray(other)).any() and drawn.dtype == np.int32
  counts = np.bincount(np.ravel_multi_index(drawn.T, shape), minlength=60)
  # Uniform over the 60 pixels: 100 each, standard deviation 10.
  assert counts.min() > 55 and counts.max() < 150


@pytest.mark.parametrize("as_on_device", [True, False])
def test_masked_pixels_are_never_drawn_and_all_others_equally(scene, as_on_device):
  mask = np.random.default_rng(0).random(scene.images.shape[:3]) < 0.3
  data = pixels.pixel_data(scene.replace(mask=mask))
  drawable = jax.device_put(data.drawable) if as_on_device else data.drawable
  draw = functools.partial(pixels.draw_pixels, num=20_000, shape=data.shape)
  draw = jax.jit(draw) if as_on_device else draw
  drawn = np.asarray(draw(jax.random.key(0), drawable=drawable))
  assert drawn.dtype == np.int32 and drawn.shape == (20_000, 3)
  counts = np.bincount(np.ravel_multi_index(drawn.T, data.shape),
                       minlength=mask[scene.train].size).reshape(data.shape)
  kept = mask[scene.train]
  assert not counts[~kept].any()
  mean = 20_000 / kept.sum()
  assert np.abs(counts[kept] - mean).max() < 6 * np.sqrt(mean)


@pytest.mark.parametrize("masked", [True, False])
def test_a_batch_of_few_views_has_equal_shares_of_each(masked):
  shape = (9, 4, 5)
  mask = np.random.default_rng(0).random(shape) < 0.4
  drawable = Drawable.of(mask) if masked else None
  draw = jax.jit(functools.partial(pixels.draw_pixels, num=64, shape=shape, num_views=4))
  seen = np.zeros(shape, int)
  for key in jax.random.split(jax.random.key(0), 300):
    view, row, column = np.asarray(draw(key, drawable=drawable)).T
    assert all(len(np.unique(part)) == 1 for part in np.split(view, 4))
    np.add.at(seen, (view, row, column), 1)
  allowed = mask if masked else np.ones(shape, bool)
  assert not seen[~allowed].any() and seen[allowed].all()
  per_view = seen.sum((1, 2)) / seen.sum()
  np.testing.assert_allclose(per_view, 1 / 9, atol=0.03)
  share = seen / seen.sum((1, 2), keepdims=True) * allowed.sum((1, 2), keepdims=True)
  assert np.abs(share[allowed] - 1).max() < 0.5  # evenly within a view


HUGE = (1100, 1080, 1920)  # more pixels than 32 bits count


def test_draws_are_what_they_were_when_pixels_had_one_number():
  """For a key: resumed runs and tables of results rest on it."""
  mask = np.random.default_rng(0).random((9, 4, 5)) < 0.4
  numbers, key = jnp.asarray(np.flatnonzero(mask)), jax.random.key(5)
  drawn = pixels.draw_pixels(key, 64, mask.shape, Drawable.of(mask))
  chosen = jax.random.randint(key, (64,), 0, len(numbers))
  np.testing.assert_array_equal(
      drawn, np.stack(np.unravel_index(numbers[chosen], mask.shape), axis=-1))
  drawn = pixels.draw_pixels(key, 64, mask.shape, Drawable.of(mask), num_views=4)
  view_key, pixel_key = jax.random.split(key)
  view = jnp.repeat(jax.random.randint(view_key, (4,), 0, 9), 16)
  first, end = jnp.searchsorted(numbers, jnp.stack([view, view + 1]) * 20)
  chosen = jax.random.randint(pixel_key, (64,), first, end)
  np.testing.assert_array_equal(
      drawn, np.stack(np.unravel_index(numbers[chosen], mask.shape), axis=-1))


@pytest.mark.parametrize("num_views", [0, 4])
def test_masks_of_more_pixels_than_32_bits_count(num_views):
  inside = np.array([0, 5 * 1920 + 7, 1080 * 1920 - 1], np.int32)
  drawable = Drawable.of_views([inside[:0] if view == 3 else inside
                                for view in range(HUGE[0])])
  assert len(drawable) == 3 * (HUGE[0] - 1)
  draw = functools.partial(pixels.draw_pixels, num=4000, shape=HUGE, num_views=num_views)
  drawn = np.asarray(jax.jit(draw)(jax.random.key(0), drawable=drawable))
  np.testing.assert_array_equal(drawn, draw(jax.random.key(0), drawable=drawable))
  assert {tuple(pair) for pair in drawn[:, 1:].tolist()} == {
      (0, 0), (5, 7), (1079, 1919)}
  assert not (drawn[:, 0] == 3).any()  # which has none
  assert len(np.unique(drawn[:, 0])) == (num_views or pytest.approx(1067, abs=40))


def test_lists_too_long_to_count_are_drawn_evenly(monkeypatch):
  """As lists of more than 2^31 numbers are, were 32 bits fewer."""
  monkeypatch.setattr(long_lists, "LONGEST", 100)
  monkeypatch.setattr(long_lists, "BLOCK", 16)
  mask = np.random.default_rng(0).random((9, 7, 8)) < 0.4
  mask[2] = False
  drawable = Drawable.of(mask)
  assert drawable.pixels.shape == (-(-mask.sum() // 16), 16)
  drawn = np.asarray(pixels.draw_pixels(jax.random.key(0), 30_000, mask.shape, drawable))
  counts = np.bincount(np.ravel_multi_index(drawn.T, mask.shape), minlength=mask.size)
  assert not counts[~mask.reshape(-1)].any()
  mean = 30_000 / mask.sum()
  assert np.abs(counts[mask.reshape(-1)] - mean).max() < 6 * np.sqrt(mean)
  for view in range(9):
    np.testing.assert_array_equal(drawable.of_view(view), np.flatnonzero(mask[view]))


def test_masks_that_leave_nothing_end_in_one_line(scene):
  with pytest.raises(InputError, match="masks leave no pixel"):
    pixels.pixel_data(scene.replace(mask=np.zeros(scene.images.shape[:3], bool)))


@pytest.mark.parametrize("masked", [True, False])
def test_random_pixels_are_those_of_a_list_of_all(scene, masked):
  mask = np.random.default_rng(0).random(scene.images.shape[:3]) < 0.3
  chosen = pixels.random_pixels(scene.replace(mask=mask if masked else None), 40, seed=3)
  allowed = mask[scene.train] if masked else np.ones((5, 8, 12), bool)
  view, row, column = np.unravel_index(np.random.default_rng(3).choice(
      np.flatnonzero(allowed), 40, replace=False), allowed.shape)
  np.testing.assert_array_equal(
      chosen, np.stack([scene.train[view], row, column], axis=1))
  few = pixels.random_pixels(scene.replace(mask=mask if masked else None), 10**6, seed=3)
  assert len(few) == len(np.unique(few, axis=0)) == allowed.sum()


@pytest.mark.parametrize("masked", [True, False])
def test_random_pixels_take_no_memory_for_all_pixels(scene, masked):
  shape = (200, 540, 960)
  many = scene.replace(
      images=np.broadcast_to(np.float32(0), (*shape, 3)), train=np.arange(200),
      mask=np.broadcast_to(np.arange(960) % 3 > 0, shape) if masked else None)
  tracemalloc.start()
  chosen = pixels.random_pixels(many, 1000, seed=0)
  peak = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  assert chosen.shape == (1000, 3) and peak < 10e6  # a number of each takes 829e6 bytes
  assert not masked or (chosen[:, 2] % 3 > 0).all()


def test_draw_runs_under_jit_and_scan(scene):
  data = jax.device_put(pixels.pixel_data(scene))

  @jax.jit
  def means(keys):
    def step(_, key):
      return None, jnp.mean(pixels.gather_batch(
          data, pixels.draw_pixels(key, 64, data.shape)).rgb)
    return jax.lax.scan(step, None, keys)[1]

  found = means(jax.random.split(jax.random.key(0), 200))
  # The mean over many draws tends to the training images' mean.
  assert float(found.mean()) == pytest.approx(scene.images[scene.train].mean(), abs=0.01)
