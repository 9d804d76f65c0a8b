"""The command with features of a network: made alone, kept, used without PyTorch."""

import re
import sys

import numpy as np
import pytest
import tiny_experiment
import tiny_replica

from jnerf import main
from jnerf.errors import InputError
from jnerf.features import vit_features
from jnerf.runs import checks, loading
from jnerf.runs.run import Run
from jnerf.runs.workdir import Workdir
from jnerf.scenes import pixels

EXPERIMENT = f"{__file__.removesuffix('test_features_mode.py')}tiny_experiment.py"
SETTINGS = {"layer": 1, "load_size": 24, "device": "cpu"}


@pytest.fixture
def capture(tmp_path):
  return tiny_replica.write(tmp_path / "capture")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
  pytest.importorskip("torch", reason="needs the extra `features`")
  pytest.importorskip("transformers", reason="needs the extra `features`")
  import tiny_vits
  return tiny_vits.save(tmp_path_factory.mktemp("models") / "tiny-vit")


@pytest.fixture
def run(tmp_path, capture, capsys, monkeypatch):
  """`run(mode, model, ...)` is what the command prints."""
  monkeypatch.setattr(main, "enable_compilation_cache", lambda folder: None)

  def run(mode, model, **settings):
    vit = {"model": model, **SETTINGS, **settings}
    main.main(["jnerf", f"--config={EXPERIMENT}:{capture}", f"--workdir={tmp_path}/run",
               f"--mode={mode}", "--config.features.kind=vit",
               *(f"--config.features.vit.{key}={value}" for key, value in vit.items())])
    return capsys.readouterr().out

  return run


@pytest.fixture
def without_torch(monkeypatch):
  """Calling it hides PyTorch and transformers, as if they were not installed."""
  def hide():
    for library in ("torch", "transformers"):
      monkeypatch.setitem(sys.modules, library, None)

  return hide


def test_made_then_kept_then_used_without_torch(run, tmp_path, capture, model,
                                               without_torch):
  made = run("features", model)
  line = re.match(r"features: tiny-vit, 6 views, 5x8 cells of 32 channels, 0.0154 MB, "
                  r"\d+ s -> (.*)\n", made)
  folder = tmp_path / "run" / "features"
  assert line and line[1].startswith(str(folder)) and "without PyTorch" in made
  assert len(list(folder.rglob("*.npz"))) == 6
  assert not (tmp_path / "run" / "config.json").exists()  # binds no later stage
  without_torch()
  assert ", kept, " in run("features", model, batch=3, device="cuda")
  shaping = run_of(tmp_path, capture, model)
  scene = loading.load_scene(shaping)
  checks.check(shaping, scene, ("shape",), ())  # needs no network either
  assert loading.load_features(shaping, scene).grid.shape == (6, 5, 8, 32)
  with pytest.raises(InputError, match=r"pip install 'jacobinerf\[features\]'"):
    run("features", model, layer=0)


def test_an_interrupted_run_goes_on(run, model, monkeypatch, capsys):
  seen, extract = [], vit_features.VitExtractor.__call__

  def interrupted(self, photos):
    if len(seen) == 2:
      raise KeyboardInterrupt
    seen.append(photos)
    return extract(self, photos)

  monkeypatch.setattr(vit_features.VitExtractor, "__call__", interrupted)
  with pytest.raises(KeyboardInterrupt):
    run("features", model)
  assert "features 2/6" in capsys.readouterr().err
  monkeypatch.setattr(vit_features.VitExtractor, "__call__",
                      lambda self, photos: seen.append(photos) or extract(self, photos))
  run("features", model)
  assert len(seen) == 6 and all(len(photos) == 1 for photos in seen)
  assert len({photos[0].tobytes() for photos in seen}) == 6


def test_principal_components(run, model):
  assert "cells of 5 channels" in (out := run("features", model, pca=5))
  assert re.search(r"s, \d\d\.\d% of the squared length -> .*/pca-5-\w+\n", out)
  assert "5x8 cells of 32 channels, 0.0154 MB, kept" in run("features", model)


