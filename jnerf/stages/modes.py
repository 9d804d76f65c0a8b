"""The modes of the command: each runs its stages and says where the results are.

`run` does every stage that the folder does not hold yet. A mode named after a
stage of training keeps what is done; `propagate` and `evaluate` are quick and are
done anew, so that other clicks or methods can be tried on the same fields.

A mode first checks all that can be checked; only then does it write.
"""

from __future__ import annotations

import time

from jnerf.runs import checks
from jnerf.stages import inspecting, propagation, rendering, training, transfer
from jnerf.stages import labels as labels_lib
from jnerf.stages.evaluation import evaluate_fields
from jnerf.stages.reporting import write_session_report
from jnerf.stages.session import STAGE_OF_FIELD, STAGES, TRAINED, Session
from jnerf.training.compilation import peak_memory_bytes


def inspect(session: Session) -> str:
  """Says what is in the scene, and what it will cost; draws photographs and cameras."""
  checks.check(session, (), keep=())
  with session.workdir.lock():
    text, folder = inspecting.inspect(session)
  return f"{text}\ncontact_sheet.png, cameras.png, inspection.json: {folder}"


def features(session: Session) -> str:
  """Makes the visual features alone."""
  checks.check(session, (), keep=())
  session.check_features()
  with session.workdir.lock():
    return inspecting.describe_features(session)


def fit(session: Session) -> str:
  """Fits the plain field."""
  checks.check(session, ("fit",), TRAINED)
  with session.workdir.lock():
    session.begin(TRAINED)
    _fit(session)
  return f"plain field: {session.workdir.checkpoints('fit')}"


def shape(session: Session) -> str:
  """Shapes the fitted field."""
  checks.check_trained(session, "fit")
  checks.check(session, ("shape",), TRAINED)
  with session.workdir.lock():
    session.begin(TRAINED)
    _shape(session)
  return f"shaped field: {session.workdir.checkpoints('shape')}"


def propagate(session: Session) -> str:
  """Labels every view from the clicks, or other photographs from a label session."""
  checks.check_trained(session, "shape")
  if session.config.label.session:
    views, kept = transfer.with_session(session)
    checks.check_method(views)
    with session.workdir.lock():
      name = transfer.transfer(views, kept)
    return _label_lines(session, name)
  checks.check(session, ("propagate",), TRAINED)
  with session.workdir.lock():
    session.begin(TRAINED)
    name = propagation.propagate(session)
  lines = _label_lines(session, name)
  proposals = session.workdir.path / "next_clicks.json"
  return lines + (f"\nwhere to click next: {proposals}" if proposals.exists() else "")


def _label_lines(session, name):
  folder = session.workdir.path
  lines = [f"label maps: {folder / 'labels' / name}"]
  if (folder / "confidence" / name).exists():
    lines.append(f"confidence: {folder / 'confidence' / name}")
  return "\n".join(lines)


def evaluate(session: Session) -> str:
  """Measures fields and labels; writes metrics.json and report.html."""
  checks.check_trained(session, "fit")
  checks.check(session, ("evaluate",), TRAINED)
  with session.workdir.lock():
    session.begin(TRAINED)
    return _evaluate(session)


def render(session: Session) -> str:
  """Renders a camera path."""
  checks.check_trained(session, STAGE_OF_FIELD[session.config.render.field])
  checks.check(session, (), TRAINED)
  with session.workdir.lock():
    return f"frames: {rendering.render(session)}"


def run(session: Session) -> str:
  """Every stage that the folder does not hold yet."""
  workdir = session.workdir
  checks.check(session, [stage for stage in STAGES if stage != "propagate"], STAGES)
  with workdir.lock():
    session.begin()
    _fit(session)
    _shape(session)
    if not labels_lib.label_sets(session):
      print("propagate: skipped, the scene has no labels; to label it, click and give "
            "the clicks file as --config.label.clicks=FILE")
    elif workdir.is_done("propagate"):
      print("propagate: done before, kept")
    else:
      propagation.propagate(session)
    if workdir.is_done("evaluate"):
      return (f"evaluate: done before, kept\nmetrics: {workdir.path / 'metrics.json'}\n"
              f"report: {workdir.path / 'report.html'}")
    return _evaluate(session)


def _fit(session):
  if session.workdir.is_done("fit"):
    print("fit: done before, kept")
  else:
    training.fit(session)


def _shape(session):
  for stage in ("shape", "shape-oracle") if session.config.shape.oracle else ("shape",):
    if session.workdir.is_done(stage):
      print(f"{stage}: done before, kept")
    else:
      training.shape(session, oracle=stage == "shape-oracle")


def _evaluate(session):
  began = time.perf_counter()
  workdir = session.workdir
  sets = labels_lib.label_sets(session)
  labels_lib.store_clicks(session, sets)
  results = evaluate_fields(session, sets)
  workdir.update_metrics(
      labels=[row for result in results.values() for row in result.rows],
      calibration=[row for result in results.values() for row in result.calibration],
      **{name: {field: getattr(result, name) for field, result in results.items()}
         for name in ("psnr", "ssim", "depth_error_m")})
  workdir.mark_done("evaluate", seconds=time.perf_counter() - began,
                    peak_memory_bytes=peak_memory_bytes())
  report = write_session_report(session, results, sets)
  return f"metrics: {workdir.path / 'metrics.json'}\nreport: {report}"


MODES = {"run": run, "inspect": inspect, "features": features, "fit": fit, "shape": shape,
         "propagate": propagate, "evaluate": evaluate, "render": render}
