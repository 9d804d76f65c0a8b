"""What the stage `shape` chooses pairs by: geometry of the views, fused features."""

import jax
import numpy as np
from PIL import Image
import pytest
import tiny_replica

from jnerf import main
from jnerf.errors import InputError
from jnerf.features import local_features
from jnerf.fields.fitted import FittedField
from jnerf.geometry import surfaces
from jnerf.runs import checks, loading, parts
from jnerf.runs.config import settings_of
from jnerf.runs.experiment import load_experiment
from jnerf.runs.run import Run
from jnerf.runs.workdir import Workdir
from jnerf.scenes import pixels
from jnerf.scenes import rays as rays_lib
from jnerf.shaping import diffusion, fusion
from jnerf.shaping.pair_data import HINTED_VIEWS, PairSource, oracle_data, pair_data
from jnerf.shaping.regions import Scales
from jnerf.shaping.renderer import ViewRenderer
from jnerf.shaping.scene_depth import grid_depth
from jnerf.shaping.scene_regions import RegionSettings, find_scene_regions
from jnerf.training.loop import draw_batch

EXPERIMENT = f"{tiny_replica.__file__.rsplit('/', 1)[0]}/tiny_experiment.py"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
  return tiny_replica.write(tmp_path_factory.mktemp("pairing") / "cap")


@pytest.fixture(scope="module")
def scene(root):
  return loading.load_scene(run_of(root, "unused"))


@pytest.fixture(scope="module")
def maps(root, scene):
  return loading.load_features(run_of(root, "unused"), scene)


@pytest.fixture(scope="module")
def field(root, scene):
  """The field of the tiny experiment before its first step."""
  config = run_of(root, "unused").config
  model = parts.model_of(config, parts.space_of(config, scene))
  return FittedField(model, parts.initial_params(config, model, scene, "fit"),
                     parts.background_of(config, scene))


def run_of(root, folder, **shape) -> Run:
  config = load_experiment(f"{EXPERIMENT}:{root}")
  config.shape.update(**shape)
  return Run(config, Workdir(folder))


def source_of(run) -> PairSource:
  return settings_of(run.config, PairSource, "shape")


def paired(run, scene, field, maps, **given):
  return pair_data(field, scene, maps, parts.recipe_of(run.config), source_of(run),
                   **given)


def grid_of(scene, maps):
  height, width = maps.grid.shape[1:3]
  return (width, height), surfaces.cells_as_pixels(
      scene.intrinsics[scene.train], scene.size, (width, height))


def test_measured_depth_is_at_the_cells_and_rendered_depth_fills_its_gaps(
    scene, field, maps):
  grid, intrinsics = grid_of(scene, maps)
  gaps = scene.depth.copy()
  gaps[:, :4, :4] = 0
  depth = grid_depth(field, scene.replace(depth=gaps), intrinsics, grid,
                     geometry="sensor")
  assert depth.shape == (len(scene.train), *grid[::-1])
  known = np.ones(depth.shape, bool)
  known[:, :2, :2] = False  # cells of 2 x 2 pixels
  np.testing.assert_allclose(depth[known], tiny_replica.WALL)
  rendered = grid_depth(field, scene, intrinsics, grid, geometry="field")
  np.testing.assert_allclose(depth[~known], rendered[~known])
  # Nothing is rendered where everything was measured.
  np.testing.assert_allclose(
      grid_depth(field.replace(params=None), scene, intrinsics, grid,
                 geometry="sensor"), tiny_replica.WALL)
  # A view at the cells' resolution, through their centres, is what is rendered.
  small = scene.replace(images=np.zeros((6, *grid[::-1], 3), np.float32),
                        intrinsics=np.tile(intrinsics[:1], (6, 1)))
  view = int(scene.train[2])
  renderer = ViewRenderer(field.model, background=field.background, samples=True)
  distance, = renderer.map(field.params, rays_lib.rays_of_view(small, view),
                           lambda c: c.rendering.distance_median)
  np.testing.assert_allclose(rendered[2], rays_lib.depth_of_view(small, view, distance),
                             rtol=1e-4)


