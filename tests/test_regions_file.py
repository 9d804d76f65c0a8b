"""`regions.npz`: kept while all that regions rest on stays, made anew when it changes."""

import dataclasses

import numpy as np
from PIL import Image
import pytest
import tiny_experiment
import tiny_transforms

from jnerf.fields.fitted import FittedField
from jnerf.runs import loading, parts, regions_file
from jnerf.runs.config import settings_of
from jnerf.runs.run import Run
from jnerf.runs.workdir import Workdir
from jnerf.shaping.scene_regions import RegionSettings

MASK = np.tile(np.arange(12) > 4, (8, 1))


@pytest.fixture
def root(tmp_path):
  """Photographs, of which one has a mask, and features of them in a file."""
  root = tiny_transforms.write(tmp_path / "cap")
  raw = tiny_transforms.stored(root)
  raw["frames"][0]["mask_path"] = "mask.png"
  tiny_transforms.store(root, raw)
  save_mask(root, MASK)
  save_features(root / "mine.npz", seed=0)
  return root


def save_mask(root, mask):
  Image.fromarray((255 * mask).astype(np.uint8)).save(root / "mask.png")


def save_features(path, seed):
  grid = np.random.default_rng(seed).normal(size=(6, 4, 6, 3)).astype(np.float16)
  np.savez(path, features=grid, names=[f"{i:02}" for i in range(6)])


@pytest.fixture
def run(root, tmp_path) -> Run:
  config = tiny_experiment.get_config(str(root))
  config.scene.format, config.features.kind = "auto", "auto"
  return Run(config, Workdir(tmp_path / "run"))


@pytest.fixture
def field(run) -> FittedField:
  """The field before its first step."""
  scene = loading.load_scene(run)
  model = parts.model_of(run.config, parts.space_of(run.config, scene))
  return FittedField(model, parts.initial_params(run.config, model, scene, "fit"),
                     parts.background_of(run.config, scene))


def digest(run, field, scene=None):
  scene = loading.load_scene(run) if scene is None else scene
  return regions_file.regions_digest(
      field, scene, loading.features_choice(run, scene),
      settings_of(run.config, RegionSettings, "regions"), run.config.shape.geometry)


def test_regions_are_kept_until_what_they_rest_on_changes(run, field, tmp_path):
  scene, path = loading.load_scene(run), tmp_path / "run" / "regions.npz"
  first = loading.load_regions(run, scene, field)
  written = path.read_bytes()
  again = loading.load_regions(run, scene, field)
  np.testing.assert_array_equal(first.regions.grid, again.regions.grid)
  np.testing.assert_array_equal(first.of_pixels, again.of_pixels)
  np.testing.assert_allclose(again.kernel, first.kernel)
  assert path.read_bytes() == written and again.space == field.space
  run.config.regions.num_regions = 5
  other = loading.load_regions(run, scene, field)
  assert path.read_bytes() != written
  assert len(other.regions.points) < len(first.regions.points)
  path.write_bytes(b"damaged")
  mended = loading.load_regions(run, scene, field)
  np.testing.assert_array_equal(mended.regions.grid, other.regions.grid)


@pytest.mark.parametrize("change", [
    lambda root: save_features(root / "mine.npz", seed=1),
    lambda root: save_mask(root, ~MASK),
    lambda root: tiny_transforms.photo(9).save(root / "images" / "02.png"),
], ids=["features", "mask", "photograph"])
def test_files_of_one_name_and_other_content_make_them_anew(
    run, field, root, tmp_path, change):
  scene, path = loading.load_scene(run), tmp_path / "run" / "regions.npz"
  before = digest(run, field)
  loading.load_regions(run, scene, field)
  written = path.read_bytes()
  change(root)
  assert digest(run, field) != before
  loading.load_regions(run, loading.load_scene(run), field)
  assert path.read_bytes() != written


def test_what_bears_on_no_region_leaves_them(run, field, monkeypatch):
  scene = loading.load_scene(run)
  kept = loading.load_regions(run, scene, field)

  def refuse(*unused, **options):
    raise AssertionError("regions are looked for again")

  monkeypatch.setattr(loading, "find_scene_regions", refuse)
  run.config.features.vit.update(batch=3, device="cpu", stride=8)  # of no network here
  run.config.runtime.update(chunk=17, steps_per_call=1)
  run.config.label.ridge = 0.5
  run.config.shape.temperature = 0.3
  again = loading.load_regions(run, scene, field)
  np.testing.assert_array_equal(again.of_pixels, kept.of_pixels)


def test_of_a_network_s_settings_those_count_that_change_its_features(run, field):
  run.config.features.kind = "vit"
  before = digest(run, field)
  run.config.features.vit.update(batch=3, device="cpu")
  assert digest(run, field) == before
  for changes in ({"stride": 8}, {"pca": 5}, {"model": "facebook/dino-vits16"}):
    kept = {key: run.config.features.vit[key] for key in changes}
    run.config.features.vit.update(changes)
    assert digest(run, field) != before
    run.config.features.vit.update(kept)


def test_all_else_that_regions_rest_on_is_in_the_digest(run, field):
  scene = loading.load_scene(run)
  digests = {digest(run, field, scene)}
  poses = scene.cam_to_world.copy()
  poses[2, 0, 3] += 0.1
  for changes in ({"cam_to_world": poses}, {"near": scene.near / 2}, {"far": 9.0},
                  {"intrinsics": scene.intrinsics + 0.1}, {"train": scene.train[:-1]}):
    digests.add(digest(run, field, scene.replace(**changes)))
  head = field.params["field"]["density"]
  other = {**field.params, "field": {**field.params["field"], "density": {
      name: leaf + 1 for name, leaf in head.items()}}}
  digests.add(digest(run, dataclasses.replace(field, params=other), scene))
  run.config.regions.num_cells = 17
  digests.add(digest(run, field, scene))
  assert len(digests) == 8


def test_measured_depth_counts_where_it_is_trusted(run, field):
  scene = loading.load_scene(run)
  one, other = (scene.replace(depth=np.full(scene.images.shape[:3], depth, np.float32))
                for depth in (1.0, 2.0))
  assert digest(run, field, one) == digest(run, field, other)
  run.config.shape.geometry = "sensor"
  assert digest(run, field, one) != digest(run, field, other)


def test_a_file_of_another_field_or_of_before_is_as_good_as_none(run, field):
  path, scene = run.workdir.path / regions_file.NAME, loading.load_scene(run)
  settings = settings_of(run.config, RegionSettings, "regions")
  loading.load_regions(run, scene, field)
  assert regions_file.read_regions(path, field, settings) is not None
  other = dataclasses.replace(field, params={
      **field.params, "more": np.zeros(1, np.float32)})
  assert regions_file.read_regions(path, other, settings) is None
  with np.load(path) as archive:
    parts_of_before = {name: archive[name] for name in archive.files if name != "field"}
  np.savez(path, **parts_of_before)
  assert regions_file.read_regions(path, field, settings) is None
  loading.load_regions(run, scene, field)
  assert regions_file.read_regions(path, field, settings) is not None
