"""The report: self-contained, complete, and unbroken by what names contain."""

import base64
import html.parser
import io
import re

import numpy as np
from PIL import Image
import pytest

from jnerf.viewing import report_tables
from jnerf.viewing.hero import hero_image
from jnerf.viewing.markup import Html, tag
from jnerf.viewing.palette import palette
from jnerf.viewing.panels import Report, ResponsePanel, ViewPanel
from jnerf.viewing.report import report_html, write_report
from jnerf.viewing.report_views import marked

_VOID_TAGS = {"img", "meta", "br"}
_NAMES = {0: "void", 1: "wall", 2: '<b>"x" & \'y\'', 40: "chair"}


class _Page(html.parser.HTMLParser):
  """Images, headings, list items and text of a page; checks that tags nest."""

  def __init__(self, text):
    super().__init__()
    self.open, self.images, self.texts, self.ids, self.attributes = [], [], [], [], []
    self.feed(text)
    self.close()
    assert not self.open

  def handle_starttag(self, name, attributes):
    attributes = dict(attributes)
    self.attributes.append((name, attributes))
    if name == "img":
      self.images.append(attributes)
    if "id" in attributes:
      self.ids.append(attributes["id"])
    if name not in _VOID_TAGS:
      self.open.append(name)

  def handle_endtag(self, name):
    assert self.open.pop() == name

  def handle_data(self, data):
    if "style" not in self.open:
      self.texts.append(data)


def _view(**changes):
  rng = np.random.default_rng(0)
  truth = rng.choice([0, 1, 2, 40], size=(6, 8))
  parts = {
      "frame": "rgb_<4>", "photo": rng.random((6, 8, 3)),
      "rendered": {"plain": rng.random((6, 8, 3)), "shaped": rng.random((6, 8, 3))},
      "depth": {"plain": rng.random((6, 8))}, "true_depth": rng.random((6, 8)),
      "labels": {"plain / cosine": np.where(truth == 2, 1, truth),
                 "shaped / cosine": truth},
      "truth": truth, "confidence": rng.random((6, 8))}
  return ViewPanel(**{**parts, **changes})


def _click(**changes):
  rng = np.random.default_rng(1)
  parts = {"frame": "rgb_4", "photo": rng.random((6, 8, 3)), "x": 3, "y": 2,
           "class_name": "<b>",
           "maps": {"plain": rng.random((6, 8)), "shaped": rng.random((6, 8))}}
  return ResponsePanel(**{**parts, **changes})


def _row(**changes):
  return {"method": "cosine", "field": "plain", "pairs": None, "protocol": "sparse",
          "clicks": 3, "seed": 0, "dimension": "2d", "miou": 0.5, "miou_all": 0.4,
          "class_accuracy": 0.6, "total_accuracy": 0.7,
          "per_class_iou": {"1": 0.25, "40": None}, "seconds": 1.0, **changes}


def _full_report(**changes):
  rows = [_row(seed=s, miou=m) for s, m in enumerate((0.2, 0.3, 0.4))]
  rows += [_row(field="shaped", pairs="local", miou=0.61),
           _row(field="shaped-oracle", pairs="oracle", miou=0.9)]
  parts = {
      "title": "room <i>", "source": "a & b", "command": "python -m x --a='<b>'",
      "summary": {"psnr": {"plain": 30.0, "shaped": 29.51}, "ssim": {"plain": None},
                  "stages": {"fit": {"seconds": 185.2, "steps": 1500}},
                  "environment": {"versions": {"jax": "0.10"}, "cores": 2}},
      "rows": rows, "views": [_view()], "responses": [_click()], "class_names": _NAMES,
      "curves": {"fit": {"psnr": [(0, 10.0), (1, 20.0)], "none": []}},
      "warnings": ["<script>alert(1)</script>"]}
  return Report(**{**parts, **changes})


