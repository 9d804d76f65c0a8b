"""The mode and stage `propagate`: from clicks to a label map of every view."""

from __future__ import annotations

import time

from jnerf.files import write_json
from jnerf.labeling.assignment import Assignment
from jnerf.labeling.label_session import label_session, write_label_session
from jnerf.labeling.labels import LabelSet
from jnerf.labeling.proposals import MAX_PARAMS, propose
from jnerf.labeling.scene_labeler import SceneLabeler
from jnerf.runs.checks import check
from jnerf.runs.labelling import label_sets, scene_labeler_of, store_clicks
from jnerf.runs.loading import check_trained, load_field, load_method, load_scene
from jnerf.runs.run import TRAINED, Run
from jnerf.stages.label_maps import label_lines, write_views
from jnerf.stages.transfer import transfer
from jnerf.structs import Scene
from jnerf.training.compilation import peak_memory_bytes

PROPOSALS = "next_clicks.json"


def propagate(run: Run) -> str:
  """Labels every view from the clicks, or other photographs from a label session."""
  check_trained(run, "shape")
  if run.config.label.session:
    return transfer(run)
  scene = load_scene(run)
  check(run, scene, ("propagate",), TRAINED)
  with run.workdir.lock():
    run.begin(scene, TRAINED)
    label_set = label_sets(run.config, scene)[0]
    method = load_method(run, scene, run.config.label.primary)
    name = propagate_stage(run, scene, label_set, method)
  lines, proposals = label_lines(run, name), run.workdir.path / PROPOSALS
  return lines + (f"\nwhere to click next: {proposals}" if proposals.exists() else "")


def propagate_stage(run: Run, scene: Scene, label_set: LabelSet,
                    method: Assignment) -> str:
  """Labels views by the primary method; returns the labels' name.

  label_set: the user's clicks, else the first draw of the first protocol.

  The field is the shaped one. Also says where to click next, and keeps the clicks for
  other photographs of the scene.
  """
  began, workdir, settings = time.perf_counter(), run.workdir, run.config.label
  store_clicks(workdir, scene, [label_set])
  field = load_field(run, scene, "shape")
  scene_labeler = scene_labeler_of(run.config, method, label_set, field, scene)
  name = f"shaped-{settings.primary}"
  workdir.forget(["propagate"])
  views = scene.test if settings.views == "test" else range(len(scene.frames))
  print(f"propagate: {len(label_set.labels.class_ids)} labelled pixels to {len(views)} "
        "views", flush=True)
  write_views(scene_labeler, views, workdir.path, name)
  write_label_session(workdir.path / "label_session.json", label_session(
      label_set, scene, field, settings.to_dict()))
  _write_proposals(run, scene_labeler)
  workdir.mark_done(
      "propagate", seconds=time.perf_counter() - began,
      clicks=len(label_set.labels.class_ids), protocol=label_set.protocol, labels=name,
      peak_memory_bytes=peak_memory_bytes())
  return name


def _write_proposals(run: Run, scene_labeler: SceneLabeler) -> None:
  """Writes the config's number of pixels to click next, best first."""
  settings, path = run.config.label, run.workdir.folder() / PROPOSALS
  path.unlink(missing_ok=True)  # of earlier clicks
  if not settings.proposals:
    return
  proposals = propose(scene_labeler, settings.proposals, ridge=settings.ridge,
                      seed=run.config.seed)
  if proposals is None:
    print(f"propagate: no proposals of clicks, gradients of "
          f"{scene_labeler.labelled.J.shape[1]} parameters are more than {MAX_PARAMS}; "
          "sketch them by shape.jacobian=sketch")
    return
  write_json(path, {"proposals": proposals.entries(
      scene_labeler.scene, scene_labeler.labeler.label_set)})
