"""Seconds spent on this and that, apart from everything else."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
import contextlib
import time


class Stopwatch:
  """Adds up what is spent within `on(name)`, by name."""

  def __init__(self):
    self._began = time.perf_counter()
    self._seconds: dict[Hashable, float] = {}

  @contextlib.contextmanager
  def on(self, name: Hashable) -> Iterator[None]:
    """Counts what is done inside for `name`; not to be nested."""
    began = time.perf_counter()
    yield
    spent = time.perf_counter() - began
    self._seconds[name] = self._seconds.get(name, 0.0) + spent

  def seconds(self, name: Hashable) -> float:
    """What was spent on `name` so far."""
    return self._seconds.get(name, 0.0)

  def others(self) -> float:
    """What was spent so far on nothing that has a name."""
    return time.perf_counter() - self._began - sum(self._seconds.values())
