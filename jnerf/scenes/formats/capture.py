"""From what a format's files say of photographs to a scene: the part all formats share.

A format's own file finds images, poses and intrinsics and turns them to the one
convention (`Capture`); `read_capture` chooses views and size, reads the pixels and
finds the extent, as the caller wishes (`Wishes`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import pathlib

import numpy as np

from jnerf.errors import InputError
from jnerf.geometry import cameras, lenses
from jnerf.scenes import bounds as extents
from jnerf.scenes import images
from jnerf.scenes.formats import splits, trajectory
from jnerf.scenes.formats.upright import upright_cameras
from jnerf.scenes.label_files import Labels
from jnerf.scenes.stacks import Canvas
from jnerf.structs import Scene

# Radians between opposite edges of a photograph, beyond which intrinsics are a mistake.
WIDEST, WIDEST_FISHEYE = np.radians(170.0), np.radians(340.0)


@dataclasses.dataclass(frozen=True)
class Wishes:
  """What the caller asks of any capture; 0, () and None leave it to the capture.

  width, max_pixels: see `stacks.working_size`.
  train, test: `(every, offset)`, see `splits.split_views`.
  near, far, bounds: see `bounds.scene_extent`.
  unbounded: whether the field is to cover all of space.
  strict: whether a frame without its image is an error; else it is left out.
  """

  width: int = 0
  max_pixels: int = 0
  train: tuple[int, int] = (0, 0)
  test: tuple[int, int] = (0, 0)
  near: float = 0.0
  far: float = 0.0
  bounds: Sequence[float] = ()
  unbounded: bool | None = None
  strict: bool = False


@dataclasses.dataclass(frozen=True)
class Capture:
  """V photographs as a format describes them; no pixel of them is read yet.

  layout: the format's name, for `Scene.source`; notes: what else it says there.
  name: the scene's; its folder's where none is given.
  root: its folder; paths: the image files; places: name each view in messages.
  poses: `[V, 4, 4]` camera to world, OpenCV axes.
  intrinsics: `[V, 4, 8 or 9]` in pixels of pictures of `sizes`, which have the shapes of
    the files; without sizes in those of the files. Both are of pixels as they are stored
    where sizes do not tell otherwise, see `upright`; size_from: what gives the sizes.
  size: `(width, height)` that all files must have as they are stored, where the
    intrinsics are for one.
  split: "train", "test" or "" per view, as the files say; test: or `(every, offset)`
    of the test views, (0, 0) where they do not say.
  depth, semantic, instance, mask: files of some views, by their number.
  read_depth: how the first of these are read.
  paired: whether such files are there for every view, and of its photograph's size.
  class_names: as in `Scene`, of classes that may occur.
  points: `[M, 3]` surface points in world coordinates, where some are known.
  extent: `(near, far, bounds [2, 3])` where the format knows them.
  """

  layout: str
  root: pathlib.Path
  paths: Sequence[pathlib.Path]
  places: Sequence[str]
  poses: np.ndarray
  intrinsics: np.ndarray
  sizes: Sequence[tuple[float, float]] = ()
  size_from: str = "w x h"
  size: tuple[int, int] | None = None
  split: Sequence[str] = ()
  depth: Mapping[int, pathlib.Path] = dataclasses.field(default_factory=dict)
  semantic: Mapping[int, pathlib.Path] = dataclasses.field(default_factory=dict)
  instance: Mapping[int, pathlib.Path] = dataclasses.field(default_factory=dict)
  mask: Mapping[int, pathlib.Path] = dataclasses.field(default_factory=dict)
  read_depth: Callable = images.read_depth
  class_names: Mapping[int, str] = dataclasses.field(default_factory=dict)
  points: np.ndarray | None = None
  extent: tuple[float, float, np.ndarray] | None = None
  notes: Sequence[str] = ()
  name: str = ""
  test: tuple[int, int] = (0, 0)
  paired: bool = False

  def keep(self, views: Sequence[int]) -> Capture:
    """The same capture with these views only, in this order."""
    def some(values):
      if isinstance(values, Mapping):
        return {new: values[old] for new, old in enumerate(views) if old in values}
      return [values[view] for view in views]

    return dataclasses.replace(
        self, **{name: some(getattr(self, name)) for name in (
            "paths", "places", "depth", "semantic", "instance", "mask")},
        split=some(self.split) if self.split else (),
        sizes=some(self.sizes) if self.sizes else (), poses=self.poses[list(views)],
        intrinsics=self.intrinsics[list(views)])


def present(paths: Sequence[pathlib.Path], places: Sequence[str], strict: bool,
            ) -> tuple[list[int], list[str]]:
  """`(numbers of the images that exist, a note on the others)`.

  strict: whether one without its file is an `InputError`, as it is where all are.
  """
  missing = [i for i, path in enumerate(paths) if not path.is_file()]
  if missing and (strict or len(missing) == len(paths)):
    raise InputError(f"{places[missing[0]]}: {paths[missing[0]]}: no such image file "
                     f"({len(missing)} of {len(paths)} are missing); restore it, or "
                     "leave the frame out")
  more = ", ..." if len(missing) > 3 else ""
  names = ", ".join(paths[i].name for i in missing[:3]) + more
  note = [f"{len(missing)} frames without image left out ({names})"] if missing else []
  return sorted(set(range(len(paths))) - set(missing)), note


def read_capture(capture: Capture, wishes: Wishes) -> Scene:
  """The scene of a capture; only views that train or test are read.

  Raises `InputError`, naming file and frame, for whatever does not fit together.
  """
  trajectory.check_rigid(capture.poses, capture.places)
  _check_intrinsics(capture)
  train, test, rule = _split(capture, wishes)
  in_split = np.union1d(train, test)
  capture = capture.keep(in_split)
  train, test = np.searchsorted(in_split, train), np.searchsorted(in_split, test)

  _check_pairs(capture)
  canvas = Canvas.of(capture.paths, wishes.width, wishes.max_pixels)
  for view, path in enumerate(capture.paths):
    width, height = canvas.stored_size(view)
    if capture.size and (width, height) != capture.size:
      raise InputError(f"{path}: is {width}x{height} pixels, but the camera's images are "
                       f"{capture.size[0]}x{capture.size[1]}; all need one size")
  poses, intrinsics = upright_cameras(
      canvas, capture.paths, capture.places, capture.poses, capture.intrinsics,
      capture.sizes, capture.size_from)
  capture = dataclasses.replace(capture, poses=poses, intrinsics=intrinsics)
  _check_view_angles(capture, canvas)
  intrinsics = canvas.intrinsics(intrinsics)
  lens = intrinsics[:, cameras.PINHOLE:]
  if lens.shape[1] == lenses.BROWN and not lens.any():
    intrinsics = intrinsics[:, :cameras.PINHOLE]
  colour, alpha = canvas.read_photographs(capture.paths)
  depth, semantic, instance = (
      canvas.read(files, read, images.resize_nearest,
                  any_size=not capture.paired) if files else None
      for files, read in ((capture.depth, capture.read_depth),
                          (capture.semantic, Labels().read),
                          (capture.instance, Labels().read)))
  filled = canvas.filled()
  mask = _mask(capture, canvas, intrinsics, filled)
  unbounded, (near, far, box) = _extent(capture, wishes, depth, train, intrinsics)
  return Scene(
      name=capture.name or capture.root.resolve().name,
      frames=_names(capture.root, capture.paths),
      images=colour, alpha=alpha,
      cam_to_world=capture.poses, intrinsics=intrinsics, full_size=canvas.full_size,
      near=near, far=far, bounds=box, unbounded=unbounded, train=train, test=test,
      depth=depth, semantic=semantic, instance=instance, mask=mask,
      class_names=_class_names(capture.class_names, semantic),
      files=tuple(map(str, capture.paths)),
      source=_source(capture, canvas, intrinsics, rule))


def _check_intrinsics(capture: Capture) -> None:
  """Raises `InputError` for numbers that no camera has, as damaged files hold them."""
  for row, place in zip(capture.intrinsics, capture.places, strict=True):
    if not (np.abs(row) < 1e9).all() or min(row[:2]) < 1e-3:
      listed = ", ".join(f"{value:g}" for value in row)
      raise InputError(f"{place}: fx, fy, cx, cy and the lens's terms are {listed}; no "
                       "camera has such, mend them")


def _check_view_angles(capture: Capture, canvas: Canvas) -> None:
  """Raises `InputError` where focal length or centre are no pixels of the photograph.

  Most often they are shares of its size, of which a photograph of that many pixels sees
  half of everything around.
  """
  widest = WIDEST_FISHEYE if capture.intrinsics.shape[1] == 8 else WIDEST
  for row, place, size in zip(capture.intrinsics, capture.places, canvas.full_sizes,
                              strict=True):
    for axis, extent in enumerate(size):
      half = extent / 2 / row[axis]
      angle = 2 * (half if widest == WIDEST_FISHEYE else np.arctan(half))
      if angle > widest:
        raise InputError(f"{place}: f{'xy'[axis]} is {row[axis]:g}, with which {extent} "
                         f"pixels see {np.degrees(angle):.0f} degrees; give the focal "
                         "length in pixels of the photograph")
    if min(size) > 4 and (np.abs(row[2:4]) <= 1).all():
      raise InputError(f"{place}: cx, cy are {row[2]:g}, {row[3]:g}, a corner of the "
                       f"photograph of {size[0]}x{size[1]}; give the principal point in "
                       "pixels, counted from the upper left")


def _check_pairs(capture: Capture) -> None:
  """Raises `InputError` for a file beside a photograph that must be there and is not."""
  for files in (capture.depth, capture.semantic, capture.instance, capture.mask):
    for view, path in files.items() if capture.paired else ():
      if not path.is_file():
        raise InputError(f"{path.parent}: has no {path.name} for "
                         f"{capture.paths[view].name}; restore it, or move the whole "
                         "folder away")


def _split(capture: Capture, wishes: Wishes) -> tuple[np.ndarray, np.ndarray, str]:
  """`(train, test, rule)`, as the files say unless the caller has a rule."""
  is_test = np.array([split == "test" for split in capture.split])
  if is_test.any() and not is_test.all() and not wishes.train[0] and not wishes.test[0]:
    return np.flatnonzero(~is_test), np.flatnonzero(is_test), "split as the files say"
  return splits.split_views(len(capture.paths), wishes.train, wishes.test, capture.test)


def _mask(capture: Capture, canvas: Canvas, intrinsics: np.ndarray,
          mask: np.ndarray | None) -> np.ndarray | None:
  """`[V, H, W]` bool as in `Scene`: of `mask`, seen by the lens, and not masked.

  A pixel counts where nothing of the full-size pixels it covers is masked.
  """
  if intrinsics.shape[1] > cameras.PINHOLE:
    sees = {row.tobytes(): cameras.seen_by_lens(row, canvas.size) for row in intrinsics}
    for row, place in zip(intrinsics, capture.places, strict=True):
      if not sees[row.tobytes()].any():
        terms = ", ".join(f"{term:g}" for term in row[cameras.PINHOLE:])
        raise InputError(f"{place}: rays pass nowhere through its lens, whose terms are "
                         f"{terms}; mend them")
    if not all(some.all() for some in sees.values()):
      by_lens = np.stack([sees[row.tobytes()] for row in intrinsics])
      mask = by_lens if mask is None else mask & by_lens
  if capture.mask:
    white = canvas.read(capture.mask, _read_mask, images.resize_area)[..., 0] > 1 - 1e-4
    for view, path in capture.mask.items():
      if not white[view].any():
        raise InputError(f"{path}: leaves no pixel of {capture.paths[view].name}; white "
                         "is what is kept")
    white[[view for view in range(len(white)) if view not in capture.mask]] = True
    mask = white if mask is None else mask & white
  return mask


def _read_mask(path: pathlib.Path) -> np.ndarray:
  """`[H, W, 1]` float32, 0 where the file is black and 1 elsewhere."""
  return (images.read_mask(path) > 0).astype(np.float32)[..., None]


def _extent(capture: Capture, wishes: Wishes, depth: np.ndarray | None,
            train: np.ndarray, intrinsics: np.ndarray):
  """`(unbounded, (near, far, bounds))`: the caller's wishes, the format's, a guess."""
  unbounded, box = wishes.unbounded, wishes.bounds
  near, far = wishes.near, wishes.far
  if capture.extent is not None:
    near, far = near or capture.extent[0], far or capture.extent[1]
    box = box if len(box) else capture.extent[2].reshape(-1)
  if unbounded is None:
    unbounded = not len(box) and depth is None
  if unbounded:
    return True, extents.unbounded_extent(
        capture.poses, capture.points, near=near, far=far, bounds=box)
  return False, extents.scene_extent(
      capture.poses, depth, train, intrinsics, points=capture.points, near=near, far=far,
      bounds=box)


def _source(capture, canvas, intrinsics, rule) -> str:
  """One line: what was read, by which conventions."""
  lens = {lenses.FISHEYE: "fisheye lens", lenses.BROWN: "lens distortion k1 k2 p1 p2 k3"}
  sizes = f"{canvas.full_size[0]}x{canvas.full_size[1]}"
  parts = [f"{'up to ' if canvas.uneven else ''}{sizes} read at "
           f"{canvas.size[0]}x{canvas.size[1]}",
           lens.get(intrinsics.shape[1] - cameras.PINHOLE, "pinhole"),
           *capture.notes]
  return f"{capture.layout} layout in {capture.root}: {', '.join(parts)}; {rule}"


def _names(root: pathlib.Path, paths: Sequence[pathlib.Path]) -> tuple[str, ...]:
  """The files' names without suffix, or where two agree their paths joined by `_`."""
  stems = [path.stem for path in paths]
  if len(set(stems)) < len(stems):
    stems = ["_".join(path.relative_to(root).parts) for path in paths]
  return tuple(stems)


def _class_names(names: Mapping[int, str], semantic: np.ndarray | None) -> dict[int, str]:
  """Names of void and of the classes in the labels."""
  if semantic is None:
    return {}
  present = np.unique(semantic).tolist()
  return {0: "void"} | {i: names.get(i, f"class {i}") for i in present if i}
