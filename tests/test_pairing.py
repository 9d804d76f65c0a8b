"""What the stage `shape` chooses pairs by: geometry of the views, fused features."""

import jax
import numpy as np
from PIL import Image
import pytest
import tiny_replica

from jnerf import main
from jnerf.errors import InputError
from jnerf.geometry import surfaces
from jnerf.labeling import views
from jnerf.runs import checks
from jnerf.runs.experiment import load_experiment
from jnerf.runs.workdir import Workdir
from jnerf.scenes import pixels
from jnerf.shaping import diffusion, fusion
from jnerf.stages import geometry, labels, pairing, regions
from jnerf.stages.session import HINTED_VIEWS, Session
from jnerf.training.loop import draw_batch

EXPERIMENT = f"{tiny_replica.__file__.rsplit('/', 1)[0]}/tiny_experiment.py"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
  return tiny_replica.write(tmp_path_factory.mktemp("pairing") / "cap")


def session(root, folder, **shape) -> Session:
  config = load_experiment(f"{EXPERIMENT}:{root}")
  config.shape.update(**shape)
  return Session(config, Workdir(folder))


def grid_of(some: Session):
  height, width = some.features.grid.shape[1:3]
  scene = some.scene
  return (width, height), surfaces.cells_as_pixels(
      scene.intrinsics[scene.train], scene.size, (width, height))


def test_measured_depth_is_at_the_cells_and_rendered_depth_fills_its_gaps(
    root, tmp_path):
  some = session(root, tmp_path, geometry="sensor")
  scene, (grid, intrinsics) = some.scene, grid_of(some)
  gaps = scene.depth.copy()
  gaps[:, :4, :4] = 0
  some.scene = scene.replace(depth=gaps)
  params = some.initial_params("fit")
  depth = geometry.grid_depth(some, params, intrinsics, grid)
  assert depth.shape == (len(scene.train), *grid[::-1])
  known = np.ones(depth.shape, bool)
  known[:, :2, :2] = False  # cells of 2 x 2 pixels
  np.testing.assert_allclose(depth[known], tiny_replica.WALL)
  some.config.shape.geometry = "field"
  rendered = geometry.grid_depth(some, params, intrinsics, grid)
  np.testing.assert_allclose(depth[~known], rendered[~known])
  # A view at the cells' resolution, through their centres, is what is rendered.
  small = scene.replace(images=np.zeros((6, *grid[::-1], 3), np.float32),
                        intrinsics=np.tile(intrinsics[:1], (6, 1)))
  view = int(scene.train[2])
  distance, = labels.view_renderer(some).map(
      params, views.rays_of_view(small, view), lambda c: c.rendering.distance_median)
  np.testing.assert_allclose(rendered[2], views.depth_of_view(small, view, distance),
                             rtol=1e-4)


def test_fused_features_and_normals_go_into_the_batches(root, tmp_path):
  some = session(root, tmp_path, geometry="sensor", pairs="features",
                 fuse_features=True, normal_scale=0.5)
  params, scene = some.initial_params("fit"), some.scene
  data = pairing.pair_data(some, params)
  _, intrinsics = grid_of(some)
  depth = np.full(data.features.shape[:3], tiny_replica.WALL)
  np.testing.assert_array_equal(data.features, fusion.fuse(
      some.features.grid[scene.train], depth, data.cam_to_world, intrinsics))
  assert (data.features != some.features.grid[scene.train]).any()
  np.testing.assert_allclose(data.normals, np.broadcast_to(
      [0, 0, -1], data.normals.shape), atol=1e-2)  # the wall, seen from in front
  assert data.distance is not None and data.segments is None
  plain = pairing.pair_data(session(root, tmp_path, pairs="features"), params)
  np.testing.assert_array_equal(plain.features, some.features.grid[scene.train])
  assert plain.normals is None and plain.distance is None


