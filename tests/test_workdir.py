"""The working folder: refusals, digests, whole files, one run at a time."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import jax
import pytest
import tiny_experiment

import jnerf
from jnerf import files
from jnerf.errors import InputError
from jnerf.runs.config import default_config, flatten
from jnerf.runs.workdir import DEPENDS, Workdir, config_digest, environment


def changed_config(**values):
  config = default_config()
  config.update_from_flattened_dict(values)
  return config


@pytest.mark.parametrize("name", ["file", "file/run", "file/deep/run"])
def test_unwritable_place_is_refused_at_once(tmp_path, name):
  (tmp_path / "file").touch()
  with pytest.raises(InputError, match="file is not a folder"):
    Workdir(tmp_path / name)
  with pytest.raises(InputError, match="not a folder"):
    Workdir("/dev/null/run")


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_folder_without_permission_is_refused(tmp_path):
  tmp_path.chmod(0o555)
  with pytest.raises(InputError, match="cannot be written"):
    Workdir(tmp_path / "run")


def test_folders_are_made_when_used_and_not_before(tmp_path):
  workdir = Workdir(tmp_path / "runs" / "room")
  assert workdir.read_metrics() == {} and workdir.held_stages() == ()
  assert workdir.read_config() is None
  assert not (tmp_path / "runs").exists()
  assert workdir.folder("labels", "sparse").is_dir()
  (workdir.path / "renders").touch()
  with pytest.raises(InputError, match="renders"):
    workdir.folder("renders", "test")


def test_metrics_merge_one_level_and_lists_are_replaced(tmp_path):
  workdir = Workdir(tmp_path)
  workdir.update_metrics(psnr={"plain": 30.0}, labels=[1, 2], scene="room")
  workdir.update_metrics(psnr={"shaped": 29.5}, labels=[3])
  assert json.loads((tmp_path / "metrics.json").read_text()) == {
      "psnr": {"plain": 30.0, "shaped": 29.5}, "labels": [3], "scene": "room"}
  assert [p.name for p in tmp_path.iterdir()] == ["metrics.json"]


def test_what_json_cannot_hold_leaves_the_old_file(tmp_path):
  workdir = Workdir(tmp_path)
  workdir.update_metrics(scene="room")
  for bad in (float("nan"), object()):
    with pytest.raises((ValueError, TypeError)):
      workdir.update_metrics(psnr={"plain": bad})
  assert workdir.read_metrics() == {"scene": "room"}


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
  path = files.write_json(tmp_path / "a.json", {"a": 1})

  def full(descriptor):
    raise OSError("no space left")

  monkeypatch.setattr(files.os, "fsync", full)
  with pytest.raises(OSError, match="no space"):
    files.write_json(path, {"a": 2})
  assert json.loads(path.read_text()) == {"a": 1} and os.listdir(tmp_path) == ["a.json"]


def test_damaged_metrics_name_the_file(tmp_path):
  (tmp_path / "metrics.json").write_text('{"stages": ')
  with pytest.raises(InputError, match=r"metrics\.json.*delete"):
    Workdir(tmp_path).is_done("fit")


def test_stages_done_and_held(tmp_path):
  workdir = Workdir(tmp_path)
  (workdir.checkpoints("shape") / "25").mkdir(parents=True)
  workdir.mark_done("fit", seconds=1.5, steps=10)
  assert workdir.is_done("fit") and not workdir.is_done("shape")
  assert workdir.held_stages() == ("fit", "shape")
  assert workdir.read_metrics()["stages"] == {"fit": {"seconds": 1.5, "steps": 10}}


def test_changed_key_is_named_with_both_values_and_the_mend(tmp_path):
  workdir = Workdir(tmp_path)
  workdir.store_config(default_config())
  workdir.mark_done("fit", seconds=1.0)
  stored = (tmp_path / "config.json").read_bytes()
  with pytest.raises(InputError) as caught:
    workdir.store_config(changed_config(**{"fit.steps": 2000}))
  assert str(caught.value) == (
      f"fit.steps changed from 1500 to 2000, but {tmp_path} holds results of 'fit' made "
      f"with 1500; use another --workdir, or delete {tmp_path} to start over")
  assert (tmp_path / "config.json").read_bytes() == stored


@pytest.mark.parametrize("stage, key, value, refused", [
    ("fit", "seed", 1, True),
    ("fit", "scene.room.seed", 1, True),
    ("fit", "shape.steps", 7, False),
    ("fit", "runtime.chunk", 7, False),
    ("shape", "field.kind", "mlp", True),
    ("shape", "features.local.scales", (1,), True),
    ("shape", "label.seeds", 7, False),
    ("fit", "shape.align", "activations", False),
    ("shape", "shape.align", "activations", True),
    ("evaluate", "shape.align", "activations", True),
    ("shape", "shape.oracle", True, False),
    ("evaluate", "shape.oracle", True, False),
    ("evaluate", "label.protocols", ("dense",), True),
    ("evaluate", "render.num_frames", 7, False),
])
def test_which_changes_a_stage_refuses(tmp_path, stage, key, value, refused):
  workdir = Workdir(tmp_path)
  workdir.store_config(default_config())
  workdir.mark_done(stage, seconds=1.0)
  config = changed_config(**{key: value})
  if refused:
    with pytest.raises(InputError, match=re.escape(key)):
      workdir.store_config(config)
    workdir.store_config(config, stages=())  # a mode that makes the stage anew
  else:
    workdir.store_config(config)
  assert workdir.read_config().to_dict() == config.to_dict()


def test_a_begun_stage_refuses_too(tmp_path):
  workdir = Workdir(tmp_path)
  workdir.store_config(default_config())
  workdir.store_config(changed_config(**{"fit.steps": 2000}))  # nothing made yet
  (workdir.checkpoints("fit") / "100").mkdir(parents=True)
  with pytest.raises(InputError, match=r"fit\.steps changed from 2000 to 1500"):
    workdir.store_config(default_config())


def test_config_of_another_version_is_refused(tmp_path):
  workdir = Workdir(tmp_path)
  for entry in ({"fit": {"speed": 1}}, {"fit": {"steps": "many"}}, {"fit": 3}):
    (tmp_path / "config.json").write_text(json.dumps(entry))
    with pytest.raises(InputError, match=r"config\.json: fit"):
      workdir.read_config()


def test_a_folder_of_an_earlier_version_still_opens(tmp_path):
  """older_config.json: as it was written before settings were put into groups."""
  config = tiny_experiment.get_config("CAPTURE")
  shutil.copyfile(pathlib.Path(__file__).parent / "older_config.json",
                  tmp_path / "config.json")
  workdir = Workdir(tmp_path)
  stored = workdir.read_config()
  assert stored.to_dict() == config.to_dict()
  assert flatten(stored.to_dict()).keys() == flatten(default_config().to_dict()).keys()
  for stage in DEPENDS:
    workdir.mark_done(stage, seconds=1.0)
  workdir.store_config(config)
  assert all(map(workdir.is_done, DEPENDS))
  with pytest.raises(InputError, match="shape.temperature changed from 0.2 to 0.3"):
    config.shape.temperature = 0.3
    workdir.store_config(config)


def test_digest_ignores_order_and_runtime_only():
  config, shuffled = default_config(), default_config()
  shuffled.unlock()
  fit = shuffled.fit.to_dict()
  del shuffled["fit"]
  shuffled.fit = dict(reversed(fit.items()))
  shuffled.runtime.chunk = 1
  assert config_digest(config) == config_digest(shuffled)
  digests = {config_digest(changed_config(**{key: value})) for key, value in (
      ("seed", 1), ("fit.steps", 7), ("scene.bounds", (0.0,)), ("label.seeds", 7))}
  assert len(digests | {config_digest(config)}) == 5


def test_every_stage_depends_on_config_sections_that_exist():
  assert set().union(*DEPENDS.values()) <= set(default_config().keys())


def test_environment_is_json_and_names_this_machine():
  facts = environment()
  assert json.loads(json.dumps(facts)) == facts
  assert facts["jax"] == jax.__version__ and facts["jnerf"] == jnerf.__version__
  assert facts["num_devices"] == jax.device_count() and facts["cores"] >= 1


_LOCKER = """
import sys
from jnerf.runs.workdir import Workdir
with Workdir(sys.argv[1]).lock():
  print("held", flush=True)
  sys.stdin.read()
"""


def test_second_run_in_one_folder_is_refused_until_the_first_dies(
    tmp_path: pathlib.Path, repository):
  first = subprocess.Popen([sys.executable, "-c", _LOCKER, str(tmp_path)],
                           cwd=repository, stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, text=True)
  with first:
    assert first.stdout.readline() == "held\n"
    with pytest.raises(InputError, match=f"process {first.pid} is working"):
      with Workdir(tmp_path).lock():
        pass
    first.kill()
  with Workdir(tmp_path).lock():
    assert (tmp_path / ".lock").read_text() == f"{os.getpid()}\n"


def test_an_empty_name_is_not_the_current_folder():
  with pytest.raises(InputError, match="--workdir is empty"):
    Workdir("")