@pytest.mark.parametrize("settings, message", [
    ({"model": "/nowhere"}, "no such folder"), ({"layer": 7}, "the model has 3 blocks"),
    ({"pca": 33}, "have 32 channels"), ({"stride": 12}, "patch size 8"),
    ({"layer": -2}, "features.vit.layer=-2: must be at least -1"),
    ({"facet": "keys"}, "must be one of key, query, value, token"),
    ({"model": ""}, "features.vit.model='': must name a model")])
@pytest.mark.parametrize("mode", ["features", "run"])
def test_refused_before_writing(run, tmp_path, model, mode, settings, message):
  with pytest.raises(InputError, match=re.escape(message)) as error:
    run(mode, **{"model": model, **settings})
  assert "\n" not in str(error.value) and not (tmp_path / "run").exists()


def test_other_kinds_say_what_they_are(tmp_path, capture, capsys, monkeypatch):
  monkeypatch.setattr(main, "enable_compilation_cache", lambda folder: None)
  command = ["jnerf", f"--config={EXPERIMENT}:{capture}", f"--workdir={tmp_path}/run",
             "--mode=features"]
  main.main(command)
  assert capsys.readouterr().out.endswith(", made anew where needed\n")
  names = [f"rgb_{i}" for i in range(6)]
  np.savez(capture / "mine.npz", features=np.ones((6, 2, 3, 4), np.float16), names=names)
  main.main([*command, "--config.features.kind=auto"])
  assert capsys.readouterr().out == (
      "features: precomputed, 6 views, 2x3 cells of 4 channels, 0.000288 MB, "
      f"{capture}/mine.npz\n")


def run_of(tmp_path, capture, model) -> Run:
  """What the command works with."""
  config = tiny_experiment.get_config(str(capture))
  config.features.kind = "vit"
  config.features.vit.update(model=str(model), **SETTINGS)
  return Run(config, Workdir(tmp_path / "run"))


def test_rows_are_named_without_making_features(tmp_path, capture):
  named = run_of(tmp_path, capture, "facebook/dino-vits8")
  scene = loading.load_scene(named)
  assert loading.features_choice(named, scene).source.name == "dino-vits8"
  named.config.features.kind = "auto"
  assert loading.features_choice(named, scene).source.name == "local"
  np.savez(capture / "mine.npz", features=np.ones((6, 2, 3, 4), np.float16),
           names=scene.frames)
  assert loading.features_choice(named, scene).source.name == "precomputed"


def test_how_it_was_computed_binds_nothing(tmp_path, capture):
  made = run_of(tmp_path, capture, "facebook/dino-vits8")
  made.begin(loading.load_scene(made))
  made.workdir.mark_done("shape", seconds=1.0)
  made.config.features.vit.update(device="cuda", batch=4)
  made.check_config()
  made.config.features.vit.stride = 8
  with pytest.raises(InputError, match="features.vit.stride changed from 4 to 8"):
    made.check_config()


def test_a_pixel_looks_its_features_up_where_the_patches_are(tmp_path, capture, model):
  """A ramp over the image is read off exactly between the outermost patch centres."""
  made = run_of(tmp_path, capture, model)
  scene = loading.load_scene(made)
  maps = loading.load_features(made, scene)
  x0, y0, x1, y1 = maps.extent
  assert (x0, y0) == (2 / 36, 2 / 24) and x1 < 1 and y1 <= 1
  rows, columns = maps.grid.shape[1:3]
  at = np.stack(np.meshgrid(x0 + (np.arange(columns) + 0.5) / columns * (x1 - x0),
                            y0 + (np.arange(rows) + 0.5) / rows * (y1 - y0)), axis=-1)
  ramps = maps.replace(grid=np.tile(at.astype(np.float32), (6, 1, 1, 1)))
  data = pixels.pixel_data(scene, ramps)
  row, column = (index.reshape(-1) for index in np.indices((8, 12)))
  inside = (row >= 2) & (row < 6) & (column >= 2) & (column < 9)
  chosen = np.stack([np.zeros_like(row), row, column], axis=-1)[inside]
  batch = pixels.gather_batch(data, chosen, np)
  np.testing.assert_allclose(
      batch.features, np.stack([(column + 0.5) / 12, (row + 0.5) / 8], -1)[inside],
      atol=1e-6)
