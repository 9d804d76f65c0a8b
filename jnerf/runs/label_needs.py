"""What it takes to get labels of a scene: clicks, ground truth, features, a command."""

from __future__ import annotations

import json
import re

import numpy as np

from jnerf.errors import InputError
from jnerf.evaluating.protocols import draw_labels
from jnerf.runs.loading import features_choice
from jnerf.runs.run import Run
from jnerf.structs import Scene


def label_needs(run: Run, scene: Scene) -> list[tuple[str, str]]:
  """`(subject, text)` lines: what there is, and what is to be given."""
  labels = (_protocols(scene) if scene.semantic is not None and scene.semantic.any()
            else _clicks(run, scene))
  return [*labels, ("features", _features(run, scene))]


def _protocols(scene: Scene) -> list[tuple[str, str]]:
  """Which protocols the ground truth allows."""
  try:
    drawn = draw_labels(scene, "sparse", 0)
  except InputError as error:
    return [("labels", f"ground truth, but {error}")]
  frame = scene.frames[int(drawn.pixels[0, 0])]
  return [("labels", (
      f"ground truth; label.protocols: sparse ({len(drawn.class_ids)} clicks in "
      f"{frame}), dense (all of {frame}), clicks-K, per-frame-R{_instances(scene)}; "
      "label.dimensions: 2d"
      + (", 3d" if scene.has_test_depth else " (3d needs depth of the test views)")))]


def _instances(scene: Scene) -> str:
  return "" if scene.instance is None else (
      "; for instances with instance- or merged- before it")


def _clicks(run: Run, scene: Scene) -> list[tuple[str, str]]:
  """The clicks file, the command that takes it, and where ground truth would go."""
  clicks = run.config.label.clicks
  width, height = scene.full_size
  frame = scene.frames[int(scene.train[len(scene.train) // 2])]
  example = {"classes": {"1": "wall", "2": "chair"}, "clicks": [
      {"frame": frame, "x": width // 2, "y": height // 2, "class": 1}]}
  lines = [] if clicks else [
      ("labels", "none here. Click a pixel or more of each thing that is to be told "
       f"apart, and write the clicks file, with x from 0 to {width - 1}, y from 0 to "
       f"{height - 1} and classes from 1:"),
      ("", json.dumps(example)), ("", _command(run.command))]
  return [*lines, ("scores", (
      "need ground truth: in the Replica layout semantic_class/semantic_class_<i>.png "
      "for every image, class ids of 8 or 16 bits, 0 = void; in ScanNet's label-filt/"))]


def _command(command: str) -> str:
  """The command that labels, made of the one that inspected."""
  bare = re.sub(r" --(mode|config\.inspect\.\w+)[= ]\S+", "", command)
  return f"{bare or 'python -m jnerf.main ...'} --config.label.clicks=clicks.json"


def _features(run: Run, scene: Scene) -> str:
  try:
    choice = features_choice(run, scene)
    if choice.file is None:
      return "; ".join(filter(None, (
          f"{choice.source.name}, made when shaping begins", choice.advice)))
    grid = choice.source.load(scene).grid
  except InputError as error:
    return f"not usable: {error}"
  _, height, width, channels = np.shape(grid)
  return f"{choice.file}: {channels} channels on a grid of {width}x{height}"