def test_report_is_whole_in_itself(tmp_path):
  path = write_report(tmp_path / "run" / "report.html", _full_report())
  text = path.read_text(encoding="utf-8")
  page = _Page(text)
  # click and two maps; colour 3, depth 2, truth, confidence, 2 x (labels, errors)
  assert len(page.images) == 3 + 3 + 2 + 1 + 1 + 4
  for image in page.images:
    kind, data = re.fullmatch(r"data:image/(png|jpeg);base64,(.*)",
                              image["src"]).groups()
    picture = Image.open(io.BytesIO(base64.b64decode(data, validate=True)))
    assert picture.format.lower() == kind
    assert picture.size == (int(image["width"]), int(image["height"]))
    assert image["alt"]
  assert not re.search(r"https?:|url\(|@import|<script", text)
  targets = [a["href"] for name, a in page.attributes if name == "a"]
  assert [t.removeprefix("#") for t in targets] == page.ids


def test_confidence_against_the_share_that_is_right():
  def rows(protocol, bins, **changes):
    return [{"method": "bayes", "field": "shaped", "protocol": protocol, "pixels": 8,
             "bins": bins, **changes}]

  calibration = (rows("sparse", [[0.5, 0.25, 4], [0, 0, 0]])
                 + rows("sparse", [[0.7, 0.75, 4], [0.9, 1.0, 4]])
                 + rows("dense", [[0.1, 0.1, 1]], field="other"))
  text = report_html(_full_report(summary={"calibration": calibration}))
  assert "share right" in text and "shaped / bayes" in text
  assert "other / bayes" not in text
  assert "calibration" in _Page(text).ids
  for none in ([], rows("dense", [[0.1, 0.1, 1]]), rows("sparse", [[0, 0, 0]])):
    page = _Page(report_html(_full_report(summary={"calibration": none})))
    assert "calibration" not in page.ids


def test_label_maps_in_the_page_are_exact_and_crisp():
  view = _view()
  page = _Page(report_html(_full_report(views=[view])))
  image, = (i for i in page.images if i["alt"] == "labels by plain / cosine")
  assert image["class"] == "crisp"
  data = base64.b64decode(image["src"].partition(",")[2])
  np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))),
                                palette()[view.labels["plain / cosine"]])


def test_every_class_is_in_the_legend_with_its_color_and_iou():
  view = _view(labels={"plain / cosine": np.full((6, 8), 77)})
  page = _Page(report_html(_full_report(views=[view])))
  for name in [*_NAMES.values(), "class 77"]:
    assert name in page.texts
  styles = [a.get("style", "") for n, a in page.attributes
            if a.get("class") == "swatch"]
  assert len(styles) == 5
  assert "background:#{:02x}{:02x}{:02x}".format(*palette()[77]) in styles
  assert "0.25" in page.texts


def test_names_cannot_break_the_page():
  text = report_html(_full_report())
  assert "<script" not in text and "<b>&quot;" not in text
  page = _Page(text)
  for name in ("room <i>", "rgb_<4>", "<b>", "<script>alert(1)</script>"):
    assert name in page.texts


def test_what_is_missing_is_left_out():
  bare = _Page(report_html(Report(title="bare")))
  assert not bare.images and not bare.ids
  no_truth = _view(truth=None, true_depth=None, depth={}, confidence=None)
  page = _Page(report_html(_full_report(views=[no_truth], rows=[], responses=[])))
  assert page.ids == ["views", "classes", "training", "run"]
  assert len(page.images) == 3 + 2
  assert not any("right" in text for text in page.texts)
  photo_only = ViewPanel("f", np.zeros((4, 4, 3), np.uint8))
  assert len(_Page(report_html(Report("t", views=[photo_only]))).images) == 1


def test_captions_measure_the_picture_they_stand_under():
  truth = np.array([[1, 1, 1, 0]])
  photo = np.zeros((1, 4, 3))
  view = ViewPanel("f", photo, {"plain": photo + 0.1}, {"plain": np.full((1, 4), 2.25)},
                   np.array([[2.0, 2.0, 2.0, 0.0]]),
                   {"plain / cosine": np.array([[1, 1, 2, 2]])}, truth)
  texts = _Page(report_html(Report("t", views=[view]))).texts
  # 0.1 is 25.5 of 255, shown as 26: 19.8 dB.
  assert "19.8 dB" in texts
  assert "median error 0.250" in texts
  assert "66.7% right" in texts


