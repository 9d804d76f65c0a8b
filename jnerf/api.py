"""The public face: the steps of the command as values, each one call.

    import jnerf

    scene = jnerf.load_scene("DATA/fox")
    field = jnerf.fit(scene)
    shaped = jnerf.shape(field, scene)
    labeler = jnerf.fit_labeler(shaped, scene, "clicks.json")
    labels = labeler.label_view("0001")

Settings are those of the command (docs/settings.md), as keyword arguments, `steps=500`,
or as the groups that hold them, `jnerf.Schedule(steps=500)`; what is left out is the
default there, of fewer steps than experiments/capture.py asks for. Nothing is written to
the disk: work that is to survive belongs into a working folder, by the command, whose
results `open_run` gives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import os
from typing import Any

import jax
import numpy as np

from jnerf.errors import InputError
from jnerf.evaluating import metrics
from jnerf.evaluating.protocols import draw_label_set
from jnerf.fields.fitted import FittedField
from jnerf.labeling.labels import LabelSet, labels_of_clicks
from jnerf.labeling.response import response_map
from jnerf.labeling.scene_labeler import SceneLabeler, view_number
from jnerf.runs import loading, parts
from jnerf.runs.checks import check_method, check_shaping
from jnerf.runs.config import configured, row_kind, settings_of, validate
from jnerf.runs.labelling import scene_labeler_of
from jnerf.runs.run import STAGE_OF_FIELD, Run, stage_key
from jnerf.runs.stage_training import PROGRESS_TERMS, num_bytes
from jnerf.runs.workdir import Workdir
from jnerf.scenes import load as scene_load
from jnerf.scenes.clicks import check_clicks, parse_clicks, read_clicks
from jnerf.scenes.load import SceneSettings
from jnerf.scenes.pixels import PixelData, pixel_data
from jnerf.scenes.rays import depth_of_view, rays_of_pixels, rays_of_view
from jnerf.scenes.room.room import RoomSettings
from jnerf.shaping.pair_data import PairSource, oracle_data
from jnerf.shaping.scene_regions import SceneRegions
from jnerf.structs import Clicks, FeatureMaps, Scene
from jnerf.training import devices
from jnerf.training import state as state_lib
from jnerf.training.loop import train
from jnerf.training.progress import Progress

MAX_PIXELS = 5_000_000  # of all views, as experiments/capture.py


def load_scene(path: str | os.PathLike = "", *groups, **settings) -> Scene:
  """A capture in any layout that is recognised, or without a path the procedural room.

  settings: of `scene`, such as `width=320`; of the room as `RoomSettings(width=48)`.
    Without a width a capture is halved until it has `max_pixels`, here 5 million.
  """
  config = _configured("scene", groups, {
      "path": os.fspath(path), "max_pixels": MAX_PIXELS, **settings})
  return scene_load.load_scene(settings_of(config, SceneSettings, "scene"),
                               settings_of(config, RoomSettings, "scene.room"))


def load_features(scene: Scene, *groups, **settings) -> FeatureMaps:
  """Visual features of all views: files beside the photographs, else local statistics.

  settings: of `features`.
  """
  return loading.make_features(_configured("features", groups, settings), scene)


def fit(scene: Scene, *groups, seed: int = 0, **settings) -> FittedField:
  """Fits a field to the training views.

  settings: of `fit`, and of the field as `MlpSettings()` or `GridSettings(samples=12)`.
  """
  config = _configured("fit", groups, settings, seed=seed)
  model = parts.model_of(config, parts.space_of(config, scene))
  data = pixel_data(scene, with_depth=config.fit.depth_weight > 0)
  params = parts.initial_params(config, model, scene, "fit")
  return FittedField(model, _train(config, "fit", model, params, data),
                     parts.background_of(config, scene))


def find_regions(field: FittedField, scene: Scene, *groups,
                 features: FeatureMaps | None = None,
                 **settings) -> SceneRegions:
  """The regions of the scene's surfaces, where a fitted field has them.

  features: visual ones; by default those of `load_features`. settings: of `regions`.
  """
  config = _configured("regions", groups, settings)
  features = loading.make_features(config, scene) if features is None else features
  return loading.make_regions(config, scene, field, features)


def shape(field: FittedField, scene: Scene, *groups, features: FeatureMaps | None = None,
          regions: SceneRegions | None = None, seed: int = 0,
          **settings) -> FittedField:
  """Shapes a fitted field, so that pixels that belong together have alike gradients.

  features, regions: by which pairs are chosen; by default those of `load_features` and
    `find_regions`, which the shaped field keeps for labelling.
  settings: of `shape`, where `oracle=True` chooses pairs by ground truth instead; a field
    that was fitted to depth is held there by `**{"fit.depth_weight": ...}`.

  Raises InputError where they cannot shape the field.
  """
  config = _configured("shape", groups, settings, seed=seed)
  check_shaping(config, scene, field.model)
  if config.shape.oracle:
    data = oracle_data(scene, settings_of(config, PairSource, "shape"),
                       with_depth=config.fit.depth_weight > 0)
  else:
    if features is None:
      features = loading.make_features(config, scene)
    if config.shape.pairs == "regions" and regions is None:
      regions = field.regions or loading.make_regions(config, scene, field, features)
    data = loading.load_shaping_data(config, scene, field, features, regions)
  stage = "shape-oracle" if config.shape.oracle else "shape"
  params = _train(config, stage, field.model, field.params, data)
  return FittedField(field.model, params, field.background, regions or field.regions,
                     row_kind(config))


def draw_clicks(scene: Scene, protocol: str = "sparse", seed: int = 0) -> LabelSet:
  """Clicks drawn from ground truth by a protocol, as the evaluation draws them."""
  return draw_label_set(scene, protocol, seed)


def fit_labeler(field: FittedField, scene: Scene,
                clicks: str | os.PathLike | Mapping | Clicks | LabelSet, *groups,
                method: str = "regions", regions: SceneRegions | None = None,
                seed: int = 0, **settings) -> SceneLabeler:
  """Teaches a method the clicks; the labeler's `label_view(frame)` labels any view.

  clicks: a clicks file, or what one holds, parsed or not.
  method: of `label.methods`; regions: by default the field's own, else found by it.
  settings: of `label`.

  Raises InputError for clicks that do not fit the scene.
  """
  config = _configured("label", groups, {"methods": (method,), "primary": method,
                                         **settings}, _with_rows(field), seed)
  check_method(config)

  def scene_regions():
    return regions or field.regions or loading.make_regions(
        config, scene, field, loading.make_features(config, scene))

  assignment = parts.method_of(config, method, scene_regions)
  return scene_labeler_of(config, assignment, label_set_of(clicks, scene), field, scene)


def label_set_of(clicks: str | os.PathLike | Mapping | Clicks | LabelSet,
                 scene: Scene) -> LabelSet:
  """Clicks, however they are given, as the labelled pixels of a scene."""
  if isinstance(clicks, LabelSet):
    if not clicks.labels.classes:
      raise InputError("labels: say of no pixel what it is; add positive ones")
    return clicks
  if isinstance(clicks, Clicks):
    return labels_of_clicks(check_clicks(clicks, scene), scene)
  if isinstance(clicks, Mapping):
    return labels_of_clicks(parse_clicks(clicks, scene), scene)
  return labels_of_clicks(read_clicks(clicks, scene), scene, str(clicks))


def render_view(field: FittedField, scene: Scene,
                view: int | str) -> tuple[np.ndarray, np.ndarray]:
  """`rgb [H, W, 3]` in [0, 1] and `depth [H, W]` along z of one view."""
  number, shape_ = view_number(scene, view), scene.size[::-1]
  rgb, distance = _renderer(field).colors(field.params, rays_of_view(scene, number))
  return (np.clip(rgb, 0, 1).reshape(*shape_, 3),
          depth_of_view(scene, number, distance))


def respond(field: FittedField, scene: Scene, pixel: Sequence[int],
            view: int | str | None = None) -> np.ndarray:
  """`[H, W]` in [0, 1]: what answers in a view to a click on a pixel, without training.

  pixel: view, row, column, counted from 0 at the size of the scene's images; view: where
    the answer is looked at, by default the pixel's.

  Raises InputError for a pixel that the scene does not have.
  """
  renderer, pixel = _renderer(field), _pixel(pixel, scene)
  number = int(pixel[0, 0]) if view is None else view_number(scene, view)
  direction, = renderer.gradients(field.params, rays_of_pixels(scene, pixel))
  response, = renderer.map(field.params, rays_of_view(scene, number),
                           lambda chunk: response_map(chunk.J, direction))
  return response.reshape(scene.size[::-1])


def score_labels(labeler: SceneLabeler,
                 views: Sequence[int | str] | None = None) -> dict[str, Any]:
  """mIoU and accuracies of a labeler's label maps against the scene's ground truth.

  views: by default the test views. See `metrics.segmentation_scores`.
  """
  scene, label_set = labeler.scene, labeler.labeler.label_set
  truth = label_set.truth(scene)
  if truth is None:
    raise InputError(f"scene {scene.name}: has no ground truth to score labels against")
  num = 1 + max(int(truth.max()), max(label_set.classes))
  numbers = [view_number(scene, view) for view in (
      scene.test.tolist() if views is None else views)]
  if not numbers:
    raise InputError(f"scene {scene.name}: there are no views to score labels on")
  confusion = sum(metrics.confusion_matrix(
      labeler.label_view(view).classes, truth[view], num) for view in numbers)
  return metrics.segmentation_scores(confusion, label_set.classes)


@dataclasses.dataclass(frozen=True)
class OpenRun:
  """What a command left in a working folder.

  run: its config and folder; scene: the capture.
  """

  run: Run
  scene: Scene

  def __repr__(self) -> str:
    stages = ", ".join(self.metrics.get("stages", ())) or "nothing yet"
    return f"OpenRun({str(self.run.workdir.path)!r}: {stages}; {self.scene})"

  @property
  def metrics(self) -> dict[str, Any]:
    """The contents of metrics.json."""
    return self.run.workdir.read_metrics()

  def field(self, name: str = "shaped") -> FittedField:
    """The field of that name: `plain`, `shaped` or `shaped-oracle`, with its regions."""
    if name not in STAGE_OF_FIELD:
      raise InputError(f"{name!r}: must be one of {', '.join(STAGE_OF_FIELD)}")
    plain = loading.load_field(self.run, self.scene, "fit")
    regions = loading.kept_regions(self.run, self.scene, plain)
    field = plain if name == "plain" else loading.load_field(
        self.run, self.scene, STAGE_OF_FIELD[name])
    return field.replace(regions=regions)


def open_run(workdir: str | os.PathLike) -> OpenRun:
  """The results of a command; raises InputError where the folder holds none."""
  folder = Workdir(workdir)
  config = folder.read_config()
  if config is None:
    raise InputError(f"{folder.path}: holds no run; make one with python -m jnerf.main "
                     f"--config=experiments/capture.py --workdir={folder.path}")
  run = Run(config, folder)
  return OpenRun(run, loading.load_scene(run))


def _pixel(pixel: Sequence[int], scene: Scene) -> np.ndarray:
  """`[1, 3]` int64, checked."""
  place, bounds = np.asarray(pixel), (len(scene.frames), *scene.size[::-1])
  if place.shape != (3,) or not np.issubdtype(place.dtype, np.integer):
    raise InputError(f"pixel={pixel!r}: must be three integers: view, row, column")
  if (place < 0).any() or (place >= bounds).any():
    raise InputError(f"pixel={place.tolist()}: must lie below {bounds[0]} views, "
                     f"{bounds[1]} rows, {bounds[2]} columns")
  return place[None].astype(np.int64)


def _configured(section: str, groups, settings, config=None, seed: int = 0):
  config = configured("", (), {"seed": seed}, config)
  config = configured(section, groups, settings, config)
  validate(config)
  return config


def _renderer(field: FittedField):
  return parts.renderer_of(_with_rows(field), field.model, field.background)


def _with_rows(field: FittedField):
  """The default config, with the rows that the field was shaped by."""
  return configured("shape", () if field.rows is None else (field.rows,), {})


def _train(config, stage: str, model, params, data: PixelData):
  """Trains with a progress bar; the params after all steps."""
  training, section = parts.training_of(config, model, stage), parts.section_of(stage)
  devices.check_divisible(training.num_rays, devices.data_mesh(), f"{section}.num_rays")
  state = jax.jit(lambda params: state_lib.create(
      params, training.optimizer, config.shape.threshold))(params)
  bar = []

  def on_call(step, state, logs):
    if not logs:  # compiled: from now on it is the work itself that takes time
      bar.append(Progress(stage, total=training.num_steps,
                          rays_per_step=training.num_rays))
    else:
      bar[0].update(step, {name: logs[name] for name in PROGRESS_TERMS if name in logs})

  try:
    return train(state, data, stage_key(config.seed, stage), training, on_call=on_call,
                 on_device=num_bytes(data) <= config.runtime.device_data_bytes).params
  finally:
    for progress in bar:
      progress.close()
