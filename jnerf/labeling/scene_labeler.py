"""A labeler at work on a scene: with the field and the views that it labels."""

from __future__ import annotations

import dataclasses

import numpy as np

from jnerf.errors import InputError
from jnerf.fields.fitted import FittedField
from jnerf.labeling.assignment import Assignment
from jnerf.labeling.edges import EdgeSettings
from jnerf.labeling.labeler import Labeler, LabelMap, fit_labeler
from jnerf.labeling.labels import LabelSet
from jnerf.scenes.pixels import random_pixels
from jnerf.scenes.rays import rays_of_pixels, rays_of_view
from jnerf.shaping.renderer import ViewRenderer
from jnerf.structs import Entities, Rays, Scene

NUM_UNLABELLED = 4096  # pixels from which methods learn how much there is of what


@dataclasses.dataclass(frozen=True)
class SceneLabeler:
  """Labels the views of a scene.

  labeler: what was learnt; renderer, field: what renders the views; scene: which views.
  labelled: the entities that it was learnt from; unlabelled: random pixels that it was
    adapted to, or None where its method learns nothing from them.
  min_confidence: of what is not void, of methods that tell it.
  """

  labeler: Labeler
  renderer: ViewRenderer
  field: FittedField
  scene: Scene
  labelled: Entities
  unlabelled: Entities | None = None
  min_confidence: float = 0.0

  def __repr__(self) -> str:
    method = type(self.labeler.assignment).__name__
    return (f"SceneLabeler({method}, {len(self.labeler.label_set.classes)} classes, "
            f"{len(self.scene.frames)} views of {self.scene.name})")

  def label_view(self, view: int | str) -> LabelMap:
    """Renders and labels one view, by its number or by its frame's name.

    What the scene does not hold is void, and what nobody can tell.
    """
    number = view_number(self.scene, view)
    fns = [self.labeler.scores]
    if self.labeler.assignment.tells_probabilities:
      fns.append(self.labeler.probabilities)
    rgb, distance, *scored = self.renderer.map(
        self.field.params, rays_of_view(self.scene, number),
        lambda chunk: chunk.rgb, lambda chunk: chunk.distance, *fns)
    shape = self.scene.size[::-1]
    label_map = self.labeler.label_map(*(
        values.reshape(*shape, *values.shape[1:]) for values in (
            scored[0], rgb, distance, *scored[1:])))
    inside = np.True_ if self.scene.mask is None else self.scene.mask[number]
    if label_map.confidence is not None:
      inside = inside & (label_map.confidence >= self.min_confidence)
    return dataclasses.replace(label_map, classes=np.where(inside, label_map.classes, 0))


def fit_scene_labeler(method: Assignment, label_set: LabelSet, field: FittedField,
                      scene: Scene, renderer: ViewRenderer, *,
                      edges: EdgeSettings = EdgeSettings(),
                      min_confidence: float = 0.0, seed: int = 0,
                      rays: Rays | None = None) -> SceneLabeler:
  """Teaches a method the labels, as the field renders their pixels.

  Args:
    method: how to label; label_set: what is labelled.
    field: the one that labels; scene: whose views will be labelled.
    renderer: with all that the method needs.
    edges: how label maps are snapped to what a view shows.
    min_confidence: below it a pixel is void.
    seed: of the random pixels that methods adapt to.
    rays: through the labelled pixels; by default those of the scene.
  """
  if rays is None:
    rays = rays_of_pixels(scene, label_set.labels.pixels)
  labelled, unlabelled = renderer.entities(field.params, rays), None
  if method.adapts:
    unlabelled = unlabelled_entities(renderer, field, scene, seed)
  labeler = fit_labeler(method, labelled, label_set, unlabelled, edges)
  return SceneLabeler(labeler, renderer, field, scene, labelled, unlabelled,
                      min_confidence)


def unlabelled_entities(renderer: ViewRenderer, field: FittedField, scene: Scene,
                        seed: int) -> Entities:
  """Random pixels of the training views, for methods that adapt."""
  pixels = random_pixels(scene, NUM_UNLABELLED, seed)
  return renderer.entities(field.params, rays_of_pixels(scene, pixels))


def view_number(scene: Scene, view: int | str) -> int:
  """The number of a view, given that or the name of its frame."""
  if not isinstance(view, str):
    if not 0 <= view < len(scene.frames):
      raise InputError(f"the scene has no view {view}; its views count from 0 to "
                       f"{len(scene.frames) - 1}")
    return int(view)
  if view not in scene.frames:
    raise InputError(f"the scene has no frame {view!r}; its frames are like "
                     f"{scene.frames[0]!r}")
  return scene.frames.index(view)
