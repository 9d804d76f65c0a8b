"""The report's pictures: their scales, their keys, and what is left out."""

import re

import numpy as np
import pytest

from jnerf.viewing import images, report_views
from jnerf.viewing.panels import ResponsePanel, ViewPanel

PHOTO = np.linspace(0, 1, 72).reshape(4, 6, 3)


def captions(markup) -> list[str]:
  return [re.sub(r"<[^>]+>", " ", text).strip()
          for text in re.findall(r"<figcaption>(.*?)</figcaption>", str(markup))]


def test_a_depth_map_is_coloured_by_the_true_scale_where_there_is_one():
  true = np.full((4, 6), 2.0)
  true[0, 0], true[0, 1] = 1.0, 0.0
  wild = np.full((4, 6), 50.0)
  card = str(report_views.view_card(ViewPanel(
      "f", PHOTO, depth={"plain": wild}, true_depth=true)))
  assert captions(card)[1:] == ["true depth", "depth, plain median error 48.000"]
  lo, hi = images.depth_range(true)
  assert f"far {hi:.2f}" in card and f"near {lo:.2f}" in card and hi < 2.1
  free = str(report_views.view_card(ViewPanel("f", PHOTO, depth={"plain": wild})))
  assert "far 50.00" in free and "median error" not in free


def test_no_depth_is_known_no_error():
  card = report_views.view_card(ViewPanel(
      "f", PHOTO, depth={"plain": np.ones((4, 6))}, true_depth=np.zeros((4, 6))))
  assert captions(card)[1:] == ["true depth", "depth, plain"]


def test_labels_without_truth_have_neither_errors_nor_their_key():
  labels = np.arange(24).reshape(4, 6) % 3
  card = str(report_views.view_card(ViewPanel("f", PHOTO, labels={"shaped / a": labels})))
  assert captions(card) == ["photograph", "shaped / a"]
  assert "wrong" not in card and "unsure" not in card
  right = str(report_views.view_card(ViewPanel(
      "f", PHOTO, labels={"shaped / a": labels}, truth=labels,
      confidence=np.ones((4, 6)))))
  assert captions(right) == ["photograph", "ground truth", "confidence",
                             "shaped / a 100.0% right"]
  assert all(word in right for word in ("wrong", "void, not scored", "unsure"))


@pytest.mark.parametrize("num, columns", [(0, 2), (2, 3), (6, 4)])
def test_columns_follow_the_longest_row(num, columns):
  rendered = {f"field {i}": PHOTO for i in range(num)}
  card = str(report_views.view_card(ViewPanel("f", PHOTO, rendered)))
  assert f"--columns:{columns}" in card
  assert len(captions(card)) == 1 + num


def test_a_click_is_ringed_in_every_map():
  panel = ResponsePanel("rgb_4", PHOTO, 3, 2, "chair", {
      "plain": np.zeros((4, 6)), "shaped": np.ones((4, 6))})
  card = str(report_views.response_card(panel))
  assert captions(card) == ["the click", "plain field", "shaped field"]
  assert "rgb_4, column 3, row 2" in card
  assert set(re.findall(r'<img[^>]*width="(\d+)"', card)) == {"480"}
  ring = report_views.marked(panel, np.full((4, 6, 3), 0.5)).astype(int)
  assert ring.min() == 0 and ring.max() == 255  # white inside black


def test_heat_is_as_strong_as_the_response():
  heat = images.heat_over(np.full(3, 0.5), np.array([0.0, 0.5, 1.0])).astype(int)
  warmth = heat[:, 0] - heat[:, 2]
  assert warmth[0] == 0 and warmth[0] < warmth[1] and heat[2].sum() > heat[1].sum()
  key = str(report_views.heat_key())
  assert key.count("rgb(") == 9 and "strongest answer" in key
  assert "rgb({}, {}, {})".format(*heat[2]) in key  # the same colours as the maps'


@pytest.mark.parametrize("width, expected", [(6, 6), (7, 12), (480, 480)])
def test_photographs_are_enlarged_by_whole_factors(width, expected):
  large = images.enlarge(PHOTO, width)
  assert large.shape == (expected * 4 // 6, expected, 3) and large.dtype == np.uint8
  small = large.reshape(4, expected // 6, 6, expected // 6, 3).mean(axis=(1, 3))
  np.testing.assert_allclose(small, 255 * PHOTO, atol=12)