def test_geometry_is_at_the_cells_of_a_grid_on_part_of_the_image(root, tmp_path):
  """Measured depth that tells its pixel: cells of 2 x 2 pixels, from (2, 4) on."""
  some = session(root, tmp_path, geometry="sensor", pairs="features", fuse_features=True)
  scene, maps = some.scene, some.features
  some.scene = scene.replace(depth=np.tile(
      np.arange(96, dtype=np.float32).reshape(8, 12) + 1, (6, 1, 1)))
  some.features = maps.replace(
      grid=maps.grid[:, :2, :5], extent=(2 / 12, 4 / 8, 1, 1))
  _, intrinsics = grid_of(session(root, tmp_path))
  intrinsics[:, 2:4] -= [1, 2]
  params = some.initial_params("fit")
  data = pairing.pair_data(some, params)
  depth = np.tile(some.scene.depth[0, 5::2, 3::2], (len(scene.train), 1, 1))
  np.testing.assert_array_equal(data.features, fusion.fuse(
      some.features.grid[scene.train], depth, data.cam_to_world, intrinsics))
  assert data.features_extent == some.features.extent


def test_an_oracle_s_classes_are_contrasted_as_they_are_balanced(root, tmp_path):
  some = session(root, tmp_path, num_rays=64, contrast_rays=16, oracle_balance=1.0)
  labels = some.scene.semantic.copy()
  labels[:, 4:] = labels[0, 0, 0]
  labels[:, :4, :4] = 0
  labels[:, 0, 0] = labels.max() + 1  # a class of one pixel
  some.scene = some.scene.replace(semantic=labels)
  data = pairing.oracle_data(some)
  np.testing.assert_array_equal(data.labels, labels[some.scene.train])
  batches = [draw_batch(data, key, 64, "grey").labels
             for key in jax.random.split(jax.random.key(0), 40)]
  contrasted = np.stack(batches)[:, ::4]
  counts = np.bincount(contrasted.reshape(-1))
  assert counts[0] == 0
  shares = counts[counts > 0] / counts.sum()
  np.testing.assert_allclose(shares, 1 / len(shares), atol=0.08)


def test_of_the_oracle_s_pairs_each_counts_and_of_others_any(root, tmp_path):
  some = session(root, tmp_path)
  assert some.recipe(oracle=True).positives == "each"
  assert some.recipe(oracle=False).positives == "any"
  for chosen in ("any", "each"):
    some = session(root, tmp_path, positives=chosen)
    assert {some.recipe(oracle).positives for oracle in (True, False)} == {chosen}


def test_hints_draw_batches_from_few_views(root, tmp_path):
  (tmp_path / "segments").mkdir()
  Image.fromarray(np.full((8, 12), 7, np.uint8)).save(tmp_path / "segments" / "rgb_2.png")
  hinted = session(root, tmp_path / "run", hints=str(tmp_path / "segments"),
                   pairs="features")
  segments = pairing.pair_data(hinted, None).segments
  view = hinted.scene.frames.index("rgb_2")
  assert [part.all() for part in segments] == [v == view for v in hinted.scene.train]
  assert hinted.training("shape").num_views == HINTED_VIEWS
  assert hinted.training("fit").num_views == 0
  assert session(root, tmp_path / "run").training("shape").num_views == 0
  assert session(root, tmp_path, views_per_batch=3).training("shape").num_views == 3


def test_tables_name_what_chose_the_pairs(root, tmp_path):
  some = session(root, tmp_path, pairs="features", fuse_features=True, color_scale=0.2)
  assert labels.pairs_name(some, "shaped") == "local+fused+color"
  assert labels.pairs_name(some, "shaped-oracle") == "oracle"
  assert labels.pairs_name(some, "plain") is None
  assert labels.pairs_name(session(root, tmp_path), "shaped") == "local"


