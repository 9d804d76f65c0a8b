"""A part of a real room, Replica's office_0, to write in other layouts."""

import pathlib

import pytest

from jnerf.scenes.formats import replica
from jnerf.scenes.formats.capture import Wishes
from jnerf.structs import Scene

OFFICE = pathlib.Path(__file__).parents[2] / "shared" / "data" / "office_0"


def every_8th_view() -> Scene:
  """Its 11 views 0, 8, ... at full size; skips the test where it is not there."""
  if not OFFICE.is_dir():
    pytest.skip(f"no capture at {OFFICE}")
  return replica.load_replica(OFFICE, Wishes(train=(8, 0), test=(80, 8)))
