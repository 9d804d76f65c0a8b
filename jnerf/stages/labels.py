"""What is labelled by whom: the sets of labelled pixels that a config asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
import dataclasses
import functools
from typing import Any

import numpy as np

from jnerf.errors import InputError
from jnerf.evaluating.protocols import (
  Labels,
  draw_labels,
  labels_to_clicks,
  parse_protocol,
)
from jnerf.labeling import views
from jnerf.labeling.assignment import Assignment, make_assignment
from jnerf.labeling.merging import instance_classes, merge_instances
from jnerf.labeling.region_classifier import region_classifier
from jnerf.labeling.views import ViewRenderer
from jnerf.scenes.clicks import labelled_pixels, read_clicks, write_clicks
from jnerf.scenes.pixels import random_pixels
from jnerf.shaping.contrast import RGB_KERNEL
from jnerf.stages.regions import region_kernel
from jnerf.stages.session import Session
from jnerf.stages.training import trained_params
from jnerf.structs import Scene

NUM_UNLABELLED = 4096  # pixels from which methods learn how much there is of what
CLICKS_FILE = "file"  # the "protocol" of a user's own clicks


@dataclasses.dataclass(frozen=True)
class LabelSet:
  """Labelled pixels and where they come from.

  protocol: of `evaluating.protocols`, or `file`; seed: of its draw.
  labels: the pixels and their classes, or instances.
  merge_into: class of each labelled instance, where predictions are merged.
  """

  protocol: str
  seed: int
  labels: Labels
  merge_into: Mapping[int, int] | None = None

  @property
  def name(self) -> str:
    """For file names."""
    return f"{self.protocol}-seed{self.seed}" if self.is_drawn else self.protocol

  @property
  def is_drawn(self) -> bool:
    """Whether its pixels are clicks that a seed chose."""
    return self.protocol != CLICKS_FILE and parse_protocol(self.protocol).is_drawn

  @property
  def target(self) -> str:
    """`semantic`, `instance` or `merged`, see `Protocol`."""
    return ("semantic" if self.protocol == CLICKS_FILE
            else parse_protocol(self.protocol).target)

  @property
  def classes(self) -> list[int]:
    """What is predicted and scored, ascending."""
    return self.labels.classes if self.merge_into is None else sorted(
        set(self.merge_into.values()))

  def classes_of(self, predicted: np.ndarray) -> np.ndarray:
    """Predicted labels as they are scored: instances merged where they are to be."""
    if self.merge_into is None:
      return predicted
    return merge_instances(predicted, self.merge_into)

  def truth(self, scene: Scene) -> np.ndarray | None:
    """`[V, H, W]` what its predictions are scored against, where the scene has it."""
    return scene.instance if self.target == "instance" else scene.semantic


def label_sets(session: Session) -> list[LabelSet]:
  """The user's clicks, else the protocols' draws; none where nothing is labelled."""
  scene, settings = session.scene, session.config.label
  if settings.clicks:
    clicks = read_clicks(settings.clicks, scene)
    labels = Labels(*labelled_pixels(clicks, scene))
    if not labels.classes:
      raise InputError(f"label.clicks={settings.clicks}: says of no pixel what it is; "
                       "add clicks, scribbles or masks")
    return [LabelSet(CLICKS_FILE, 0, labels)]
  sets = []
  for protocol in settings.protocols:
    parsed = parse_protocol(protocol)
    if parsed.target != "semantic" or scene.semantic is not None:
      sets += [_draw(scene, protocol, seed)
               for seed in range(settings.seeds if parsed.is_drawn else 1)]
  return sets


def _draw(scene: Scene, protocol: str, seed: int) -> LabelSet:
  labels, merge_into = draw_labels(scene, protocol, seed), None
  if parse_protocol(protocol).target == "merged":
    merge_into = instance_classes(labels.class_ids, _semantic(scene, labels))
  return LabelSet(protocol, seed, labels, merge_into)


def _semantic(scene: Scene, labels: Labels) -> np.ndarray:
  """`[M]` semantic classes of labelled pixels."""
  return scene.semantic[tuple(labels.pixels.T)]


def store_clicks(session: Session, sets: list[LabelSet]) -> None:
  """Writes the clicks that were drawn as `clicks/<name>.json`."""
  for label_set in sets:
    if label_set.is_drawn:
      write_clicks(session.workdir.folder("clicks") / f"{label_set.name}.json",
                   labels_to_clicks(label_set.labels, session.scene,
                                    click_names(session, label_set)))


def click_names(session: Session, label_set: LabelSet) -> dict[int, str]:
  """Names of what the clicks are on: classes, or instances such as `chair 12`."""
  if label_set.target == "semantic":
    return class_names(session)
  scene, labels = session.scene, label_set.labels
  if scene.semantic is None:
    return {i: f"instance {i}" for i in labels.classes}
  classes = instance_classes(labels.class_ids, _semantic(scene, labels))
  return {0: "void", **{i: f"{scene.class_names.get(c, f'class {c}')} {i}"
                        for i, c in classes.items()}}


def class_names(session: Session, label_set: LabelSet | None = None) -> dict[int, str]:
  """Class id to name, from the user's clicks file where there is one.

  label_set: the names of what it predicts, which may be instances.
  """
  if label_set is not None and label_set.target == "instance":
    return click_names(session, label_set)
  if session.config.label.clicks:
    return {0: "void", **read_clicks(session.config.label.clicks, session.scene).classes}
  return session.scene.class_names


def assignments(session: Session) -> dict[str, Assignment]:
  """The methods that the config names."""
  return {name: assignment(session, name) for name in session.config.label.methods}


def assignment(session: Session, method: str) -> Assignment:
  """One method; `regions` is over the surfaces of the plain field, which it waits for."""
  settings = session.config.label
  if method != "regions":
    return _of_gradients(session, method)
  regions, kernel = region_kernel(
      session, functools.partial(trained_params, session, "fit"))
  return region_classifier(
      regions.grid, session.space.unit_cube, kernel,
      ridge=settings.ridge, gradient_weight=settings.gradient_weight,
      area_prior=settings.area_prior)


def adaptation(session: Session, renderer: ViewRenderer, params,
               methods: Iterable[Assignment]) -> Callable[[Assignment, Any], Any]:
  """`(assignment, state) -> state` that has seen what no label is given for.

  renderer, params: of the field that labels. methods: those that will be asked for;
  random pixels of the training views are rendered where any of them adapts.
  """
  unlabelled = None
  if any(method.adapt for method in methods):
    pixels = random_pixels(session.scene, NUM_UNLABELLED, session.config.seed)
    unlabelled = renderer.entities(params, views.rays_of_pixels(session.scene, pixels))

  def adapt(method: Assignment, state):
    return method.adapt(state, unlabelled) if method.adapt else state

  return adapt


def edge_settings(session: Session) -> dict[str, float] | None:
  """Keyword arguments of `labeling.edges`; None where labels are left as they are."""
  settings = session.config.label
  if not settings.edge_passes:
    return None
  return {"passes": settings.edge_passes, "color_scale": settings.edge_color_scale,
          "depth_scale": settings.edge_depth_scale}


def tells_probabilities(session: Session) -> bool:
  """Whether the primary method does; asked before there is a field."""
  method = session.config.label.primary
  return method == "regions" or _of_gradients(session, method).probabilities is not None


def _of_gradients(session: Session, method: str) -> Assignment:
  """The finite nudge of the paper's recipe needs whole gradients of the rgb kernel; for
  other parameters, or a sketch, it is replaced by its linear limit."""
  settings, shape = session.config.label, session.config.shape
  finite = shape.params == RGB_KERNEL and shape.jacobian != "sketch"
  shared = ("bandwidth", "ridge", "paper_step", "directions", "num_centres", "response",
            "position_scale", "mlp")
  return make_assignment(method, finite=finite, seed=session.config.seed,
                         **{name: settings[name] for name in shared})


def view_renderer(session: Session) -> ViewRenderer:
  """Renders views with the gradients, or activations, that are shaped."""
  needs_samples = any(_of_gradients(session, method).needs_samples
                      for method in session.config.label.methods if method != "regions")
  return ViewRenderer(session.model, session.recipe(oracle=False),
                      chunk=session.config.runtime.chunk,
                      background=session.background(), samples=needs_samples)


def pairs_name(session: Session, field: str) -> str | None:
  """What chose the positives of a field: the features, and what was joined to them.

  Those of regions, the default, need no further name; those of each view by itself do.
  """
  if field != "shaped":
    return {"plain": None, "shaped-oracle": "oracle"}[field]
  shape = session.config.shape
  joined = {"view": shape.pairs == "features" and not shape.fuse_features,
            "fused": shape.fuse_features, "color": shape.color_scale,
            "position": shape.position_scale, "normal": shape.normal_scale,
            "hints": shape.hints}
  return "+".join([session.features_source, *(n for n, used in joined.items() if used)])
