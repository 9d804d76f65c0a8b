"""Which pixels get labelled, and the row that a labelling's score becomes.

Protocols (DESIGN section 6), all over *training* frames only, by name:

  sparse        one click per class in the frame that sees most classes
  dense         that frame fully labelled
  clicks-K      K clicks per class over all training frames, e.g. `clicks-3`
  per-frame-R   a share R of the frames, evenly spaced; in each, one click per
                class, e.g. `per-frame-0.1` (Semantic-NeRF's rule)

`instance-` before any of them has instances for classes, drawn from and scored
against the scene's instances. `merged-` draws clicks on instances too, but their
predictions are merged into classes (`merging`) and scored as such.

A class is *present* in a frame where it covers at least `MIN_SHARE` of the pixels:
what is smaller (51 pixels of a 300x170 view) nobody would see to click on.
Pixels of a class are drawn uniformly, without replacement, from frames where it
is present. Every class has its own stream of the seed, so the clicks of
`clicks-1` are the first of `clicks-3`, and adding a class moves no other click.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
import dataclasses
import re

import numpy as np

from jnerf.errors import InputError
from jnerf.evaluating.metrics import segmentation_scores
from jnerf.scenes.clicks import full_resolution_xy
from jnerf.structs import Click, Clicks, Scene

MIN_SHARE = 1e-3


@dataclasses.dataclass(frozen=True)
class Protocol:
  """What a protocol's name says.

  kind: `sparse`, `dense`, `clicks` or `per-frame`.
  clicks: K of `clicks-K`, else 1; 0 for `dense`, which has no clicks.
  share: R of `per-frame-R`, else 0.
  target: `semantic` classes, `instance`s, or instances `merged` into classes.
  """

  kind: str
  clicks: int = 1
  share: float = 0.0
  target: str = "semantic"

  @property
  def is_drawn(self) -> bool:
    """Whether the seed matters: `dense` labels the same pixels for every seed."""
    return self.kind != "dense"


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


def parse_protocol(name: str) -> Protocol:
  """The protocol of that name; InputError names `label.protocols` otherwise."""
  target, rest = re.fullmatch(r"(?:(instance|merged)-)?(.*)", name, re.DOTALL).groups()
  parsed = _parse_kind(rest, name)
  return dataclasses.replace(parsed, target=target) if target else parsed


def _parse_kind(name: str, whole: str) -> Protocol:
  """The protocol without its prefix; `whole` is the name that messages quote."""
  if name in ("sparse", "dense"):
    return Protocol(name, clicks=int(name == "sparse"))
  if match := re.fullmatch(r"clicks-([1-9]\d*)", name):
    return Protocol("clicks", clicks=int(match[1]))
  match = re.fullmatch(r"per-frame-(0?\.\d+|1(?:\.0+)?)", name)
  if match and float(match[1]) > 0:
    return Protocol("per-frame", share=float(match[1]))
  raise InputError(f"label.protocols: unknown protocol {whole!r}; use sparse, dense, "
                   "clicks-K such as clicks-3, or per-frame-R such as per-frame-0.1, "
                   "with instance- or merged- before it for instances")


def draw_labels(scene: Scene, protocol: str, seed: int) -> Labels:
  """Labelled pixels of the training frames, the same for the same seed.

  Raises InputError for an unknown protocol, a scene without the labels that it
  needs, or training frames that show no class.
  """
  parsed = parse_protocol(protocol)
  truth = _truth_to_draw_from(scene, protocol, parsed.target)
  present = _present(truth, scene.train)
  if not present.any():
    raise InputError(f"scene {scene.name}: no training frame is covered to "
                     f"{MIN_SHARE:.1%} by any class; label by a clicks file in "
                     "label.clicks")
  richest = int(np.argmax(present.sum(axis=1)))  # the first on ties
  if parsed.kind == "dense":
    return _whole_frame(truth, int(scene.train[richest]), present[richest])
  if parsed.kind == "clicks":
    groups = [range(len(present))]
  elif parsed.kind == "sparse":
    groups = [[richest]]
  else:
    num = max(round(parsed.share * len(present)), 1)
    spaced = np.floor((np.arange(num) + 0.5) * len(present) / num).astype(int)
    groups = [[int(i)] for i in spaced]
  drawn = []
  streams = {int(c): np.random.default_rng([seed, int(c)])
             for c in np.flatnonzero(present.any(axis=0))}
  for group in groups:
    for class_id, stream in streams.items():
      views = [int(scene.train[i]) for i in group if present[i, class_id]]
      if views:
        drawn.append(_draw(truth, views, class_id, parsed.clicks, stream))
  if not drawn:  # none of the frames of `per-frame` shows a class
    raise InputError(f"label.protocols: {protocol} labels no frame that shows a class; "
                     "take a larger share")
  drawn = np.concatenate(drawn)
  return Labels(drawn[:, :3], drawn[:, 3])


def labels_to_clicks(labels: Labels, scene: Scene,
                     class_names: Mapping[int, str] | None = None) -> Clicks:
  """The same labels as a clicks file holds them, at full resolution.

  class_names: of the ids; by default the scene's. An id without one is `class i`.
  """
  names = scene.class_names if class_names is None else class_names
  positive, negative = [], []
  for (view, row, column), class_id in zip(
      labels.pixels.tolist(), labels.class_ids.tolist(), strict=True):
    x, y = full_resolution_xy(row, column, scene)
    clicks = positive if class_id > 0 else negative
    clicks.append(Click(scene.frames[view], x, y, abs(class_id)))
  ids = np.unique(np.abs(labels.class_ids)).tolist()
  return Clicks(classes={c: names.get(c, f"class {c}") for c in ids},
                positive=tuple(positive), negative=tuple(negative))


def score_row(*, method: str, field: str, pairs: str | None, protocol: str,
              clicks: int, seed: int, dimension: str, confusion,
              clicked: Iterable[int], seconds: float,
              ids: Sequence[int] | None = None) -> dict:
  """One row of `labels` in metrics.json (DESIGN section 5).

  Args:
    method: the assignment's or the rival's name.
    field: `plain`, `shaped`, `shaped-oracle` or `none`.
    pairs: what chose the positives, or None.
    protocol: its name, e.g. `clicks-3`.
    clicks: number of labelled pixels.
    seed: of the draw.
    dimension: `2d` or `3d`.
    confusion: `[C, C]` summed over the test frames.
    clicked: class ids that were labelled.
    seconds: from the labels to the predictions.
    ids: `[C]` class ids that the rows of `confusion` stand for, 0 first; by default
      0 .. C - 1. (Ids of instances may be large and few.)
  """
  ids = list(range(len(confusion)) if ids is None else map(int, ids))
  scores = segmentation_scores(confusion, [ids.index(c) for c in clicked])
  per_class = {str(ids[c]): iou for c, iou in scores.pop("per_class_iou").items()}
  return {"method": method, "field": field, "pairs": pairs, "protocol": protocol,
          "clicks": int(clicks), "seed": int(seed), "dimension": dimension, **scores,
          "per_class_iou": per_class, "seconds": float(seconds)}


def _truth_to_draw_from(scene: Scene, protocol: str, target: str) -> np.ndarray:
  """`[V, H, W]` ids, 0 = void; InputError where the scene does not have them."""
  if target != "semantic" and scene.instance is None:
    raise InputError(f"label.protocols: {protocol} needs ground-truth instances, and "
                     f"scene {scene.name} has none; leave it out")
  if target == "instance":
    return scene.instance
  if scene.semantic is None:
    raise InputError(f"scene {scene.name}: has no ground-truth labels to draw clicks "
                     "from; name a clicks file in label.clicks")
  if target == "merged":  # an instance that is of no class has nothing to be merged into
    return np.where(scene.semantic > 0, scene.instance, 0)
  return scene.semantic


def _present(truth, views) -> np.ndarray:
  """`[len(views), C]` bool: which classes each view shows; void never."""
  num = int(truth.max()) + 1
  counts = np.stack([np.bincount(truth[v].reshape(-1), minlength=num) for v in views])
  counts[:, 0] = 0
  return counts >= MIN_SHARE * truth[0].size


def _whole_frame(truth, view: int, present) -> Labels:
  """Every pixel of the present classes, so that `sparse` knows the same ones."""
  rows, columns = np.nonzero(present[truth[view]])
  pixels = np.stack([np.full_like(rows, view), rows, columns], axis=1)
  return Labels(pixels.astype(np.int64), truth[view][rows, columns].astype(np.int64))


def _draw(truth, views, class_id: int, num: int, stream) -> np.ndarray:
  """`[<= num, 4]` (view, row, column, class): uniform over the class's pixels."""
  found = [np.flatnonzero(truth[v] == class_id) for v in views]
  sizes = np.array([len(pixels) for pixels in found])
  starts = np.cumsum(sizes) - sizes
  drawn = []
  for rank in stream.permutation(int(sizes.sum()))[:num]:
    i = int(np.searchsorted(starts, rank, side="right")) - 1
    row, column = divmod(int(found[i][rank - starts[i]]), truth.shape[2])
    drawn.append((views[i], row, column, class_id))
  return np.array(drawn, np.int64)
