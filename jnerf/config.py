"""Every setting of jnerf with its default, and the checks that need no data.

An experiment file overlays this (`config = default_config(); config.fit.steps =
500`), so an unknown key or a value of another type fails at once. `config`
itself reaches `jnerf.main`, the stages, the training loop and the scene loader
only; everything below takes explicit keyword arguments.
"""

from collections.abc import Iterator
import math
import re
from typing import Any

from ml_collections import ConfigDict, config_dict

from jnerf.errors import InputError


def default_config() -> ConfigDict:
  """All keys, with defaults that suit an indoor capture on a laptop CPU."""
  config = ConfigDict()
  config.seed = 0
  config.scene = _scene()
  config.field = _field()
  config.fit = _fit()
  config.features = _features()
  config.shape = _shape()
  config.label = _label()
  config.render = _render()
  config.runtime = _runtime()
  config.lock()
  return config


def _scene() -> ConfigDict:
  scene = ConfigDict()
  scene.format = "auto"  # auto | room | replica | nerfstudio | blender | llff
  scene.path = ""  # folder of the capture; unused by the procedural room
  scene.width = 0  # working width in pixels; 0 keeps the files' own
  scene.max_pixels = 0  # without a width: halve until V*H*W is below; 0 = never
  scene.train_every = 0  # 0: info.json, else the rule of the format
  scene.train_offset = 0
  scene.test_every = 0
  scene.test_offset = 0
  scene.hfov = 90.0  # degrees; where the capture brings no intrinsics
  scene.near = 0.0  # 0: from depth, else from the cameras
  scene.far = 0.0
  scene.unbounded = "auto"  # yes | no; auto: photographs whose box nobody gives
  scene.ndc = "auto"  # yes | no; auto: mlp field, unbounded, cameras face one way
  scene.strict = False  # whether a frame without its image is an error
  scene.bounds = ()  # xmin, ymin, zmin, xmax, ymax, zmax; () = as near and far
  scene.room = ConfigDict()  # the procedural room
  scene.room.seed = 0
  scene.room.width = 160
  scene.room.height = 120
  scene.room.num_train = 96
  scene.room.num_test = 24
  return scene


def _field() -> ConfigDict:
  field = ConfigDict()
  field.kind = "grid"  # grid | mlp (the paper's)
  field.grid = ConfigDict()
  field.grid.num_levels = 8
  field.grid.features_per_level = 4
  field.grid.log2_table_size = 16
  field.grid.coarsest = 16  # cells along the longest side of the bounds
  field.grid.finest = 512
  field.grid.interpolation = "tetrahedral"  # tetrahedral | trilinear
  field.grid.density_width = 64
  field.grid.color_width = 128  # H, the width that feeds the `rgb` layer
  field.grid.proposal_cells = 64  # the density grid that places samples
  field.grid.proposal_samples = 48
  field.grid.samples = 24
  field.mlp = ConfigDict()
  field.mlp.depth = 8
  field.mlp.width = 256
  field.mlp.skip = 4
  field.mlp.color_width = 128
  field.mlp.position_octaves = 10
  field.mlp.direction_octaves = 4
  field.mlp.coarse_samples = 64
  field.mlp.fine_samples = 128
  return field


def _fit() -> ConfigDict:
  fit = ConfigDict()
  fit.steps = 1500
  fit.num_rays = 1024
  fit.learning_rate = 1e-2
  fit.final_learning_rate = 5e-4
  fit.warmup_steps = 50
  fit.background = "random"  # random | black | white | grey
  fit.interlevel_weight = 1.0
  # Small: it draws weights together before views agree on where, nearer than they
  # should be (office_0: depth off by 6.3 cm at 1e-3, by 54 cm at 1e-2, by 3.7 cm now).
  fit.distortion_weight = 1e-4
  fit.depth_weight = 0.0  # > 0: a sensor's depth supervises, where there is any
  fit.max_grad_norm = 0.0  # 0: no clipping
  return fit


def _features() -> ConfigDict:
  features = ConfigDict()
  features.kind = "auto"  # auto | local | precomputed; auto: a file where there is one
  features.path = ""  # .npz of features; "" looks into the scene folder
  features.local = ConfigDict()
  features.local.scales = (1, 2, 4)  # of the statistics, in feature cells
  features.local.stride = 4  # pixels per feature cell
  return features


def _shape() -> ConfigDict:
  shape = ConfigDict()
  shape.steps = 400
  shape.num_rays = 1024
  shape.learning_rate = 1e-2
  shape.final_learning_rate = 5e-4
  shape.warmup_steps = 20
  shape.params = "field/rgb/kernel"  # which parameters' gradients are aligned
  shape.jacobian = "auto"  # auto | closed_form | vjp | sketch
  shape.sketch_directions = 256
  shape.value_channel = "mean"  # mean | random (one channel a step)
  shape.entities = "pixels"  # pixels | points
  shape.contrast_weight = 1e-3
  shape.norm_weight = 0.0
  shape.temperature = 0.2
  shape.similarity = "cosine"  # cosine | dot
  shape.absolute = True  # |s|, the mutual-information reading
  shape.self_positive = False  # the anchor counts as its own positive
  shape.contrast_rays = 256  # rays of a batch that are contrasted; 0 = all
  shape.threshold = 0.5  # first value of the adaptive threshold on features
  shape.min_positives = 0.03  # share of pairs between which it adapts;
  shape.max_positives = 0.15  # (0, 1) leaves the threshold where it is
  shape.threshold_rate = 1e-3  # how far it moves in one step
  shape.position_scale = 0.0  # metres; > 0 joins the rendered 3D position
  shape.oracle = False  # also shape a second field on ground-truth pairs
  return shape


