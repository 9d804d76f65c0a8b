"""The mode and stage `shape`: the fitted field, shaped by features or by the oracle."""

from __future__ import annotations

from jnerf.fields.fitted import FittedField
from jnerf.runs.checks import check
from jnerf.runs.config import settings_of
from jnerf.runs.loading import (
  check_trained,
  features_choice,
  load_features,
  load_field,
  load_regions,
  load_scene,
  load_shaping_data,
)
from jnerf.runs.run import TRAINED, Run
from jnerf.runs.stage_training import train_stage
from jnerf.scenes.pixels import PixelData
from jnerf.shaping.pair_data import PairSource, oracle_data
from jnerf.structs import Scene


def shape(run: Run) -> str:
  """Shapes the fitted field."""
  check_trained(run, "fit")
  scene = load_scene(run)
  check(run, scene, ("shape",), TRAINED)
  with run.workdir.lock():
    run.begin(scene, TRAINED)
    shape_stage(run, scene)
  return f"shaped field: {run.workdir.checkpoints('shape')}"


def shape_stage(run: Run, scene: Scene) -> None:
  """Shapes the fitted field, and again with the oracle's pairs where the config says so;
  what the folder holds is kept."""
  for stage in ("shape", "shape-oracle") if run.config.shape.oracle else ("shape",):
    if run.workdir.is_done(stage):
      print(f"{stage}: done before, kept")
      continue
    field = load_field(run, scene, "fit")
    params, kind = field.params, features_choice(run, scene).kind
    data = _data(run, scene, field, oracle=stage == "shape-oracle")
    train_stage(run, scene, stage, field.model, lambda: params, data,  # noqa: B023
                features=kind)


def _data(run: Run, scene: Scene, field: FittedField, oracle: bool) -> PixelData:
  """The training views with all that pairs are chosen by."""
  config, source = run.config, settings_of(run.config, PairSource, "shape")
  if oracle:
    return oracle_data(scene, source, with_depth=config.fit.depth_weight > 0)
  maps, regions = load_features(run, scene), None
  if source.pairs == "regions":
    regions = load_regions(run, scene, field, maps)
  return load_shaping_data(config, scene, field, maps, regions)
