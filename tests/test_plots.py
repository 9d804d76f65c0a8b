"""Training curves as SVG: what is drawn is what was measured."""

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from jnerf.viewing import curves


def _paths(svg):
  """The points of every path of a chart, `[n, 2]` each."""
  return [np.array([tuple(map(float, p.split(","))) for p in
                    re.findall(r"[-\d.]+,[-\d.]+", path.get("d"))])
          for path in ElementTree.fromstring(svg).iter("path")]


def _texts(svg):
  return [t.text for t in ElementTree.fromstring(svg).iter("text")]


def test_straight_line_stays_straight_and_goes_up():
  path, = _paths(curves.line_chart({"a": [(0, 1), (5, 2), (10, 3)]}, "up"))
  (x0, y0), (x1, y1), (x2, y2) = path
  assert x0 < x1 < x2 and y0 > y1 > y2  # y grows downwards in SVG
  assert x1 == pytest.approx((x0 + x2) / 2, abs=0.1)
  assert y1 == pytest.approx((y0 + y2) / 2, abs=0.1)


def test_logarithmic_axis_spaces_factors_evenly():
  path, = _paths(curves.line_chart({"a": [(0, 1e-4), (1, 1e-2), (2, 1)]}, log_y=True))
  np.testing.assert_allclose(np.diff(path[:, 1])[0], np.diff(path[:, 1])[1], atol=0.11)


def test_tick_labels_stand_at_their_values():
  svg = curves.line_chart({"a": [(0, 10.0), (100, 30.0)]})
  path, = _paths(svg)
  ticks = {t.text: float(t.get("y")) - 4 for t in ElementTree.fromstring(svg).iter(
      "text") if t.get("text-anchor") == "end"}
  assert ticks["10"] == pytest.approx(path[0, 1], abs=0.1)
  assert ticks["30"] == pytest.approx(path[1, 1], abs=0.1)


def test_gaps_stay_gaps():
  svg = curves.line_chart({"a": [(0, 1.0), (1, 2.0), (2, math.nan), (3, 1.0)]})
  d = next(ElementTree.fromstring(svg).iter("path")).get("d")
  assert d.count("M") == 2 and "nan" not in svg
  svg = curves.line_chart({"a": [(0, 1.0), (1, 0.0), (2, 3.0)]}, log_y=True)
  assert len(_paths(svg)[0]) == 2


def test_noisy_series_gets_a_smoother_mean_over_it():
  rng = np.random.default_rng(0)
  raw, mean = _paths(curves.line_chart(
      {"a": [(i, rng.normal()) for i in range(2000)]}))
  assert len(raw) <= 300 and len(mean) == len(raw)
  assert np.abs(np.diff(mean[:, 1])).mean() < 0.3 * np.abs(np.diff(raw[:, 1])).mean()
  assert raw[-1, 0] == pytest.approx(340 - 12, abs=0.1)  # ends at the last step


def test_legend_names_series_and_survives_markup_in_names():
  svg = curves.line_chart({"<b>": [(0, 1), (1, 2)], "a & b": [(0, 2), (1, 1)]}, "t")
  assert {"<b>", "a & b", "t"} <= set(_texts(svg))
  strokes = [p.get("stroke") for p in ElementTree.fromstring(svg).iter("path")]
  assert len(set(strokes)) == 2
  assert "only" not in _texts(curves.line_chart({"only": [(0, 1), (1, 2)]}))


@pytest.mark.parametrize("series", [
    {}, {"a": []}, {"a": [(0, math.inf)]}, {"a": [(0, 5.0)]}, {"a": [(3, 0.0)] * 4},
    {"a": [(0, 1e-300), (1, 1e300)]}])
@pytest.mark.parametrize("log_y", [False, True])
def test_odd_series_still_make_a_chart(series, log_y):
  chart = ElementTree.fromstring(curves.line_chart(series, "odd", log_y=log_y))
  assert chart.tag.endswith("svg")


def test_ticks_are_round_and_inside():
  for lo, hi in [(0, 1), (-3, 17), (0.0012, 0.0013), (28.4, 31.2), (0, 12345)]:
    ticks = curves.nice_ticks(lo, hi)
    assert 3 <= len(ticks) <= 8
    assert min(ticks) >= lo - 1e-9 * abs(lo) and max(ticks) <= hi * (1 + 1e-9)
    mantissa = (ticks[1] - ticks[0]) / 10 ** math.floor(
        math.log10(ticks[1] - ticks[0]) + 1e-9)
    assert min(abs(mantissa - m) for m in (1, 2, 5, 10)) < 1e-6
  assert curves.log_ticks(0.5e-4, 2) == pytest.approx([1e-4, 1e-3, 1e-2, 0.1, 1])
  assert curves.log_ticks(1.5, 30) == pytest.approx([2, 5, 10, 20])


@pytest.mark.parametrize("value, text", [
    (0, "0"), (0.25, "0.25"), (1e-4, "1e-4"), (2.5e-5, "2.5e-5"), (12000, "12k"),
    (500, "500"), (3e6, "3e6"), (-0.5, "-0.5")])
def test_tick_text_is_short(value, text):
  assert curves.format_tick(value) == text
