"""The modes `inspect` and `features`: what is in a capture, before a field is fitted."""

from __future__ import annotations

import pathlib

from PIL import Image

from jnerf.files import write_json
from jnerf.scenes.inspection import contact_sheet, format_inspection, inspect_scene
from jnerf.stages.session import Session
from jnerf.viewing.palette import palette


def inspect(session: Session) -> tuple[str, pathlib.Path]:
  """Writes `inspect/`: inspection.json and contact_sheet.png.

  Returns the inspection as text, and the folder.
  """
  findings = inspect_scene(session.scene)
  folder = session.workdir.folder("inspect")
  write_json(folder / "inspection.json", findings)
  Image.fromarray(contact_sheet(session.scene, palette())).save(
      folder / "contact_sheet.png")
  return format_inspection(findings), folder


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
