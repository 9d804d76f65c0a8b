"""The mode `inspect`: what is in a capture, before any time is spent on it."""

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
