"""Features from a file: whose they are, and their value between patches."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage
import tiny_replica

from jnerf.errors import InputError
from jnerf.features import local_features, precomputed_features
from jnerf.features.feature_choice import FeatureChoice, FeatureSettings
from jnerf.features.local_features import LocalSettings
from jnerf.geometry import patch_grids
from jnerf.scenes import load
from jnerf.scenes.load import SceneSettings

DATA = pathlib.Path(__file__).parents[2] / "shared" / "data"
RNG = np.random.default_rng(0)
GRID = RNG.normal(size=(3, 4, 6, 5)).astype(np.float16)


def save(path, names, features=GRID):
  np.savez(path, features=features, names=np.array(names))
  return path


def test_sampling_equals_scipy_on_the_patch_grid():
  view = RNG.integers(0, 3, 200)
  xy = RNG.uniform(-0.1, 1.1, (200, 2)).astype(np.float32)
  xy[:4] = [[0, 0], [1, 1], [0.5, 1], [1 / 12, 1 / 8]]
  expected = np.stack([
      [ndimage.map_coordinates(GRID[v, :, :, c].astype(np.float64),
                               [[y * 4 - 0.5], [x * 6 - 0.5]], order=1,
                               mode="nearest")[0] for c in range(5)]
      for v, (x, y) in zip(view, xy, strict=True)])
  on_host = patch_grids.sample_features(GRID, view, xy, np)
  on_device = jax.jit(patch_grids.sample_features)(
      jnp.array(GRID), jnp.array(view), jnp.array(xy))
  np.testing.assert_allclose(on_host, expected, atol=1e-5)
  np.testing.assert_allclose(on_device, expected, atol=1e-5)
  assert on_host.dtype == on_device.dtype == np.float32


def test_centres_hold_the_patch_and_edges_are_clamped():
  centre = np.array([[2.5 / 6, 1.5 / 4], [0, 0], [1, 1]], np.float32)
  found = patch_grids.sample_features(GRID, np.array([1, 2, 0]), centre, np)
  expected = np.stack([GRID[1, 1, 2], GRID[2, 0, 0], GRID[0, -1, -1]])
  np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_grid_of_one_patch():
  found = patch_grids.sample_features(
      GRID[:, :1, :1], np.array([0, 2]), np.array([[0.1, 0.9], [1, 0]]), np)
  np.testing.assert_array_equal(found, GRID[[0, 2], 0, 0])


@pytest.mark.parametrize("names", [
    ["rgb_2", "rgb_10", "rgb_0"], ["2", "10", "0"], ["rgb/2.png", "rgb/10.png", "0.JPG"],
    ["rgb_0002.png", "0010", "000"]])
def test_names_are_matched_not_order(tmp_path, names):
  path = save(tmp_path / "f.npz", names)
  maps = precomputed_features.load_features_file(path, ("rgb_0", "rgb_2", "rgb_10"))
  np.testing.assert_array_equal(maps.grid, GRID[[2, 0, 1]])
  assert maps.grid.dtype == np.float16 and maps.source == "precomputed"
  some = precomputed_features.load_features_file(path, ("rgb_10",))  # extras are fine
  np.testing.assert_array_equal(some.grid, GRID[[1]])


def test_names_without_numbers(tmp_path):
  path = save(tmp_path / "f.npz", ["kitchen.png", "hall_2.png", "hall_02.png"],
              GRID.astype(np.float32))
  maps = precomputed_features.load_features_file(path, ("hall_02", "kitchen"))
  np.testing.assert_array_equal(maps.grid, GRID[[2, 0]])
  assert maps.grid.dtype == np.float16


@pytest.mark.parametrize("content, message", [
    ({"names": np.array(["rgb_0"])}, "lacks an array"),
    ({"features": GRID, "names": np.array(["rgb_0"])}, "do not fit"),
    ({"features": GRID[0], "names": np.array(list("0123"))}, "do not fit"),
    ({"features": GRID, "names": np.array(["0", "1", 2], object)}, "cannot be read"),
    ({"features": GRID, "names": np.array(["0", "rgb_0", "1"])}, "same frame"),
    ({"features": GRID.astype(np.float32) * 1e9, "names": np.array(list("012"))},
     "not finite"),
    ({"features": GRID, "names": np.array(["frame_0", "frame_1", "frame_2"])},
     r"no features for 1 of 1 frames \(rgb_0; its names are like 'frame_0'")])
def test_bad_files_are_named(tmp_path, content, message):
  path = tmp_path / "f.npz"
  np.savez(path, **content)
  with pytest.raises(InputError, match=message) as error:
    precomputed_features.load_features_file(path, ("rgb_0",))
  assert str(path) in str(error.value) and "\n" not in str(error.value)
  if message != "not finite":  # which only the numbers tell
    with pytest.raises(InputError, match=message):
      precomputed_features.check_features_file(path, ("rgb_0",))


def test_a_check_reads_no_numbers(tmp_path):
  grid = np.tile(GRID, (1, 9, 9, 1))  # beyond what a look at its head reads
  path = save(tmp_path / "f.npz", list("012"), grid)
  precomputed_features.check_features_file(path, ("rgb_0", "rgb_2"))
  data = bytearray(path.read_bytes())
  start = data.index(grid.tobytes())
  data[start:start + grid.nbytes] = bytes(grid.nbytes)
  path.write_bytes(data)
  with pytest.raises(InputError, match="cannot be read"):
    precomputed_features.load_features_file(path, ("rgb_0",))
  precomputed_features.check_features_file(path, ("rgb_0", "rgb_2"))


def test_damaged_file(tmp_path):
  path = save(tmp_path / "f.npz", ["0", "1", "2"])
  whole = path.read_bytes()
  for damaged in (whole[:len(whole) // 2], b"", b"text"):
    path.write_bytes(damaged)
    with pytest.raises(InputError, match="cannot be read"):
      precomputed_features.load_features_file(path, ("rgb_0",))
    with pytest.raises(InputError, match="cannot be read"):
      precomputed_features.find_features_file(tmp_path)


def test_auto_takes_the_file_in_the_folder_else_local(tmp_path):
  root = tiny_replica.write(tmp_path / "cap", num=8)
  scene = load.load_scene(SceneSettings(path=str(root)))

  def load_features(**settings):
    return FeatureChoice(FeatureSettings(**settings), LocalSettings(stride=1),
                         capture=str(root)).source.load(scene)

  def source(**settings):
    loaded = load_features(**settings).source
    choice = FeatureChoice(FeatureSettings(**settings), capture=str(root))
    assert choice.source.name == loaded
    return loaded

  assert FeatureSettings().kind == "auto"
  assert source() == "local"
  with pytest.raises(InputError, match=r"features\.path"):
    source(kind="precomputed")
  np.savez(root / "other.npz", points=GRID)  # holds no features
  names, grid = [str(i) for i in range(8)], np.repeat(GRID, 3, axis=0)[:8]
  save(root / "mine.npz", names, grid)
  assert source() == source(kind="precomputed") == "precomputed"
  np.testing.assert_array_equal(load_features().grid, grid)
  assert source(kind="local") == "local"
  save(root / "second.npz", names, grid)
  with pytest.raises(InputError, match=r"mine\.npz, second\.npz"):
    source()
  assert source(path=str(root / "second.npz")) == "precomputed"
  with pytest.raises(InputError, match="no such file"):
    source(path=str(root / "absent.npz"))


def test_a_check_makes_and_reads_no_features(tmp_path, monkeypatch):
  root = tiny_replica.write(tmp_path / "cap", num=8)
  scene = load.load_scene(SceneSettings(path=str(root)))

  def check(kind="auto"):
    FeatureChoice(FeatureSettings(kind=kind), capture=str(root)).source.check(scene)

  monkeypatch.delattr(local_features, "local_features")
  check()
  check("local")
  with pytest.raises(InputError, match=r"features\.path"):
    check("precomputed")
  save(root / "mine.npz", list("0123456"), np.repeat(GRID, 3, axis=0)[:7])
  with pytest.raises(InputError, match="no features for 1 of 8 frames"):
    check()


@pytest.mark.parametrize("name, num, shape", [
    ("office_0", 81, (42, 74, 40)), ("living_room", 120, (36, 50, 40))])
def test_real_files(name, num, shape):
  if not (DATA / name).is_dir():
    pytest.skip(f"needs ../shared/data/{name}")
  path = precomputed_features.find_features_file(DATA / name)
  frames = tuple(f"rgb_{i}" for i in range(num))
  grid = precomputed_features.load_features_file(path, frames).grid
  assert grid.shape == (num, *shape) and grid.dtype == np.float16
  norms = np.linalg.norm(grid[3].astype(np.float32), axis=-1)
  np.testing.assert_allclose(norms, 1, atol=2e-3)  # unit rows, as documented
