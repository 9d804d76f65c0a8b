"""From settings to a scene: which layout a folder has, and who reads it."""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import pathlib
from typing import NamedTuple

from jnerf.errors import InputError
from jnerf.scenes.formats import colmap, llff, nice_slam, replica, scannet, transforms
from jnerf.scenes.formats.capture import Wishes
from jnerf.scenes.room.room import RoomSettings, make_room
from jnerf.settings import check_settings, setting
from jnerf.structs import Scene


class Layout(NamedTuple):
  """One layout of captures: how to tell it, by which parts, and how it is read.

  is_layout: whether a folder has it; parts: what that looks for, in words.
  read: `(path, wishes, SceneSettings) -> Scene`.
  """

  is_layout: Callable[[pathlib.Path], bool]
  parts: str
  read: Callable[[pathlib.Path, Wishes, SceneSettings], Scene]


# In the order in which they are looked for. LLFF's own captures hold COLMAP's files
# too, which cannot be read without pycolmap.
LAYOUTS = {
    "replica": Layout(
        replica.is_replica, f"{replica.IMAGE_FOLDER}/ and {replica.TRAJECTORY}",
        lambda path, wishes, scene: replica.load_replica(path, wishes, hfov=scene.hfov)),
    "nerfstudio": Layout(
        transforms.is_nerfstudio, transforms.FILE,
        lambda path, wishes, _: transforms.load_transforms(path, wishes)),
    "blender": Layout(
        transforms.is_blender, transforms.SPLIT_FILES["train"],
        lambda path, wishes, _: transforms.load_transforms(path, wishes, blender=True)),
    "llff": Layout(llff.is_llff, llff.FILE,
                   lambda path, wishes, _: llff.load_llff(path, wishes)),
    "colmap": Layout(
        colmap.is_colmap, "a COLMAP model in sparse/ or sparse/0/",
        lambda path, wishes, _: colmap.load_colmap(path, wishes)),
    "scannet": Layout(
        scannet.is_scannet, ", ".join(f"{folder}/" for folder in scannet.FOLDERS),
        lambda path, wishes, _: scannet.load_scannet(path, wishes)),
    "nice_slam": Layout(
        nice_slam.is_nice_slam, f"{nice_slam.FOLDER}/ and {nice_slam.TRAJECTORY}",
        lambda path, wishes, _: nice_slam.load_nice_slam(path, wishes)),
}
FORMATS = ("auto", "room", *LAYOUTS)


@dataclasses.dataclass(frozen=True)
class SceneSettings:
  """Which capture, and what of it."""

  format: str = setting("auto", "the capture's layout", choices=FORMATS)
  path: str = setting("", "folder of the capture; unused by the procedural room")
  width: int = setting(0, "working width in pixels; 0 keeps the files' own", at_least=0)
  max_pixels: int = setting(0, "without a width: halve until V*H*W is below; 0: never",
                            at_least=0)
  train_every: int = setting(0, "every which view trains; 0: as the files or the format "
                             "say", at_least=0)
  train_offset: int = setting(0, "the first one", at_least=0)
  test_every: int = setting(0, "every which view is held out; 0: as above", at_least=0)
  test_offset: int = setting(0, "the first one", at_least=0)
  hfov: float = setting(90.0, "degrees; where the capture brings no intrinsics")
  near: float = setting(0.0, "distance before which nothing is; 0: from depth, else from "
                        "the cameras", at_least=0)
  far: float = setting(0.0, "distance beyond which nothing is; 0: as near", at_least=0)
  unbounded: str = setting("auto", "auto: photographs whose box nobody gives",
                           choices=("auto", "yes", "no"))
  ndc: str = setting("auto", "auto: mlp field, unbounded, cameras face one way",
                     choices=("auto", "yes", "no"))
  strict: bool = setting(False, "whether a frame without its image is an error")
  bounds: tuple = setting((), "xmin, ymin, zmin, xmax, ymax, zmax; (): as near and far")

  def check(self, section: str) -> None:
    """Raises InputError where settings contradict one another."""
    if not 0 < self.hfov < 180:
      raise InputError(f"{section}.hfov={self.hfov}: must lie between 0 and 180 degrees")
    if self.near and self.far and self.near >= self.far:
      raise InputError(f"{section}.near={self.near}: must be below "
                       f"{section}.far={self.far}")
    for split in ("train", "test"):
      every, offset = (getattr(self, f"{split}_{part}") for part in ("every", "offset"))
      if offset >= max(every, 1):
        raise InputError(f"{section}.{split}_offset={offset}: must be below "
                         f"{section}.{split}_every={every}")
    bounds = self.bounds
    if bounds and (len(bounds) != 6 or any(bounds[i] >= bounds[i + 3] for i in range(3))):
      raise InputError(f"{section}.bounds={tuple(bounds)}: must be () or six numbers "
                       "xmin, ymin, zmin, xmax, ymax, zmax, each minimum below its "
                       "maximum")


