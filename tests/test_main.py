"""The command: flags, and one line with exit code 2 for whatever is wrong."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tiny_replica

from jnerf import main
from jnerf.stages import modes

TESTS = pathlib.Path(__file__).parent
ROOM = f"{TESTS.parent}/experiments/room.py"


@pytest.fixture
def capture(tmp_path):
  return tiny_replica.write(tmp_path / "capture")


@pytest.fixture
def complaint(tmp_path, capture, capsys, monkeypatch):
  """`complaint(*arguments)` is the line that the command ends with.

  Nothing may be left of a run that was refused: no folder, not even an empty one.
  """
  def run(*arguments, config=f"{TESTS}/tiny_experiment.py:{capture}",
          workdir=tmp_path / "run"):
    given = [f"--config={config}"] if config else []
    given += [f"--workdir={workdir}"] if workdir else []
    monkeypatch.setattr(sys, "argv", ["jnerf", *given, *arguments])
    with pytest.raises(SystemExit) as end:
      main.console()
    out, err = capsys.readouterr()
    assert end.value.code == 2 and out == "" and not (tmp_path / "run").exists()
    assert err.startswith("jnerf: ") and err.count("\n") == 1 and "Traceback" not in err
    return err

  return run


def test_missing_flags(complaint):
  assert "--config" in complaint(config=None)
  assert "--workdir" in complaint(workdir=None)


def test_3d_without_depth(complaint, capture):
  shutil.rmtree(capture / "depth")
  assert "label.dimensions: 3d" in complaint("--config.label.dimensions=3d")


@pytest.mark.parametrize("content, message", [
    ("def get_config(:\n", "line 1: SyntaxError"), ("x = 1\n", "no function get_config"),
    ("def get_config():\n  return {}\n", "default_config()"),
    ("import nosuch\n", "line 1: ModuleNotFoundError: No module named 'nosuch'"),
    ("def get_config():\n  a = 1\n  return a / 0\n", "line 3: ZeroDivisionError")])
def test_broken_experiment_file(complaint, tmp_path, content, message):
  path = tmp_path / "broken.py"
  path.write_text(content)
  found = complaint(config=path)
  assert "broken.py" in found and message in found


def test_experiment_that_is_not_there_or_takes_no_such_argument(complaint, tmp_path):
  assert "no file nowhere.py" in complaint(config="nowhere.py")
  assert "no file" in complaint(config=tmp_path)
  assert "only 'smoke' is known" in complaint(config=f"{ROOM}:large")
  replica = f"{TESTS.parent}/experiments/replica.py"
  assert "takes no argument; leave out ':x'" in complaint(config=f"{replica}:x")


@pytest.mark.parametrize("argument, message", [
    ("--mode=fly", "choose from 'run', 'inspect'"), ("--model=fit", "--model=fit"),
    ("extra", "'extra' is no flag"), ("--config.fit.steps", "--config.KEY=VALUE"),
    ("--config.fit.stepz=3", "config.fit.stepz: unknown key; did you mean fit.steps?"),
    ("--config.num_train=3", "did you mean scene.room.num_train?"),
    ("--config.fit=3", "is a group; set a key in it, such as fit."),
    ("--config.fit.steps=abc", "fit.steps=abc: must be of the kind int, as 4 is"),
    ("--config.fit.steps=4.5", "fit.steps=4.5"), ("--config.seed=", "of the kind int"),
    ("--config.shape.oracle=maybe", "of the kind true or false"),
    ("--config.scene.bounds=a,b", "scene.bounds=a,b"),
    ("--config.label.methods='a", "label.methods='a: must be of the kind tuple"),
    ("--config.fit.learning_rate=nan", "finite"),
    ("--config.label.protocols=3", "'3' must be sparse, dense, clicks-k")])
def test_wrong_flag_names_it(complaint, argument, message):
  assert message in complaint(argument)


@pytest.mark.parametrize("argument, message", [
    ("--config.scene.path=/nowhere", "scene.path=/nowhere: no such folder"),
    ("--config.shape.params=nothing", "the paths are: field/color/kernel"),
    ("--config.shape.params=sampler/.*", "of the sampler alone"),
    ("--config.shape.contrast_rays=7", "contrast_rays=7 does not divide"),
    ("--config.shape.jacobian=closed_form --config.shape.params=field/density/kernel",
     "shape.jacobian=closed_form holds for shape.params=field/rgb/kernel only"),
    ("--config.features.path=none.npz --config.features.kind=precomputed", "none.npz"),
    ("--config.label.clicks=none.json", "none.json: no such clicks file"),
    ("--config.runtime.steps_per_call=25 --config.fit.steps=1511", "take a multiple of"),
    ("--config.runtime.compilation_cache=/dev/null/x", "runtime.compilation_cache"),
    ("", "images of 12x8 are too small to score"),
    ("--mode=shape", "no finished plain field; run --mode=fit first"),
    ("--mode=evaluate", "no finished plain field; run --mode=fit first"),
    ("--mode=propagate", "no finished shaped field; run --mode=shape first"),
    ("--mode=render --config.render.field=shaped-oracle",
     "run --mode=shape with --config.shape.oracle=True first")])
def test_wrong_setting_is_refused_before_writing(complaint, argument, message):
  assert message in complaint(*argument.split())


def test_wrong_capture_is_refused_before_writing(complaint, capture):
  def damaged(*parts, content):
    path = capture.joinpath(*parts)
    whole = path.read_bytes()
    path.write_bytes(content)
    message = complaint()
    path.write_bytes(whole)
    return message

  assert "rgb_2.png" in damaged("rgb", "rgb_2.png", content=b"\x89PNG\r\n")
  assert "5 poses for the 6 images" in damaged(
      "traj_w_c.txt", content=b"1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1\n" * 5)
  assert "not orthonormal" in damaged(
      "traj_w_c.txt", content=b"2 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1\n" * 6)
  tiny_replica.save(capture / "rgb" / "rgb_5.png", np.zeros((9, 12, 3), np.uint8))
  assert "12x9" in complaint()
  (capture / "rgb" / "rgb_5.png").unlink()
  assert "6 poses for the 5 images" in complaint()


def test_features_of_other_frames(complaint, tmp_path):
  np.savez(tmp_path / "f.npz", features=np.ones((6, 2, 3, 4), np.float16),
           names=np.array([f"other_{i}" for i in range(6)]))
  found = complaint(f"--config.features.path={tmp_path}/f.npz",
                    "--config.features.kind=precomputed")
  assert "f.npz" in found and "rgb_0" in found


@pytest.mark.parametrize("entry, message", [
    ({"x": 12}, "x=12 is outside the image"), ({"class": 9}, "unknown class 9"),
    ({"frame": "rgb_9"}, "no frame 'rgb_9'")])
def test_wrong_click(complaint, tmp_path, entry, message):
  click = {"frame": "rgb_1", "x": 1, "y": 1, "class": 1, **entry}
  path = tmp_path / "clicks.json"
  path.write_text(json.dumps({"classes": {"1": "wall"}, "clicks": [click]}))
  found = complaint(f"--config.label.clicks={path}")
  assert "clicks.json: clicks[0]" in found and message in found


def test_oracle_and_propagation_need_labels(complaint, tmp_path):
  bare = tiny_replica.write(tmp_path / "bare", layers=False)
  config = f"{TESTS}/tiny_experiment.py:{bare}"
  assert "the scene has none; set it to False" in complaint(
      "--config.shape.oracle=True", config=config)


@pytest.mark.parametrize("workdir", ["/dev/null/run", "/proc/run"])
def test_workdir_that_cannot_be(complaint, workdir):
  assert f"--workdir={workdir}" in complaint("--mode=inspect", workdir=workdir)


@pytest.mark.parametrize("argument, key, value", [
    ("fit.steps=80", "fit.steps", 80), ("fit.learning_rate=1", "fit.learning_rate", 1.0),
    ("shape.oracle=true", "shape.oracle", True), ("scene.path=a=b", "scene.path", "a=b"),
    ("label.protocols=sparse,dense", "label.protocols", ("sparse", "dense")),
    ("label.protocols=('sparse', 'dense')", "label.protocols", ("sparse", "dense")),
    ("features.local.scales=(1, 3)", "features.local.scales", (1, 3)),
    ("scene.bounds=-1,-1,-1,1,1,1.5", "scene.bounds", (-1, -1, -1, 1, 1, 1.5)),
    ("scene.bounds=()", "scene.bounds", ()),
    ("runtime.compilation_cache=", "runtime.compilation_cache", "")])
def test_flags_reach_the_config(monkeypatch, capsys, tmp_path, argument, key, value):
  seen = []

  def fit(run):
    seen.append(run)
    return "there"

  monkeypatch.setitem(modes.MODES, "fit", fit)
  monkeypatch.setattr(main, "enable_compilation_cache", lambda folder: None)
  main.main(["jnerf", f"--config={ROOM}:smoke", f"--workdir={tmp_path}/run", "--mode=fit",
             f"--config.{argument}"])
  found = seen[0].config
  for part in key.split("."):
    found = found[part]
  assert found == value and type(found) is type(value)
  assert f"--config.{argument}" in seen[0].command
  assert capsys.readouterr().out == "there\n"


def test_help_lists_the_modes(capsys):
  with pytest.raises(SystemExit) as end:
    main.main(["jnerf", "--help"])
  out = capsys.readouterr().out
  assert end.value.code == 0 and all(f"\n  {mode} " in out for mode in modes.MODES)


def test_interrupt_says_how_to_go_on(monkeypatch, capsys):
  def interrupted(argv):
    raise KeyboardInterrupt

  monkeypatch.setattr(main, "main", interrupted)
  with pytest.raises(SystemExit) as end:
    main.console()
  assert end.value.code == 130 and "goes on" in capsys.readouterr().err


def test_as_a_process_nothing_else_is_on_stderr(capture, tmp_path):
  """Not the log of a library, not JAX's remark that it found no accelerator."""
  ended = subprocess.run(
      [sys.executable, "-m", "jnerf.main", f"--config=tests/tiny_experiment.py:{capture}",
       f"--workdir={tmp_path}/run", "--config.shape.params=nothing"],
      cwd=TESTS.parent, env=dict(os.environ), capture_output=True, text=True, check=False)
  assert ended.returncode == 2 and ended.stdout == ""
  assert ended.stderr.startswith("jnerf: ") and ended.stderr.count("\n") == 1
