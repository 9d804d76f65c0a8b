"""What `info.json` says about a capture in the Replica layout; all of it optional."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np

from jnerf.errors import InputError
from jnerf.files import read_json_object
from jnerf.geometry import cameras

DISTORTION = ("k1", "k2", "p1", "p2", "k3")
LARGEST = 1e9  # of any number of a camera; larger ones are damage


@dataclasses.dataclass(frozen=True)
class Info:
  """The parts of an info.json that are used.

  path: the file, for messages.
  name: the scene's; empty where not given.
  intrinsics: `fx, fy, cx, cy` with integer pixel centres, or None.
  lens: OpenCV's `DISTORTION` terms, 0 where not given.
  size: `(width, height)` that the intrinsics are for, or None.
  classes: class id to name.
  test: `(every, offset)` of the test frames; (0, 0) where not given.
  """

  path: pathlib.Path
  name: str = ""
  intrinsics: tuple[float, float, float, float] | None = None
  lens: tuple[float, ...] = (0.0,) * 5
  size: tuple[int, int] | None = None
  classes: dict[int, str] = dataclasses.field(default_factory=dict)
  test: tuple[int, int] = (0, 0)


def read_info(path: pathlib.Path) -> Info:
  """Reads `path`; a file that is not there says nothing. Raises `InputError`."""
  try:
    raw = read_json_object(path)
  except FileNotFoundError:
    return Info(path)
  raw = {key: value for key, value in raw.items() if value is not None}
  focal = _numbers(path, raw, ("fx", "fy", "cx", "cy"), (int, float))
  if focal and not (all(abs(x) < LARGEST for x in focal) and min(focal[:2]) > 0):
    raise InputError(f"{path}: fx, fy, cx, cy are {_listed(focal)}; give finite numbers "
                     "with focal lengths above 0")
  lens = sum((_numbers(path, raw, (key,), (int, float)) or (0.0,)
              for key in DISTORTION), ())
  if not all(abs(x) < LARGEST for x in lens):
    raise InputError(f"{path}: {', '.join(DISTORTION)} are {_listed(lens)}; give finite "
                     "numbers, or leave them out")
  if raw.get("pixel_center", "integer") != "integer":
    raise InputError(f"{path}: pixel_center is {raw['pixel_center']!r}; only \"integer\" "
                     "is known for this layout: add or take 0.5 and say so")
  if "test_every" in raw:
    raw.setdefault("test_offset", 0)
  return Info(path, name=str(raw.get("scene", "")), intrinsics=focal, lens=lens,
              size=_numbers(path, raw, ("width", "height"), int),
              classes=_classes(path, raw.get("classes", {})),
              test=_numbers(path, raw, ("test_every", "test_offset"), int) or (0, 0))


def intrinsics(info: Info, full_size: tuple[int, int], hfov: float,
               ) -> tuple[np.ndarray, str]:
  """`([9] intrinsics of images of `full_size`, where they are from)`."""
  if info.size and info.size != tuple(full_size):
    raise InputError(f"{info.path}: says {info.size[0]}x{info.size[1]} pixels, but the "
                     f"images are {full_size[0]}x{full_size[1]}; mend width, height and "
                     "the intrinsics")
  if info.intrinsics:
    return (np.append(cameras.from_integer_centres(info.intrinsics), info.lens),
            "intrinsics from info.json (integer pixel centres)")
  if not 0 < hfov < 180:
    raise InputError(f"scene.hfov={hfov:g}: give degrees between 0 and 180")
  return (np.append(cameras.pinhole_from_fov(*full_size, hfov), info.lens),
          f"intrinsics from a horizontal field of view of {hfov:g} degrees")


def _numbers(path: pathlib.Path, raw: dict, keys: tuple[str, ...], kind) -> tuple | None:
  """The values at `keys`, or None where none of them is there."""
  values = [raw.get(key) for key in keys]
  if all(value is None for value in values):
    return None
  for key, value in zip(keys, values, strict=True):
    if isinstance(value, bool) or not isinstance(value, kind):
      expected = "an integer" if kind is int else "a number"
      raise InputError(f"{path}: {key} is {value!r}; give {expected}, or leave out all "
                       f"of {', '.join(keys)}")
  return tuple(values)


def _listed(values: tuple) -> str:
  return ", ".join(str(value)[:20] for value in values)


def _classes(path: pathlib.Path, raw) -> dict[int, str]:
  try:
    classes = {int(key): str(name) for key, name in raw.items()}
  except (AttributeError, ValueError):
    raise InputError(f"{path}: classes must map class ids to names, such as "
                     "{\"1\": \"wall\"}") from None
  return dict(sorted(classes.items()))
