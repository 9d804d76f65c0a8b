"""What a run leaves to look at: TensorBoard event files and curves for the report.

Both survive a resume without doubled steps: what was logged after the step that
is resumed from is dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
import json
import math
import pathlib

import numpy as np

from jnerf.errors import InputError
from jnerf.files import write_json


class Events:
  """A TensorBoard event file, written without TensorFlow. A context manager.

  The file is made at the first value, so a stage that logs nothing leaves nothing.
  Give every stage a folder of its own (`tensorboard/<stage>`), or the resume of one
  drops the other's steps.
  """

  def __init__(self, folder: str | pathlib.Path, *, start: int = 0):
    """Readers drop what an earlier run logged in `folder` beyond step `start`."""
    self._folder = pathlib.Path(folder)
    self._start = start
    self._writer = None

  def __enter__(self) -> Events:
    return self

  def __exit__(self, *unused) -> None:
    self.close()

  def scalars(self, step: int, terms: Mapping[str, float]) -> None:
    """Logs named values."""
    for name, value in terms.items():
      self._open().add_scalar(name, float(value), step)

  def flush(self) -> None:
    """Makes what was logged visible to readers."""
    if self._writer is not None:
      self._writer.flush()

  def close(self) -> None:
    """Flushes and closes the file."""
    if self._writer is not None:
      self._writer.close()
      self._writer = None

  def _open(self):
    if self._writer is None:
      from tensorboardX import SummaryWriter
      # Steps up to and including `start` are kept: purging begins at the next one.
      # The suffix sets files of one second apart, which would else be one file.
      self._writer = SummaryWriter(str(self._folder), purge_step=self._start + 1,
                                   filename_suffix=f".from-{self._start:08d}")
    return self._writer


class History:
  """Curves of a stage: name to `(step, value)` pairs, kept in one small JSON file.

  Save it before the checkpoint of the same step: entries beyond the checkpoint are
  dropped on resume, missing ones before it could not be had again.
  """

  def __init__(self, path: str | pathlib.Path):
    self._path = pathlib.Path(path)
    self._curves: dict[str, list[tuple[int, float]]] = {}

  @classmethod
  def load(cls, path: str | pathlib.Path, *, last_step: int | None = None) -> History:
    """Reads what `save` wrote; an absent file is an empty history.

    last_step: the step that was restored; later entries are dropped. Raises
    InputError when the file is not what `save` writes.
    """
    history = cls(path)
    if not history._path.exists():
      return history
    try:
      stored = json.loads(history._path.read_text())
      for name, curve in stored.items():
        history._curves[name] = [
            (int(step), math.nan if value is None else float(value))
            for step, value in curve if last_step is None or step <= last_step]
    except (OSError, ValueError, TypeError, AttributeError) as error:
      raise InputError(f"{path}: not a file of training curves; delete it") from error
    return history

  @property
  def names(self) -> tuple[str, ...]:
    """Names of the curves, sorted."""
    return tuple(sorted(self._curves))

  def curve(self, name: str) -> tuple[np.ndarray, np.ndarray]:
    """`(steps [M] int64, values [M] float64)` of one curve, empty when unknown."""
    pairs = self._curves.get(name, [])
    return (np.array([step for step, _ in pairs], np.int64),
            np.array([value for _, value in pairs], np.float64))

  def add(self, step: int, terms: Mapping[str, float]) -> None:
    """Records named values; not every step needs every name."""
    for name, value in terms.items():
      self._curves.setdefault(name, []).append((int(step), float(value)))

  def save(self) -> None:
    """Writes the file whole."""
    write_json(self._path, {
        name: [[step, value if math.isfinite(value) else None] for step, value in curve]
        for name, curve in self._curves.items()})
