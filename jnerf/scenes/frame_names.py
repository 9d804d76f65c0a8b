"""Frame names as other tools write them."""

from __future__ import annotations

import re


def frame_key(name: str) -> str:
  """What of a frame's name must agree: no folder, suffix, `rgb_` or leading zeros."""
  stem = re.sub(r"\.(png|jpe?g|npy|pth)$", "", re.split(r"[/\\]", name)[-1], flags=re.I)
  bare = stem.removeprefix("rgb_")
  return str(int(bare)) if bare.isdecimal() else stem
