"""One smoke run of the built-in room, made once and shared by several test files."""

import fcntl
import functools
import pathlib

from jnerf import main
from jnerf.runs import loading, parts
from jnerf.runs.experiment import load_experiment
from jnerf.runs.run import Run
from jnerf.runs.workdir import Workdir
from jnerf.structs import Scene
from jnerf.training.checkpoints import Checkpoints

EXPERIMENT = f"{pathlib.Path(__file__).parents[1]}/experiments/room.py:smoke"
shared = []  # the folder that workers have in common, put here by conftest


@functools.cache
def finished() -> pathlib.Path:
  """The working folder of a whole run, made once for all workers; not to be changed."""
  folder = shared[-1] / "smoke"
  with open(f"{folder}.lock", "w") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    if not folder.exists():
      begun = folder.with_suffix(".begun")
      main.main(["jnerf", f"--config={EXPERIMENT}", f"--workdir={begun}"])
      begun.rename(folder)
  return folder


def run(folder) -> Run:
  """The smoke run in another folder, or in the same."""
  return Run(load_experiment(EXPERIMENT), Workdir(folder))


@functools.cache
def scene() -> Scene:
  """Its scene, which takes seconds to make."""
  return loading.load_scene(run("unused"))


@functools.cache
def state_template(stage: str):
  """What checkpoints of the smoke run's stages look like."""
  config = load_experiment(EXPERIMENT)
  model = parts.model_of(config, parts.space_of(config, scene()))
  return parts.state_template(config, model, scene(), stage)


def final_state(folder, stage: str):
  """The last checkpoint of a stage, and its step."""
  with Checkpoints(Workdir(folder).checkpoints(stage)) as checkpoints:
    return checkpoints.restore(state_template(stage))