def test_click_stays_on_its_pixel_when_the_photograph_is_enlarged():
  panel = _click(photo=np.zeros((30, 40, 3), np.uint8), x=13, y=9)
  large = marked(panel, panel.photo, 400)  # ten times
  np.testing.assert_allclose(np.argwhere(large.any(axis=-1)).mean(axis=0),
                             [94.5, 134.5], atol=0.05)


def test_headline_is_the_fair_shaped_field_and_best_never_the_oracle():
  report = _full_report()
  page = _Page(report_html(report))
  values = [i for i, (n, a) in enumerate(page.attributes)
            if a.get("class") == "value"]
  assert len(values) == 3  # mIoU, PSNR, time; SSIM is null
  assert "0.610" in page.texts and "29.5 dB" in page.texts
  assert "3 min 05 s" in page.texts
  table = str(report_tables.score_tables(report.rows))
  best, = re.findall(r'<tr class="best">(.*?)</tr>', table)
  assert "<td>shaped</td>" in best
  assert table.count("uses ground truth") == 1
  # Three seeds in one line, with their spread; one seed has none.
  assert "0.300<small> ± 0.100</small>" in table and "0.610</td>" in table
  assert ('3</td><td class="number">3</td></tr>' in table
          and '3</td><td class="number">1</td></tr>' in table)


def test_markup_escapes_text_but_not_markup():
  assert tag("p", "a<b", Html("<br>"), None, [1, "&"], klass='"') == (
      '<p class="&quot;">a&lt;b<br>1&amp;</p>')


def test_hero_shows_each_click_beside_what_answers():
  silent = _click(maps={"plain": np.zeros((6, 8)), "shaped": np.ones((6, 8))})
  hero = hero_image([silent, _click()])
  assert hero.dtype == np.uint8 and hero.ndim == 3
  assert hero.shape[1] == 2 * 16 + 3 * 400 + 2 * 12
  # A map without answers is grey, one full of them is hot.
  row = 16 + 34 + 30
  plain, shaped = hero[row, 16 + 412 + 40], hero[row, 16 + 824 + 40].astype(int)
  assert plain.max() == plain.min() and shaped[0] - shaped[2] > 60
  with pytest.raises(ValueError):
    hero_image([])
  with pytest.raises(ValueError):
    hero_image([_click(), _click(maps={})])


def test_terms_of_a_group_share_a_chart_that_suits_their_values():
  steps = range(5)
  curves = {"fit": {"loss/photometric": [(i, 10.0**-i) for i in steps],
                    "loss/distortion": [(i, 0.5) for i in steps],
                    "psnr": [(i, 20.0 + i) for i in steps], "share": [(0, 0.0)],
                    "empty/a": [], "empty/b": []},
            "shape": {"psnr": [(0, 1.0)]}}
  text = report_html(Report("t", curves=curves))
  titles = re.findall(r'<svg[^>]*aria-label="(.*?)"', text)
  assert titles == ["fit: loss", "fit: psnr", "fit: share", "shape: psnr"]
  charts = dict(zip(titles, re.findall(r"<svg.*?</svg>", text)))
  assert all(f">{name}</text>" in charts["fit: loss"] for name in (
      "photometric", "distortion", "0.001", "0.1"))  # its ticks are powers of ten
  assert ">22</text>" in charts["fit: psnr"]


def test_facts_of_the_run_are_in_words():
  page = _Page(report_html(_full_report()))
  assert "jax 0.10" in page.texts and "2" in page.texts
  environment = {"device": ["a", "b"], "machine": {"cores": 2, "names": ["x", "y"]}}
  page = _Page(report_html(Report("t", summary={"environment": environment})))
  assert {"a, b", "cores 2, names x, y"} <= set(page.texts)
