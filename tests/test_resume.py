"""A run killed with SIGKILL and started again ends bitwise where an unbroken one does."""

import pathlib
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest
import smoke_run

from jnerf.runs.workdir import Workdir
from jnerf.stages.shape import shape_stage

# Kills itself where the stage is about to save the checkpoint of a step, so that the
# steps since the last checkpoint are lost. No handler can soften this signal.
_KILLED = """
import os, signal, sys
from jnerf import main
from jnerf.training.checkpoints import Checkpoints
stage, step, *arguments = sys.argv[1:]
save = Checkpoints.save

def save_or_die(self, at, state):
  if self._folder.name == stage and at == int(step):
    os.kill(os.getpid(), signal.SIGKILL)
  save(self, at, state)

Checkpoints.save = save_or_die
main.main(["jnerf", *arguments])
"""


def run_until(folder: pathlib.Path, stage: str, step: int, *arguments: str) -> None:
  """The smoke run in a process of its own, killed in `stage` at `step`."""
  ended = subprocess.run(
      [sys.executable, "-c", _KILLED, stage, str(step),
       f"--config={smoke_run.EXPERIMENT}", f"--workdir={folder}",
       "--config.runtime.checkpoint_seconds=0", *arguments],
      cwd=pathlib.Path(__file__).parents[1], capture_output=True, text=True, check=False)
  assert ended.returncode == -signal.SIGKILL, ended.stderr


def same_bits(one, other) -> bool:
  """Whether two trees hold the same arrays, bit for bit."""
  same = jax.tree.map(lambda a, b: np.asarray(a).tobytes() == np.asarray(b).tobytes(),
                      one, other)
  return jax.tree.all(same)


@pytest.fixture(scope="module")
def killed_twice(tmp_path_factory):
  """Killed in the middle of fitting, then of shaping, then let to its end."""
  folder = tmp_path_factory.mktemp("killed")
  workdir = Workdir(folder)
  run_until(folder, "fit", 40, "--mode=fit")
  assert not workdir.is_done("fit") and workdir.held_stages() == ("fit",)
  assert workdir.read_metrics()["unfinished"]["fit"] > 0
  run_until(folder, "shape", 20)
  assert workdir.is_done("fit") and not workdir.is_done("shape")
  run, scene = smoke_run.run(folder), smoke_run.scene()
  with workdir.lock():
    run.begin(scene)
    shape_stage(run, scene)
  return folder


@pytest.mark.parametrize("stage", ["fit", "shape"])
def test_killed_and_resumed_equals_unbroken(killed_twice, stage):
  resumed, step = smoke_run.final_state(killed_twice, stage)
  unbroken, unbroken_step = smoke_run.final_state(smoke_run.finished(), stage)
  assert step == unbroken_step == {"fit": 60, "shape": 20}[stage]
  assert same_bits(resumed, unbroken)  # params, optimiser, step and threshold
  assert not same_bits(resumed.params, jax.tree.map(np.zeros_like, unbroken.params))


def test_killed_runs_leave_whole_curves_and_true_times(killed_twice):
  for stage in ("fit", "shape"):
    resumed = Workdir(killed_twice).curves(stage).read_text()
    assert resumed == Workdir(smoke_run.finished()).curves(stage).read_text()
  metrics = Workdir(killed_twice).read_metrics()
  assert "unfinished" not in metrics
  assert metrics["stages"]["fit"]["seconds"] > 0
