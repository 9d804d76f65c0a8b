"""The report's numbers: scores averaged over seeds, legend, stages, tiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jnerf.evaluating.label_groups import Group, Row, group_rows, is_number
from jnerf.training.progress import duration
from jnerf.viewing.markup import Html, tag
from jnerf.viewing.palette import palette
from jnerf.viewing.panels import Report

_SCORES = {"miou": "mIoU", "miou_all": "mIoU, all classes",
           "class_accuracy": "class accuracy", "total_accuracy": "pixel accuracy"}


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
  fair = [g for g in groups if not g.uses_truth and g.score("miou")[0] is not None]
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
        tag("td", group.num_seeds, klass="number"),
        klass="best" if group is best and len(fair) > 1 else None))
  caption = tag("caption", tag("b", protocol), f" in {dimension.upper()}")
  return tag("div", tag("table", caption, tag("thead", head), tag("tbody", body)),
             klass="scroll")


def _score_cell(score: tuple[float | None, float | None], bar: bool) -> Html:
  mean, spread = score
  if mean is None:
    return tag("td", "–", klass="number")
  text = [f"{mean:.3f}", None if spread is None else tag("small", f" ± {spread:.3f}")]
  style = f"--share:{100 * min(max(mean, 0), 1):.1f}%" if bar else None
  return tag("td", text, klass="number bar" if bar else "number", style=style)


def _span(group: Group, name: str) -> str:
  values = sorted({row[name] for row in group.rows if is_number(row.get(name))})
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
  groups = group_rows(report.rows)
  keys = list(dict.fromkeys(key for view in report.views for key in view.labels))
  scores = {key: group.score("miou")[0] for key in keys
            if (group := find_group(groups, report.protocol, key))}
  children = [_tile(f"mIoU, {report.protocol} clicks", scores, "{:.3f}")]
  for key, title, form in (("psnr", "PSNR of test views", "{:.1f} dB"),
                           ("ssim", "SSIM of test views", "{:.3f}"),
                           ("depth_error_m", "median depth error", "{:.3f} m")):
    children.append(_tile(title, report.summary.get(key) or {}, form))
  seconds = {name: stage["seconds"]
             for name, stage in (report.summary.get("stages") or {}).items()
             if is_number(stage.get("seconds"))}
  if seconds:
    children.append(tag("div", tag("h3", "time"),
                    tag("p", duration(sum(seconds.values())), klass="value"),
                    [tag("p", name, tag("b", duration(s)))
                     for name, s in seconds.items()], klass="tile"))
  return tag("div", children, klass="tiles")


def _tile(title: str, values: Mapping[str, Any], form: str) -> Html | None:
  values = {key: float(v) for key, v in values.items() if is_number(v)}
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
      tag("td", form(stage[key]) if is_number(stage.get(key)) else "–",
          klass="number") for key, (_, form) in columns.items()])
          for name, stage in stages.items()]
  return tag("div", tag("table", tag("thead", head), tag("tbody", body)),
             klass="scroll")
