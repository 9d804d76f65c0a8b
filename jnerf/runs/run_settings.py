"""Settings of the stages themselves, that no part below them knows."""

from __future__ import annotations

import dataclasses

from jnerf.errors import InputError
from jnerf.labeling.methods import METHODS
from jnerf.labeling.rivals import RIVALS
from jnerf.settings import setting
from jnerf.training.loop import BACKGROUNDS


@dataclasses.dataclass(frozen=True)
class RunSettings:
  """Of the whole run."""

  seed: int = setting(0, "of all that is random", at_least=0, at_most=2**32 - 1)


@dataclasses.dataclass(frozen=True)
class FitSettings:
  """Of both stages of training, beside what each has of its own."""

  background: str = setting("random", "behind the field while it trains",
                            choices=("random", *BACKGROUNDS))
  max_grad_norm: float = setting(0.0, "to which gradients are clipped; 0: not at all",
                                 at_least=0)


@dataclasses.dataclass(frozen=True)
class LabelSettings:
  """What is labelled, by which methods, and what is written."""

  clicks: str = setting("", "a clicks file to propagate; empty: draws the protocols' "
                        "clicks")
  session: str = setting("", "label_session.json of propagate, to label other "
                         "photographs")
  protocols: tuple = setting(("sparse", "clicks-3", "dense"), "what evaluation labels; "
                             "also per-frame-0.1, instance-sparse, merged-sparse, ...")
  seeds: int = setting(5, "draws of each protocol", at_least=1)
  methods: tuple = setting(("regions", "bayes", "cosine"), "how; paper takes far longer",
                           choices=tuple(METHODS))
  rivals: tuple = setting((), "evaluated beside", choices=("", *RIVALS))
  primary: str = setting("regions", "the method whose label maps are written")
  views: str = setting("all", "which views propagate labels", choices=("all", "test"))
  dimensions: tuple = setting(("2d",), "3d: surface points that the test depth shows",
                              choices=("2d", "3d"))
  proposals: int = setting(10, "pixels to click next, for next_clicks.json; 0: none",
                           at_least=0)
  min_confidence: float = setting(0.0, "of the maps that are written; pixels below are "
                                  "class 0")

  def check(self, section: str) -> None:
    """Raises InputError where settings contradict one another."""
    if self.session and self.clicks:
      raise InputError(f"{section}.session={self.session}: must be left out where "
                       f"{section}.clicks gives clicks")
    if not 0 <= self.min_confidence <= 1:
      raise InputError(f"{section}.min_confidence={self.min_confidence}: must lie "
                       "between 0 and 1")
    if self.primary not in self.methods:
      raise InputError(f"{section}.primary={self.primary!r}: must be one of "
                       f"{section}.methods={tuple(self.methods)}")


@dataclasses.dataclass(frozen=True)
class RenderSettings:
  """Of the mode render."""

  field: str = setting("shaped", "which field",
                       choices=("plain", "shaped", "shaped-oracle"))
  path: str = setting("test", "the capture's views, or a camera's way",
                      choices=("test", "train", "orbit", "interpolate"))
  num_frames: int = setting(60, "of a generated path", at_least=1)


@dataclasses.dataclass(frozen=True)
class InspectSettings:
  """Of the mode inspect."""

  estimate: bool = setting(True, "time a few steps, some 30 s, for what all would cost")


@dataclasses.dataclass(frozen=True)
class RuntimeSettings:
  """Of this machine; no result depends on them."""

  steps_per_call: int = setting(25, "steps scanned in one device call, at most",
                                at_least=1)
  checkpoint_seconds: float = setting(60.0, "between checkpoints of a stage", at_least=0)
  chunk: int = setting(4096, "rays rendered at once outside training", at_least=1)
  device_data_bytes: int = setting(2 * 1024**3, "larger data stay on the host",
                                   at_least=0)
  compilation_cache: str | None = setting(None, "folder of compiled programs; None: the "
                                          "user's; empty: off")
