"""How good a field and its labels are, on the test views.

Every test view is rendered once; all sets of clicks and all methods score the rows of
that one render; labels of pixels are then snapped to its edges, where the settings say
so, those of rivals too. In 3D the same labelled pixels label the surface points that the
test views' depth shows: gradients of the points themselves, whatever the field renders in
front of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import dataclasses

import jax
import numpy as np

from jnerf.evaluating import metrics
from jnerf.evaluating.calibration import calibration_rows
from jnerf.evaluating.protocols import score_row
from jnerf.evaluating.stopwatch import Stopwatch
from jnerf.fields.fitted import FittedField
from jnerf.labeling.assignment import Assignment, best_classes, with_rows
from jnerf.labeling.edges import EdgeSettings, compact
from jnerf.labeling.labeler import Labeler, fit_labeler
from jnerf.labeling.labels import LabelSet
from jnerf.labeling.scene_labeler import unlabelled_entities
from jnerf.scenes import rays as rays_lib
from jnerf.shaping.renderer import ViewRenderer, take
from jnerf.structs import Entities, Scene

# `pixels [N, 3] -> [N, F]`: features of the photographs at view, row, column.
FeaturesFn = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Method:
  """A method to be evaluated.

  assignment: how it labels.
  origin: `field` and `pairs` of its rows, where they are not those of the field that
    renders: whose geometry a rival uses, and which features.
  """

  assignment: Assignment
  origin: Mapping[str, str | None] = dataclasses.field(default_factory=dict)


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
class FieldResult:
  """What evaluation found for one field: rows of metrics.json and its test views.

  calibration: as of `calibration_rows`.
  """

  views: dict[int, TestView]
  rows: list[dict]
  calibration: list[dict]
  psnr: float
  ssim: float
  depth_error_m: float | None


@dataclasses.dataclass(frozen=True)
class Entrant:
  """A method that has learnt from one set of labels; name: the method's."""

  name: str
  labeler: Labeler
  origin: Mapping[str, str | None]

  @property
  def key(self) -> tuple[str, str]:
    """Names it among those of one field."""
    return self.labeler.label_set.name, self.name


