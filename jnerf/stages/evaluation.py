"""The stage `evaluate`: how good the fields and the labels are, and the report.

Every test view is rendered once per field; all sets of clicks and all methods
score the gradients of that one render; labels of pixels are then snapped to its edges,
where the config says so, those of rivals too. In 3D the same labelled pixels label the
surface points that the test views' depth shows: gradients of the points themselves,
whatever the field renders in front of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import functools
import time
from typing import Any

import jax
import numpy as np

from jnerf.evaluating import metrics
from jnerf.evaluating.protocols import score_row
from jnerf.labeling import views
from jnerf.labeling.assignment import Assignment, label_map, with_rows
from jnerf.labeling.edges import compact, snap_to_edges
from jnerf.labeling.views import ViewRenderer
from jnerf.stages import labels as labels_lib
from jnerf.stages.calibration import calibration_rows
from jnerf.stages.labels import LabelSet
from jnerf.stages.rivals import Method, features_of_pixels, make_rivals, our_methods
from jnerf.stages.session import Session
from jnerf.stages.training import trained_params
from jnerf.structs import Entities, Scene


@dataclasses.dataclass
class TestView:
  """A test view as one field renders it.

  rgb: `[H, W, 3]`; depth: `[H, W]` along the camera's z.
  labels: `(LabelSet.name, method)` to predicted classes `[H, W]`.
  """

  rgb: np.ndarray
  depth: np.ndarray
  labels: dict[tuple[str, str], np.ndarray]


@dataclasses.dataclass
class Labeler:
  """One method that has seen one set of labels.

  seconds: spent so far on fitting and scoring, rendering excluded.
  shared_seconds: spent so far on `Assignment.rows`, for all that take the same.
  origin: `field` and `pairs` of its rows, where they are not the rendering field's.
  edges: as of `labels.edge_settings`.
  """

  label_set: LabelSet
  method: str
  assignment: Assignment
  state: Any
  seconds: float = 0.0
  shared_seconds: float = 0.0
  origin: Mapping[str, str | None] = dataclasses.field(default_factory=dict)
  edges: Mapping[str, float] | None = None

  @property
  def key(self) -> tuple[str, str]:
    """Names it among the labelers of one field."""
    return self.label_set.name, self.method

  def scores(self, entities: Entities):
    """`[n, K]` scores of some entities, or `[n]` their classes where no view is needed.

    Scores of a view, by many methods from many sets of labels, would fill the memory:
    of 600x340 pixels and 20 classes they take 8 MB for each, in half precision.
    """
    began = time.perf_counter()
    found = self.assignment.scores(self.state, entities)
    if self._pixel_by_pixel:
      found = (compact(found) if self.edges else
               label_map(found, np.array(self.label_set.labels.classes)))
    found = jax.block_until_ready(found)
    self.seconds += time.perf_counter() - began
    return found

  def labels(self, flat: np.ndarray, size: tuple[int, int], rgb=None,
             distance=None) -> np.ndarray:
    """`[H, W]` class of every pixel of one view, from what `scores` found.

    rgb, distance: `[H * W, 3]`, `[H * W]` what is seen there, whose edges count.
    """
    began = time.perf_counter()
    found = flat.reshape(size[1], size[0], *flat.shape[1:])
    classes = np.array(self.label_set.labels.classes)
    if self.edges or not self._pixel_by_pixel:
      found = self.assignment.finish(found)
      if self.edges:
        found = snap_to_edges(found, rgb.reshape(*found.shape[:2], 3),
                              distance.reshape(found.shape[:2]), **self.edges)
      found = np.asarray(label_map(found, classes))
    found = self.label_set.classes_of(found)
    self.seconds += time.perf_counter() - began
    return found.astype(np.min_scalar_type(max(self.label_set.classes)))

  @property
  def _pixel_by_pixel(self) -> bool:
    return self.assignment.finish is Assignment.finish


@dataclasses.dataclass
class FieldResult:
  """What evaluation found for one field: rows of metrics.json and its test views.

  calibration: as `calibration.calibration_rows`.
  """

  views: dict[int, TestView]
  rows: list[dict]
  calibration: list[dict]
  psnr: float
  ssim: float
  depth_error_m: float | None


def evaluate_fields(session: Session, sets: list[LabelSet]) -> dict[str, FieldResult]:
  """Evaluates every trained field on all test views."""
  methods, results = our_methods(session), {}
  for field, stage in session.fields.items():
    if session.workdir.is_done(stage):
      rivals = make_rivals(session) if field == "plain" and sets else {}
      results[field] = evaluate_field(session, sets, field, methods | rivals)
  return results


def evaluate_field(session: Session, sets: list[LabelSet], field: str,
                   methods: dict[str, Method]) -> FieldResult:
  """Evaluates one field, named as in `session.fields`, and the methods on it."""
  print(f"evaluate: {field} field on {len(session.scene.test)} test views", flush=True)
  params = trained_params(session, session.fields[field])
  needs = [method.assignment for method in methods.values()]
  features_fn = None
  if any(assignment.needs_features for assignment in needs):
    features_fn = functools.partial(features_of_pixels, session)
  renderer = dataclasses.replace(
      labels_lib.view_renderer(session),
      samples=any(assignment.needs_samples for assignment in needs))
  labelers = _fit_labelers(session, renderer, params, sets, methods, features_fn)
  return _score_field(
      session.scene, renderer, params, labelers, field=field,
      pairs=labels_lib.pairs_name(session, field), features_fn=features_fn,
      dimensions=session.config.label.dimensions)


def _fit_labelers(session: Session, renderer: ViewRenderer, params,
                  sets: list[LabelSet], methods: dict[str, Method],
                  features_fn) -> list[Labeler]:
  """All methods fitted to all sets, from one render of all labelled pixels."""
  if not sets:
    return []
  scene = session.scene
  pixels = np.concatenate([label_set.labels.pixels for label_set in sets])
  clicked = renderer.entities(params, views.rays_of_pixels(scene, pixels),
                              features=features_fn and features_fn(pixels))
  adapt = labels_lib.adaptation(
      session, renderer, params, (method.assignment for method in methods.values()))
  seen = {method.assignment.rows: with_rows(method.assignment, clicked)
          for method in methods.values()}
  labelers, end = [], 0
  for label_set in sets:
    start, end = end, end + len(label_set.labels.class_ids)
    for name, method in methods.items():
      began, assignment = time.perf_counter(), method.assignment
      part = views.rows_of(seen[assignment.rows], slice(start, end))
      state = jax.block_until_ready(adapt(assignment, assignment.fit(
          part, label_set.labels.class_ids, np.array(label_set.labels.classes))))
      labelers.append(Labeler(label_set, name, assignment, state,
                              time.perf_counter() - began, origin=method.origin,
                              edges=labels_lib.edge_settings(session)))
  return labelers


def _score_field(scene: Scene, renderer: ViewRenderer, params, labelers: list[Labeler],
                 *, field: str, pairs: str | None, dimensions: Sequence[str],
                 features_fn=None) -> FieldResult:
  """Renders the test views once and scores colour, depth and labels.

  features_fn: `pixels [N, 3] -> [N, F]`, where a labeler needs features.
  """
  for_points = [dataclasses.replace(labeler, edges=None) for labeler in labelers]
  test_views, seconds = _label_views(scene, renderer, params, labelers, features_fn)
  rows = []
  if any(labeler.label_set.truth(scene) is not None for labeler in labelers):
    name_row = functools.partial(_row, scene, field=field, pairs=pairs)
    if "2d" in dimensions:
      labels = {view: found.labels for view, found in test_views.items()}
      rows += [name_row(labeler, labels, "2d", seconds) for labeler in labelers]
    if "3d" in dimensions:
      labels, seconds = _label_points(scene, renderer, params, for_points, features_fn)
      rows += [name_row(labeler, labels, "3d", seconds) for labeler in for_points]
  found = list(test_views.values())
  photos, scored = scene.photos(scene.test, renderer.background), _scored(scene)
  depth_error = None
  if scene.depth is not None and scene.depth[scene.test].any():
    depth_error = metrics.median_depth_error(
        np.stack([view.depth for view in found]),
        np.where(scored, scene.depth[scene.test], 0))
  return FieldResult(
      test_views, rows, depth_error_m=depth_error,
      calibration=calibration_rows(scene, renderer, params, labelers, field=field,
                                   pairs=pairs),
      psnr=float(np.mean([metrics.psnr(v.rgb[m], p[m])
                          for v, p, m in zip(found, photos, scored)])),
      ssim=float(np.mean([metrics.ssim(np.where(m[..., None], v.rgb, p), p)
                          for v, p, m in zip(found, photos, scored)])))


def _scored(scene: Scene) -> np.ndarray:
  """`[T, H, W]` bool: the pixels of the test views that count.

  SSIM, which needs whole windows, takes the others as right.
  """
  if scene.mask is None:
    return np.ones((len(scene.test), *scene.images.shape[1:3]), bool)
  return scene.mask[scene.test]


def _label_views(scene: Scene, renderer: ViewRenderer, params, labelers: list[Labeler],
                 features_fn) -> tuple[dict[int, TestView], float]:
  """The test views by their number, and the seconds that rendering them took."""
  test_views, clock = {}, _RenderingClock(labelers)
  width, height = scene.size
  for view in scene.test.tolist():
    rgb, distance, scores = renderer.map(
        params, views.rays_of_view(scene, view), lambda chunk: chunk.rendering.rgb,
        lambda chunk: chunk.rendering.distance_median,
        functools.partial(_all_scores, labelers),
        features=features_fn and features_fn(views.pixels_of_view(scene, view)))
    test_views[view] = TestView(
        np.clip(rgb, 0, 1).reshape(height, width, 3),
        views.depth_of_view(scene, view, distance),
        {labeler.key: labeler.labels(flat, scene.size, rgb, distance)
         for labeler, flat in zip(labelers, scores)})
  return test_views, clock.seconds()


def _label_points(scene: Scene, renderer: ViewRenderer, params, labelers: list[Labeler],
                  features_fn) -> tuple[dict[int, dict], float]:
  """Labels of the surface points of every test view, and the seconds of the field.

  `TestView.labels` by view; what they say where no depth is known means nothing.
  """
  labels, clock = {}, _RenderingClock(labelers)
  for view in scene.test.tolist():
    scores, = renderer.map(params, views.rays_of_view(scene, view),
                           functools.partial(_all_scores, labelers),
                           distance=views.distance_of_view(scene, view),
                           features=features_fn and features_fn(
                               views.pixels_of_view(scene, view)))
    labels[view] = {labeler.key: labeler.labels(flat, scene.size)
                    for labeler, flat in zip(labelers, scores)}
  return labels, clock.seconds()


def _all_scores(labelers: list[Labeler], entities: Entities) -> list:
  """What every labeler's `scores` says; rows that several take are worked out once."""
  seen, spent = {None: entities}, {None: 0.0}
  for method in {labeler.assignment.rows: labeler.assignment for labeler in labelers
                 if labeler.assignment.rows}.values():
    began = time.perf_counter()
    seen[method.rows] = with_rows(method, entities)
    spent[method.rows] = time.perf_counter() - began
  for labeler in labelers:
    labeler.shared_seconds += spent[labeler.assignment.rows]
  return [labeler.scores(seen[labeler.assignment.rows]) for labeler in labelers]


