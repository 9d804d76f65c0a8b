"""`report.html`: one file that shows what a run found, and opens anywhere.

Pictures are `data:` addresses, the style is inline, there is no script and no
address outside the file. What a report holds is in `panels`; sections whose
material is missing are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
import os
import pathlib

import numpy as np

from jnerf.files import write_atomically
from jnerf.viewing import report_tables, report_views
from jnerf.viewing.curves import Series, line_chart
from jnerf.viewing.markup import Html, join, tag
from jnerf.viewing.panels import Report
from jnerf.viewing.report_style import CSS

_ABOUT_RESPONSES = (
    "Somebody clicked the ringed pixel. The maps show how strongly every other "
    "pixel answers: how alike their gradients in the network's weights are, along "
    "which an edit would nudge them, or, where activations were aligned, these. "
    "Bright answers, grey does not. The aim of shaping is that all of the clicked "
    "thing answers and nothing else does. Each map has its own scale, up to its "
    "strongest answer.")
_ABOUT_VIEWS = (
    "Views that were never trained on: the photograph, what the fields render "
    "from there, and the labels that the clicks gave every pixel. Plain is the "
    "field after fitting, shaped the same field after shaping. Numbers under a "
    "picture are for that picture alone.")
_ABOUT_LEGEND = (
    "The colour of every class, the same in all label maps and files. Bars are "
    "the intersection over union (1 is perfect) over all test views, at the "
    "{protocol} clicks, averaged over click seeds; – means not scored.")
_ABOUT_SCORES = (
    "How well clicks became labels on the test views: mean over click seeds, ± "
    "their standard deviation. mIoU and class accuracy are over the classes that "
    "were clicked. Bold is the best that saw no ground truth beyond the clicks.")
_ABOUT_CALIBRATION = (
    "How often labels are right that the method was so sure of, at the {protocol} "
    "clicks. On the diagonal, confidence is the truth; below it, too sure.")
_ABOUT_CURVES = (
    "What training measured at each step; faint is every value, bold the running "
    "mean. Charts whose values span decades have a logarithmic axis.")


def write_report(path: str | os.PathLike, report: Report) -> pathlib.Path:
  """Writes `report` as one self-contained HTML file, whole or not at all."""
  return write_atomically(path, report_html(report).encode())


def report_html(report: Report) -> str:
  """The page as text."""
  sections = [s for s in (_responses(report), _views(report), _legend(report),
                          _scores(report), _calibration(report), _curves(report),
                          _run(report)) if s]
  links = [tag("a", title, href=f"#{key}") for key, title, _ in sections]
  body = tag(
      "body",
      tag("header", tag("h1", report.title),
          tag("p", report.source, klass="lead") if report.source else None,
          tag("code", report.command) if report.command else None),
      tag("nav", links) if len(links) > 1 else None,
      tag("main", _warnings(report), report_tables.tiles(report),
          [tag("section", tag("h2", title, id=key), content)
           for key, title, content in sections]),
      tag("footer", "Made by jnerf. This page holds everything it shows."))
  head = tag("head", tag("meta", charset="utf-8"),
             tag("meta", name_="viewport",
                 content="width=device-width, initial-scale=1"),
             tag("title", f"{report.title} – jnerf report"),
             tag("style", Html(CSS)))
  return "<!DOCTYPE html>\n" + tag("html", head, body, lang="en") + "\n"


_Section = tuple[str, str, Html] | None  # anchor, title, content


def _warnings(report: Report) -> Html | None:
  if not report.warnings:
    return None
  return tag("ul", [tag("li", line) for line in report.warnings],
             klass="warnings")


def _responses(report: Report) -> _Section:
  if not report.responses:
    return None
  cards = [report_views.response_card(panel) for panel in report.responses]
  return "responses", "What answers to a click", join(
      _about(_ABOUT_RESPONSES), report_views.heat_key(), cards)


def _views(report: Report) -> _Section:
  if not report.views:
    return None
  return "views", "Test views", join(
      _about(_ABOUT_VIEWS), [report_views.view_card(v) for v in report.views])


def _legend(report: Report) -> _Section:
  if not any(v.labels or v.truth is not None for v in report.views):
    return None
  return "classes", "Classes", join(
      _about(_ABOUT_LEGEND.format(protocol=report.protocol)),
      report_tables.legend(report))


def _scores(report: Report) -> _Section:
  if not report.rows:
    return None
  return "scores", "Scores", join(_about(_ABOUT_SCORES),
                                  report_tables.score_tables(report.rows))


def _calibration(report: Report) -> _Section:
  bins: dict[str, np.ndarray] = {}
  for row in report.summary.get("calibration") or ():
    if row["protocol"] == report.protocol:
      sure, right, count = np.array(row["bins"]).T
      name = f"{row['field']} / {row['method']}"
      bins[name] = bins.get(name, 0) + np.stack([sure * count, right * count, count])
  series = {name: [(a / n, b / n) for a, b, n in sums.T if n > 0]
            for name, sums in bins.items()}
  if not any(series.values()):
    return None
  chart = line_chart({"diagonal": [(0, 0), (1, 1)], **series}, title="share right",
                     x_label="confidence")
  return "calibration", "Confidence", join(
      _about(_ABOUT_CALIBRATION.format(protocol=report.protocol)),
      tag("div", chart, klass="charts"))


def _curves(report: Report) -> _Section:
  charts = [chart for stage, terms in report.curves.items()
            for chart in _stage_charts(stage, terms)]
  if not charts:
    return None
  return "training", "Training", join(_about(_ABOUT_CURVES),
                                      tag("div", charts, klass="charts"))


def _stage_charts(stage: str, terms: Mapping[str, Series]) -> list[Html]:
  """A chart per group of terms: `loss/photometric` is of the group `loss`."""
  groups: dict[str, dict[str, Series]] = {}
  for term, series in terms.items():
    group, slash, name = term.partition("/")
    groups.setdefault(group, {})[name if slash else term] = series
  return [line_chart(series, title=f"{stage}: {group}",
                     log_y=_spans_decades(series))
          for group, series in groups.items() if any(map(len, series.values()))]


def _spans_decades(series: Mapping[str, Series]) -> bool:
  values = [value for points in series.values() for _, value in points]
  return bool(values) and min(values) > 0 and max(values) > 30 * min(values)


def _run(report: Report) -> _Section:
  table = report_tables.stage_table(report.summary)
  environment = report.summary.get("environment") or {}
  lines = [tag("tr", tag("td", key), tag("td", _plain(value)))
           for key, value in environment.items()]
  if not (table or lines):
    return None
  return "run", "The run", join(
      table, tag("div", tag("table", tag("tbody", lines), klass="facts"),
                 klass="scroll") if lines else None)


def _plain(value) -> str:
  """A JSON value in words: `jax 0.10.2, flax 0.12.8`, `a, b`, `2`."""
  if isinstance(value, Mapping):
    return ", ".join(f"{key} {_plain(entry)}" for key, entry in value.items())
  if isinstance(value, (list, tuple)):
    return ", ".join(map(_plain, value))
  return str(value)


def _about(text: str) -> Html:
  return tag("p", text, klass="about")
