"""The modes `inspect` and `features`: what is in a capture, before a field is fitted."""

from __future__ import annotations

import pathlib
import sys

from jnerf.files import write_json, write_png
from jnerf.inspecting.inspection import inspect_scene
from jnerf.runs.estimate import estimate
from jnerf.stages.label_needs import label_needs
from jnerf.stages.session import Session
from jnerf.viewing.contact_sheet import contact_sheet
from jnerf.viewing.estimate_text import format_estimate
from jnerf.viewing.frustums import camera_plot
from jnerf.viewing.inspection_text import format_inspection
from jnerf.viewing.palette import palette


def inspect(session: Session) -> tuple[str, pathlib.Path]:
  """Writes `inspect/`: inspection.json, contact_sheet.png and cameras.png.

  Returns the inspection as text, and the folder.
  """
  scene = session.scene
  findings = inspect_scene(scene)
  folder = session.workdir.folder("inspect")
  photos = findings["photos"]
  outliers = [*findings["baselines"]["isolated"],
              *(row["frame"] for row in (*photos["blurred"], *photos["exposed"]))]
  write_png(folder / "contact_sheet.png", contact_sheet(scene, palette()))
  write_png(folder / "cameras.png", camera_plot(scene, outliers))
  needs, cost = label_needs(session), []
  if session.config.inspect.estimate:
    print("inspect: timing a few steps of each stage (--config.inspect.estimate=False "
          "leaves that out)", file=sys.stderr, flush=True)
    findings["estimate"] = estimate(session)
    findings["warnings"] += findings["estimate"]["problems"]
    cost = format_estimate(findings["estimate"])
  write_json(folder / "inspection.json", findings)
  return format_inspection(findings, needs, cost), folder


def describe_features(session: Session) -> str:
  """Says what the features are and where; makes those of a network first."""
  maps = session.features
  num, rows, columns, channels = maps.grid.shape
  text = (f"features: {maps.source}, {num} views, {rows}x{columns} cells of {channels} "
          f"channels, {maps.grid.nbytes / 1e6:.3g} MB, {maps.origin}")
  if session.config.features.kind == "vit":
    text += ("\nthe other modes find them in this --workdir, in an environment without "
             "PyTorch too")
  return text
