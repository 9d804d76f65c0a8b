"""The modes of the command: each runs its stages and says where the results are."""

from __future__ import annotations

from jnerf.stages import training
from jnerf.stages.session import Session


def fit(session: Session) -> str:
  """Fits the plain field, unless the folder holds it."""
  with session.workdir.lock():
    session.begin()
    _unless_done(session, "fit", lambda: training.fit(session))
  return f"plain field: {session.workdir.checkpoints('fit')}"


def shape(session: Session) -> str:
  """Shapes the fitted field, unless the folder holds it."""
  with session.workdir.lock():
    session.begin()
    _shape(session)
  return f"shaped field: {session.workdir.checkpoints('shape')}"


def run(session: Session) -> str:
  """Every stage that the folder does not hold yet."""
  with session.workdir.lock():
    session.begin()
    _unless_done(session, "fit", lambda: training.fit(session))
    _shape(session)
  return f"{session.workdir.path}"


def _shape(session):
  _unless_done(session, "shape", lambda: training.shape(session))
  if session.config.shape.oracle:
    _unless_done(session, "shape-oracle", lambda: training.shape(session, oracle=True))


def _unless_done(session, stage, make):
  if session.workdir.is_done(stage):
    print(f"{stage}: done before, kept")
  else:
    make()


MODES = {"fit": fit, "shape": shape, "run": run}
