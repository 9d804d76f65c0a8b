"""What a run starts from, read from files: scene, features, hints, fields, regions."""

from __future__ import annotations

import pathlib
import sys

from ml_collections import ConfigDict
import numpy as np

from jnerf.errors import InputError
from jnerf.features.feature_choice import FeatureChoice
from jnerf.fields.fitted import FittedField
from jnerf.fields.spaces import Space
from jnerf.labeling.assignment import Assignment
from jnerf.runs import parts, regions_file
from jnerf.runs.config import row_kind, settings_of
from jnerf.runs.run import FIELD_OF_STAGE, Run
from jnerf.scenes import hints
from jnerf.scenes import load as scene_load
from jnerf.scenes.load import SceneSettings
from jnerf.scenes.pixels import PixelData
from jnerf.scenes.room.room import RoomSettings
from jnerf.shaping.pair_data import PairSource, pair_data
from jnerf.shaping.scene_regions import RegionSettings, SceneRegions, find_scene_regions
from jnerf.structs import FeatureMaps, Scene
from jnerf.training.checkpoints import Checkpoints
from jnerf.training.progress import ViewProgress


def load_scene(run: Run) -> Scene:
  """The scene that the config names."""
  return scene_load.load_scene(settings_of(run.config, SceneSettings, "scene"),
                               settings_of(run.config, RoomSettings, "scene.room"))


def features_choice(run: Run, scene: Scene) -> FeatureChoice:
  """Which visual features the run takes: those that it was shaped with, if it was."""
  choice = parts.features_choice(run.config, scene, run.workdir.path)
  shaped = run.workdir.read_metrics().get("stages", {}).get("shape")
  if shaped is None or choice.settings.kind != "auto":
    return choice
  # `auto` finds other ones once they are installed.
  before = "local" if choice.file is None else "precomputed"  # of older folders
  return choice.of_kind(shaped.get("features", before))


def load_features(run: Run, scene: Scene) -> FeatureMaps:
  """Visual features of all views; those of a network are kept in the folder."""
  choice = features_choice(run, scene)
  print(f"features: {choice}", file=sys.stderr, flush=True)
  return _load(choice, scene)


def make_features(config: ConfigDict, scene: Scene,
                  folder: pathlib.Path | None = None) -> FeatureMaps:
  """Visual features of all views; those of a network are kept in `folder`, if any."""
  return _load(parts.features_choice(config, scene, folder), scene)


def _load(choice: FeatureChoice, scene: Scene) -> FeatureMaps:
  with ViewProgress("features") as progress:
    return choice.source.load(scene, progress.on_views)


def load_hints(config: ConfigDict, scene: Scene) -> np.ndarray | None:
  """`[V, H, W]` segments that hint what belongs together, where the config has any."""
  path = config.shape.hints
  return hints.read_hints(path, scene) if path else None


def load_shaping_data(config: ConfigDict, scene: Scene, field: FittedField,
                      maps: FeatureMaps, regions: SceneRegions | None) -> PixelData:
  """The training views with all that pairs are chosen by.

  regions: where pairs are chosen by regions.
  """
  with ViewProgress("geometry") as progress:
    return pair_data(
        field, scene, maps, parts.recipe_of(config),
        settings_of(config, PairSource, "shape"), regions=regions,
        segments=load_hints(config, scene), with_depth=config.fit.depth_weight > 0,
        chunk=config.runtime.chunk, on_views=progress.on_views)


def check_trained(run: Run, stage: str) -> None:
  """Raises InputError unless the folder holds the field that `stage` makes."""
  if not run.workdir.is_done(stage):
    oracle = " with --config.shape.oracle=True" if stage == "shape-oracle" else ""
    raise InputError(f"{run.workdir.path} holds no finished {FIELD_OF_STAGE[stage]} "
                     f"field; run --mode={stage.split('-')[0]}{oracle} first")


def load_field(run: Run, scene: Scene, stage: str, *, space: Space | None = None,
               background: float | None = None) -> FittedField:
  """The field that a finished stage left; raises InputError where it left none.

  space, background: of the field's own capture, where `scene` is another.
  """
  check_trained(run, stage)
  model = parts.model_of(run.config, space or parts.space_of(run.config, scene))
  folder = run.workdir.checkpoints(stage)
  with Checkpoints(folder) as checkpoints:
    restored = checkpoints.restore(
        parts.state_template(run.config, model, scene, stage))
  if restored is None:
    raise InputError(f"{folder} is gone; use another --workdir, or delete "
                     f"{run.workdir.path} to start over")
  if background is None:
    background = parts.background_of(run.config, scene)
  return FittedField(model, restored[0].params, background, rows=row_kind(run.config))


def load_regions(run: Run, scene: Scene, field: FittedField,
                 maps: FeatureMaps | None = None) -> SceneRegions:
  """The scene's regions: the folder's, or found and kept there.

  field: the plain one; maps: visual features, where they are at hand.
  """
  regions = kept_regions(run, scene, field)
  if regions is not None:
    return regions
  again = (run.workdir.path / regions_file.NAME).exists()
  print("regions: of what all training views see" + (
      ", anew: those kept rest on something else, or are of an older version"
      if again else ""), file=sys.stderr, flush=True)
  maps = load_features(run, scene) if maps is None else maps
  regions = make_regions(run.config, scene, field, maps)
  regions_file.write_regions(run.workdir.path / regions_file.NAME, regions, field,
                             _regions_digest(run, scene, field))
  return regions


def make_regions(config: ConfigDict, scene: Scene, field: FittedField,
                 maps: FeatureMaps) -> SceneRegions:
  """The scene's regions where a fitted field, or a sensor, has its surfaces."""
  with ViewProgress("geometry") as progress:
    return find_scene_regions(
        field, scene, maps, settings_of(config, RegionSettings, "regions"),
        geometry=config.shape.geometry, chunk=config.runtime.chunk,
        on_views=progress.on_views)


def kept_regions(run: Run, scene: Scene, field: FittedField) -> SceneRegions | None:
  """The regions that the folder holds, where they rest on what there is now."""
  return regions_file.read_regions(
      run.workdir.path / regions_file.NAME, field,
      settings_of(run.config, RegionSettings, "regions"),
      digest=_regions_digest(run, scene, field))


def _regions_digest(run: Run, scene: Scene, field: FittedField) -> str:
  return regions_file.regions_digest(
      field, scene, features_choice(run, scene),
      settings_of(run.config, RegionSettings, "regions"), run.config.shape.geometry)


def load_methods(run: Run, scene: Scene) -> dict[str, Assignment]:
  """The methods that the config names, in that order.

  `regions` is over the surfaces of the plain field, which it waits for.
  """
  return {name: load_method(run, scene, name) for name in run.config.label.methods}


def load_method(run: Run, scene: Scene, name: str) -> Assignment:
  """One method, with the scene's regions where it needs them."""
  return parts.method_of(run.config, name, lambda: load_regions(
      run, scene, load_field(run, scene, "fit")))
