"""The mode `features`: visual features alone."""

from __future__ import annotations

from jnerf.runs.checks import check
from jnerf.runs.loading import features_choice, load_features, load_scene
from jnerf.runs.run import Run
from jnerf.structs import Scene


def features(run: Run) -> str:
  """Makes the visual features alone."""
  scene = load_scene(run)
  check(run, scene, (), keep=())
  features_choice(run, scene).source.check(scene)
  with run.workdir.lock():
    return describe_features(run, scene)


def describe_features(run: Run, scene: Scene) -> str:
  """Says what the features are and where; makes those of a network first."""
  maps = load_features(run, scene)
  num, rows, columns, channels = maps.grid.shape
  text = (f"features: {maps.source}, {num} views, {rows}x{columns} cells of {channels} "
          f"channels, {maps.grid.nbytes / 1e6:.3g} MB, {maps.origin}")
  if run.config.features.kind == "vit":
    text += ("\nthe other modes find them in this --workdir, in an environment without "
             "PyTorch too")
  return text
