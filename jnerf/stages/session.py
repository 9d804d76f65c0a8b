"""One invocation of jnerf: its config and folder, and what follows from them.

From here down nobody sees `config`: models, optimisers and recipes are made of
plain values here.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import functools
import pathlib

import jax
from ml_collections import ConfigDict
import numpy as np
import optax

from jnerf.errors import InputError
from jnerf.features import feature_choice
from jnerf.fields.model import Model, grid_model, mlp_model
from jnerf.fields.spaces import Box, Contracted, Ndc, Space
from jnerf.geometry.poses import face_one_way
from jnerf.runs.workdir import Workdir, config_digest, environment
from jnerf.scenes import hints, load
from jnerf.shaping.contrast import Recipe
from jnerf.shaping.regions import Regions
from jnerf.structs import FeatureMaps, Scene
from jnerf.training import devices
from jnerf.training import state as state_lib
from jnerf.training.loop import Training
from jnerf.training.progress import ViewProgress
from jnerf.training.state import TrainState
from jnerf.training.step import Objective

# Stages in the order in which they run. Each has its own stream of randomness.
TRAINED = ("fit", "shape", "shape-oracle")
HINTED_VIEWS = 16  # views of a batch, so that segments, of one view, meet themselves
STAGES = (*TRAINED, "propagate", "evaluate")
FIELD_OF_STAGE = {"fit": "plain", "shape": "shaped", "shape-oracle": "shaped-oracle"}
STAGE_OF_FIELD = {field: stage for stage, field in FIELD_OF_STAGE.items()}


@dataclasses.dataclass
class Session:
  """Config and working folder of one invocation, with the scene loaded once.

  command: how jnerf was called, for the report.
  region_kernel: kept by `stages.regions`, once it was asked for.
  """

  config: ConfigDict
  workdir: Workdir
  command: str = ""
  region_kernel: tuple[Regions, np.ndarray] | None = None

  def check_config(self, keep: Sequence[str] = STAGES) -> None:
    """Raises InputError where the config contradicts the folder's results.

    keep: stages whose results must stay right, as far as the folder holds them.
    """
    self.workdir.check_config(self.config, self._held(keep))

  def begin(self, keep: Sequence[str] = STAGES) -> None:
    """Checks the config as `check_config` does and makes it the folder's."""
    self.workdir.store_config(self.config, self._held(keep))
    self.workdir.update_metrics(
        scene=self.scene.name, config_digest=config_digest(self.config),
        environment=environment())

  @functools.cached_property
  def scene(self) -> Scene:
    """The scene the config names."""
    return load.load_scene(self.config)

  @functools.cached_property
  def features(self) -> FeatureMaps:
    """Visual features of all views; those of a network are kept in the folder."""
    with ViewProgress("features") as progress:
      return feature_choice.load_features(
          self.config, self.scene, self._features_folder, self.background(),
          progress.on_views)

  def check_features(self) -> None:
    """Raises InputError where `features` cannot be had. Leaves for later what is long."""
    if self.config.features.kind == "vit":
      feature_choice.check_vit(
          self.config, self.scene, self._features_folder, self.background())
    else:
      self.features  # noqa: B018 - reads and checks them, kept for shaping

  @property
  def features_source(self) -> str:
    """`features.source`, without making features for it."""
    return feature_choice.features_source(self.config) or self.features.source

  @functools.cached_property
  def hints(self) -> np.ndarray | None:
    """`[V, H, W]` segments that hint what belongs together, where the config has any."""
    path = self.config.shape.hints
    return hints.read_hints(path, self.scene) if path else None

  @functools.cached_property
  def space(self) -> Space:
    """The space that the model covers.

    NDC where asked for, or for the mlp field, whose home they are, where a capture
    without walls is seen from one side.
    """
    scene, kind, ndc = self.scene, self.config.field.kind, self.config.scene.ndc
    poses = scene.cam_to_world[scene.train]
    if ndc == "yes" or (ndc == "auto" and kind == "mlp" and scene.unbounded
                        and face_one_way(poses)):
      return Ndc.of(poses, scene.intrinsics[scene.train], scene.size, scene.near)
    return (Contracted if scene.unbounded else Box).of(scene.bounds)

  @functools.cached_property
  def model(self) -> Model:
    """The field and its sampler, over the scene's space."""
    if self.config.field.kind == "grid":
      return grid_model(self.space, **self.config.field.grid)
    return mlp_model(self.space, **self.config.field.mlp)

  @property
  def fields(self) -> dict[str, str]:
    """Field names of metrics.json to the stages that make them, in order."""
    stages = [stage for stage in TRAINED
              if stage != "shape-oracle" or self.config.shape.oracle]
    return {FIELD_OF_STAGE[stage]: stage for stage in stages}

  def key(self, stage: str) -> jax.Array:
    """The root of a stage's randomness."""
    number = (*STAGES, "distill").index(stage)
    return jax.random.fold_in(jax.random.key(self.config.seed), number)

  def optimizer(self, stage: str) -> optax.GradientTransformation:
    """The optimiser of a stage."""
    settings = self._settings(stage)
    return state_lib.make_optimizer(
        steps=settings.steps, learning_rate=settings.learning_rate,
        final_learning_rate=settings.final_learning_rate,
        warmup_steps=settings.warmup_steps, max_grad_norm=self.config.fit.max_grad_norm)

  def training(self, stage: str) -> Training:
    """All that a stage of training is."""
    settings = self._settings(stage)
    recipe = None if stage == "fit" else self.recipe(oracle=stage == "shape-oracle")
    fit = self.config.fit
    shape = self.config.shape
    num_views = shape.views_per_batch or (HINTED_VIEWS if shape.hints else 0)
    objective = Objective(fit.interlevel_weight, fit.distortion_weight, fit.depth_weight,
                          recipe)
    return Training(
        self.model, self.optimizer(stage), objective, num_steps=settings.steps,
        num_rays=settings.num_rays, steps_per_call=self.config.runtime.steps_per_call,
        background=fit.background, num_views=0 if stage == "fit" else num_views)

  def recipe(self, oracle: bool) -> Recipe:
    """How the config shapes."""
    shape = self.config.shape
    names = {field.name for field in dataclasses.fields(Recipe)} & set(shape)
    settings = {name: shape[name] for name in names - {"oracle"}}
    if shape.positives == "auto":
      settings["positives"] = "each" if oracle else "any"
    return Recipe(**settings, oracle=oracle, every=contrast_stride(
        shape.num_rays, shape.contrast_rays))

  def background(self) -> float:
    """What images are rendered over outside training.

    Cut-out photographs that were fitted over random colours are shown over white,
    as everybody does who reports figures on them.
    """
    named = {"black": 0.0, "grey": 0.5, "white": 1.0}
    return named.get(self.config.fit.background,
                     0.5 if self.scene.alpha is None else 1.0)

  def initial_params(self, stage: str):
    """Fresh params of a stage, made by one compiled program."""
    return jax.jit(self.model.init)(jax.random.fold_in(self.key(stage), 0))

  def state_template(self, stage: str) -> TrainState:
    """Shapes, types and shardings of a stage's state, for restoring checkpoints."""
    shapes = jax.eval_shape(lambda key: state_lib.initialize(
        self.model, self.optimizer(stage), key), jax.random.key(0))
    sharding = devices.replicated(devices.data_mesh())
    return jax.tree.map(lambda leaf: leaf.update(sharding=sharding), shapes)

  @property
  def _features_folder(self) -> pathlib.Path:
    return self.workdir.path / "features"

  def _held(self, keep: Sequence[str]) -> list[str]:
    held = self.workdir.held_stages()
    # An evaluation of the plain field alone does not bind: shaping makes it anew.
    return [stage for stage in held
            if stage in keep and (stage != "evaluate" or "shape" in held)]

  def _settings(self, stage: str) -> ConfigDict:
    return self.config.fit if stage == "fit" else self.config.shape


def contrast_stride(num_rays: int, contrast_rays: int) -> int:
  """Every how many rays one is contrasted; raises InputError where none fits."""
  if not contrast_rays:
    return 1
  if num_rays % contrast_rays:
    raise InputError(f"shape.contrast_rays={contrast_rays} does not divide "
                     f"shape.num_rays={num_rays}; use a divisor, or 0 for all")
  return num_rays // contrast_rays


def num_bytes(tree) -> int:
  """Bytes of all arrays in a tree."""
  return sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(tree))


