"""The mode `run`: every stage that the folder does not hold yet."""

from __future__ import annotations

from jnerf.runs import run as runs
from jnerf.runs.checks import check
from jnerf.runs.labelling import label_sets
from jnerf.runs.loading import load_methods, load_scene
from jnerf.stages.evaluate import evaluate_stage
from jnerf.stages.fit import fit_stage
from jnerf.stages.propagate import propagate_stage
from jnerf.stages.shape import shape_stage


def run(run: runs.Run) -> str:
  """Every stage that the folder does not hold yet."""
  workdir, scene = run.workdir, load_scene(run)
  check(run, scene, [stage for stage in runs.STAGES if stage != "propagate"],
        runs.STAGES)
  with workdir.lock():
    run.begin(scene)
    fit_stage(run, scene)
    shape_stage(run, scene)
    sets = label_sets(run.config, scene)
    labelled, evaluated = (workdir.is_done(stage) for stage in ("propagate", "evaluate"))
    methods = {} if not sets or (labelled and evaluated) else load_methods(run, scene)
    if not sets:
      print("propagate: skipped, the scene has no labels; to label it, click and give "
            "the clicks file as --config.label.clicks=FILE")
    elif labelled:
      print("propagate: done before, kept")
    else:
      propagate_stage(run, scene, sets[0], methods[run.config.label.primary])
    if evaluated:
      return (f"evaluate: done before, kept\nmetrics: {workdir.path / 'metrics.json'}\n"
              f"report: {workdir.path / 'report.html'}")
    return evaluate_stage(run, scene, sets, methods)
