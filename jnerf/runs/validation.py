"""The checks of a config that need no data."""

from collections.abc import Iterator
import math
import re
from typing import Any

from ml_collections import ConfigDict

from jnerf.errors import InputError

_CHOICES = {
    "scene.format": ("auto", "room", "replica", "nerfstudio", "blender", "colmap",
                     "llff", "scannet", "nice_slam"),
    "scene.unbounded": ("auto", "yes", "no"),
    "scene.ndc": ("auto", "yes", "no"),
    "field.kind": ("grid", "mlp"),
    "field.grid.interpolation": ("tetrahedral", "trilinear"),
    "fit.background": ("random", "black", "white", "grey"),
    "features.kind": ("auto", "local", "precomputed", "vit"),
    "features.channels": ("auto", "first", "last"),
    "features.vit.facet": ("key", "query", "value", "token"),
    "shape.align": ("gradients", "activations"),
    "shape.jacobian": ("auto", "closed_form", "vjp", "sketch"),
    "shape.value_channel": ("mean", "random"),
    "shape.entities": ("pixels", "points"),
    "shape.similarity": ("cosine", "dot"),
    "shape.positives": ("auto", "any", "each"),
    "shape.pairs": ("regions", "features"),
    "shape.geometry": ("field", "sensor"),
    "label.views": ("all", "test"),
    "label.directions": ("mean_gradient", "mean_response", "k_means", "adaptive"),
    "label.response": ("2d", "3d"),
    "render.field": ("plain", "shaped", "shaped-oracle"),
    "render.path": ("test", "train", "orbit", "interpolate"),
}

_RGB_KERNEL = "field/rgb/kernel"

RIVALS = ("features", "features-probe", "features-probe-color", "knn", "distilled",
          "distilled-probe", "distilled-probe-color", "semantic-nerf")

_MAX_EDGE_PASSES = 6

_AT_LEAST = {
    -1: ("features.vit.layer",),
    0: ("seed", "scene.width", "scene.max_pixels", "scene.train_every",
        "scene.train_offset", "scene.test_every", "scene.test_offset", "scene.near",
        "scene.far", "scene.room.seed", "field.mlp.position_octaves",
        "field.mlp.direction_octaves", "fit.warmup_steps",
        "fit.interlevel_weight", "fit.distortion_weight", "fit.depth_weight",
        "fit.max_grad_norm", "features.vit.stride", "features.vit.load_size",
        "features.vit.pca", "features.vit.batch",
        "shape.warmup_steps", "shape.contrast_weight",
        "shape.norm_weight", "shape.contrast_rays", "shape.threshold_rate",
        "shape.color_scale", "shape.position_scale", "shape.normal_scale",
        "shape.views_per_batch", "shape.min_positives", "shape.oracle_balance",
        "label.position_scale",
        "label.proposals", "label.edge_passes", "label.gradient_weight",
        "label.area_prior", "regions.feature_weight", "runtime.checkpoint_seconds",
        "runtime.device_data_bytes"),
    1: ("scene.room.num_train", "scene.room.num_test", "field.grid.num_levels",
        "field.grid.features_per_level", "field.grid.log2_table_size",
        "field.grid.density_width", "field.grid.color_width",
        "field.grid.proposal_samples", "field.grid.samples", "field.mlp.depth",
        "field.mlp.width", "field.mlp.skip", "field.mlp.color_width",
        "field.mlp.coarse_samples", "field.mlp.fine_samples", "fit.steps",
        "fit.num_rays", "features.local.stride", "features.max_cells", "shape.steps",
        "shape.sketch_directions", "regions.num_channels", "label.seeds",
        "label.num_centres", "label.mlp.width", "label.mlp.steps", "render.num_frames",
        "runtime.steps_per_call", "runtime.chunk"),
    2: ("regions.num_cells", "regions.num_regions", "field.grid.coarsest",
        "field.grid.proposal_cells", "shape.num_rays"),
    8: ("scene.room.width", "scene.room.height"),
}

