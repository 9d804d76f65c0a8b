"""Kept features: made once, gone on with, never wrong; and their principal components."""

import json

import numpy as np
import pytest

from jnerf.errors import InputError
from jnerf.features import feature_cache
from jnerf.features.principal_components import principal_directions

RNG = np.random.default_rng(0)
IMAGES = RNG.random((5, 4, 6, 3)).astype(np.float32)
EXTENT = (0.1, 0.2, 0.9, 0.8)


class Extractor:
  """Stands in for a network; its feature is a fixed mixture of the colours."""

  batch = 2
  mixture = np.random.default_rng(1).normal(size=(3, 8)).astype(np.float32)

  def __init__(self):
    self.seen = []  # sizes of the batches
    self.loaded = 0

  def load(self):
    self.loaded += 1
    return self

  def __call__(self, images):
    self.seen.append(len(images))
    return np.stack(images) @ self.mixture, EXTENT


def photos(images=IMAGES):
  return feature_cache.Photos(
      tuple(map(feature_cache.photo_digest, images)), lambda view: images[view])


def features(folder, extractor, images=IMAGES, **settings):
  return feature_cache.cached_features(
      folder, photos(images), extractor.load, source="mine", settings={"layer": 3},
      **settings)


def expected(images=IMAGES):
  return (images @ Extractor.mixture).astype(np.float16)


def test_the_second_time_nothing_is_loaded(tmp_path):
  first, second = Extractor(), Extractor()
  made = features(tmp_path, first)
  kept = features(tmp_path, second)
  assert first.seen == [2, 2, 1] and first.loaded == 1
  assert not second.seen and not second.loaded
  for maps in (made, kept):
    np.testing.assert_array_equal(maps.grid, expected())
    assert maps.grid.dtype == np.float16
    assert maps.source == "mine" and maps.extent == EXTENT
    assert maps.origin.endswith(f"-> {tmp_path}")
  assert kept.origin == f"kept, {made.origin}"
  assert json.loads((tmp_path / "settings.json").read_text()) == {"layer": 3}


def test_holds_says_what_there_is(tmp_path):
  assert not feature_cache.holds(tmp_path, photos())
  features(tmp_path, Extractor(), IMAGES[:3])
  assert feature_cache.holds(tmp_path, photos(IMAGES[:3]))
  assert not feature_cache.holds(tmp_path, photos())
  assert not feature_cache.holds(tmp_path, photos(IMAGES[:3]), num_components=2)
  features(tmp_path, Extractor(), IMAGES[:3], num_components=2)
  assert feature_cache.holds(tmp_path, photos(IMAGES[:3]), num_components=2)


def test_an_interrupted_run_goes_on(tmp_path):
  first, second, seen = Extractor(), Extractor(), []

  def interrupt(done, total):
    if done == 4:
      raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    features(tmp_path, first, on_views=interrupt)
  maps = features(tmp_path, second, on_views=lambda *at: seen.append(at))
  assert first.seen == [2, 2] and second.seen == [1] and seen == [(4, 5), (5, 5)]
  np.testing.assert_array_equal(maps.grid, expected())


def test_a_batch_as_large_as_said(tmp_path):
  extractor = Extractor()
  features(tmp_path, extractor, batch=4)
  assert extractor.seen == [4, 1]


def test_only_other_photographs_are_made(tmp_path):
  features(tmp_path, Extractor())
  images = IMAGES.copy()
  images[3, 0, 0, 0] += 0.01
  extractor = Extractor()
  order = [4, 3, 0]
  maps = features(tmp_path, extractor, images[order])
  assert extractor.seen == [1]
  np.testing.assert_array_equal(maps.grid, expected(images[order]))


