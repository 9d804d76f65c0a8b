"""Training curves as inline SVG.

A series is a list of `(step, value)`. Text and axes use `currentColor`, so a
chart follows the page's light or dark colours; series take the colours of
Okabe and Ito, which a colour-blind reader can tell apart. Drawn by hand:
matplotlib's SVG has an ink of its own, ids that repeat within a page, thrice the
bytes, and takes half a second where this takes 10 ms (24 charts a report).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import math

import numpy as np

from jnerf.viewing.markup import Html, tag

Series = Sequence[tuple[float, float]]

_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 30, 34  # margins around the plot, pixels
_LEGEND_LINE = 16
_MAX_POINTS = 300  # a chart is about 300 pixels wide; more points only add bytes


def nice_ticks(lo: float, hi: float, count: int = 6) -> list[float]:
  """About `count` round numbers (1, 2 or 5 times a power of ten) in [lo, hi]."""
  if not hi > lo:
    return [lo]
  raw = (hi - lo) / max(count - 1, 1)
  power = 10.0 ** math.floor(math.log10(raw))
  step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
  first, last = math.ceil(lo / step - 1e-9), math.floor(hi / step + 1e-9)
  return [i * step for i in range(first, last + 1)]


def log_ticks(lo: float, hi: float) -> list[float]:
  """Powers of ten in [lo, hi] > 0; with 2 and 5 times them where those are few."""
  decades = range(math.floor(math.log10(lo)), math.ceil(math.log10(hi)) + 1)
  inside = [10.0**d for d in decades if lo <= 10.0**d <= hi]
  if len(inside) >= 3:
    return inside[::-(-len(inside) // 5)]
  inside = [m * 10.0**d for d in decades for m in (1, 2, 5)
            if lo <= m * 10.0**d <= hi]
  return inside if len(inside) >= 2 else [lo, hi]


def format_tick(value: float) -> str:
  """A short number: `0`, `0.25`, `1e-4`, `12k`."""
  if value == 0:
    return "0"
  size = abs(value)
  if size >= 1e6 or size < 1e-3:
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
  if size >= 1e4:
    return f"{value / 1e3:g}k"
  return f"{value:.4g}"


def line_chart(series: Mapping[str, Series], title: str = "",
               x_label: str = "step", log_y: bool = False, width: int = 340,
               height: int = 220) -> Html:
  """One chart of several named series, as an `<svg>` element.

  Non-finite values (and with `log_y` those <= 0) leave gaps. A series of more
  than 40 points is drawn faint, with its running mean over it.
  """
  points = {name: _clean(values, log_y) for name, values in series.items()}
  finite = np.concatenate(list(points.values()) or [np.zeros((0, 2))])
  finite = finite[np.isfinite(finite[:, 1])]
  if not finite.size:
    return tag("svg", _text(width / 2, height / 2, f"{title}: no values", "middle"),
               viewBox=f"0 0 {width} {height}", width=width, height=height,
               klass="chart")
  legend, legend_lines = _legend(list(points), width)
  height += legend_lines * _LEGEND_LINE
  top = _TOP + legend_lines * _LEGEND_LINE
  to_x, x_ticks = _axis(finite[:, 0], False, _LEFT, width - _RIGHT, pad=0)
  to_y, y_ticks = _axis(finite[:, 1], log_y, height - _BOTTOM, top, pad=0.06)
  children = [_text(_LEFT, 16, title, "start", font_weight="600"), legend,
              _grid(to_x, x_ticks, to_y, y_ticks, width, height),
              _text((_LEFT + width - _RIGHT) / 2, height - 4, x_label, "middle",
                    opacity=0.7)]
  for (_, values), color in zip(points.items(), _cycle(len(points)), strict=True):
    children += _lines(values, to_x, to_y, color, log_y)
  return tag("svg", children, viewBox=f"0 0 {width} {height}", width=width,
             height=height, klass="chart", role="img", aria_label=title)


def _cycle(count: int) -> list[str]:
  return [_COLORS[i % len(_COLORS)] for i in range(count)]


def _clean(values: Series, log_y: bool) -> np.ndarray:
  """`[n, 2]`, thinned, with NaN where there is nothing to draw."""
  array = np.asarray(list(values), np.float64).reshape(-1, 2)
  array[~np.isfinite(array[:, 1]) | (log_y & (array[:, 1] <= 0)), 1] = np.nan
  stride = -(-len(array) // _MAX_POINTS)
  if stride <= 1:
    return array
  # The last point is what a reader looks for: thin from the end.
  return array[::-1][::stride][::-1]


def _axis(values, log: bool, start: float, end: float, pad: float):
  """The map from values to pixels, and the ticks."""
  lo, hi = float(values.min()), float(values.max())
  if log:
    low, high = math.log10(lo), math.log10(hi)
    low, high = (low, high) if high - low > 1e-9 else (low - 0.5, high + 0.5)
  else:
    flat = hi - lo <= 1e-12 * max(abs(lo), abs(hi), 1e-300)
    spread = abs(lo) * 0.1 or 1.0
    low, high = (lo - spread, hi + spread) if flat else (lo, hi)
  low, high = low - pad * (high - low), high + pad * (high - low)

  def to_pixel(value):
    value = np.log10(value) if log else np.asarray(value, np.float64)
    return start + (value - low) / (high - low) * (end - start)

  if log:
    return to_pixel, log_ticks(10 ** max(low, -300), 10 ** min(high, 300))
  return to_pixel, nice_ticks(low, high)


def _grid(to_x, x_ticks, to_y, y_ticks, width: int, height: int) -> list[Html]:
  right, bottom = width - _RIGHT, height - _BOTTOM
  children = []
  for tick in y_ticks:
    y = float(to_y(tick))
    children += [_line(_LEFT, y, right, y, opacity=0.13),
                 _text(_LEFT - 6, y + 4, format_tick(tick), "end", opacity=0.7)]
  for tick in x_ticks:
    x = float(to_x(tick))
    children += [_line(x, bottom, x, bottom + 4, opacity=0.5),
                 _text(x, bottom + 16, format_tick(tick), "middle", opacity=0.7)]
  return [*children, _line(_LEFT, bottom, right, bottom, opacity=0.5)]


def _lines(values: np.ndarray, to_x, to_y, color: str, log_y: bool) -> list[Html]:
  dense = len(values) > 40
  paths = [_path(values, to_x, to_y, color, 1.0 if dense else 1.8,
                 0.3 if dense else 1.0)]
  if dense:
    paths.append(_path(_running_mean(values, log_y), to_x, to_y, color, 1.9, 1.0))
  return paths


def _running_mean(values: np.ndarray, log_y: bool, share: int = 40) -> np.ndarray:
  """Centred mean over about 1/`share` of the points each way, gaps kept."""
  y = np.log10(values[:, 1]) if log_y else values[:, 1]
  reach = max(1, len(y) // share)
  known = np.isfinite(y)
  kernel = np.ones(2 * reach + 1)
  total = np.convolve(np.where(known, y, 0), kernel, "same")
  count = np.convolve(known.astype(float), kernel, "same")
  mean = np.where(known, total / np.maximum(count, 1), np.nan)
  return np.stack([values[:, 0], 10**mean if log_y else mean], axis=1)


def _path(values, to_x, to_y, color: str, stroke: float, opacity: float) -> Html:
  commands, pen_down = [], False
  for x, y in values:
    if np.isfinite(y):
      # The empty stroke after a move makes a lone value a dot.
      place = f"{to_x(x):.1f},{to_y(y):.1f}"
      commands.append(f"L{place}" if pen_down else f"M{place}h0")
    pen_down = bool(np.isfinite(y))
  return tag("path", d="".join(commands), fill="none", stroke=color,
             stroke_width=stroke, stroke_opacity=opacity, stroke_linejoin="round",
             stroke_linecap="round")


def _legend(names: list[str], width: int) -> tuple[list[Html], int]:
  """Names under the title, in as many lines as they need; none for one series."""
  if len(names) < 2:
    return [], 0
  children, x, lines = [], _LEFT, 1
  for name, color in zip(names, _cycle(len(names)), strict=True):
    needed = 16 + 6.2 * len(name)  # the line, and letters of average width
    if x > _LEFT and x + needed > width - _RIGHT:
      x, lines = _LEFT, lines + 1
    y = 16 + lines * _LEGEND_LINE
    children += [_line(x, y - 4, x + 11, y - 4, stroke=color, stroke_width=2.5),
                 _text(x + 16, y, name, "start", opacity=0.85)]
    x += needed + 14
  return children, lines


def _line(x1, y1, x2, y2, **attributes) -> Html:
  attributes.setdefault("stroke", "currentColor")
  return tag("line", x1=f"{x1:.1f}", y1=f"{y1:.1f}", x2=f"{x2:.1f}",
             y2=f"{y2:.1f}", **attributes)


def _text(x, y, text: str, anchor: str, **attributes) -> Html:
  return tag("text", text, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor,
             font_size=11, fill="currentColor", **attributes)