_POSITIVE = ("fit.learning_rate", "fit.final_learning_rate", "shape.learning_rate",
             "shape.final_learning_rate", "shape.temperature",
             "regions.color_scale", "regions.feature_scale", "regions.walk_color_scale",
             "regions.walk_feature_scale", "label.bandwidth", "label.ridge",
             "label.paper_step", "label.mlp.learning_rate", "label.edge_color_scale",
             "label.edge_depth_scale")


def validate(config: ConfigDict) -> None:
  """Checks every setting that can be judged without the data.

  Raises InputError with one line that names the key, its value and the mend.
  """
  for key, value in _leaves(config):
    if isinstance(value, float) and not math.isfinite(value):
      raise InputError(f"{key}={value}: must be a finite number")
  for key, choices in _CHOICES.items():
    if config[key] not in choices:
      raise InputError(f"{key}={config[key]!r}: must be one of {', '.join(choices)}")
  for low, keys in _AT_LEAST.items():
    for key in keys:
      if config[key] < low:
        raise InputError(f"{key}={config[key]}: must be at least {low}")
  for key in _POSITIVE:
    if not config[key] > 0:
      raise InputError(f"{key}={config[key]}: must be above 0")
  _validate_scene(config.scene)
  _validate_training(config)
  _validate_label(config.label)
  _validate_align(config)
  _validate_paper_recipe(config)


def _validate_scene(scene: ConfigDict) -> None:
  if not 0 < scene.hfov < 180:
    raise InputError(f"scene.hfov={scene.hfov}: must lie between 0 and 180 degrees")
  if scene.near and scene.far and scene.near >= scene.far:
    raise InputError(f"scene.near={scene.near}: must be below scene.far={scene.far}")
  for split in ("train", "test"):
    every, offset = scene[f"{split}_every"], scene[f"{split}_offset"]
    if offset >= max(every, 1):
      raise InputError(f"scene.{split}_offset={offset}: must be below "
                       f"scene.{split}_every={every}")
  bounds = scene.bounds
  if bounds and (len(bounds) != 6
                 or any(bounds[i] >= bounds[i + 3] for i in range(3))):
    raise InputError(f"scene.bounds={tuple(bounds)}: must be () or six numbers xmin, "
                     "ymin, zmin, xmax, ymax, zmax, each minimum below its maximum")


def _validate_training(config: ConfigDict) -> None:
  for name in ("fit", "shape"):
    stage = config[name]
    if stage.warmup_steps >= stage.steps:
      raise InputError(f"{name}.warmup_steps={stage.warmup_steps}: must be below "
                       f"{name}.steps={stage.steps}")
    if stage.steps % config.runtime.steps_per_call:
      raise InputError(f"{name}.steps={stage.steps}: must be a multiple of "
                       f"runtime.steps_per_call={config.runtime.steps_per_call}")
    if stage.final_learning_rate > stage.learning_rate:
      raise InputError(f"{name}.final_learning_rate={stage.final_learning_rate}: must "
                       f"not be above {name}.learning_rate={stage.learning_rate}")
  grid, shape = config.field.grid, config.shape
  if grid.finest < grid.coarsest:
    raise InputError(f"field.grid.finest={grid.finest}: must not be below "
                     f"field.grid.coarsest={grid.coarsest}")
  if shape.contrast_rays == 1 or shape.contrast_rays > shape.num_rays:
    raise InputError(f"shape.contrast_rays={shape.contrast_rays}: must be 0 (all), or "
                     f"from 2 to shape.num_rays={shape.num_rays}")
  if not shape.min_positives <= shape.max_positives <= 1:
    raise InputError(f"shape.max_positives={shape.max_positives}: must lie between "
                     f"shape.min_positives={shape.min_positives} and 1")
  if not 0 <= config.regions.reach < 1:
    raise InputError(f"regions.reach={config.regions.reach}: must be at least 0 and "
                     "below 1")
  if shape.fuse_features and shape.pairs == "regions":
    raise InputError("shape.fuse_features=True: regions are fused over views already; "
                     "use shape.pairs=features")
  if not -1 <= shape.threshold <= 1:
    raise InputError(f"shape.threshold={shape.threshold}: must lie between -1 and 1")
  if not shape.params:
    raise InputError("shape.params='': must name parameters, as 'field/rgb/kernel' does")
  if not config.features.vit.model:
    raise InputError("features.vit.model='': must name a model or its folder, as "
                     "'facebook/dino-vits8' does")
  scales = config.features.local.scales
  if not scales or min(scales) < 1:
    raise InputError(f"features.local.scales={tuple(scales)}: must be one or more "
                     "sizes of at least 1")