@dataclasses.dataclass(frozen=True)
class Evaluation:
  """One field under evaluation.

  scene: with its test views; field, name, pairs: the field, its name and what chose its
    pairs, for rows.
  renderer: with all that the methods need; features_fn: where a method needs features.
  watch: what was spent on fitting, in 2D and in 3D, by entrant and by shared rows.
  """

  scene: Scene
  field: FittedField
  name: str
  pairs: str | None
  renderer: ViewRenderer
  features_fn: FeaturesFn | None = None
  watch: Stopwatch = dataclasses.field(default_factory=Stopwatch)

  def run(self, methods: Mapping[str, Method], sets: Sequence[LabelSet], *,
          edges: EdgeSettings, dimensions: Sequence[str] = ("2d",),
          seed: int = 0) -> FieldResult:
    """Scores colour, depth and, where there are sets of labels, all methods on all.

    seed: of the unlabelled pixels that methods adapt to.
    """
    return self.score(self.fit(methods, sets, edges, seed), dimensions)

  def fit(self, methods: Mapping[str, Method], sets: Sequence[LabelSet],
          edges: EdgeSettings, seed: int = 0) -> list[Entrant]:
    """All methods fitted to all sets, from one render of all labelled pixels."""
    if not sets:
      return []
    pixels = np.concatenate([label_set.labels.pixels for label_set in sets])
    labelled = self.renderer.entities(
        self.field.params, rays_lib.rays_of_pixels(self.scene, pixels),
        features=self.features_fn and self.features_fn(pixels))
    unlabelled = None
    if any(method.assignment.adapts for method in methods.values()):
      unlabelled = unlabelled_entities(self.renderer, self.field, self.scene, seed)
    rows = {method.assignment.rows: with_rows(method.assignment, labelled)
            for method in methods.values()}
    entrants, end = [], 0
    for label_set in sets:
      start, end = end, end + len(label_set.labels.class_ids)
      for name, method in methods.items():
        part = take(rows[method.assignment.rows], slice(start, end))
        with self.watch.on(("fit", (label_set.name, name))):
          labeler = fit_labeler(method.assignment, part, label_set, unlabelled, edges)
          jax.block_until_ready(jax.tree.leaves(labeler.classifier))
        entrants.append(Entrant(name, labeler, method.origin))
    return entrants

  def score(self, entrants: Sequence[Entrant],
            dimensions: Sequence[str] = ("2d",)) -> FieldResult:
    """Renders the test views once and scores colour, depth and labels."""
    scene = self.scene
    views, seconds = self._label_views(entrants)
    rows = []
    if any(entrant.labeler.label_set.truth(scene) is not None for entrant in entrants):
      if "2d" in dimensions:
        labels = {view: result.labels for view, result in views.items()}
        rows += [self._row(entrant, labels, "2d", seconds) for entrant in entrants]
      if "3d" in dimensions:
        labels, seconds = self._label_points(entrants)
        rows += [self._row(entrant, labels, "3d", seconds) for entrant in entrants]
    calibration = calibration_rows(
        scene, self.renderer, self.field,
        [(entrant.name, entrant.labeler) for entrant in entrants], name=self.name,
        pairs=self.pairs)
    return FieldResult(views, rows, calibration,
                       **quality(scene, views, self.field.background))

  def _label_views(self, entrants) -> tuple[dict[int, TestView], float]:
    """The test views by their number, and the seconds that rendering them took."""
    views, began = {}, self.watch.others()
    shape = self.scene.size[::-1]
    for view in self.scene.test.tolist():
      rgb, distance, scores = self._map(view, entrants)
      labels = {}
      for entrant, flat in zip(entrants, scores):
        with self.watch.on(("2d", entrant.key)):
          labels[entrant.key] = _classes_of_view(
              entrant.labeler, flat.reshape(*shape, *flat.shape[1:]),
              rgb.reshape(*shape, 3), distance.reshape(shape))
      views[view] = TestView(np.clip(rgb, 0, 1).reshape(*shape, 3),
                             rays_lib.depth_of_view(self.scene, view, distance), labels)
    return views, self.watch.others() - began

  def _label_points(self, entrants) -> tuple[dict[int, dict], float]:
    """Labels of the surface points of every test view, and the seconds of the field.

    As `TestView.labels`, by view; what they say where no depth is known means nothing.
    """
    labels, began = {}, self.watch.others()
    shape = self.scene.size[::-1]
    of_points = [dataclasses.replace(entrant, labeler=dataclasses.replace(
        entrant.labeler, edges=EdgeSettings(edge_passes=0))) for entrant in entrants]
    for view in self.scene.test.tolist():
      scores = self._map(view, of_points,
                         rays_lib.distance_of_view(self.scene, view))[-1]
      labels[view] = {}
      for entrant, flat in zip(of_points, scores):
        with self.watch.on(("3d", entrant.key)):
          labels[view][entrant.key] = _classes_of_view(
              entrant.labeler, flat.reshape(*shape, *flat.shape[1:]))
    return labels, self.watch.others() - began

  def _map(self, view: int, entrants, distance=None) -> list:
    """rgb, distance and every entrant's scores over the pixels, or points, of a view."""
    features = self.features_fn and self.features_fn(
        rays_lib.pixels_of_view(self.scene, view))
    return self.renderer.map(
        self.field.params, rays_lib.rays_of_view(self.scene, view),
        lambda chunk: chunk.rgb, lambda chunk: chunk.distance,
        lambda chunk: self._scores(entrants, chunk, "2d" if distance is None else "3d"),
        distance=distance, features=features)

  def _scores(self, entrants, entities: Entities, dimension: str) -> list:
    """What every entrant says; rows that several take are worked out once."""
    rows = {None: entities}
    for method in {entrant.labeler.assignment.rows: entrant.labeler.assignment
                   for entrant in entrants}.values():
      if method.rows is not None:
        with self.watch.on((dimension, method.rows)):
          rows[method.rows] = with_rows(method, entities)
    scores = []
    for entrant in entrants:
      with self.watch.on((dimension, entrant.key)):
        scores.append(jax.block_until_ready(_scores_of_chunk(
            entrant.labeler, rows[entrant.labeler.assignment.rows])))
    return scores

  def _row(self, entrant: Entrant, labels: Mapping[int, Mapping], dimension: str,
           rendering_seconds: float) -> dict:
    """The row of metrics.json for one method and one set of labels.

    labels: `TestView.labels` by view. In 3D only surface that has depth is scored.
    Its seconds are what labelling all test views takes: one render and the method.
    """
    label_set, rows = entrant.labeler.label_set, entrant.labeler.assignment.rows
    truth = label_set.truth(self.scene)[list(labels)]
    if dimension == "3d":
      truth = np.where(self.scene.depth[list(labels)] > 0, truth, 0)
    ids = np.unique([0, *label_set.classes, *np.unique(truth)])
    confusion = sum(metrics.confusion_matrix(
        np.searchsorted(ids, labels[view][entrant.key]), np.searchsorted(ids, classes),
        len(ids)) for view, classes in zip(labels, truth))
    return score_row(
        method=entrant.name, **{"field": self.name, "pairs": self.pairs,
                                **entrant.origin},
        protocol=label_set.protocol, clicks=len(label_set.labels.class_ids),
        seed=label_set.seed, dimension=dimension, confusion=confusion,
        clicked=label_set.classes, ids=ids,
        seconds=rendering_seconds + sum(map(self.watch.seconds, (
            ("fit", entrant.key), (dimension, entrant.key), (dimension, rows)))))


