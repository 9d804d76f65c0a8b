"""The report's pictures: test views beside what was made of them, and clicks.

Captions carry numbers of the very picture they stand under, computed here from
what is shown; averages over all test views are in the tables.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jnerf.evaluating.metrics import psnr
from jnerf.viewing import images
from jnerf.viewing.markup import Html, join, tag
from jnerf.viewing.palette import label_image
from jnerf.viewing.panels import ResponsePanel, ViewPanel

_CLICK_WIDTH = 480  # photographs that get a ring are enlarged first to this


def view_card(view: ViewPanel) -> Html:
  """Everything about one test view: colour, depth, labels and confidence."""
  rows = [("Colour", None, _color_figures(view)), _depth_row(view),
          ("Labels", _label_key(view), _label_figures(view))]
  rows = [row for row in rows if row[2]]
  columns = min(4, max(2, *(len(figures) for _, _, figures in rows), 2))
  return tag("article", tag("h3", view.frame),
             [strip(title, key, figures) for title, key, figures in rows],
             klass="card", style=f"--columns:{columns}")


def response_card(panel: ResponsePanel) -> Html:
  """One click: the photograph with the pixel marked, then a map per field."""
  figures = [figure(marked(panel, panel.photo), "the click",
                    f"photograph, {panel.frame}, clicked pixel marked", photo=True)]
  for name, response in panel.maps.items():
    heat = images.response_image(panel.photo, response)
    figures.append(figure(marked(panel, heat), f"{name} field",
                          f"response in the {name} field", photo=True))
  title = tag("h3", panel.class_name,
              tag("small", f" {panel.frame}, column {panel.x}, row {panel.y}"))
  return tag("article", title, tag("div", figures, klass="strip"), klass="card",
             style=f"--columns:{min(4, max(2, len(figures)))}")


def marked(panel: ResponsePanel, image: np.ndarray,
           width: int = _CLICK_WIDTH) -> np.ndarray:
  """`image [H, W, 3]` enlarged to at least `width`, the clicked pixel ringed."""
  large = images.enlarge(image, width)
  factor = large.shape[1] / np.shape(image)[1]
  return images.mark_pixel(large, (panel.x + 0.5) * factor - 0.5,
                           (panel.y + 0.5) * factor - 0.5)


def figure(image: np.ndarray, caption, alt: str, photo: bool = False,
           number: str = "") -> Html:
  """A picture with its caption; label maps (not `photo`) keep crisp pixels."""
  picture = _picture(image, alt, photo)
  return tag("figure", picture,
             tag("figcaption", caption, tag("b", number) if number else None))


def _picture(image: np.ndarray, alt: str, photo: bool) -> Html:
  height, width = image.shape[:2]
  return tag("img", src=images.data_uri(image, photo), alt=alt, width=width,
             height=height, klass=None if photo else "crisp")


def strip(title: str, key: Html | None, figures: Sequence[Html]) -> Html:
  """Figures side by side under a small heading."""
  return tag("div", tag("h4", title, key), tag("div", figures, klass="strip"))


def color_key(stops: np.ndarray, left: str, right: str) -> Html:
  """A small bar of the colours `stops [n, 3]` uint8 between two words."""
  gradient = ", ".join("rgb({}, {}, {})".format(*stop) for stop in stops.tolist())
  return tag("span", left, tag("i", style=f"background:linear-gradient(to right, "
                               f"{gradient})"), right, klass="key")


def heat_key() -> Html:
  """The key of response maps: from bare grey to the strongest answer."""
  stops = images.heat_over(np.full(9, 0.5), np.linspace(0, 1, 9))
  return color_key(stops, "no answer", "strongest answer")


def _viridis_key(left: str, right: str) -> Html:
  stops = images.color_map(np.linspace(0, 1, 9), "viridis")
  return color_key(images.to_uint8(stops), left, right)


def _label_key(view: ViewPanel) -> Html | None:
  """What red and grey mean, and the colours of confidence, where they occur."""
  def chip(color):
    return tag("i", klass="chip", style="background:rgb({}, {}, {})".format(*color))

  errors = tag("span", chip(images.RIGHT), "right", chip(images.WRONG), "wrong",
               chip(images.VOID), "void, not scored", klass="key")
  return join(errors if view.truth is not None and view.labels else None,
              _viridis_key("unsure", "sure") if view.confidence is not None
              else None)


def _color_figures(view: ViewPanel) -> list[Html]:
  figures = [figure(view.photo, "photograph", f"photograph {view.frame}", True)]
  for name, rgb in view.rendered.items():
    quality = psnr(images.to_uint8(rgb) / 255, images.to_uint8(view.photo) / 255)
    figures.append(figure(rgb, f"render, {name}", f"render of {name}", True,
                          f"{quality:.1f} dB"))
  return figures


def _depth_row(view: ViewPanel) -> tuple[str, Html | None, list[Html]]:
  maps = {f"depth, {name}": depth for name, depth in view.depth.items()}
  if view.true_depth is not None:
    maps = {"true depth": view.true_depth, **maps}
  if not maps:
    return "Depth", None, []
  # One scale for all of a view's maps; the true one sets it where it exists.
  lo, hi = images.depth_range(*(maps.values() if view.true_depth is None
                                else [view.true_depth]))
  key = _viridis_key(f"far {hi:.2f}", f"near {lo:.2f}")
  return "Depth", key, [
      figure(images.depth_image(depth, lo, hi), name, f"{name} of {view.frame}",
             True, _depth_error(depth, view.true_depth))
      for name, depth in maps.items()]


def _depth_error(depth: np.ndarray, truth: np.ndarray | None) -> str:
  if truth is None or depth is truth:
    return ""
  is_known = (truth > 0) & np.isfinite(depth)
  return f"median error {np.median(np.abs(depth - truth)[is_known]):.3f}" if (
      is_known.any()) else ""


def _label_figures(view: ViewPanel) -> list[Html]:
  """Truth and confidence, then per method its labels with the errors beneath."""
  pictures_alone = []
  if view.truth is not None:
    pictures_alone.append(figure(label_image(view.truth), "ground truth",
                        f"true labels of {view.frame}"))
  if view.confidence is not None:
    pictures_alone.append(figure(images.confidence_image(view.confidence), "confidence",
                        f"confidence, {view.frame}"))
  figures = [tag("div", pictures_alone)] if pictures_alone else []
  for name, labels in view.labels.items():
    pictures = [_picture(label_image(labels), f"labels by {name}", False)]
    if view.truth is not None:
      pictures.append(_picture(images.error_image(labels, view.truth),
                               f"errors of {name}", False))
    figures.append(tag("figure", pictures, tag(
        "figcaption", name, _share_right(labels, view.truth))))
  return figures


def _share_right(labels: np.ndarray, truth: np.ndarray | None) -> Html | None:
  if truth is None or not (truth > 0).any():
    return None
  return tag("b", f"{(labels == truth)[truth > 0].mean():.1%} right")
