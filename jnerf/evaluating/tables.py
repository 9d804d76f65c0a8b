"""Tables of results, as text, as Markdown and within the README.

A README marks where a table stands; what is between the markers is generated:

    <!-- table:room.labels -->
    ...
    <!-- /table -->

`room` is a key of the `metrics` given to `update_readme` (each value one metrics.json, or
what benchmark_labels.py or bench_clicks.py of experiments/benchmarks found), `labels`,
`quality` or, of these, `short` and `clicks` the kind of table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import re

import numpy as np

from jnerf.evaluating.label_groups import SCORES, aggregate, group_rows

# A benchmark's short table has these columns, and not these lines.
_SHORT_PROTOCOLS = ("sparse", "clicks-1", "clicks-3", "clicks-10", "dense")
_LEFT_OUT = ("cosine", "mlp")
_MARKED = re.compile(r"(<!-- table:([\w.-]+) -->\n)(.*?)(<!-- /table -->)", re.DOTALL)


def label_table(rows: Sequence[Mapping], markdown: bool = True) -> str:
  """Label scores as mean ± standard deviation over seeds, one line a group."""
  header = ["protocol", "labels", "field", "pairs", "method", "mIoU", "mIoU all",
            "class acc.", "total acc.", "seeds"]
  lines = []
  for row in aggregate(rows):
    in_3d = "" if row["dimension"] == "2d" else f" ({row['dimension']})"
    lines.append([row["protocol"] + in_3d, f"{row['clicks']:.0f}", row["field"],
                  row["pairs"] or "", row["method"],
                  *(_spread(row[score]) for score in SCORES[:4]), str(row["seeds"])])
  return format_table(header, lines, markdown)


def benchmark_table(groups: Sequence[Mapping], dimension: str, score: str = "miou",
                    protocols: Sequence[str] = (), markdown: bool = True) -> str:
  """A score of every method, a line each, under every protocol, a column each.

  groups: as `label_groups.aggregate` returns them; those of `dimension` are shown. The
  largest mean of a column that was not trained on ground truth is in bold.
  score: of `SCORES`; protocols: the columns, () for all.
  """
  groups = [group for group in groups if group["dimension"] == dimension
            and group["protocol"] in (protocols or [group["protocol"]])]
  protocols = list(dict.fromkeys(group["protocol"] for group in groups))
  cells = {}
  for group in groups:
    key = group["field"], group["pairs"] or "", group["method"]
    cells.setdefault(key, {})[group["protocol"]] = group[score]
  best = {protocol: max((scores[protocol][0] for key, scores in cells.items()
                         if protocol in scores and key[1] != "oracle"), default=None)
          for protocol in protocols}

  def cell(scores, protocol):
    text = _spread(scores.get(protocol, (None, None)))
    is_best = protocol in scores and scores[protocol][0] == best[protocol]
    return f"**{text}**" if markdown and is_best else text

  return format_table(
      ["field", "pairs", "method", *protocols],
      [[*key, *(cell(scores, protocol) for protocol in protocols)]
       for key, scores in cells.items()], markdown)


def aggregate_calibration(rows: Sequence[Mapping]) -> list[dict]:
  """Rows of metrics.json `calibration`, their `ece` averaged over seeds."""
  return [{"protocol": group.protocol, "field": group.field, "pairs": group.pairs,
           "method": group.method, "seeds": len(group.rows), "ece": group.score("ece")[0]}
          for group in group_rows(rows)]


def calibration_table(groups: Sequence[Mapping], markdown: bool = True) -> str:
  """Expected calibration error, a line a method and field, a column a protocol.

  groups: as `aggregate_calibration` returns them.
  """
  protocols = list(dict.fromkeys(group["protocol"] for group in groups))
  lines: dict[tuple, dict[str, str]] = {}
  for group in groups:
    line = lines.setdefault((group["field"], group["pairs"] or "", group["method"]), {})
    error = group["ece"]  # None where no pixel was scored
    line[group["protocol"]] = "" if error is None else f"{error:.2f}"
  return format_table(
      ["field", "pairs", "method", *protocols],
      [[*key, *(line.get(protocol, "") for protocol in protocols)]
       for key, line in lines.items()], markdown)


def click_table(results: Mapping, markdown: bool = True) -> str:
  """How many clicks rules need, and how far half of the random ones take them.

  results: `clicks`, the number of random ones; `miou`, what these reach; `rules`: name to
    one `{"needed": clicks or None, "curve": [[clicks, mIoU], ...]}` per seed. A seed that
    falls short counts as if its last click were enough, and makes the mean a bound.
  """
  num, aim, lines = results["clicks"], results["miou"], []
  for rule, seeds in results["rules"].items():
    needed = np.mean([seed["needed"] or seed["curve"][-1][0] for seed in seeds])
    bound = "" if all(seed["needed"] for seed in seeds) else "> "
    halfway = np.mean([next(score for clicks, score in seed["curve"]
                            if clicks >= num / 2) for seed in seeds])
    lines.append([rule, f"{bound}{needed:.0f}", f"{bound}{needed / num:.2f}",
                  f"{halfway:.3f}"])
  return format_table(
      [f"rule (aim: mIoU {aim:.3f}, by {num} random clicks)", "clicks needed",
       "share", f"mIoU with {-(-num // 2)}"], lines, markdown)


def quality_table(metrics: Mapping, markdown: bool = True) -> str:
  """PSNR, SSIM and depth error of every field in one metrics.json."""
  columns = (("psnr", "PSNR (dB)", "{:.2f}", 1), ("ssim", "SSIM", "{:.3f}", 1),
             ("depth_error_m", "depth error, median (cm)", "{:.1f}", 100))
  fields = list(dict.fromkeys(
      field for key, *_ in columns for field in metrics.get(key) or {}))
  lines = []
  for field in fields:
    values = [(metrics.get(key) or {}).get(field) for key, *_ in columns]
    lines.append([field, *("" if v is None else form.format(scale * v)
                           for v, (_, _, form, scale) in zip(values, columns,
                                                             strict=True))])
  return format_table(["field", *(title for _, title, *_ in columns)], lines, markdown)


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]],
                 markdown: bool = True) -> str:
  """Aligned columns, as Markdown or as plain text; ends without a newline."""
  widths = [max(len(cell) for cell in column)
            for column in zip(header, *rows, strict=True)]

  def line(cells):
    padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
    return f"| {' | '.join(padded)} |" if markdown else "  ".join(padded).rstrip()

  rule = line(["-" * width for width in widths])
  return "\n".join([line(header), rule, *map(line, rows)])


def update_readme(readme_text: str, metrics: Mapping[str, Mapping]) -> str:
  """The README with every marked table generated anew (module docstring).

  metrics: scene name to its metrics.json. Raises ValueError for a marker that
  names no such scene or kind, or that is not closed, and where there is none.
  """
  kinds = {"labels": lambda m: label_table(m["labels"]), "quality": quality_table,
           "clicks": click_table,
           "short": lambda m: benchmark_table(
               [group for group in m["labels"] if group["method"] not in _LEFT_OUT],
               "2d", protocols=_SHORT_PROTOCOLS)}

  def replace(match):
    scene, _, kind = match[2].rpartition(".")
    if scene not in metrics or kind not in kinds:
      raise ValueError(
          f"README: no table {match[2]!r}; known are "
          + ", ".join(f"{name}.{k}" for name in metrics for k in kinds))
    return f"{match[1]}{kinds[kind](metrics[scene])}\n{match[4]}"

  text, count = _MARKED.subn(replace, readme_text)
  if count == 0 or count != readme_text.count("<!-- table:"):
    raise ValueError("README: a table marker is missing or not closed by "
                     "<!-- /table -->")
  return text


def _spread(score: tuple[float | None, float | None]) -> str:
  mean, deviation = score
  if mean is None:
    return ""
  return f"{mean:.3f}" if deviation is None else f"{mean:.3f} ± {deviation:.3f}"