MIDDLE = 200  # in the numbers, behind the first header
DAMAGES = (
    lambda data: b"", lambda data: b"text", lambda data: data[:len(data) // 2],
    lambda data: data[:-1],
    lambda data: data[:MIDDLE] + bytes([data[MIDDLE] ^ 1]) + data[MIDDLE + 1:],
    lambda data: data[:60] + b"\xff" * 20 + data[80:],
    lambda data: data.replace(b"extent", b"extend"),
    lambda data: data.replace(b"<f2", b"|O\x00"))


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("num_components", [0, 2])
def test_a_damaged_file_is_made_again(tmp_path, damage, num_components):
  first = features(tmp_path, Extractor(), num_components=num_components)
  folder = next(tmp_path.glob("pca-*")) if num_components else tmp_path
  path = sorted(folder.glob("*.npz"))[1]
  whole = path.read_bytes()
  assert damage(whole) != whole
  path.write_bytes(damage(whole))
  extractor = Extractor()
  again = features(tmp_path, extractor, num_components=num_components)
  assert extractor.seen == ([] if num_components else [1])
  np.testing.assert_array_equal(again.grid, first.grid)


def test_a_shape_of_another_kind_counts_as_damage(tmp_path):
  features(tmp_path, Extractor())
  path = sorted(tmp_path.glob("*.npz"))[0]
  with np.load(path) as archive:
    content = dict(archive)
  for name, values in (("features", content["features"][0]), ("extent", np.zeros(3)),
                       ("features", content["features"].astype(np.float32))):
    np.savez(path, **{**content, name: values})
    extractor = Extractor()
    features(tmp_path, extractor)
    assert extractor.seen == [1]


def test_numbers_that_are_not_finite_are_not_kept(tmp_path):
  images = IMAGES.copy()
  images[2, 1, 1] = 1e6
  with pytest.raises(InputError, match="not finite in half precision"):
    features(tmp_path, Extractor(), images)
  assert feature_cache.holds(tmp_path, photos(images[:2]))


def test_settings_and_contents_name_a_folder_and_a_file(tmp_path):
  def folder(**settings):
    return feature_cache.settings_folder(tmp_path, {"model": "a", "layer": 3, **settings})

  assert folder() == folder(layer=3) and folder().parent == tmp_path
  assert len({folder(), folder(layer=2), folder(model="b"), folder(stride=4)}) == 4
  image = IMAGES[0]
  digests = {feature_cache.photo_digest(photo) for photo in (
      image, image.reshape(6, 4, 3), image.astype(np.float64), image + np.float32(1e-6))}
  assert len(digests) == 4
  assert feature_cache.photo_digest(image.copy(order="F")) in digests


def test_components_of_kept_features(tmp_path):
  """Rank 3: as many components keep every dot product, and fewer the most of them."""
  extractor = Extractor()
  full = features(tmp_path, extractor).grid.astype(np.float64).reshape(-1, 8)
  maps = features(tmp_path, extractor, num_components=3)
  assert extractor.seen == [2, 2, 1]  # no second extraction
  assert maps.grid.shape == (5, 4, 6, 3) and "100.0% of the squared length" in maps.origin
  reduced = maps.grid.astype(np.float64).reshape(-1, 3)
  np.testing.assert_allclose(reduced @ reduced.T, full @ full.T, atol=0.03)
  one = features(tmp_path, Extractor(), num_components=1)
  np.testing.assert_array_equal(one.grid[..., 0], maps.grid[..., 0])
  share = np.linalg.svd(full, compute_uv=False)[0] ** 2 / np.sum(full**2)
  assert f"{share:.1%} of the squared length" in one.origin
  fewer = features(tmp_path, Extractor(), IMAGES[:2], num_components=3)
  assert len(fewer.grid) == 2  # of other photographs: beside the first


def test_principal_directions_equal_the_singular_vectors():
  rows = RNG.normal(size=(60, 6)) * np.array([1, 5, 2, 0.1, 3, 0]) + 1
  origin, directions, share = principal_directions(
      np.split(rows.reshape(6, 10, 6), 3), 4)
  assert (origin == 0).all()
  _, values, vectors = np.linalg.svd(rows, full_matrices=False)
  np.testing.assert_allclose(np.abs(vectors[:4] @ directions), np.eye(4), atol=1e-4)
  np.testing.assert_allclose(share, np.sum(values[:4] ** 2) / np.sum(values**2))
  assert (directions[np.abs(directions).argmax(0), range(4)] > 0).all()
  # What is lost is what the other singular values hold.
  lost = rows - rows @ directions @ directions.T
  np.testing.assert_allclose(np.sum(lost**2), np.sum(values[4:] ** 2), rtol=1e-3)


def test_centred_directions_are_those_of_the_rows_about_their_mean():
  rows = RNG.normal(size=(60, 4)) * np.array([1, 5, 2, 0.1]) + np.array([9, 0, -3, 1])
  origin, directions, share = principal_directions(np.split(rows, 3), 2, centred=True)
  np.testing.assert_allclose(origin, rows.mean(0), rtol=1e-5)
  about = principal_directions([rows - rows.mean(0)], 2)
  np.testing.assert_allclose(directions, about[1], atol=1e-3)
  assert share == pytest.approx(about[2], abs=1e-4)


def test_centred_components_are_of_unit_length_and_beside_others(tmp_path):
  full = features(tmp_path, Extractor()).grid.astype(np.float64).reshape(-1, 8)
  plain = features(tmp_path, Extractor(), num_components=3)
  maps = features(tmp_path, Extractor(), num_components=3, centred=True)
  rows = maps.grid.astype(np.float64).reshape(-1, 3)
  about = full - full.mean(0)
  lengths = np.linalg.norm(about, axis=1)
  np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-3)
  np.testing.assert_allclose(rows @ rows.T, about @ about.T / np.outer(lengths, lengths),
                             atol=0.02)
  assert feature_cache.holds(tmp_path, photos(), 3, centred=True)
  np.testing.assert_array_equal(
      features(tmp_path, Extractor(), num_components=3).grid, plain.grid)


def test_all_directions_are_a_rotation():
  rows = RNG.normal(size=(40, 5)).astype(np.float32)
  _, directions, share = principal_directions([rows], 5)
  np.testing.assert_allclose(directions.T @ directions, np.eye(5), atol=1e-5)
  assert share == pytest.approx(1)
  assert principal_directions([np.zeros((3, 2))], 1)[2] == 0