def test_fused_features_and_normals_go_into_the_batches(
    root, tmp_path, scene, field, maps):
  some = run_of(root, tmp_path, geometry="sensor", pairs="features", fuse_features=True,
                normal_scale=0.5)
  data = paired(some, scene, field, maps)
  _, intrinsics = grid_of(scene, maps)
  depth = np.full(data.features.shape[:3], tiny_replica.WALL)
  np.testing.assert_array_equal(data.features, fusion.fuse(
      maps.grid[scene.train], depth, data.cam_to_world, intrinsics))
  assert (data.features != maps.grid[scene.train]).any()
  np.testing.assert_allclose(data.normals, np.broadcast_to(
      [0, 0, -1], data.normals.shape), atol=1e-2)  # the wall, seen from in front
  assert data.distance is not None and data.segments is None
  plain = paired(run_of(root, tmp_path, pairs="features"), scene, field, maps)
  np.testing.assert_array_equal(plain.features, maps.grid[scene.train])
  assert plain.normals is None and plain.distance is None


def test_geometry_is_at_the_cells_of_a_grid_on_part_of_the_image(
    root, tmp_path, scene, field, maps):
  """Measured depth that tells its pixel: cells of 2 x 2 pixels, from (2, 4) on."""
  some = run_of(root, tmp_path, geometry="sensor", pairs="features", fuse_features=True)
  scene = scene.replace(depth=np.tile(
      np.arange(96, dtype=np.float32).reshape(8, 12) + 1, (6, 1, 1)))
  part = maps.replace(grid=maps.grid[:, :2, :5], extent=(2 / 12, 4 / 8, 1, 1))
  _, intrinsics = grid_of(scene, maps)
  intrinsics[:, 2:4] -= [1, 2]
  data = paired(some, scene, field, part)
  depth = np.tile(scene.depth[0, 5::2, 3::2], (len(scene.train), 1, 1))
  np.testing.assert_array_equal(data.features, fusion.fuse(
      part.grid[scene.train], depth, data.cam_to_world, intrinsics))
  assert data.features_extent == part.extent


def test_an_oracle_s_classes_are_contrasted_as_they_are_balanced(root, tmp_path, scene):
  some = run_of(root, tmp_path, num_rays=64, contrast_rays=16, oracle_balance=1.0)
  labels = scene.semantic.copy()
  labels[:, 4:] = labels[0, 0, 0]
  labels[:, :4, :4] = 0
  labels[:, 0, 0] = labels.max() + 1  # a class of one pixel
  data = oracle_data(scene.replace(semantic=labels), source_of(some))
  every = parts.recipe_of(some.config, oracle=True).contrast.every(64)
  np.testing.assert_array_equal(data.labels, labels[scene.train])
  batches = [draw_batch(data, key, 64, "grey", every=every).labels
             for key in jax.random.split(jax.random.key(0), 40)]
  contrasted = np.stack(batches)[:, ::4]
  counts = np.bincount(contrasted.reshape(-1))
  assert counts[0] == 0
  shares = counts[counts > 0] / counts.sum()
  np.testing.assert_allclose(shares, 1 / len(shares), atol=0.08)


def test_of_the_oracle_s_pairs_each_counts_and_of_others_any(root, tmp_path):
  config = run_of(root, tmp_path).config
  assert parts.recipe_of(config, oracle=True).positives == "each"
  assert parts.recipe_of(config, oracle=False).positives == "any"
  for chosen in ("any", "each"):
    config = run_of(root, tmp_path, positives=chosen).config
    assert {parts.recipe_of(config, oracle).positives for oracle in (True, False)} == {
        chosen}


def test_hints_draw_batches_from_few_views(root, tmp_path, scene, field, maps):
  (tmp_path / "segments").mkdir()
  Image.fromarray(np.full((8, 12), 7, np.uint8)).save(tmp_path / "segments" / "rgb_2.png")
  hinted = run_of(root, tmp_path / "run", hints=str(tmp_path / "segments"),
                  pairs="features")
  segments = paired(hinted, scene, field, maps,
                    segments=loading.load_hints(hinted.config, scene)).segments
  view = scene.frames.index("rgb_2")
  assert [part.all() for part in segments] == [v == view for v in scene.train]

  def num_views(stage, run):
    return parts.training_of(run.config, field.model, stage).num_views

  assert num_views("shape", hinted) == HINTED_VIEWS and num_views("fit", hinted) == 0
  assert num_views("shape", run_of(root, tmp_path)) == 0
  assert num_views("shape", run_of(root, tmp_path, views_per_batch=3)) == 3


