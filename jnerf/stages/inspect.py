"""The mode `inspect`: what is in a capture, before a field is fitted."""

from __future__ import annotations

import pathlib
import sys

from jnerf.files import write_json, write_png
from jnerf.inspecting.inspection import inspect_scene
from jnerf.runs.checks import check
from jnerf.runs.estimate import estimate
from jnerf.runs.label_needs import label_needs
from jnerf.runs.loading import load_scene
from jnerf.runs.run import Run
from jnerf.structs import Scene
from jnerf.viewing.contact_sheet import contact_sheet
from jnerf.viewing.estimate_text import format_estimate
from jnerf.viewing.frustums import camera_plot
from jnerf.viewing.inspection_text import format_inspection
from jnerf.viewing.palette import palette


def inspect(run: Run) -> str:
  """Says what is in the scene, and what it will cost; draws photographs and cameras."""
  scene = load_scene(run)
  check(run, scene, (), keep=())
  with run.workdir.lock():
    text, folder = inspect_stage(run, scene)
  return f"{text}\ncontact_sheet.png, cameras.png, inspection.json: {folder}"


def inspect_stage(run: Run, scene: Scene) -> tuple[str, pathlib.Path]:
  """Writes `inspect/`: inspection.json, contact_sheet.png and cameras.png.

  Returns the inspection as text, and the folder.
  """
  findings = inspect_scene(scene)
  folder = run.workdir.folder("inspect")
  photos = findings["photos"]
  outliers = [*findings["baselines"]["isolated"],
              *(row["frame"] for row in (*photos["blurred"], *photos["exposed"]))]
  write_png(folder / "contact_sheet.png", contact_sheet(scene, palette()))
  write_png(folder / "cameras.png", camera_plot(scene, outliers))
  needs, cost = label_needs(run, scene), []
  if run.config.inspect.estimate:
    print("inspect: timing a few steps of each stage (--config.inspect.estimate=False "
          "leaves that out)", file=sys.stderr, flush=True)
    findings["estimate"] = estimate(run, scene)
    findings["warnings"] += findings["estimate"]["problems"]
    cost = format_estimate(findings["estimate"])
  write_json(folder / "inspection.json", findings)
  return format_inspection(findings, needs, cost), folder
