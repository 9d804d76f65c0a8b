"""Captures with a COLMAP sparse model, binary or text, read by pycolmap.

    images/           the photographs; else input/, or smaller copies: images_2/, ...
    sparse/0/         cameras.bin, images.bin, points3D.bin, or all three as .txt; the
                      last may be missing
    sparse/1/         where COLMAP found no way to join them: the largest is read

The model may also lie in sparse/ itself, in colmap/sparse/, in distorted/sparse/ (whose
photographs are those in input/), or beside the photographs' folder. World to camera
becomes camera to world; COLMAP's axes and pixel centres are ours, see
`colmap_camera`. Its unit of length is arbitrary. Photographs that it could not place
are no part of the scene.
"""

from __future__ import annotations

from collections.abc import Sequence
import copy
import itertools
import pathlib
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jnerf.errors import InputError
from jnerf.scenes.formats import colmap_camera, colmap_copy
from jnerf.scenes.formats.capture import (
  Capture,
  Wishes,
  present,
  read_capture,
)
from jnerf.scenes.formats.colmap_files import check_counts, model_suffix
from jnerf.scenes.formats.trajectory import FARTHEST
from jnerf.scenes.named_files import path_below
from jnerf.structs import Scene

if TYPE_CHECKING:
  import pycolmap

COPIES = tuple(f"images_{factor}" for factor in (2, 4, 8))
# Where models are looked for, in this order, and where their photographs.
PLACES = {"sparse": ("images", "input", *COPIES),
          "colmap/sparse": ("images", "input", *COPIES),
          "distorted/sparse": ("input",),
          "": ("images", "input", *COPIES)}
MAX_ERROR = 4.0  # pixels, beyond which COLMAP itself drops a point
MIN_TRACK = 3  # images: two rays nearly meet for many a wrong match, three do not
ENOUGH_POINTS = 100  # of good ones; else all are taken


class View(NamedTuple):
  """A photograph that COLMAP placed.

  name: its path below the photographs' folder; pose: `[4, 4]` camera to world.
  """

  name: str
  pose: np.ndarray
  camera: pycolmap.Camera


class Model(NamedTuple):
  """What is wanted of a COLMAP model.

  views: in the natural order of their names; num_images: how many there were.
  points: `[M, 3]` of those that can be trusted.
  """

  folder: pathlib.Path
  views: list[View]
  num_images: int
  points: np.ndarray

  def place(self, view: View) -> str:
    """Names a view in messages."""
    return f"{self.folder}: image {view.name!r}"


def is_colmap(path: str | pathlib.Path) -> bool:
  """Whether the folder `path` has a COLMAP model in one of `PLACES`."""
  return bool(_models(pathlib.Path(path))[0])


def load_colmap(path: str | pathlib.Path, wishes: Wishes = Wishes()) -> Scene:
  """Reads the capture in folder `path`, see `capture.read_capture`.

  Raises `InputError` also where pycolmap is missing.
  """
  root = pathlib.Path(path)
  folders, image_folders = _models(root)
  # The first of the largest ones: `max` keeps the order.
  model = max(map(_read_model, folders), key=lambda model: len(model.views))
  paths = _paths(root, image_folders, model)
  places = [model.place(view) for view in model.views]
  chosen, notes = present(paths, places, wishes.strict)
  model = model._replace(views=[model.views[i] for i in chosen])
  paths, places = ([some[i] for i in chosen] for some in (paths, places))
  which = f"the largest of {len(folders)}, with" if len(folders) > 1 else "with"
  return read_capture(Capture(
      layout="COLMAP", root=root, paths=paths, places=places,
      poses=np.stack([view.pose for view in model.views]), intrinsics=_intrinsics(model),
      sizes=[(view.camera.width, view.camera.height) for view in model.views],
      points=model.points if len(model.points) else None,
      notes=[f"model {model.folder.relative_to(root)} {which} {model.num_images} images "
             f"and {len(model.points)} sound points, poses turned to camera-to-world",
             *_of_points(model), *notes]), wishes)


def _of_points(model: Model) -> list[str]:
  """A note where the model has no file of points."""
  file = model.folder / f"points3D{model_suffix(model.folder)}"
  note = f"no {file.name}, so the cameras tell how far to look"
  return [] if file.is_file() else [note]


