"""From a config to the values that stages call functions with; no files are touched."""

from __future__ import annotations

from collections.abc import Callable, Iterable
import functools
import pathlib

import jax
from ml_collections import ConfigDict
import optax

from jnerf.features.feature_choice import FeatureChoice, FeatureSettings
from jnerf.features.lite_features import LiteSettings
from jnerf.features.local_features import LocalSettings
from jnerf.features.vit_features import VitSettings
from jnerf.fields.field import Field
from jnerf.fields.kinds import FIELDS
from jnerf.fields.spaces import Box, Contracted, Ndc, Space
from jnerf.geometry.poses import face_one_way
from jnerf.labeling.assignment import Assignment
from jnerf.labeling.edges import EdgeSettings
from jnerf.labeling.methods import make_method
from jnerf.runs.config import method_settings, row_kind, settings_of
from jnerf.runs.run import stage_key
from jnerf.shaping.contrast import Contrast, Recipe
from jnerf.shaping.pair_data import PairSource
from jnerf.shaping.pairs import PairRule
from jnerf.shaping.renderer import ViewRenderer
from jnerf.shaping.scene_regions import SceneRegions
from jnerf.structs import Scene
from jnerf.training import devices
from jnerf.training import state as state_lib
from jnerf.training.loop import BACKGROUNDS, Training
from jnerf.training.objective import Objective
from jnerf.training.state import Schedule, TrainState


def space_of(config: ConfigDict, scene: Scene) -> Space:
  """The space that a field of the scene covers.

  NDC where asked for, or for the mlp field, whose home they are, where a capture
  without walls is seen from one side.
  """
  kind, ndc = config.field.kind, config.scene.ndc
  poses = scene.cam_to_world[scene.train]
  if ndc == "yes" or (ndc == "auto" and kind == "mlp" and scene.unbounded
                      and face_one_way(poses)):
    return Ndc.of(poses, scene.intrinsics[scene.train], scene.size, scene.near)
  return (Contracted if scene.unbounded else Box).of(scene.bounds)


def model_of(config: ConfigDict, space: Space) -> Field:
  """The field and its sampler, over a space."""
  kind = config.field.kind
  return FIELDS[kind].make(
      space, settings_of(config, FIELDS[kind].settings, f"field.{kind}"))


def background_of(config: ConfigDict, scene: Scene) -> float:
  """What images are rendered over outside training.

  Cut-out photographs that were fitted over random colours are shown over white,
  as everybody does who reports figures on them.
  """
  return BACKGROUNDS.get(config.fit.background, 0.5 if scene.alpha is None else 1.0)


def recipe_of(config: ConfigDict, oracle: bool = False) -> Recipe:
  """How the config shapes."""
  return Recipe(row_kind(config), settings_of(config, Contrast, "shape"),
                settings_of(config, PairRule, "shape"), oracle)


def section_of(stage: str) -> str:
  """The section of the config that a stage of training is set by."""
  return "fit" if stage == "fit" else "shape"


def schedule_of(config: ConfigDict, stage: str) -> Schedule:
  """How long and how fast a stage trains."""
  return settings_of(config, Schedule, section_of(stage))


def optimizer_of(config: ConfigDict, stage: str) -> optax.GradientTransformation:
  """The optimiser of a stage."""
  return state_lib.make_optimizer(schedule_of(config, stage), config.fit.max_grad_norm)


def training_of(config: ConfigDict, model: Field, stage: str) -> Training:
  """All that a stage of training is; raises InputError where its rays do not divide."""
  schedule = schedule_of(config, stage)
  recipe, num_views = None, 0
  if stage != "fit":
    recipe = recipe_of(config, oracle=stage == "shape-oracle")
    recipe.contrast.every(schedule.num_rays)
    num_views = settings_of(config, PairSource, "shape").num_views
  return Training(
      model, optimizer_of(config, stage),
      settings_of(config, Objective, "fit", recipe=recipe), num_steps=schedule.steps,
      num_rays=schedule.num_rays,
      steps_per_call=schedule.steps_per_call(config.runtime.steps_per_call),
      background=config.fit.background, num_views=num_views)


def initial_params(config: ConfigDict, model: Field, scene: Scene, stage: str):
  """Fresh params of a stage, made by one compiled program."""
  key = jax.random.fold_in(stage_key(config.seed, stage), 0)
  return jax.jit(functools.partial(model.init, scene=scene))(key)


def state_template(config: ConfigDict, model: Field, scene: Scene,
                   stage: str) -> TrainState:
  """Shapes, types and shardings of a stage's state, for restoring checkpoints."""
  shapes = jax.eval_shape(lambda key: state_lib.create(
      model.init(key, scene), optimizer_of(config, stage)), jax.random.key(0))
  sharding = devices.replicated(devices.data_mesh())
  return jax.tree.map(lambda leaf: leaf.update(sharding=sharding), shapes)


def features_choice(config: ConfigDict, scene: Scene,
                    folder: pathlib.Path | None = None) -> FeatureChoice:
  """Which visual features; folder: the run's, where those of a network are kept."""
  return FeatureChoice(
      settings_of(config, FeatureSettings, "features"),
      settings_of(config, LocalSettings, "features.local"),
      settings_of(config, LiteSettings, "features.lite"),
      settings_of(config, VitSettings, "features.vit"), scene.folder,
      None if folder is None else folder / "features", background_of(config, scene))


def method_of(config: ConfigDict, name: str,
              regions_fn: Callable[[], SceneRegions] | None = None) -> Assignment:
  """One labelling method; regions_fn is asked by those alone that need regions."""
  return make_method(name, method_settings(config), rows=row_kind(config),
                     seed=config.seed, regions_fn=regions_fn)


def edges_of(config: ConfigDict) -> EdgeSettings:
  """How labels are snapped to what a view shows."""
  return settings_of(config, EdgeSettings, "label")


def renderer_of(config: ConfigDict, model: Field, background: float,
                methods: Iterable[Assignment] = ()) -> ViewRenderer:
  """Renders views with the rows that are shaped, as far as `methods` need."""
  return ViewRenderer(model, row_kind(config), config.runtime.chunk, background,
                      any(method.needs_samples for method in methods))


def pairs_name(config: ConfigDict, field: str, source: str) -> str | None:
  """What chose the positives of a field: the features, and what was joined to them.

  Those of regions, the default, need no further name; those of each view by itself do.
  source: `FeatureChoice.source`.
  """
  if field != "shaped":
    return {"plain": None, "shaped-oracle": "oracle"}[field]
  shape = config.shape
  joined = {"view": shape.pairs == "features" and not shape.fuse_features,
            "fused": shape.fuse_features, "color": shape.color_scale,
            "position": shape.position_scale, "normal": shape.normal_scale,
            "hints": shape.hints}
  return "+".join([source, *(name for name, used in joined.items() if used)])
