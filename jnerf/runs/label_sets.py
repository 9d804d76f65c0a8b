"""What a run labels: the user's clicks, else the draws of the protocols."""

from __future__ import annotations

from collections.abc import Iterable

from ml_collections import ConfigDict

from jnerf.evaluating.protocols import draw_label_sets
from jnerf.labeling.labels import LabelSet, labels_of_clicks, labels_to_clicks
from jnerf.runs.workdir import Workdir
from jnerf.scenes.clicks import read_clicks, write_clicks
from jnerf.structs import Scene


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
