"""Label maps as files: `labels/<name>/` and `confidence/<name>/` of a working folder."""

from __future__ import annotations

from collections.abc import Iterable
import pathlib

import numpy as np

from jnerf.labeling.scene_labeler import SceneLabeler
from jnerf.runs.run import Run
from jnerf.training.progress import over_views
from jnerf.viewing.palette import write_confidence_png, write_label_png


def write_views(scene_labeler: SceneLabeler, views: Iterable[int], folder: pathlib.Path,
                name: str, min_confidence: float) -> None:
  """Writes `<frame>.png` of classes and, of methods that tell it, of confidence.

  In `labels/<name>` and `confidence/<name>` of the folder; files of other labels,
  perhaps of other views, are removed from both. Below `min_confidence` a pixel is void.
  """
  labels, confidences = folder / "labels" / name, folder / "confidence" / name
  for place in (labels, confidences):
    for stale in place.glob("*.png"):
      stale.unlink()
  scene = scene_labeler.scene
  for view in over_views(list(views), "propagate"):
    label_map = scene_labeler.label_view(view)
    # What the scene does not hold is void, and what nobody can tell.
    inside = True if scene.mask is None else scene.mask[view]
    if label_map.confidence is not None:
      inside = inside & (label_map.confidence >= min_confidence)
      write_confidence_png(confidences / f"{scene.frames[view]}.png",
                           label_map.confidence)
    write_label_png(labels / f"{scene.frames[view]}.png",
                    np.where(inside, label_map.classes, 0))


def label_lines(run: Run, name: str) -> str:
  """Where the label maps of that name are."""
  folder = run.workdir.path
  lines = [f"label maps: {folder / 'labels' / name}"]
  if (folder / "confidence" / name).exists():
    lines.append(f"confidence: {folder / 'confidence' / name}")
  return "\n".join(lines)
