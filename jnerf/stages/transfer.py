"""`propagate` with a saved label session: new photographs, no clicks, no training."""

from __future__ import annotations

import copy
import dataclasses

from jnerf.errors import InputError
from jnerf.runs.validation import validate
from jnerf.stages import labels as labels_lib
from jnerf.stages.label_session import LabelSession, read_label_session
from jnerf.stages.propagation import ViewLabeler
from jnerf.stages.regions import regions_file
from jnerf.stages.session import Session
from jnerf.stages.training import trained_params


def with_session(session: Session) -> tuple[Session, LabelSession]:
  """The session of the command, its views as the trained fields take them.

  The scene is the command's own, and may be another than the fields were fitted to;
  raises InputError where anything else is not as in the working folder.
  """
  path = session.config.label.session
  kept = read_label_session(path)
  config = copy.deepcopy(session.config)
  try:
    config.label.update(kept.settings)
  except (KeyError, AttributeError, TypeError) as error:
    raise InputError(f"label.session={path}: its settings do not fit this version of "
                     f"jnerf ({' '.join(str(error).split())[:80]}); make it anew with "
                     "--mode=propagate") from None
  validate(config)
  as_trained = copy.deepcopy(config)
  as_trained.scene = session.workdir.read_config().scene
  session.workdir.check_config(as_trained, ("shape",))
  if config.label.primary == "regions" and not regions_file(session).exists():
    raise InputError(f"{regions_file(session)} is gone, on which label.primary=regions "
                     "rests; make it by --mode=propagate with the first photographs")
  made = Session(config, session.workdir, session.command)
  made.scene = session.scene.replace(near=kept.near, far=kept.far)
  made.space = kept.space
  return made, kept


def transfer(session: Session, kept: LabelSession) -> str:
  """Labels the views of the scene; returns the labels' name."""
  scene, settings = session.scene, session.config.label
  renderer = dataclasses.replace(labels_lib.view_renderer(session),
                                 background=kept.background)
  params = trained_params(session, "shape")
  assignment = labels_lib.assignment(session, settings.primary)
  labeler = ViewLabeler.fit(
      assignment, renderer.entities(params, kept.clicked), kept.labels,
      sorted({int(c) for c in kept.labels if c > 0}), settings.min_confidence,
      adapt=labels_lib.adaptation(session, renderer, params, [assignment]),
      edges=labels_lib.edge_settings(session))
  name = f"{scene.name}-shaped-{settings.primary}"
  chosen = scene.test if settings.views == "test" else range(len(scene.frames))
  print(f"propagate: {len(kept.labels)} labelled pixels of {settings.session} to "
        f"{len(chosen)} views", flush=True)
  folder = session.workdir.path
  labeler.write_views(renderer, params, scene, chosen, folder / "labels" / name,
                      folder / "confidence" / name)
  return name
