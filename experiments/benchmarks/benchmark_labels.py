"""The table of labels: every method, rival and protocol, on any scenes.

  python experiments/benchmarks/benchmark_labels.py room DATA/office_0 DATA/living_room

`room` is the built-in room (experiments/room.py), all else a folder in the Replica
layout (experiments/replica.py). Fields are trained in runs/benchmark/<scene>; then they
are evaluated one after another, by all protocols, semantic and instance, with all
methods, the plain one also with all rivals, in 2D and 3D. What the folder and the
results hold already is not redone, so a run that was cut off goes on where it stopped.

Writes experiments/results/labels-<scene>.json (means over seeds with their spread, and
seconds), the table labels-<scene>.md, and labels-<scene>.png: mIoU against the number of
clicks. Two CPU cores: about an hour a scene.
"""

import argparse
from collections.abc import Iterable
import copy
import json
import pathlib
import sys
import time

from jnerf.errors import InputError
from jnerf.evaluating.field_evaluation import Method
from jnerf.evaluating.label_groups import aggregate
from jnerf.evaluating.tables import (
  aggregate_calibration,
  benchmark_table,
  calibration_table,
  quality_table,
)
from jnerf.files import write_json
from jnerf.runs.config import validate
from jnerf.runs.experiment import load_experiment, override
from jnerf.runs.labelling import label_sets
from jnerf.runs.loading import load_features, load_field, load_methods, load_scene
from jnerf.runs.rivals import make_rivals
from jnerf.runs.run import Run
from jnerf.runs.workdir import Workdir, config_digest, environment
from jnerf.stages.evaluate import evaluate_field
from jnerf.stages.fit import fit
from jnerf.stages.shape import shape
from jnerf.structs import Scene
from jnerf.viewing.click_curves import write_click_curves

HERE = pathlib.Path(__file__).parents[1]  # experiments/
SETTINGS = {
    "shape.oracle": True, "label.seeds": 5, "label.dimensions": ("2d", "3d"),
    "label.protocols": (
        "sparse", "clicks-1", "clicks-3", "clicks-5", "clicks-10", "dense",
        "per-frame-0.1", "instance-sparse", "instance-clicks-3", "merged-sparse"),
    "label.methods": ("regions", "bayes", "cosine", "mlp"),
    "label.rivals": ("features", "features-probe", "features-probe-color", "knn",
                     "distilled", "distilled-probe", "distilled-probe-color",
                     "semantic-nerf"),
}


def main(scenes: list[str], overrides: list[str]) -> None:
  """Runs all scenes; `overrides` are --config.a.b=value, as of the command."""
  for scene in scenes:
    run = make_run(scene, overrides)
    for stage in (fit, shape):
      print(stage(run), flush=True)
    loaded = load_scene(run)
    path = HERE / "results" / f"labels-{loaded.name}.json"
    results = measure(run, loaded, path)
    path.with_suffix(".md").write_text(as_markdown(results))
    write_click_curves(path.with_suffix(".png"), results["labels"])
    print(*(path.with_suffix(suffix) for suffix in (".json", ".md", ".png")), sep="\n")


def as_markdown(results: dict) -> str:
  """All tables of one scene."""
  seconds = ", ".join(f"{field} {s}" for field, s in results["seconds"].items())
  parts = [f"# Labels of {results['scene']}", quality_table(results)]
  for dimension in SETTINGS["label.dimensions"]:
    for score, what in (("miou", "the classes that were clicked"),
                        ("miou_all", "all classes")):
      parts += [f"## {dimension}: mIoU over {what}",
                benchmark_table(results["labels"], dimension, score=score)]
  parts += ["## Expected calibration error, 2d",
            calibration_table(results["calibration"]),
            f"Seconds to evaluate a field by all methods, or a rival: {seconds}."]
  return "\n\n".join(parts) + "\n"


def make_run(scene: str, overrides: list[str]) -> Run:
  """The run of a scene, in its folder below runs/benchmark."""
  is_room = scene == "room"
  config = load_experiment(str(HERE / ("room.py" if is_room else "replica.py")))
  config.update_from_flattened_dict(SETTINGS)
  if not is_room:
    config.scene.path = scene
  validate(override(config, overrides))
  name = pathlib.Path(scene).name
  return Run(config, Workdir(pathlib.Path("runs/benchmark") / name))


def measure(run: Run, scene: Scene, path: pathlib.Path) -> dict:
  """Evaluates what the results lack, a field or a rival at a time; returns them all.

  Results of another config are made anew.
  """
  config = copy.deepcopy(run.config)
  config.label.rivals = ()  # each is measured by itself, and may come later
  digest = config_digest(config)
  results = json.loads(path.read_text()) if path.exists() else {}
  if results.get("config_digest") != digest:
    results = {"labels": [], "calibration": [], "seconds": {}, "psnr": {}, "ssim": {},
               "depth_error_m": {}}
  results.update(scene=scene.name, config_digest=digest,
                 environment=environment())
  sets, rivals = label_sets(run.config, scene), run.config.label.rivals
  own, maps = load_methods(run, scene), load_features(run, scene)
  for name in (*run.fields, *rivals):
    if name in results["seconds"]:
      print(f"{name}: measured before, kept")
      continue
    began, field = time.perf_counter(), "plain" if name in rivals else name
    if name in rivals:
      run.config.label.rivals = (name,)
      methods = make_rivals(run, scene, load_field(run, scene, "fit"), maps)
    else:
      methods = {method: Method(assignment) for method, assignment in own.items()}
    result = evaluate_field(run, scene, sets, field, methods, maps)
    results["labels"] += aggregate(result.rows)
    results["calibration"] += aggregate_calibration(result.calibration)
    for key in ("labels", "calibration"):  # in that order, whenever they were measured
      results[key].sort(key=lambda row: _place(row, run.fields))
    results["seconds"][name] = round(time.perf_counter() - began)
    for key in ("psnr", "ssim", "depth_error_m"):
      results[key][field] = getattr(result, key)
    write_json(path, results)
  return results


def _place(row: dict, fields: Iterable[str]) -> int:
  """Where a row comes among all: our methods, field by field, then the rivals."""
  rivals = SETTINGS["label.rivals"]
  name = row["method"] if row["method"] in rivals else row["field"]
  return [*fields, *rivals].index(name)


if __name__ == "__main__":
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("scenes", nargs="+")
  known, rest = parser.parse_known_args()
  try:
    main(known.scenes, rest)
  except InputError as error:
    sys.exit(f"error: {error}")
