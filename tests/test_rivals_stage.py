"""Rivals in `evaluate`, on a tiny capture: their rows; what is kept of them."""

import json
import pathlib

import numpy as np
import pytest
import tiny_replica

from jnerf import main
from jnerf.errors import InputError
from jnerf.geometry.patch_grids import sample_features
from jnerf.labeling.rivals import RIVALS
from jnerf.runs import loading, rivals
from jnerf.runs.config import validate
from jnerf.runs.experiment import load_experiment, override
from jnerf.runs.run import Run
from jnerf.runs.workdir import Workdir
from jnerf.scenes import rays as rays_lib

EXPERIMENT = f"{pathlib.Path(__file__).parent}/tiny_experiment.py"
ORIGINS = {name: ("none" if name.startswith("features") else "plain",
                  None if name in ("knn", "semantic-nerf") else "local")
           for name in RIVALS}


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
  """A capture with labels and depth."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(tiny_replica, "WIDTH", 16)
    patch.setattr(tiny_replica, "HEIGHT", 12)
    return tiny_replica.write(tmp_path_factory.mktemp("capture"))


def settings(capture, *arguments):
  return [f"--config={EXPERIMENT}:{capture}", *arguments]


def run(capture, folder, *arguments):
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(rivals, "HEAD_STEPS", 4)
    patch.setattr(rivals, "HEAD_RAYS", 16)
    main.main(["jnerf", *settings(capture, *arguments), f"--workdir={folder}"])
  return json.loads((folder / "metrics.json").read_text())


def contents(folder):
  """Every file below a folder and when it was written."""
  return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def evaluated(capture, tmp_path_factory):
  """The folder of a fitted field that was evaluated with all rivals, and its metrics."""
  folder = tmp_path_factory.mktemp("evaluated")
  run(capture, folder, "--mode=fit")
  fitted = contents(folder / "checkpoints" / "fit")
  metrics = run(capture, folder, "--mode=evaluate", "--config.label.dimensions=2d,3d",
                f"--config.label.rivals={','.join(RIVALS)}")
  assert contents(folder / "checkpoints" / "fit") == fitted
  return folder, metrics


def test_every_rival_has_its_rows_beside_the_plain_field(evaluated):
  _, metrics = evaluated
  rows = {(row["method"], row["dimension"]): row for row in metrics["labels"]}
  assert list(rows) == [(method, dimension) for dimension in ("2d", "3d")
                        for method in ("cosine", *RIVALS)]
  for (method, _), row in rows.items():
    assert (row["field"], row["pairs"]) == ORIGINS.get(method, ("plain", None))
    assert 0 < row["miou"] <= 1 and row["seconds"] > 0
  assert rows["distilled", "2d"]["miou"] != rows["distilled", "3d"]["miou"]


def test_the_distilled_field_is_kept_until_what_it_rests_on_changes(
    capture, evaluated):
  folder, metrics = evaluated
  assert metrics["stages"]["distill"]["steps"] == 4
  kept = contents(folder / "checkpoints" / "distill")
  first, = (row for row in metrics["labels"]
            if (row["method"], row["dimension"]) == ("distilled", "2d"))
  again = run(capture, folder, "--mode=evaluate", "--config.label.rivals=distilled")
  assert contents(folder / "checkpoints" / "distill") == kept
  assert [row["method"] for row in again["labels"]] == ["cosine", "distilled"]
  assert again["labels"][1]["per_class_iou"] == first["per_class_iou"]
  run(capture, folder, "--mode=evaluate", "--config.label.rivals=distilled",
      "--config.features.local.scales=1,2")
  assert not kept.items() & contents(folder / "checkpoints" / "distill").items()


def test_features_of_pixels_are_those_of_their_own_view(capture, tmp_path):
  config = load_experiment(f"{EXPERIMENT}:{capture}")
  made = Run(config, Workdir(tmp_path))
  scene = loading.load_scene(made)
  pixels, maps = rays_lib.pixels_of_view(scene, 4), loading.load_features(made, scene)
  rows = rivals.features_of_pixels(scene, maps, pixels).reshape(12, 16, -1)
  for row, column in ((0, 0), (7, 12)):
    xy = np.array([[(column + 0.5) / 16, (row + 0.5) / 12]])
    expected = sample_features(maps.grid, np.array([4]), xy, np, maps.extent)
    np.testing.assert_allclose(rows[row, column], expected[0], rtol=1e-5)


def test_rivals_are_written_with_commas_and_checked(capture):
  config = load_experiment(f"{EXPERIMENT}:{capture}")
  assert config.label.rivals == ()
  override(config, ["--config.label.rivals=knn,distilled"])
  validate(config)
  assert config.label.rivals == ("knn", "distilled")
  override(config, ["--config.label.rivals=knn,magic"])
  with pytest.raises(InputError, match=r"label\.rivals=\('knn', 'magic'\): .*features, "):
    validate(config)