class _RenderingClock:
  """Measures time from its making on, what the labelers spend left out."""

  def __init__(self, labelers: list[Labeler]):
    self._labelers = labelers
    self._began = time.perf_counter() - self._spent()

  def seconds(self) -> float:
    return time.perf_counter() - self._spent() - self._began

  def _spent(self):
    shared = {labeler.assignment.rows: labeler.shared_seconds
              for labeler in self._labelers}
    return sum(labeler.seconds for labeler in self._labelers) + sum(shared.values())


def _row(scene: Scene, labeler: Labeler, labels: dict[int, dict], dimension: str,
         rendering_seconds: float, *, field: str, pairs: str | None) -> dict:
  """The row of metrics.json for one method and one set of labels.

  labels: `TestView.labels` by view. In 3D only surface that has depth is scored.
  Its seconds are what labelling all test views takes: one render and the method.
  """
  label_set = labeler.label_set
  truth = label_set.truth(scene)[list(labels)]
  if dimension == "3d":
    truth = np.where(scene.depth[list(labels)] > 0, truth, 0)
  ids = np.unique([0, *label_set.classes, *np.unique(truth)])
  confusion = sum(metrics.confusion_matrix(
      np.searchsorted(ids, labels[view][labeler.key]), np.searchsorted(ids, classes),
      len(ids)) for view, classes in zip(labels, truth))
  return score_row(
      method=labeler.method, **{"field": field, "pairs": pairs, **labeler.origin},
      protocol=label_set.protocol, clicks=len(label_set.labels.class_ids),
      seed=label_set.seed, dimension=dimension, confusion=confusion,
      clicked=label_set.classes, ids=ids,
      seconds=rendering_seconds + labeler.seconds + labeler.shared_seconds)
