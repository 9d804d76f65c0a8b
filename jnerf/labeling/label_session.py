"""A label session: what was clicked, kept apart from the capture it was clicked in.

`propagate` writes it as `label_session.json`; with it the trained fields label new
photographs of the same scene, whose poses are in the same world. A click is kept as a
ray in the world, from which the fields make its gradient again, so that nothing in the
file can be out of step with them. Beside the clicks it holds the settings of the
method, and how the fields' own capture has them rendered: the space that they cover,
near and far, the background. Of the new photographs only poses, lenses and sizes count.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses
import os
import pathlib
from typing import Any

import numpy as np

from jnerf.errors import InputError
from jnerf.fields import spaces
from jnerf.fields.fitted import FittedField
from jnerf.fields.spaces import Space
from jnerf.files import read_json_object, write_json
from jnerf.labeling.labels import Labels, LabelSet
from jnerf.scenes.rays import rays_of_pixels
from jnerf.structs import Rays, Scene

SPACES = (spaces.Box, spaces.Contracted, spaces.Ndc)
# Settings of `label` that say what is labelled, and not how: the command's own count.
OF_THE_COMMAND = ("clicks", "session", "views", "min_confidence", "proposals")


@dataclasses.dataclass(frozen=True)
class LabelSession:
  """What the file holds.

  rays: `[M, 6]` float32 origins and unit directions of the labelled pixels.
  labels: `[M]` int64, as `Labels.class_ids`; names: of the classes.
  settings: of the config's `label`, by key.
  space, near, far, background: by which the fields are rendered.
  merge_into: class of each labelled instance, where predictions are merged; or None.
  """

  rays: np.ndarray
  labels: np.ndarray
  names: dict[int, str]
  settings: dict[str, Any]
  space: Space
  near: float
  far: float
  background: float
  merge_into: Mapping[int, int] | None = None

  @property
  def label_set(self) -> LabelSet:
    """Its labels, of no pixels of any scene at hand."""
    pixels = np.zeros((len(self.labels), 3), np.int64)
    return LabelSet(Labels(pixels, self.labels), self.names, merge_into=self.merge_into)

  @property
  def clicked(self) -> Rays:
    """The M rays as the fields take them."""
    ones = np.ones((len(self.rays), 1), np.float32)
    return Rays(origins=self.rays[:, :3], directions=self.rays[:, 3:],
                viewdirs=self.rays[:, 3:], near=self.near * ones, far=self.far * ones)


def label_session(label_set: LabelSet, scene: Scene, field: FittedField,
                  settings: Mapping[str, Any]) -> LabelSession:
  """The label session of these labels in the scene that the field was fitted to.

  settings: of the config's `label`.
  """
  labels, rays = label_set.labels, rays_of_pixels(scene, label_set.labels.pixels)
  return LabelSession(
      rays=np.concatenate([rays.origins, rays.directions], axis=1),
      labels=labels.class_ids,
      names={c: label_set.names.get(c, "") for c in labels.classes},
      settings={key: value for key, value in settings.items()
                if key not in OF_THE_COMMAND},
      space=field.space, near=float(scene.near), far=float(scene.far),
      background=field.background, merge_into=label_set.merge_into)


def write_label_session(path: str | os.PathLike, session: LabelSession) -> pathlib.Path:
  """Writes the file, whole or not at all."""
  raw = dataclasses.asdict(session)
  raw.update(rays=session.rays.tolist(), labels=session.labels.tolist(),
             names={str(c): name for c, name in session.names.items()},
             merge_into=session.merge_into and {
                 str(i): c for i, c in session.merge_into.items()},
             space={"kind": type(session.space).__name__, **raw["space"]})
  return write_json(path, raw)


def read_label_session(path: str | os.PathLike) -> LabelSession:
  """Reads and checks such a file; raises InputError for anything else."""
  try:
    raw = read_json_object(path)
  except FileNotFoundError:
    raise InputError(f"label.session={path}: no such file; --mode=propagate writes one "
                     "as label_session.json in its working folder") from None
  try:
    return _checked(raw)
  except (KeyError, TypeError, ValueError, OverflowError, AttributeError,
          IndexError, ZeroDivisionError) as error:
    raise InputError(f"label.session={path}: is no label session of this version of "
                     f"jnerf ({type(error).__name__}: {error}); make one with "
                     "--mode=propagate") from None


def _checked(raw: dict[str, Any]) -> LabelSession:
  """What is wrong raises ValueError, or what comes of taking it for what it is not."""
  rays = np.asarray(raw["rays"], np.float64)
  labels = np.asarray(raw["labels"])
  if rays.ndim != 2 or rays.shape[1] != 6 or not np.all(np.abs(rays) < 1e30):
    raise ValueError("rays are not six finite numbers each")
  if labels.dtype.kind != "i" or labels.shape != rays.shape[:1] or not any(labels > 0):
    raise ValueError("labels are not one class a ray")
  space = dict(raw["space"])
  kind = {kind.__name__: kind for kind in SPACES}[space.pop("kind")]
  near, far, background = (float(raw[key]) for key in ("near", "far", "background"))
  if not 0 <= near < far < float("inf") or not 0 <= background <= 1:
    raise ValueError("near, far or background out of range")
  space = kind(**{key: _tuples(value) for key, value in space.items()})
  if not np.isfinite(np.asarray(space.coordinates(np.zeros((1, 3), np.float32)))).all():
    raise ValueError("space has no size")
  merge_into = raw.get("merge_into")
  return LabelSession(
      rays.astype(np.float32), labels.astype(np.int64),
      {int(c): str(name) for c, name in raw["names"].items()},
      {key: _tuples(value) for key, value in raw["settings"].items()},
      space, near, far, background,
      merge_into and {int(i): int(c) for i, c in merge_into.items()})


def _tuples(value):
  """Lists as JSON has them, as the tuples they were."""
  return tuple(map(_tuples, value)) if isinstance(value, list) else value
