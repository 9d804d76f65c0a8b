"""From what evaluation found to `report.html` and the README's picture."""

from __future__ import annotations

import dataclasses
import functools
import pathlib

import numpy as np

from jnerf.evaluating.field_evaluation import FieldResult
from jnerf.files import write_png
from jnerf.labeling.labels import LabelSet
from jnerf.labeling.response import response_map
from jnerf.runs import parts
from jnerf.runs.loading import load_field
from jnerf.runs.run import Run
from jnerf.scenes.rays import rays_of_pixels, rays_of_view
from jnerf.structs import Entities, Scene
from jnerf.training.events import History
from jnerf.viewing.hero import hero_image
from jnerf.viewing.palette import read_confidence_png
from jnerf.viewing.panels import Report, ResponsePanel, ViewPanel
from jnerf.viewing.report import write_report

NUM_VIEWS = 4
NUM_CLICKS = 6
HERO_CLICKS = 3  # the smallest objects of those: they show more than a wall does


def write_run_report(run: Run, scene: Scene, results: dict[str, FieldResult],
                     sets: list[LabelSet]) -> pathlib.Path:
  """Writes report.html and, where there are clicks, renders/responses.png."""
  label_set = sets[0] if sets else None
  responses = response_panels(run, scene, label_set, tuple(results)) if label_set else []
  if responses:
    picture = hero_image(_without_truth(responses[-HERO_CLICKS:]))
    write_png(run.workdir.folder("renders") / "responses.png", picture)
  metrics = run.workdir.read_metrics()
  report = Report(
      title=f"jnerf: {scene.name}", source=scene.source,
      command=run.command, summary=metrics, rows=metrics.get("labels", ()),
      protocol=label_set.protocol if label_set else "sparse",
      views=view_panels(run, scene, results, label_set), responses=responses,
      class_names=label_set.class_names if label_set else scene.class_names,
      curves={stage: _curves(run, stage) for stage in run.fields.values()
              if run.workdir.curves(stage).exists()})
  return write_report(run.workdir.path / "report.html", report)


def _without_truth(responses: list[ResponsePanel]) -> list[ResponsePanel]:
  """The panels without fields that were shaped on ground truth."""
  return [dataclasses.replace(panel, maps={
      field: map_ for field, map_ in panel.maps.items() if field != "shaped-oracle"})
      for panel in responses]


def view_panels(run: Run, scene: Scene, results: dict[str, FieldResult],
                label_set: LabelSet | None) -> list[ViewPanel]:
  """Evenly chosen test views with what every field and the primary method made."""
  method, background = run.config.label.primary, parts.background_of(run.config, scene)
  truth = label_set.truth(scene) if label_set else scene.semantic
  count = min(NUM_VIEWS, len(scene.test))
  chosen = scene.test[np.linspace(0, len(scene.test) - 1, count).astype(int)]
  panels = []
  for view in chosen.tolist():
    labels = {f"{field} / {method}": result.views[view].labels[label_set.name, method]
              for field, result in results.items()} if label_set else {}
    panels.append(ViewPanel(
        frame=scene.frames[view], photo=scene.photos(view, background),
        rendered={field: result.views[view].rgb for field, result in results.items()},
        depth={field: result.views[view].depth for field, result in results.items()},
        true_depth=None if scene.depth is None else scene.depth[view],
        labels=labels,
        truth=None if truth is None else truth[view],
        confidence=_confidence(run, scene.frames[view])))
  return panels


def _confidence(run: Run, frame: str) -> np.ndarray | None:
  """The confidence that propagation wrote for a frame; it has the same clicks."""
  path = (run.workdir.path / "confidence" / f"shaped-{run.config.label.primary}"
          / f"{frame}.png")
  if run.workdir.is_done("propagate") and path.exists():
    return read_confidence_png(path)
  return None


def response_panels(run: Run, scene: Scene, label_set: LabelSet,
                    fields: tuple[str, ...]) -> list[ResponsePanel]:
  """What answers, in the clicked frame, to a click on each of its largest classes."""
  clicks = _clicks_to_show(scene, label_set)
  pixels = np.array([pixel for pixel, _ in clicks])
  maps: list[dict[str, np.ndarray]] = [{} for _ in clicks]
  for name in fields:
    field = load_field(run, scene, run.fields[name])
    renderer = parts.renderer_of(run.config, field.model, field.background)
    directions = renderer.gradients(field.params, rays_of_pixels(scene, pixels))
    for view in np.unique(pixels[:, 0]).tolist():
      here = np.flatnonzero(pixels[:, 0] == view)
      # Cosines alone are kept: the gradients of a whole view take gigabytes.
      responses = renderer.map(field.params, rays_of_view(scene, view), *(
          functools.partial(_response, direction=directions[i]) for i in here))
      for i, flat in zip(here, responses):
        maps[i][name] = flat.reshape(scene.size[1], scene.size[0])
  background = parts.background_of(run.config, scene)
  return [ResponsePanel(
      frame=scene.frames[view], photo=scene.photos(view, background), x=column, y=row,
      class_name=label_set.names.get(class_id, f"class {class_id}"), maps=maps[i])
      for i, ((view, row, column), class_id) in enumerate(clicks)]


def _response(chunk: Entities, direction):
  return response_map(chunk.J, direction)


def _clicks_to_show(scene: Scene, label_set: LabelSet) -> list[tuple[tuple, int]]:
  """The first click of each class, `((view, row, column), class)`, large ones first."""
  first = {}
  for pixel, class_id in zip(label_set.labels.pixels.tolist(),
                             label_set.labels.class_ids.tolist()):
    if class_id > 0:
      first.setdefault(class_id, tuple(pixel))
  clicks = [(pixel, class_id) for class_id, pixel in first.items()]
  truth = scene.semantic if label_set.target == "semantic" else scene.instance
  if truth is not None:
    clicks.sort(key=lambda click: -np.sum(truth[click[0][0]] == click[1]))
  return clicks[:NUM_CLICKS]


def _curves(run: Run, stage: str) -> dict[str, list[tuple[int, float]]]:
  history = History.load(run.workdir.curves(stage))
  return {name: list(zip(*(values.tolist() for values in history.curve(name))))
          for name in history.names}
