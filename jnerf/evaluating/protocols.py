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

from collections.abc import Iterable, Sequence
import dataclasses
import re

import numpy as np

from jnerf.errors import InputError
from jnerf.evaluating.metrics import segmentation_scores
from jnerf.labeling.labels import Labels, LabelSet
from jnerf.labeling.merging import instance_classes
from jnerf.structs import Scene

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
  raise InputError(f"label.protocols: {whole!r} must be sparse, dense, clicks-k with a "
                   "number k such as clicks-3, or per-frame-r with a share r of the "
                   "frames such as per-frame-0.1; for instances with instance- or "
                   "merged- before it")


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


def draw_label_set(scene: Scene, protocol: str, seed: int) -> LabelSet:
  """`draw_labels` with the names of what is labelled; seed 0 where it does not matter."""
  parsed, labels = parse_protocol(protocol), draw_labels(scene, protocol, seed)
  names, merge_into = scene.class_names, None
  if parsed.target != "semantic":
    names = _instance_names(scene, labels)
  if parsed.target == "merged":
    merge_into = _classes_of_instances(scene, labels)
  return LabelSet(labels, names, protocol, seed, parsed.is_drawn, parsed.target,
                  merge_into, scene.class_names)


def draw_label_sets(scene: Scene, protocols: Sequence[str], seeds: int) -> list[LabelSet]:
  """All draws of protocols that the scene has the ground truth for.

  seeds: draws of each, where the seed matters.
  """
  sets = []
  for protocol in protocols:
    parsed = parse_protocol(protocol)
    if parsed.target != "semantic" or scene.semantic is not None:
      sets += [draw_label_set(scene, protocol, seed)
               for seed in range(seeds if parsed.is_drawn else 1)]
  return sets


def _instance_names(scene: Scene, labels: Labels) -> dict[int, str]:
  """Names of labelled instances, such as `chair 12`."""
  if scene.semantic is None:
    return {i: f"instance {i}" for i in labels.classes}
  return {0: "void", **{i: f"{scene.class_names.get(c, f'class {c}')} {i}"
                        for i, c in _classes_of_instances(scene, labels).items()}}


def _classes_of_instances(scene: Scene, labels: Labels) -> dict[int, int]:
  return instance_classes(labels.class_ids, scene.semantic[tuple(labels.pixels.T)])


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
  of_class = [np.flatnonzero(truth[v] == class_id) for v in views]
  sizes = np.array([len(pixels) for pixels in of_class])
  starts = np.cumsum(sizes) - sizes
  drawn = []
  for rank in stream.permutation(int(sizes.sum()))[:num]:
    i = int(np.searchsorted(starts, rank, side="right")) - 1
    row, column = divmod(int(of_class[i][rank - starts[i]]), truth.shape[2])
    drawn.append((views[i], row, column, class_id))
  return np.array(drawn, np.int64)
