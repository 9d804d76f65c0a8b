"""Label maps as files: `labels/<name>/` and `confidence/<name>/` of a working folder."""

from __future__ import annotations

from collections.abc import Iterable
import pathlib

from jnerf.labeling.scene_labeler import SceneLabeler
from jnerf.runs.run import Run
from jnerf.training.progress import over_views
from jnerf.viewing.palette import write_confidence_png, write_label_png


def write_views(scene_labeler: SceneLabeler, views: Iterable[int], folder: pathlib.Path,
                name: str) -> None:
  """Writes `<frame>.png` of classes and, of methods that tell it, of confidence.

  In `labels/<name>` and `confidence/<name>` of the folder; files of other labels,
  perhaps of other views, are removed from both.
  """
  labels, confidences = folder / "labels" / name, folder / "confidence" / name
  for place in (labels, confidences):
    for stale in place.glob("*.png"):
      stale.unlink()
  scene = scene_labeler.scene
  for view in over_views(list(views), "propagate"):
    label_map = scene_labeler.label_view(view)
    if label_map.confidence is not None:
      write_confidence_png(confidences / f"{scene.frames[view]}.png",
                           label_map.confidence)
    write_label_png(labels / f"{scene.frames[view]}.png", label_map.classes)


def label_lines(run: Run, name: str) -> str:
  """Where the label maps of that name are."""
  folder = run.workdir.path
  lines = [f"label maps: {folder / 'labels' / name}"]
  if (folder / "confidence" / name).exists():
    lines.append(f"confidence: {folder / 'confidence' / name}")
  return "\n".join(lines)