def _label() -> ConfigDict:
  label = ConfigDict()
  label.clicks = ""  # a clicks file to propagate; "" draws the protocols' clicks
  label.protocols = ("sparse", "clicks-3", "dense")
  label.seeds = 5
  label.methods = ("cosine", "bayes")  # also paper, which takes far longer
  label.primary = "cosine"  # the method whose label maps are written
  label.views = "all"  # all | test; which views `propagate` labels
  label.dimensions = ("2d",)  # also 3d: surface points that the test depth shows
  label.bandwidth = 0.02  # of the cosine kernel, in units of cosine
  label.ridge = 0.3  # of the Bayesian classifier: noise over prior variance
  label.paper_step = 0.1  # t of the paper's finite nudge
  return label


def _render() -> ConfigDict:
  render = ConfigDict()
  render.field = "shaped"  # plain | shaped | shaped-oracle
  render.path = "test"  # test | train | orbit | interpolate
  render.num_frames = 60  # of a generated path
  return render


def _runtime() -> ConfigDict:
  runtime = ConfigDict()
  runtime.steps_per_call = 25  # scanned in one device call
  runtime.checkpoint_seconds = 60.0  # between checkpoints of a stage
  runtime.chunk = 4096  # rays rendered at once outside training
  runtime.device_data_bytes = 2 * 1024**3  # larger data stay on the host
  runtime.compilation_cache = config_dict.placeholder(str)  # None: user's; "": off
  return runtime


_CHOICES = {
    "scene.format": ("auto", "room", "replica", "nerfstudio", "blender", "llff"),
    "scene.unbounded": ("auto", "yes", "no"),
    "scene.ndc": ("auto", "yes", "no"),
    "field.kind": ("grid", "mlp"),
    "field.grid.interpolation": ("tetrahedral", "trilinear"),
    "fit.background": ("random", "black", "white", "grey"),
    "features.kind": ("auto", "local", "precomputed"),
    "shape.jacobian": ("auto", "closed_form", "vjp", "sketch"),
    "shape.value_channel": ("mean", "random"),
    "shape.entities": ("pixels", "points"),
    "shape.similarity": ("cosine", "dot"),
    "label.views": ("all", "test"),
    "render.field": ("plain", "shaped", "shaped-oracle"),
    "render.path": ("test", "train", "orbit", "interpolate"),
}

_AT_LEAST = {
    0: ("seed", "scene.width", "scene.max_pixels", "scene.train_every",
        "scene.train_offset", "scene.test_every", "scene.test_offset", "scene.near",
        "scene.far", "scene.room.seed", "field.mlp.position_octaves",
        "field.mlp.direction_octaves", "fit.warmup_steps",
        "fit.interlevel_weight", "fit.distortion_weight", "fit.depth_weight",
        "fit.max_grad_norm",
        "shape.warmup_steps", "shape.contrast_weight",
        "shape.norm_weight", "shape.contrast_rays", "shape.threshold_rate",
        "shape.position_scale", "shape.min_positives", "runtime.checkpoint_seconds",
        "runtime.device_data_bytes"),
    1: ("scene.room.num_train", "scene.room.num_test", "field.grid.num_levels",
        "field.grid.features_per_level", "field.grid.log2_table_size",
        "field.grid.density_width", "field.grid.color_width",
        "field.grid.proposal_samples", "field.grid.samples", "field.mlp.depth",
        "field.mlp.width", "field.mlp.skip", "field.mlp.color_width",
        "field.mlp.coarse_samples", "field.mlp.fine_samples", "fit.steps",
        "fit.num_rays", "features.local.stride", "shape.steps",
        "shape.sketch_directions", "label.seeds", "render.num_frames",
        "runtime.steps_per_call", "runtime.chunk"),
    2: ("field.grid.coarsest", "field.grid.proposal_cells", "shape.num_rays"),
    8: ("scene.room.width", "scene.room.height"),
}

_POSITIVE = ("fit.learning_rate", "fit.final_learning_rate", "shape.learning_rate",
             "shape.final_learning_rate", "shape.temperature",
             "label.bandwidth", "label.ridge", "label.paper_step")


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
  if not -1 <= shape.threshold <= 1:
    raise InputError(f"shape.threshold={shape.threshold}: must lie between -1 and 1")
  if not shape.params:
    raise InputError("shape.params='': must name parameters, as 'field/rgb/kernel' does")
  scales = config.features.local.scales
  if not scales or min(scales) < 1:
    raise InputError(f"features.local.scales={tuple(scales)}: must be one or more "
                     "sizes of at least 1")


def _validate_label(label: ConfigDict) -> None:
  for protocol in label.protocols:
    if not re.fullmatch(r"sparse|dense|clicks-[1-9]\d*|per-frame-(0?\.\d*[1-9]\d*|1)",
                        protocol):
      raise InputError(f"label.protocols={tuple(label.protocols)}: {protocol!r} must be "
                       "sparse, dense, clicks-k with a number k, or per-frame-r with "
                       "a share r of the frames")
  for key, choices in (("methods", ("cosine", "paper", "bayes")),
                       ("dimensions", ("2d", "3d"))):
    unknown = [value for value in label[key] if value not in choices]
    if unknown or not label[key]:
      raise InputError(f"label.{key}={tuple(label[key])}: must be one or more of "
                       f"{', '.join(choices)}")
  if label.primary not in label.methods:
    raise InputError(f"label.primary={label.primary!r}: must be one of label.methods="
                     f"{tuple(label.methods)}")


def _leaves(config: ConfigDict, prefix: str = "") -> Iterator[tuple[str, Any]]:
  for name, value in config.items():
    if isinstance(value, ConfigDict):
      yield from _leaves(value, f"{prefix}{name}.")
    else:
      yield prefix + name, value
