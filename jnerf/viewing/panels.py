"""What a report shows: plain values, gathered by the caller, drawn by `report`.

H x W is the working resolution; photographs and renders are float in [0, 1] or
uint8, class ids integers with 0 = void, depth along the camera's z with 0 =
none. `field` names are `plain`, `shaped`, `shaped-oracle` as in metrics.json.
Whatever is empty or None is left out of the report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

import numpy as np

from jnerf.viewing.curves import Series


@dataclasses.dataclass(frozen=True)
class ViewPanel:
  """One test view.

  frame: its name.
  photo: `[H, W, 3]`.
  rendered: field to `[H, W, 3]`.
  depth: field to `[H, W]`.
  true_depth: `[H, W]` or None.
  labels: `"field / method"` (`"shaped / cosine"`) to `[H, W]` predicted classes.
  truth: `[H, W]` ground-truth classes or None.
  confidence: `[H, W]` in [0, 1] or None.
  """

  frame: str
  photo: np.ndarray
  rendered: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
  depth: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
  true_depth: np.ndarray | None = None
  labels: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
  truth: np.ndarray | None = None
  confidence: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class ResponsePanel:
  """What answers to one click.

  frame: the view that is shown, and was clicked.
  photo: `[H, W, 3]`.
  x, y: the clicked column and row, in pixels of `photo`.
  class_name: what was clicked.
  maps: field to `[H, W]` response; zero and below is drawn as no answer.
  """

  frame: str
  photo: np.ndarray
  x: int
  y: int
  class_name: str
  maps: Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Report:
  """Everything in `report.html`.

  title, source, command: head of the page: the scene, where it came from, and
    what to type to make this again.
  summary: a metrics.json object or a part of it; read are `psnr`, `ssim`,
    `depth_error_m` (field to number), `stages`, `environment` and `calibration`.
  rows: the `labels` list of metrics.json.
  protocol: the protocol whose clicks made the label maps of `views`; its rows
    give the headline and the legend's IoU per class.
  class_names: class id to name.
  curves: stage to term to `[(step, value), ...]`; terms `group/term` of one
    group share a chart.
  warnings: one line each.
  """

  title: str
  source: str = ""
  command: str = ""
  summary: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  rows: Sequence[Mapping[str, Any]] = ()
  protocol: str = "sparse"
  views: Sequence[ViewPanel] = ()
  responses: Sequence[ResponsePanel] = ()
  class_names: Mapping[int, str] = dataclasses.field(default_factory=dict)
  curves: Mapping[str, Mapping[str, Series]] = dataclasses.field(
      default_factory=dict)
  warnings: Sequence[str] = ()
