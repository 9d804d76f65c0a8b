"""The mode `inspect`: what it writes, what it foretells, what it says about labels."""

import json
import pathlib

import numpy as np
import pytest
import tiny_experiment
import tiny_replica

from jnerf import main
from jnerf.runs import estimate as estimate_lib
from jnerf.runs import machine, parts
from jnerf.runs.label_needs import label_needs
from jnerf.runs.loading import load_features, load_scene
from jnerf.runs.run import Run
from jnerf.runs.stage_training import num_bytes
from jnerf.runs.workdir import Workdir, config_digest
from jnerf.stages.inspect import inspect_stage
from jnerf.training import state as state_lib
from jnerf.viewing.estimate_text import format_estimate, size_text

EXPERIMENT = f"{pathlib.Path(__file__).parent}/tiny_experiment.py"


@pytest.fixture
def run(tmp_path, monkeypatch):
  monkeypatch.setattr(estimate_lib, "BUDGET", 0.05)
  capture = tiny_replica.write(tmp_path / "capture")
  config = tiny_experiment.get_config(str(capture))
  config.inspect.estimate = True
  return Run(config, Workdir(tmp_path / "run"),
             command=f"python -m jnerf.main --config={EXPERIMENT} --mode=inspect")


@pytest.fixture
def scene(run):
  return load_scene(run)


def test_estimate_measures_every_stage(run, scene):
  run.config.shape.oracle = True
  found = estimate_lib.estimate(run, scene)
  json.dumps(found, allow_nan=False)
  assert list(found["stages"]) == ["fit", "shape", "shape-oracle"]
  assert found["problems"] == []
  fit, shape, rendering = *list(found["stages"].values())[:2], found["rendering"]
  assert fit["steps"] == 4 and fit["measured_steps"] % 2 == 0 and fit["on_device"]
  assert fit["seconds"] == pytest.approx(fit["compile_seconds"] + 4 * fit["step_seconds"])
  model = parts.model_of(run.config, parts.space_of(run.config, scene))
  state = state_lib.create(parts.initial_params(run.config, model, scene, "fit"),
                           parts.optimizer_of(run.config, "fit"))
  assert fit["state_bytes"] == num_bytes(state)
  photos = scene.images[scene.train].nbytes
  assert photos <= fit["data_bytes"] < shape["data_bytes"]
  assert fit["memory_bytes"] >= fit["data_bytes"] + fit["state_bytes"]
  # Three fields show two test views each, and all six views get labels.
  assert (rendering["test_views"], rendering["fields"], rendering["labelled_views"]) == (
      2, 3, 6)
  assert rendering["seconds"] == pytest.approx(12 * rendering["view_seconds"])
  text = dict(format_estimate(found))
  assert "4 steps: about" in text["fit"] and "ms a step" in text["shape"]
  assert not (run.workdir.path / "checkpoints").exists()


def test_data_may_stay_on_the_host_and_long_calls_are_shortened(run, scene, monkeypatch):
  run.config.runtime.device_data_bytes = 0
  monkeypatch.setattr(estimate_lib, "LONG_CALL", 1e-9)
  monkeypatch.setattr(estimate_lib, "BUDGET", 1e-9)
  stage = estimate_lib.time_stage(run, scene, "fit", {
      "scene_bytes": 0, "host_bytes": None, "device_bytes": None})
  assert not stage["on_device"] and stage["memory_bytes"] > stage["state_bytes"]
  assert stage["measured_steps"] == 1  # not 2, as the config would have it
  text, = format_estimate({"stages": {"fit": stage}, "seconds": 1, "load": 0, "cores": 1,
                           "device": "cpu", "num_devices": 1, "host_bytes": None,
                           "device_bytes": None, "peak_bytes": 1, "scene_bytes": 1})[:1]
  assert "on the host" in text[1]


def test_what_keeps_a_stage_from_running_is_a_problem_and_no_end(run, scene, monkeypatch):
  monkeypatch.setattr(estimate_lib, "host_memory_bytes", lambda: 1000)
  found = estimate_lib.estimate(run, scene)
  assert found["stages"] == {}
  assert any(p.startswith("fit needs about") and "lower scene.width" in p
             for p in found["problems"])
  run.config.shape.contrast_rays = 7
  text, folder = inspect_stage(run, scene)
  assert "warning: shape.contrast_rays=7 does not divide" in text
  stored = json.loads((folder / "inspection.json").read_text())
  assert stored["warnings"][-1] in stored["estimate"]["problems"]


def test_features_stand_in_in_the_shape_to_be_expected(run, scene, tmp_path):
  stand_in = estimate_lib.stand_in_features(run, scene)
  assert stand_in.grid.shape[:3] == load_features(run, scene).grid.shape[:3]
  names = np.array(scene.frames)
  np.savez(tmp_path / "capture" / "mine.npz", names=names,
           features=np.ones((len(names), 2, 3, 5), np.float16))
  run.config.features.kind = "auto"
  assert estimate_lib.stand_in_features(run, scene).grid.shape == (6, 2, 3, 5)
  assert "5 channels on a grid of 3x2" in dict(label_needs(run, scene))["features"]
  (tmp_path / "capture" / "mine.npz").write_bytes(b"damaged")
  assert "not usable: " in dict(label_needs(run, scene))["features"]


def test_inspect_writes_its_folder_only(run, scene):
  text, folder = inspect_stage(run, scene)
  assert {path.name for path in folder.iterdir()} == {
      "inspection.json", "contact_sheet.png", "cameras.png"}
  assert [path.name for path in folder.parent.iterdir()] == ["inspect"]
  assert "estimate" in json.loads((folder / "inspection.json").read_text())
  run.config.inspect.estimate = False
  shorter, _ = inspect_stage(run, scene)
  assert "ms a step" in text and "ms a step" not in shorter
  assert "estimate" not in json.loads((folder / "inspection.json").read_text())


def test_the_estimate_bears_on_no_result(run):
  digest = config_digest(run.config)
  run.config.inspect.estimate = False
  assert config_digest(run.config) == digest


def test_labels_that_are_there(run, scene):
  text = dict(label_needs(run, scene))["labels"]
  assert "sparse (2 clicks in rgb_0)" in text and "2d, 3d" in text
  blind = scene.replace(depth=None)
  assert "3d needs depth" in dict(label_needs(run, blind))["labels"]


def test_labels_that_are_missing_are_told_how_to_give(run, scene, tmp_path, capsys):
  scene = scene.replace(semantic=None, instance=None, depth=None)
  lines = label_needs(run, scene)
  example, command = (text for subject, text in lines if not subject)
  assert command == (f"python -m jnerf.main --config={EXPERIMENT} "
                     "--config.label.clicks=clicks.json")
  assert "x from 0 to 11, y from 0 to 7" in dict(lines)["labels"]
  # The example is a clicks file that is read without complaint.
  clicks = tmp_path / "clicks.json"
  clicks.write_text(example)
  run.config.label.clicks = str(clicks)
  assert "labels" not in dict(label_needs(run, scene))
  main.main(["jnerf", f"--config={EXPERIMENT}:{tmp_path / 'capture'}", "--mode=inspect",
             f"--workdir={tmp_path / 'run'}", f"--config.label.clicks={clicks}"])
  assert "cameras.png" in capsys.readouterr().out


def test_sizes_and_the_machine():
  assert size_text(3 * 2**20) == "3 MiB" and size_text(1.25 * 2**30) == "1.2 GiB"
  assert machine.host_memory_bytes() > 2**28 and machine.others_load() >= 0
