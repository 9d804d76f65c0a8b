"""One smoke run of the built-in room, made once and shared by several test files."""

import atexit
import functools
import pathlib
import shutil
import tempfile

from jnerf import main
from jnerf.runs.experiment import load_experiment
from jnerf.runs.workdir import Workdir
from jnerf.scenes.load import load_scene
from jnerf.stages.session import Session
from jnerf.structs import Scene
from jnerf.training.checkpoints import Checkpoints

EXPERIMENT = f"{pathlib.Path(__file__).parents[1]}/experiments/room.py:smoke"


@functools.cache
def finished() -> pathlib.Path:
  """The working folder of a whole run; not to be changed."""
  folder = pathlib.Path(tempfile.mkdtemp(prefix="jnerf-smoke-"))
  atexit.register(shutil.rmtree, folder, ignore_errors=True)
  main.main(["jnerf", f"--config={EXPERIMENT}", f"--workdir={folder}"])
  return folder


def session(folder) -> Session:
  """A session of the smoke run's config in another folder, or in the same."""
  made = Session(load_experiment(EXPERIMENT), Workdir(folder))
  made.scene = scene()
  return made


@functools.cache
def scene() -> Scene:
  """Its scene, which takes seconds to make."""
  return load_scene(load_experiment(EXPERIMENT))


@functools.cache
def state_template(stage: str):
  """What checkpoints of the smoke run's stages look like."""
  return session(finished()).state_template(stage)


def final_state(folder, stage: str):
  """The last checkpoint of a stage, and its step."""
  with Checkpoints(Workdir(folder).checkpoints(stage)) as checkpoints:
    return checkpoints.restore(state_template(stage))
