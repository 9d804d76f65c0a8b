"""What a run labels, a user's clicks or draws of the protocols, and by what."""

from __future__ import annotations

from collections.abc import Iterable

from ml_collections import ConfigDict

from jnerf.evaluating.protocols import draw_label_sets
from jnerf.fields.fitted import FittedField
from jnerf.labeling.assignment import Assignment
from jnerf.labeling.labels import LabelSet, labels_of_clicks, labels_to_clicks
from jnerf.labeling.scene_labeler import SceneLabeler, fit_scene_labeler
from jnerf.runs import parts
from jnerf.runs.workdir import Workdir
from jnerf.scenes.clicks import read_clicks, write_clicks
from jnerf.structs import Rays, Scene


def label_sets(config: ConfigDict, scene: Scene) -> list[LabelSet]:
  """The sets of labels that the config asks for; none where nothing is labelled."""
  settings = config.label
  if settings.clicks:
    return [labels_of_clicks(read_clicks(settings.clicks, scene), scene,
                             f"label.clicks={settings.clicks}")]
  return draw_label_sets(scene, settings.protocols, settings.seeds)


def store_clicks(workdir: Workdir, scene: Scene, sets: Iterable[LabelSet]) -> None:
  """Writes the clicks that were drawn as `clicks/<name>.json`."""
  for label_set in sets:
    if label_set.drawn:
      write_clicks(workdir.folder("clicks") / f"{label_set.name}.json",
                   labels_to_clicks(label_set, scene))


def scene_labeler_of(config: ConfigDict, method: Assignment, label_set: LabelSet,
                     field: FittedField, scene: Scene,
                     rays: Rays | None = None) -> SceneLabeler:
  """A method, taught the labels; rays: through them, where they are not the scene's."""
  return fit_scene_labeler(
      method, label_set, field, scene,
      parts.renderer_of(config, field.model, field.background, [method]),
      edges=parts.edges_of(config), min_confidence=config.label.min_confidence,
      seed=config.seed, rays=rays)