def load_scene(settings: SceneSettings, room: RoomSettings = RoomSettings()) -> Scene:
  """The scene that the settings name; raises `InputError`.

  `format = "auto"` takes the procedural room without a path, else the layout
  that the folder has; `Scene.source` says which and why.
  """
  check_settings(settings, "scene")
  kind, reason = settings.format, f"scene.format={settings.format}"
  if kind == "auto":
    kind, reason = _recognise(settings.path)
  if settings.unbounded == "yes" and kind in ("room", "replica"):
    raise InputError(f"scene.unbounded=yes: the {kind} layout is of rooms, which have "
                     "walls; set it to auto")
  if kind == "room":
    if settings.path:
      raise InputError(f"scene.path={settings.path}: the procedural room reads no "
                       "folder; set scene.format=auto, or leave the path out")
    scene = make_room(width=room.width, height=room.height, num_train=room.num_train,
                      num_test=room.num_test, seed=room.seed)
  else:
    _require(kind, settings.path)
    scene = LAYOUTS[kind].read(pathlib.Path(settings.path), _wishes(settings), settings)
  return scene.replace(source=f"{scene.source} [{reason}]", folder=settings.path)


def _wishes(settings: SceneSettings) -> Wishes:
  return Wishes(
      width=settings.width, max_pixels=settings.max_pixels,
      train=(settings.train_every, settings.train_offset),
      test=(settings.test_every, settings.test_offset), near=settings.near,
      far=settings.far, bounds=tuple(settings.bounds), strict=settings.strict,
      unbounded={"yes": True, "no": False, "auto": None}[settings.unbounded])


def _recognise(path: str) -> tuple[str, str]:
  """`(format, why)` of the capture in `path`."""
  if not path:
    return "room", "auto: no scene.path, so the procedural room"
  root = pathlib.Path(path)
  for kind, layout in LAYOUTS.items():
    if layout.is_layout(root):
      return kind, f"auto: found {layout.parts}, so the {kind} layout"
  if not root.is_dir():
    raise InputError(f"scene.path={path}: no such folder; give one with {_all_parts()}")
  raise InputError(f"scene.path={path}: lacks {_all_parts()}{_hint(root)}")


def _require(kind: str, path: str) -> None:
  """Raises `InputError`, with what was looked for, unless `path` is of that kind."""
  is_layout, parts, _ = LAYOUTS[kind]
  root = pathlib.Path(path)
  if not path or not root.is_dir():
    raise InputError(f"scene.path={path}: no such folder; give one with {parts} (the "
                     f"{kind} layout)")
  if not is_layout(root):
    raise InputError(f"scene.path={path}: lacks {parts} (the {kind} layout)"
                     f"{_hint(root)}")


def _all_parts() -> str:
  return "; or ".join(f"{layout.parts} ({kind})" for kind, layout in LAYOUTS.items())


def _hint(root: pathlib.Path) -> str:
  """Where a capture lies if one folder deeper."""
  inner = sorted(folder for folder in root.glob("*/")
                 if any(layout.is_layout(folder) for layout in LAYOUTS.values()))
  return f"; did you mean {inner[0]}?" if inner else "; no other layout is known"
