"""From what evaluation found to `report.html` and the README's picture."""

from __future__ import annotations

import dataclasses
import pathlib

import numpy as np

from jnerf.files import write_png
from jnerf.labeling import views
from jnerf.stages import labels as labels_lib
from jnerf.stages.evaluation import FieldResult
from jnerf.stages.labels import LabelSet
from jnerf.stages.session import Session
from jnerf.stages.training import trained_params
from jnerf.training.events import History
from jnerf.viewing.hero import hero_image
from jnerf.viewing.palette import read_confidence_png
from jnerf.viewing.panels import Report, ResponsePanel, ViewPanel
from jnerf.viewing.report import write_report

NUM_VIEWS = 4
NUM_CLICKS = 6
HERO_CLICKS = 3  # the smallest objects of those: they show more than a wall does


def write_session_report(session: Session, results: dict[str, FieldResult],
                         sets: list[LabelSet]) -> pathlib.Path:
  """Writes report.html and, where there are clicks, renders/responses.png."""
  shown = sets[0] if sets else None
  responses = response_panels(session, shown, tuple(results)) if shown else []
  if responses:
    picture = hero_image(_without_truth(responses[-HERO_CLICKS:]))
    write_png(session.workdir.folder("renders") / "responses.png", picture)
  metrics = session.workdir.read_metrics()
  report = Report(
      title=f"jnerf: {session.scene.name}", source=session.scene.source,
      command=session.command, summary=metrics, rows=metrics.get("labels", ()),
      protocol=shown.protocol if shown else "sparse",
      views=view_panels(session, results, shown), responses=responses,
      class_names=labels_lib.class_names(session, shown),
      curves={stage: _curves(session, stage) for stage in session.fields.values()
              if session.workdir.curves(stage).exists()})
  return write_report(session.workdir.path / "report.html", report)


def _without_truth(responses: list[ResponsePanel]) -> list[ResponsePanel]:
  """The panels without fields that were shaped on ground truth."""
  return [dataclasses.replace(panel, maps={
      field: map_ for field, map_ in panel.maps.items() if field != "shaped-oracle"})
      for panel in responses]


def view_panels(session: Session, results: dict[str, FieldResult],
                shown: LabelSet | None) -> list[ViewPanel]:
  """Evenly chosen test views with what every field and the primary method made."""
  scene, method = session.scene, session.config.label.primary
  background = session.background()
  truth = shown.truth(scene) if shown else scene.semantic
  count = min(NUM_VIEWS, len(scene.test))
  chosen = scene.test[np.linspace(0, len(scene.test) - 1, count).astype(int)]
  panels = []
  for view in chosen.tolist():
    labels = {f"{field} / {method}": result.views[view].labels[shown.name, method]
              for field, result in results.items()} if shown else {}
    panels.append(ViewPanel(
        frame=scene.frames[view], photo=scene.photos(view, background),
        rendered={field: result.views[view].rgb for field, result in results.items()},
        depth={field: result.views[view].depth for field, result in results.items()},
        true_depth=None if scene.depth is None else scene.depth[view],
        labels=labels,
        truth=None if truth is None else truth[view],
        confidence=_confidence(session, scene.frames[view])))
  return panels


def _confidence(session: Session, frame: str) -> np.ndarray | None:
  """The confidence that propagation wrote for a frame; it has the same clicks."""
  path = (session.workdir.path / "confidence" / f"shaped-{session.config.label.primary}"
          / f"{frame}.png")
  if session.workdir.is_done("propagate") and path.exists():
    return read_confidence_png(path)
  return None


def response_panels(session: Session, shown: LabelSet,
                    fields: tuple[str, ...]) -> list[ResponsePanel]:
  """What answers, in the clicked frame, to a click on each of its largest classes."""
  scene, renderer = session.scene, labels_lib.view_renderer(session)
  names = labels_lib.click_names(session, shown)
  clicks = _clicks_to_show(session, shown)
  maps: list[dict[str, np.ndarray]] = [{} for _ in clicks]
  for field in fields:
    params = trained_params(session, session.fields[field])
    pixels = np.array([pixel for pixel, _ in clicks])
    directions = renderer.gradients(params, views.rays_of_pixels(scene, pixels))
    gradients = {view: renderer.gradients(params, views.rays_of_view(scene, view))
                 for view in sorted(set(pixels[:, 0].tolist()))}
    for i, direction in enumerate(directions):
      flat = views.response_map(gradients[int(pixels[i, 0])], direction)
      maps[i][field] = np.asarray(flat).reshape(scene.size[1], scene.size[0])
  return [ResponsePanel(
      frame=scene.frames[view], photo=scene.photos(view, session.background()),
      x=column, y=row,
      class_name=names.get(class_id, f"class {class_id}"), maps=maps[i])
      for i, ((view, row, column), class_id) in enumerate(clicks)]


def _clicks_to_show(session: Session, shown: LabelSet) -> list[tuple[tuple, int]]:
  """The first click of each class, `((view, row, column), class)`, large ones first."""
  first = {}
  for pixel, class_id in zip(shown.labels.pixels.tolist(),
                             shown.labels.class_ids.tolist()):
    if class_id > 0:
      first.setdefault(class_id, tuple(pixel))
  clicks = [(pixel, class_id) for class_id, pixel in first.items()]
  truth = session.scene.semantic if shown.target == "semantic" else session.scene.instance
  if truth is not None:
    clicks.sort(key=lambda click: -np.sum(truth[click[0][0]] == click[1]))
  return clicks[:NUM_CLICKS]


def _curves(session: Session, stage: str) -> dict[str, list[tuple[int, float]]]:
  history = History.load(session.workdir.curves(stage))
  return {name: list(zip(*(values.tolist() for values in history.curve(name))))
          for name in history.names}