def _models(root: pathlib.Path) -> tuple[list[pathlib.Path], Sequence[str]]:
  """`(folders with models, names of folders that may hold their photographs)`."""
  for place, image_folders in PLACES.items():
    folder = root / place
    inner = sorted(folder.glob("*/")) if place else []
    models = [some for some in (folder, *inner) if model_suffix(some)]
    if models:
      return models, image_folders
  return [], ()


def _read_model(folder: pathlib.Path) -> Model:
  """The model in `folder`; whatever is wrong with it is an `InputError`."""
  library = _pycolmap()
  check_counts(folder)
  level = library.logging.minloglevel
  library.logging.minloglevel = int(library.logging.FATAL)  # what it throws says it all
  try:
    with colmap_copy.readable(folder) as (whole, names):
      whole_model = library.Reconstruction(str(whole))
    # Copies: what pycolmap hands out lives only as long as the whole.
    views = [View(names.get(image.image_id, image.name), _pose(image),
                  copy.copy(image.camera))
             for image in whole_model.images.values() if image.has_pose]
    points = _sound_points(whole_model)
  except InputError:
    raise
  except Exception as error:  # whatever C++ threw, under whatever name
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    raise InputError(f"{folder}: pycolmap cannot read this model ({reason}); copy it "
                     "again, or write it anew") from None
  finally:
    library.logging.minloglevel = level
  views.sort(key=lambda view: (_natural(view.name), view.name))
  model = Model(folder, views, len(views), points)
  for first, second in itertools.pairwise(views):
    if first.name == second.name:
      raise InputError(f"{model.place(first)}: is there twice; keep one")
  if not views:
    raise InputError(f"{folder}: has no image with a pose; run COLMAP's mapper, or "
                     "remove this model")
  return model


def _pycolmap() -> Any:
  try:
    import pycolmap
  except ImportError:
    raise InputError("scene.format=colmap: needs pycolmap; run pip install "
                     "'jacobinerf[colmap]'") from None
  return pycolmap


def _pose(image: pycolmap.Image) -> np.ndarray:
  """`[4, 4]` camera to world of an image that has world to camera."""
  return np.concatenate([image.cam_from_world().inverse().matrix(), [[0, 0, 0, 1]]])


def _sound_points(model: pycolmap.Reconstruction) -> np.ndarray:
  """`[M, 3]` points that enough images agree on, or all finite ones if they are few."""
  rows = np.array([(*point.xyz, point.error, point.track.length())
                   for point in model.points3D.values()], np.float64).reshape(-1, 5)
  rows = rows[(np.abs(rows[:, :3]) < FARTHEST).all(axis=1)]
  # Files may say -1 where the error is not known; NaN is taken so too.
  sound = rows[(rows[:, 4] >= MIN_TRACK) & ~(rows[:, 3] > MAX_ERROR)]
  return (sound if len(sound) >= ENOUGH_POINTS else rows)[:, :3]


def _natural(name: str) -> str:
  """A key by which frame10 comes after frame9."""
  return re.sub(r"\d+", lambda digits: digits[0].zfill(20), name)


def _paths(root: pathlib.Path, folders: Sequence[str], model: Model,
           ) -> list[pathlib.Path]:
  """The image files, in the first of the folders that holds any of them."""
  per_folder = [[path_below(root / folder, view.name, "its name", model.place(view))
            for view in model.views]
           for folder in folders if (root / folder).is_dir()]
  if not per_folder:
    raise InputError(f"{root}: has no {'/, '.join(folders)}/ with the photographs of "
                     f"the COLMAP model in {model.folder}; add them")
  return next((paths for paths in per_folder if any(path.is_file() for path in paths)),
              per_folder[0])


def _intrinsics(model: Model) -> np.ndarray:
  """`[V, 8 or 9]` in pixels of the cameras' own sizes."""
  rows = []
  for view in model.views:
    place = model.place(view)
    rows.append(colmap_camera.intrinsics_of(view.camera, place))
    if len(rows[-1]) != len(rows[0]):
      raise InputError(f"{place}: its camera is {view.camera.model.name}, that of "
                       f"{model.views[0].name!r} {model.views[0].camera.model.name}; a "
                       "scene has fisheye cameras only, or none")
  return np.stack(rows)