def quality(scene: Scene, views: Mapping[int, TestView], background: float) -> dict:
  """`psnr`, `ssim` and `depth_error_m` (or None) of all test views.

  SSIM, which needs whole windows, takes masked pixels as right.
  """
  results, photos = list(views.values()), scene.photos(scene.test, background)
  scored = np.ones((len(scene.test), *scene.images.shape[1:3]), bool)
  if scene.mask is not None:
    scored = scene.mask[scene.test]
  depth_error = None
  if scene.has_test_depth:
    depth_error = metrics.median_depth_error(
        np.stack([view.depth for view in results]),
        np.where(scored, scene.depth[scene.test], 0))
  return {
      "psnr": float(np.mean([metrics.psnr(view.rgb[mask], photo[mask]) for
                             view, photo, mask in zip(results, photos, scored)])),
      "ssim": float(np.mean([
          metrics.ssim(np.where(mask[..., None], view.rgb, photo), photo)
          for view, photo, mask in zip(results, photos, scored)])),
      "depth_error_m": depth_error}


def _needs_view(labeler: Labeler) -> bool:
  return labeler.assignment.finishes or labeler.edges.edge_passes > 0


def _scores_of_chunk(labeler: Labeler, entities: Entities):
  """`[n, K]` scores of some entities, or `[n]` their classes where no view is needed.

  Scores of a view, by many methods from many sets of labels, would fill the memory:
  of 600x340 pixels and 20 classes they take 8 MB for each, in half precision.
  """
  scores = labeler.scores(entities)
  if not _needs_view(labeler):
    return best_classes(scores, labeler.class_ids)
  return scores if labeler.assignment.finishes else compact(scores)


def _classes_of_view(labeler: Labeler, scores, rgb=None, distance=None) -> np.ndarray:
  """`[H, W]` class of every pixel of one view, in as few bits as hold them."""
  if _needs_view(labeler):
    classes = labeler.label_map(scores, rgb, distance).classes
  else:
    classes = labeler.label_set.merged(scores)
  return classes.astype(np.min_scalar_type(max(labeler.label_set.classes)))
