"""How far clicks go: mIoU against the number of clicks per class, for every method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import pathlib

_STYLES = {"shaped": "-", "plain": "--", "none": ":", "shaped-oracle": "-."}


def write_click_curves(path: pathlib.Path, groups: Sequence[Mapping],
                       dimension: str = "2d") -> None:
  """Draws the protocols `clicks-k` of groups of `aggregate` into a PNG.

  A colour is a method, a style of line a field; the band around a line is the standard
  deviation over seeds.
  """
  from matplotlib import colormaps
  from matplotlib.figure import Figure

  lines = click_curves(groups, dimension)
  figure = Figure(figsize=(9, 6), layout="constrained")
  axes, palette = figure.subplots(), colormaps["tab20"]
  methods = list(dict.fromkeys(method for method, _ in lines))
  for (method, field), points in lines.items():
    clicks, means, spreads = zip(*points, strict=True)
    line, = axes.plot(clicks, means, _STYLES[field], marker="o", markersize=3,
                      color=palette(methods.index(method) % 20),
                      label=f"{method} ({field})")
    axes.fill_between(clicks, [m - s for m, s in zip(means, spreads, strict=True)],
                      [m + s for m, s in zip(means, spreads, strict=True)],
                      color=line.get_color(), alpha=0.12, linewidth=0)
  axes.set(xlabel="clicks per class", ylabel="mIoU", xscale="log")
  ticks = sorted({clicks for points in lines.values() for clicks, *_ in points})
  axes.set_xticks(ticks, [str(clicks) for clicks in ticks], minor=False)
  axes.minorticks_off()
  axes.grid(alpha=0.3)
  figure.legend(loc="outside right upper", fontsize=8)
  figure.savefig(path, dpi=120)


def click_curves(groups: Sequence[Mapping], dimension: str) -> dict[tuple, list[tuple]]:
  """`(method, field)` to `(clicks per class, mean mIoU, spread)`, ascending."""
  lines: dict[tuple, list[tuple]] = {}
  for group in groups:
    kind, _, clicks = group["protocol"].partition("-")
    if kind == "clicks" and group["dimension"] == dimension:
      mean, spread = group["miou"]
      lines.setdefault((group["method"], group["field"]), []).append(
          (int(clicks), mean, spread or 0.0))
  return {key: sorted(points) for key, points in lines.items()}
