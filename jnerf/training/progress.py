"""How far a stage is: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
import sys
import time
from typing import TextIO

from tqdm import tqdm


class Progress:
  """Shows step, loss terms, PSNR, rays per second and the time left.

  On a terminal it is one tqdm bar; where `stream` is a file or a pipe, it is one
  line every `interval` seconds and one at the end. Use it as a context manager.
  Make it after compiling, for its clock starts at once.
  """

  def __init__(self, title: str, *, total: int, start: int = 0, rays_per_step: int = 0,
               interval: float = 10.0, stream: TextIO | None = None):
    """title: the stage's name; total: its last step; start: the step resumed from."""
    self._title, self._total, self._start = title, total, start
    self._rays_per_step = rays_per_step
    self._interval = interval
    self._stream = stream if stream is not None else sys.stderr
    self._step = self._printed_step = start
    self._began = self._printed = time.monotonic()
    self._terms: dict[str, float] = {}
    self._bar = None
    if self._stream.isatty():
      self._bar = tqdm(total=total, initial=start, desc=title, file=self._stream,
                       dynamic_ncols=True, unit="step")

  def __enter__(self) -> Progress:
    return self

  def __exit__(self, *unused) -> None:
    self.close()

  @property
  def rays_per_second(self) -> float:
    """Mean since the start; 0 before the first step."""
    seconds = time.monotonic() - self._began
    return (self._step - self._start) * self._rays_per_step / seconds if seconds else 0.0

  def update(self, step: int, terms: Mapping[str, float]) -> None:
    """Says that `step` steps are done.

    terms: values to show, such as loss terms and `psnr`; one that is left out
      keeps its last value on show.
    """
    advanced, self._step = step - self._step, step
    self._terms |= {name: float(value) for name, value in terms.items()}
    if self._bar is not None:
      self._bar.set_postfix_str(self._values(), refresh=False)
      self._bar.update(advanced)
    elif time.monotonic() - self._printed >= self._interval:
      self._print()

  def close(self) -> None:
    """Ends the bar, or prints the last line."""
    if self._bar is not None:
      self._bar.close()
      self._bar = None
    elif self._step != self._printed_step:
      self._print()

  def _values(self) -> str:
    values = [f"{name} {value:.4g}" for name, value in self._terms.items()]
    if self._rays_per_step:
      values.append(f"{self.rays_per_second:,.0f} rays/s")
    return "  ".join(values)

  def _print(self) -> None:
    done, seconds = self._step - self._start, time.monotonic() - self._began
    left = seconds / done * (self._total - self._step) if done > 0 else 0.0
    print(f"{self._title} {self._step}/{self._total}  {self._values()}  "
          f"ETA {duration(left)}", file=self._stream, flush=True)
    self._printed, self._printed_step = time.monotonic(), self._step


class ViewProgress:
  """Shows how many views are done, where there turn out to be any to do.

  Use it as a context manager.
  """

  def __init__(self, title: str):
    self._title = title
    self._bar: Progress | None = None

  def __enter__(self) -> ViewProgress:
    return self

  def __exit__(self, *unused) -> None:
    if self._bar is not None:
      self._bar.close()

  def on_views(self, done: int, total: int) -> None:
    """Says that `done` of `total` views are done; the first call starts the clock."""
    if self._bar is None:
      self._bar = Progress(self._title, total=total, start=done)
      self._start, self._began = done, time.monotonic()
    elif seconds := time.monotonic() - self._began:
      self._bar.update(done, {"images/s": (done - self._start) / seconds})


def over_views(views: Sequence, title: str) -> Iterator:
  """Goes through `views` (anything that is done one by one), and shows how far it is."""
  with ViewProgress(title) as progress:
    progress.on_views(0, len(views))
    for done, view in enumerate(views, 1):
      yield view
      progress.on_views(done, len(views))


def duration(seconds: float) -> str:
  """`4.5 s`, `48 s`, `3 min 05 s`, `2 h 10 min`, `2 h`."""
  if seconds < 9.95:
    return f"{seconds:.1f} s"
  minutes, rest = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  if hours:
    return f"{hours} h {minutes:02d} min" if minutes else f"{hours} h"
  if minutes:
    return f"{minutes} min {rest:02d} s" if rest else f"{minutes} min"
  return f"{rest} s"