def _validate_label(label: ConfigDict) -> None:
  for protocol in label.protocols:
    if not re.fullmatch(r"(instance-|merged-)?(sparse|dense|clicks-[1-9]\d*"
                        r"|per-frame-(0?\.\d*[1-9]\d*|1))", protocol):
      raise InputError(f"label.protocols={tuple(label.protocols)}: {protocol!r} must be "
                       "sparse, dense, clicks-k with a number k, or per-frame-r with "
                       "a share r of the frames; for instances with instance- or "
                       "merged- before it")
  for key, choices in (("methods", ("regions", "cosine", "paper", "bayes", "mlp")),
                       ("dimensions", ("2d", "3d")), ("rivals", ("", *RIVALS))):
    unknown = [value for value in label[key] if value not in choices]
    if unknown or not (label[key] or "" in choices):
      raise InputError(f"label.{key}={tuple(label[key])}: must be one or more of "
                       f"{', '.join(filter(None, choices))}")
  if label.session and label.clicks:
    raise InputError(f"label.session={label.session}: must be left out where "
                     "label.clicks gives clicks")
  if label.edge_passes > _MAX_EDGE_PASSES:
    raise InputError(f"label.edge_passes={label.edge_passes}: must be at most "
                     f"{_MAX_EDGE_PASSES}, which reach {2**_MAX_EDGE_PASSES - 1} pixels")
  if not 0 <= label.min_confidence <= 1:
    raise InputError(f"label.min_confidence={label.min_confidence}: must lie between 0 "
                     "and 1")
  if label.primary not in label.methods:
    raise InputError(f"label.primary={label.primary!r}: must be one of label.methods="
                     f"{tuple(label.methods)}")


def _validate_align(config: ConfigDict) -> None:
  """What is said of gradients, where activations take their place."""
  label, shape = config.label, config.shape
  if shape.align == "gradients":
    return
  for key, only, why in (
      ("params", _RGB_KERNEL, "of the layer that feeds rgb"),
      ("jacobian", "auto", "no gradients"), ("value_channel", "mean", "of no channel")):
    if shape[key] != only:
      raise InputError(f"shape.{key}={shape[key]!r}: must be {only} with "
                       f"shape.align=activations, which are {why}")
  if "paper" in label.methods:
    raise InputError(f"label.methods={tuple(label.methods)}: must not hold paper, which "
                     "nudges along gradients, with shape.align=activations")


def _validate_paper_recipe(config: ConfigDict) -> None:
  """What the choices of the method `paper` ask of one another."""
  label, shape = config.label, config.shape
  if "paper" not in label.methods:
    return
  if label.position_scale and label.directions != "mean_response":
    raise InputError(f"label.directions={label.directions!r}: must be mean_response with "
                     "label.position_scale, since other directions lie nowhere")
  if label.response == "3d" and (shape.params != _RGB_KERNEL
                                 or shape.jacobian == "sketch"):
    raise InputError("label.response='3d': must be 2d unless shape.params="
                     f"{_RGB_KERNEL}, and not sketched, whose nudges it follows")


def _leaves(config: ConfigDict, prefix: str = "") -> Iterator[tuple[str, Any]]:
  for name, value in config.items():
    if isinstance(value, ConfigDict):
      yield from _leaves(value, f"{prefix}{name}.")
    else:
      yield prefix + name, value
