"""What is labelled by whom: the sets of labelled pixels that a config asks for."""

from __future__ import annotations

import dataclasses

from jnerf.errors import InputError
from jnerf.evaluating.protocols import (
  Labels,
  draw_labels,
  labels_to_clicks,
  parse_protocol,
)
from jnerf.labeling.assignment import Assignment, make_assignment
from jnerf.labeling.views import ViewRenderer
from jnerf.scenes.clicks import labelled_pixels, read_clicks, write_clicks
from jnerf.shaping.contrast import RGB_KERNEL
from jnerf.stages.session import Session

CLICKS_FILE = "file"  # the "protocol" of a user's own clicks


@dataclasses.dataclass(frozen=True)
class LabelSet:
  """Labelled pixels and where they come from.

  protocol: of `evaluating.protocols`, or `file`; seed: of its draw.
  labels: the pixels and their classes.
  """

  protocol: str
  seed: int
  labels: Labels

  @property
  def name(self) -> str:
    """For file names."""
    return self.protocol if self.protocol in ("dense", CLICKS_FILE) else (
        f"{self.protocol}-seed{self.seed}")


def label_sets(session: Session) -> list[LabelSet]:
  """The user's clicks, else the protocols' draws; none where nothing is labelled."""
  scene, settings = session.scene, session.config.label
  if settings.clicks:
    clicks = read_clicks(settings.clicks, scene)
    labels = Labels(*labelled_pixels(clicks, scene))
    if not labels.classes:
      raise InputError(f"label.clicks={settings.clicks}: says of no pixel what it is; "
                       "add clicks, scribbles or masks")
    return [LabelSet(CLICKS_FILE, 0, labels)]
  sets = []
  for protocol in settings.protocols if scene.semantic is not None else ():
    num_seeds = settings.seeds if parse_protocol(protocol).is_drawn else 1
    sets += [LabelSet(protocol, seed, draw_labels(scene, protocol, seed))
             for seed in range(num_seeds)]
  return sets


def store_clicks(session: Session, sets: list[LabelSet]) -> None:
  """Writes the clicks that were drawn as `clicks/<name>.json`."""
  for label_set in sets:
    if label_set.protocol != CLICKS_FILE and parse_protocol(label_set.protocol).is_drawn:
      write_clicks(session.workdir.folder("clicks") / f"{label_set.name}.json",
                   labels_to_clicks(label_set.labels, session.scene))


def class_names(session: Session) -> dict[int, str]:
  """Class id to name, from the user's clicks file where there is one."""
  if session.config.label.clicks:
    return {0: "void", **read_clicks(session.config.label.clicks, session.scene).classes}
  return session.scene.class_names


def assignments(session: Session) -> dict[str, Assignment]:
  """The methods that the config names.

  The finite nudge of the paper's recipe is exact for the rgb kernel only; for
  other parameters it is replaced by its linear limit.
  """
  settings = session.config.label
  finite = session.config.shape.params == RGB_KERNEL
  return {method: make_assignment(
      method, bandwidth=settings.bandwidth, ridge=settings.ridge,
      paper_step=settings.paper_step, finite=finite) for method in settings.methods}


def view_renderer(session: Session) -> ViewRenderer:
  """Renders views with the gradients of the parameters that are shaped."""
  needs_samples = any(method.needs_samples for method in assignments(session).values())
  return ViewRenderer(session.model, session.recipe(oracle=False),
                      chunk=session.config.runtime.chunk,
                      background=session.background(), samples=needs_samples)


def pairs_name(session: Session, field: str) -> str | None:
  """What chose the positives of a field: the features, and what was joined to them."""
  if field != "shaped":
    return {"plain": None, "shaped-oracle": "oracle"}[field]
  shape = session.config.shape
  joined = {"fused": shape.fuse_features, "color": shape.color_scale,
            "position": shape.position_scale, "normal": shape.normal_scale,
            "hints": shape.hints}
  return "+".join([session.features_source, *(n for n, used in joined.items() if used)])