def test_what_cannot_be_is_refused_before_anything_is_written(root, tmp_path):
  bare = tiny_replica.write(tmp_path / "bare", layers=False)
  with pytest.raises(InputError, match="shape.geometry=sensor: bare has no measured"):
    checks.check(session(bare, tmp_path / "run", geometry="sensor"), ("shape",), ())
  with pytest.raises(InputError, match="shape.hints=nowhere: no such folder"):
    checks.check(session(root, tmp_path / "run", hints="nowhere"), ("shape",), ())
  with pytest.raises(InputError, match="shape.geometry='laser'"):
    main.main(["jnerf", f"--config={EXPERIMENT}:{root}", f"--workdir={tmp_path / 'run'}",
               "--config.shape.geometry=laser"])
  assert not (tmp_path / "run").exists()


def test_the_whole_command_with_every_option(tmp_path, monkeypatch):
  monkeypatch.setattr(tiny_replica, "WIDTH", 16)
  monkeypatch.setattr(tiny_replica, "HEIGHT", 12)
  root = tiny_replica.write(tmp_path / "cap")
  names = ["pairs=features", "fuse_features=True", "color_scale=0.3",
           "position_scale=1.0",
           "normal_scale=0.5", f"hints={root / 'semantic_class'}"]
  (root / "semantic_class").joinpath("rgb_0.png").write_bytes(
      (root / "semantic_class" / "semantic_class_0.png").read_bytes())
  main.main(["jnerf", f"--config={EXPERIMENT}:{root}", f"--workdir={tmp_path / 'run'}",
             *(f"--config.shape.{name}" for name in names)])
  rows = Workdir(tmp_path / "run").read_metrics()["labels"]
  assert {row["pairs"] for row in rows if row["field"] == "shaped"} == {
      "local+fused+color+position+normal+hints"}


def test_pixels_are_alike_as_their_regions_are(root, tmp_path):
  some = session(root, tmp_path)
  some.config.regions.feature_weight = 0.4
  params, scene = some.initial_params("fit"), some.scene
  data = pairing.pair_data(some, params)
  found, of_pixels = regions.scene_regions(some, params)
  assert (tmp_path / "regions.npz").exists()
  np.testing.assert_array_equal(data.regions, of_pixels)
  assert of_pixels.shape == (len(scene.train), scene.size[1] // 2, scene.size[0] // 2)
  alike = diffusion.embedding(regions.region_walk(some, found), 0.99, 4)
  table = np.concatenate([alike, np.sqrt(0.4) * found.features], axis=1)
  chosen = np.array([[0, 3, 5], [2, 7, 11], [3, 0, 0]])
  batch = pixels.gather_batch(data, chosen, np)
  expected = table[of_pixels[chosen[:, 0], chosen[:, 1] // 2, chosen[:, 2] // 2]]
  np.testing.assert_allclose(batch.features, expected, atol=2e-3)


def test_what_a_mask_leaves_out_makes_no_region(root, tmp_path):
  some = session(root, tmp_path)
  mask = np.random.default_rng(0).random(some.scene.images.shape[:3]) < 0.5
  some.scene = some.scene.replace(mask=mask)
  found, of_pixels = regions.scene_regions(some, some.initial_params("fit"))
  # Blocks of 2x2 pixels stand for the lower right one of theirs.
  assert found.counts.sum() == mask[some.scene.train][:, 1::2, 1::2].sum()
  assert of_pixels[0].size == mask[0, 1::2, 1::2].size


def test_regions_are_kept_until_what_they_rest_on_changes(root, tmp_path):
  some = session(root, tmp_path)
  params = some.initial_params("fit")
  first, _ = regions.scene_regions(some, params)
  path = tmp_path / "regions.npz"
  written = path.read_bytes()
  again, _ = regions.scene_regions(session(root, tmp_path), params)
  np.testing.assert_array_equal(first.grid, again.grid)
  assert path.read_bytes() == written
  some.config.regions.num_regions = 5
  other, _ = regions.scene_regions(some, params)
  assert path.read_bytes() != written and len(other.points) < len(first.points)
  path.write_bytes(b"damaged")
  mended, _ = regions.scene_regions(some, params)
  np.testing.assert_array_equal(mended.grid, other.grid)
