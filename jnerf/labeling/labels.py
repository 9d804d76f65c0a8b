"""Labelled pixels as a value: what is labelled, its names, and where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses

import numpy as np

from jnerf.errors import InputError
from jnerf.labeling.merging import merge_instances
from jnerf.scenes.clicks import full_resolution_xy, labelled_pixels
from jnerf.structs import Click, Clicks, Scene

CLICKS_FILE = "file"  # the "protocol" of a user's own clicks


@dataclasses.dataclass(frozen=True)
class Labels:
  """M labelled pixels at working resolution; clicks and full frames alike.

  pixels: `[M, 3]` int64 (view, row, column), view as in `Scene.frames`.
  class_ids: `[M]` int64, never void; -c: not class c.
  """

  pixels: np.ndarray
  class_ids: np.ndarray

  @property
  def classes(self) -> list[int]:
    """Distinct class ids, ascending: the classes that were clicked.

    One of which it is only known where it is not can be named nowhere.
    """
    return [int(c) for c in np.unique(self.class_ids) if c > 0]


@dataclasses.dataclass(frozen=True)
class LabelSet:
  """Labels with their names, and where they come from.

  labels: the pixels and their classes, or instances.
  names: of what is labelled, by id, void included: classes, or instances (`chair 12`).
  protocol: of `evaluating.protocols`, or `file`; seed: of its draw.
  drawn: whether the pixels are clicks that the seed chose.
  target: `semantic`, `instance` or `merged`, as of a `Protocol`.
  merge_into: class of each labelled instance, where predictions are merged.
  merged_names: of those classes.
  """

  labels: Labels
  names: Mapping[int, str] = dataclasses.field(default_factory=dict)
  protocol: str = CLICKS_FILE
  seed: int = 0
  drawn: bool = False
  target: str = "semantic"
  merge_into: Mapping[int, int] | None = None
  merged_names: Mapping[int, str] = dataclasses.field(default_factory=dict)

  @property
  def name(self) -> str:
    """For file names."""
    return f"{self.protocol}-seed{self.seed}" if self.drawn else self.protocol

  @property
  def classes(self) -> list[int]:
    """What is predicted and scored, ascending."""
    return self.labels.classes if self.merge_into is None else sorted(
        set(self.merge_into.values()))

  @property
  def class_names(self) -> Mapping[int, str]:
    """Names of what is predicted."""
    return self.names if self.merge_into is None else self.merged_names

  def merged(self, predicted: np.ndarray) -> np.ndarray:
    """Predicted labels as they are scored: instances merged where they are to be."""
    if self.merge_into is None:
      return predicted
    return merge_instances(predicted, self.merge_into)

  def truth(self, scene: Scene) -> np.ndarray | None:
    """`[V, H, W]` what its predictions are scored against, where the scene has it."""
    return scene.instance if self.target == "instance" else scene.semantic


def labels_of_clicks(clicks: Clicks, scene: Scene, source: str = "clicks") -> LabelSet:
  """What a clicks file says of the scene's pixels, with the names it gives.

  source: names the file where it says of no pixel what that is, an InputError.
  """
  labels = Labels(*labelled_pixels(clicks, scene))
  if not labels.classes:
    raise InputError(f"{source}: says of no pixel what it is; add clicks, scribbles or "
                     "masks")
  return LabelSet(labels, {0: "void", **clicks.classes})


def labels_to_clicks(label_set: LabelSet, scene: Scene) -> Clicks:
  """The same labels as a clicks file holds them, at full resolution.

  An id without a name is `class i`.
  """
  labels, positive, negative = label_set.labels, [], []
  for (view, row, column), class_id in zip(
      labels.pixels.tolist(), labels.class_ids.tolist(), strict=True):
    x, y = full_resolution_xy(row, column, scene)
    clicks = positive if class_id > 0 else negative
    clicks.append(Click(scene.frames[view], x, y, abs(class_id)))
  ids = np.unique(np.abs(labels.class_ids)).tolist()
  return Clicks(classes={c: label_set.names.get(c, f"class {c}") for c in ids},
                positive=tuple(positive), negative=tuple(negative))
