"""The mode and stage `evaluate`: how good fields and labels are, and the report."""

from __future__ import annotations

from collections.abc import Mapping
import functools
import time

from jnerf.evaluating.field_evaluation import Evaluation, FieldResult, Method
from jnerf.labeling.assignment import Assignment
from jnerf.labeling.labels import LabelSet
from jnerf.runs import parts
from jnerf.runs.checks import check
from jnerf.runs.labelling import label_sets, store_clicks
from jnerf.runs.loading import (
  check_trained,
  features_choice,
  load_features,
  load_field,
  load_methods,
  load_scene,
)
from jnerf.runs.rivals import features_of_pixels, make_rivals, needs_features
from jnerf.runs.run import TRAINED, Run
from jnerf.stages.report import write_run_report
from jnerf.structs import FeatureMaps, Scene
from jnerf.training.compilation import peak_memory_bytes


def evaluate(run: Run) -> str:
  """Measures fields and labels; writes metrics.json and report.html."""
  check_trained(run, "fit")
  scene = load_scene(run)
  check(run, scene, ("evaluate",), TRAINED)
  with run.workdir.lock():
    run.begin(scene, TRAINED)
    sets = label_sets(run.config, scene)
    return evaluate_stage(run, scene, sets, load_methods(run, scene) if sets else {})


def evaluate_stage(run: Run, scene: Scene, sets: list[LabelSet],
                   methods: Mapping[str, Assignment]) -> str:
  """Evaluates every trained field; says where the results are.

  sets: of labels, by all of `methods`; none where nothing is labelled.
  """
  began, workdir = time.perf_counter(), run.workdir
  store_clicks(workdir, scene, sets)
  results = evaluate_fields(run, scene, sets, {
      name: Method(assignment) for name, assignment in methods.items()})
  workdir.update_metrics(
      labels=[row for result in results.values() for row in result.rows],
      calibration=[row for result in results.values() for row in result.calibration],
      **{name: {field: getattr(result, name) for field, result in results.items()}
         for name in ("psnr", "ssim", "depth_error_m")})
  workdir.mark_done("evaluate", seconds=time.perf_counter() - began,
                    peak_memory_bytes=peak_memory_bytes())
  report = write_run_report(run, scene, results, sets)
  return f"metrics: {workdir.path / 'metrics.json'}\nreport: {report}"


def evaluate_fields(run: Run, scene: Scene, sets: list[LabelSet],
                    methods: Mapping[str, Method]) -> dict[str, FieldResult]:
  """Evaluates every trained field on all test views, the plain one with the rivals."""
  names, results, maps = run.config.label.rivals, {}, None
  if sets and needs_features(names):
    maps = load_features(run, scene)
  for field, stage in run.fields.items():
    if not run.workdir.is_done(stage):
      continue
    rivals = {}
    if field == "plain" and sets and names:
      rivals = make_rivals(run, scene, load_field(run, scene, stage), maps)
    results[field] = evaluate_field(run, scene, sets, field, {**methods, **rivals}, maps)
  return results


def evaluate_field(run: Run, scene: Scene, sets: list[LabelSet], name: str,
                   methods: Mapping[str, Method],
                   maps: FeatureMaps | None = None) -> FieldResult:
  """Evaluates one field, named as in `Run.fields`, and the methods on it.

  maps: visual features, where a method needs them.
  """
  print(f"evaluate: {name} field on {len(scene.test)} test views", flush=True)
  field = load_field(run, scene, run.fields[name])
  assignments = [method.assignment for method in methods.values()]
  features_fn = None
  if any(assignment.needs_features for assignment in assignments):
    features_fn = functools.partial(features_of_pixels, scene, maps)
  evaluation = Evaluation(
      scene, field, name,
      parts.pairs_name(run.config, name, features_choice(run, scene).source.name),
      parts.renderer_of(run.config, field.model, field.background, assignments),
      features_fn)
  return evaluation.run(methods, sets, edges=parts.edges_of(run.config),
                        dimensions=run.config.label.dimensions, seed=run.config.seed)