def test_tables_name_what_chose_the_pairs(root, tmp_path):
  def name(field, **shape):
    return parts.pairs_name(run_of(root, tmp_path, **shape).config, field, "local")

  fused = dict(pairs="features", fuse_features=True, color_scale=0.2)
  assert name("shaped", **fused) == "local+fused+color"
  assert name("shaped-oracle", **fused) == "oracle" and name("plain", **fused) is None
  assert name("shaped") == "local"
  assert name("shaped", pairs="features") == "local+view"


def test_what_cannot_be_is_refused_before_anything_is_written(root, tmp_path, scene):
  bare = tiny_replica.write(tmp_path / "bare", layers=False)
  with pytest.raises(InputError, match="shape.geometry=sensor: bare has no measured"):
    some = run_of(bare, tmp_path / "run", geometry="sensor")
    checks.check(some, loading.load_scene(some), ("shape",), ())
  with pytest.raises(InputError, match="shape.hints=nowhere: no such folder"):
    checks.check(run_of(root, tmp_path / "run", hints="nowhere"), scene, ("shape",), ())
  with pytest.raises(InputError, match="shape.geometry='laser'"):
    main.main(["jnerf", f"--config={EXPERIMENT}:{root}", f"--workdir={tmp_path / 'run'}",
               "--config.shape.geometry=laser"])
  assert not (tmp_path / "run").exists()


def test_what_is_checked_makes_no_features(root, tmp_path, scene, monkeypatch):
  def refuse(*unused, **options):
    raise AssertionError("features are made")

  monkeypatch.setattr(local_features, "local_features", refuse)
  checks.check(run_of(root, tmp_path), scene, ("shape",), ())
  some = run_of(root, tmp_path)
  some.config.features.kind = "auto"
  some.config.label.rivals = ("features", "distilled")
  monkeypatch.setattr(checks, "SSIM_RADIUS", 3)  # the photographs are 8 pixels high
  checks.check(some, scene, ("shape", "propagate", "evaluate"), ())


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


def test_pixels_are_alike_as_their_regions_are(root, tmp_path, scene, field, maps):
  some = run_of(root, tmp_path)
  some.config.regions.feature_weight = 0.4
  scene_regions = loading.load_regions(some, scene, field)
  data = paired(some, scene, field, maps, regions=scene_regions)
  found, of_pixels = scene_regions.regions, scene_regions.of_pixels
  assert (tmp_path / "regions.npz").exists()
  np.testing.assert_array_equal(data.regions, of_pixels)
  assert of_pixels.shape == (len(scene.train), scene.size[1] // 2, scene.size[0] // 2)
  walk = diffusion.transitions(diffusion.links(found, Scales(0.2, 0.4)))
  alike = diffusion.embedding(walk, 0.99, 4)
  table = np.concatenate([alike, np.sqrt(0.4) * found.features], axis=1)
  chosen = np.array([[0, 3, 5], [2, 7, 11], [3, 0, 0]])
  batch = pixels.gather_batch(data, chosen, np)
  expected = table[of_pixels[chosen[:, 0], chosen[:, 1] // 2, chosen[:, 2] // 2]]
  np.testing.assert_allclose(batch.features, expected, atol=2e-3)


def test_what_a_mask_leaves_out_makes_no_region(scene, field, maps):
  mask = np.random.default_rng(0).random(scene.images.shape[:3]) < 0.5
  found = find_scene_regions(field, scene.replace(mask=mask), maps, RegionSettings(
      num_cells=16, num_regions=12, num_channels=4))
  # Blocks of 2x2 pixels stand for the lower right one of theirs.
  assert found.regions.counts.sum() == mask[scene.train][:, 1::2, 1::2].sum()
  assert found.of_pixels[0].size == mask[0, 1::2, 1::2].size
