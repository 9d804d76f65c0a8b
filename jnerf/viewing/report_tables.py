"""The report's numbers: label rows averaged over seeds, legend, stages, tiles.

A *row* is one entry of `labels` in metrics.json; a *group* is the rows that
differ in their seed only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
import math
from typing import Any

import numpy as np

from jnerf.viewing.markup import Html, tag
from jnerf.viewing.palette import palette
from jnerf.viewing.panels import Report

Row = Mapping[str, Any]
_SCORES = {"miou": "mIoU", "miou_all": "mIoU, all classes",
           "class_accuracy": "class accuracy", "total_accuracy": "pixel accuracy"}


@dataclasses.dataclass(frozen=True)
class Group:
  """Rows of one protocol, dimension, method, field and pairs over all seeds."""

  protocol: str
  dimension: str
  method: str
  field: str
  pairs: str | None
  rows: tuple[Row, ...]

  @property
  def uses_truth(self) -> bool:
    """Whether ground truth chose the pairs, so that it is no fair rival."""
    return "oracle" in (self.pairs or "") or "oracle" in self.field

  def score(self, name: str) -> tuple[float, float] | None:
    """Mean over seeds and its sample standard deviation (NaN for one seed)."""
    values = [float(row[name]) for row in self.rows if _is_number(row.get(name))]
    if not values:
      return None
    return (float(np.mean(values)),
            float(np.std(values, ddof=1)) if len(values) > 1 else math.nan)

  def class_iou(self) -> dict[int, float]:
    """Class id to IoU, the mean over the seeds that scored the class."""
    found: dict[int, list[float]] = {}
    for row in self.rows:
      for class_id, iou in (row.get("per_class_iou") or {}).items():
        if _is_number(iou):
          found.setdefault(int(class_id), []).append(float(iou))
    return {class_id: float(np.mean(ious)) for class_id, ious in found.items()}


def group_rows(rows: Sequence[Row]) -> list[Group]:
  """Groups in order of first appearance."""
  groups: dict[tuple, list[Row]] = {}
  for row in rows:
    key = tuple(row.get(k) for k in
                ("protocol", "dimension", "method", "field", "pairs"))
    groups.setdefault(key, []).append(row)
  return [Group(*key, rows=tuple(members)) for key, members in groups.items()]


def find_group(groups: Sequence[Group], protocol: str, label_key: str,
               dimension: str = "2d") -> Group | None:
  """The group behind the label maps called `"field / method"`."""
  field, _, method = (part.strip() for part in label_key.partition("/"))
  for group in groups:
    if (group.protocol, group.dimension, group.field, group.method) == (
        protocol, dimension, field, method):
      return group
  return None


def score_tables(rows: Sequence[Row]) -> Html:
  """One table per protocol and dimension; the best fair mIoU is bold."""
  groups = group_rows(rows)
  kinds = list(dict.fromkeys((g.protocol, g.dimension) for g in groups))
  return tag("div", [
      _score_table(protocol, dimension,
                   [g for g in groups
                    if (g.protocol, g.dimension) == (protocol, dimension)])
      for protocol, dimension in kinds], klass="tables")


def _score_table(protocol: str, dimension: str, groups: list[Group]) -> Html:
  fair = [g for g in groups if not g.uses_truth and g.score("miou")]
  best = max(fair, key=lambda g: g.score("miou")[0], default=None)
  head = tag("tr", [tag("th", name) for name in ("method", "field", "pairs")],
             [tag("th", name, klass="number") for name in _SCORES.values()],
             [tag("th", name, klass="number") for name in ("clicks", "seeds")])
  body = []
  for group in groups:
    pairs = [group.pairs or "–",
             tag("span", "uses ground truth", klass="tag")
             if group.uses_truth else None]
    body.append(tag(
        "tr", tag("td", group.method), tag("td", group.field), tag("td", pairs),
        [_score_cell(group.score(name), name == "miou") for name in _SCORES],
        tag("td", _span(group, "clicks"), klass="number"),
        tag("td", len(group.rows), klass="number"),
        klass="best" if group is best and len(fair) > 1 else None))
  caption = tag("caption", tag("b", protocol), f" in {dimension.upper()}")
  return tag("div", tag("table", caption, tag("thead", head), tag("tbody", body)),
             klass="scroll")


def _score_cell(score: tuple[float, float] | None, bar: bool) -> Html:
  if score is None:
    return tag("td", "–", klass="number")
  mean, spread = score
  text = [f"{mean:.3f}", None if math.isnan(spread)
          else tag("small", f" ± {spread:.3f}")]
  style = f"--share:{100 * min(max(mean, 0), 1):.1f}%" if bar else None
  return tag("td", text, klass="number bar" if bar else "number", style=style)


def _span(group: Group, name: str) -> str:
  values = sorted({row[name] for row in group.rows if _is_number(row.get(name))})
  return "–".join(str(v) for v in dict.fromkeys(values[:1] + values[-1:])) or "–"


def legend(report: Report) -> Html:
  """A chip per class, with its IoU under each kind of label map shown."""
  present = set(report.class_names)
  for view in report.views:
    for labels in (*view.labels.values(), view.truth):
      if labels is not None:
        present.update(np.unique(labels).tolist())
  groups = group_rows(report.rows)
  keys = list(dict.fromkeys(key for view in report.views for key in view.labels))
  ious = {key: group.class_iou() for key in keys
          if (group := find_group(groups, report.protocol, key))}
  return tag("ul", [_chip(int(class_id), report.class_names, ious)
                    for class_id in sorted(present)], klass="legend")


def _chip(class_id: int, names: Mapping[int, str],
          ious: Mapping[str, Mapping[int, float]]) -> Html:
  color = "#{:02x}{:02x}{:02x}".format(*palette()[class_id].tolist())
  name = names.get(class_id, "void" if class_id == 0 else f"class {class_id}")
  if class_id == 0:
    detail = tag("span", "not scored", klass="iou")
  else:
    detail = [tag("span", tag("span", key, klass="who"), _iou_text(iou, class_id),
                  klass="iou bar",
                  style=f"--share:{100 * iou.get(class_id, 0):.1f}%")
              for key, iou in ious.items()]
  return tag("li", tag("span", klass="swatch", style=f"background:{color}"),
             tag("span", tag("b", name), tag("small", f" {class_id}"), detail,
                 klass="what"))


def _iou_text(iou: Mapping[int, float], class_id: int) -> str:
  return f"{iou[class_id]:.2f}" if class_id in iou else "–"


def tiles(report: Report) -> Html:
  """The headline numbers, one tile each."""
  made = []
  groups = group_rows(report.rows)
  keys = list(dict.fromkeys(key for view in report.views for key in view.labels))
  scores = {key: group.score("miou")[0] for key in keys
            if (group := find_group(groups, report.protocol, key))
            and group.score("miou")}
  made.append(_tile(f"mIoU, {report.protocol} clicks", scores, "{:.3f}"))
  for key, title, form in (("psnr", "PSNR of test views", "{:.1f} dB"),
                           ("ssim", "SSIM of test views", "{:.3f}"),
                           ("depth_error_m", "median depth error", "{:.3f} m")):
    made.append(_tile(title, report.summary.get(key) or {}, form))
  seconds = {name: stage["seconds"]
             for name, stage in (report.summary.get("stages") or {}).items()
             if _is_number(stage.get("seconds"))}
  if seconds:
    made.append(tag("div", tag("h3", "time"),
                    tag("p", duration(sum(seconds.values())), klass="value"),
                    [tag("p", name, tag("b", duration(s)))
                     for name, s in seconds.items()], klass="tile"))
  return tag("div", made, klass="tiles")


def _tile(title: str, values: Mapping[str, Any], form: str) -> Html | None:
  values = {key: float(v) for key, v in values.items() if _is_number(v)}
  if not values:
    return None
  # What the tool is for comes first: the field shaped without ground truth.
  main = next((key for key in values if key.split(" / ")[0] == "shaped"),
              next(iter(values)))
  return tag("div", tag("h3", title),
             tag("p", form.format(values[main]), klass="value"),
             [tag("p", key, tag("b", form.format(value)))
              for key, value in values.items()], klass="tile")


def stage_table(summary: Mapping[str, Any]) -> Html | None:
  """Time, speed and memory of each stage."""
  stages = summary.get("stages") or {}
  if not stages:
    return None
  columns = {"seconds": ("time", duration), "compile_seconds": ("compile", duration),
             "steps": ("steps", lambda v: f"{v:,.0f}"),
             "rays_per_second": ("rays/s", lambda v: f"{v:,.0f}"),
             "peak_memory_bytes": ("peak memory", lambda v: f"{v / 2**30:.2f} GiB")}
  head = tag("tr", tag("th", "stage"),
             [tag("th", title, klass="number") for title, _ in columns.values()])
  body = [tag("tr", tag("td", name), [
      tag("td", form(stage[key]) if _is_number(stage.get(key)) else "–",
          klass="number") for key, (_, form) in columns.items()])
          for name, stage in stages.items()]
  return tag("div", tag("table", tag("thead", head), tag("tbody", body)),
             klass="scroll")


def duration(seconds: float) -> str:
  """`48 s`, `3 min 05 s`, `2 h 10 min`; tenths below ten seconds."""
  if seconds < 9.95:
    return f"{seconds:.1f} s"
  minutes, rest = divmod(round(seconds), 60)
  if minutes >= 60:
    return f"{minutes // 60} h {minutes % 60:02d} min"
  return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _is_number(value) -> bool:
  return isinstance(value, (int, float, np.number)) and math.isfinite(value)
