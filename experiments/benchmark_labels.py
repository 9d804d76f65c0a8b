"""The table of labels: every method, rival and protocol, on any scenes.

  python experiments/benchmark_labels.py room DATA/office_0 DATA/living_room

`room` is the built-in room (experiments/room.py), all else a folder in the Replica
layout (experiments/replica.py). Fields are trained in runs/benchmark/<scene>; then the
protocols of DESIGN section 6 are evaluated one after another, each with all methods on
all fields and all rivals, in 2D and 3D. What the folder and the results hold already is
not redone, so a run that was cut off goes on where it stopped.

Writes experiments/results/labels-<scene>.json (means over seeds with their spread, and
seconds), the table labels-<scene>.md, and labels-<scene>.png: mIoU against the number of
clicks (needs the extra `plots`). Two CPU cores: about an hour a scene.
"""

import argparse
import json
import pathlib
import sys
import time

from jnerf.errors import InputError
from jnerf.evaluating.tables import aggregate, benchmark_table
from jnerf.files import write_json
from jnerf.stages import labels as labels_lib
from jnerf.stages import modes
from jnerf.stages.evaluation import evaluate_fields
from jnerf.stages.experiment import load_experiment, override
from jnerf.stages.session import Session
from jnerf.stages.workdir import Workdir, config_digest, environment
from jnerf.validation import validate
from jnerf.viewing.click_curves import write_click_curves

HERE = pathlib.Path(__file__).parent
PROTOCOLS = ("sparse", "clicks-1", "clicks-3", "clicks-5", "clicks-10", "dense",
             "per-frame-0.1", "instance-sparse", "instance-clicks-3", "merged-sparse")
SETTINGS = {
    "shape.oracle": True, "label.seeds": 5, "label.dimensions": ("2d", "3d"),
    "label.methods": ("regions", "bayes", "cosine", "mlp"),
    "label.rivals": ("features", "features-probe", "features-probe-color", "knn",
                     "distilled", "distilled-probe", "distilled-probe-color",
                     "semantic-nerf"),
}


def main(scenes: list[str], protocols: list[str], overrides: list[str]) -> None:
  """Runs all scenes; `overrides` are --config.a.b=value, as of the command."""
  for scene in scenes:
    session = make_session(scene, overrides)
    for mode in (modes.fit, modes.shape):
      print(mode(session), flush=True)
    path = HERE / "results" / f"labels-{session.scene.name}.json"
    results = measure(session, protocols, path)
    path.with_suffix(".md").write_text("\n\n".join(
        f"{dimension}: mIoU over the classes that were clicked\n\n"
        + benchmark_table(results["labels"], dimension)
        for dimension in SETTINGS["label.dimensions"]) + "\n")
    write_click_curves(path.with_suffix(".png"), results["labels"])
    print(*(path.with_suffix(suffix) for suffix in (".json", ".md", ".png")), sep="\n")


def make_session(scene: str, overrides: list[str]) -> Session:
  """The session of a scene, in its folder below runs/benchmark."""
  is_room = scene == "room"
  config = load_experiment(str(HERE / ("room.py" if is_room else "replica.py")))
  config.update_from_flattened_dict(SETTINGS)
  if not is_room:
    config.scene.path = scene
  validate(override(config, overrides))
  name = pathlib.Path(scene).name
  return Session(config, Workdir(pathlib.Path("runs/benchmark") / name))


def measure(session: Session, protocols: list[str], path: pathlib.Path) -> dict:
  """Evaluates the protocols that the results lack; returns all results.

  Results of another config are made anew.
  """
  digest = config_digest(session.config)
  results = json.loads(path.read_text()) if path.exists() else {}
  if results.get("config_digest") != digest:
    results = {"labels": [], "seconds": {}}
  results.update(scene=session.scene.name, config_digest=digest,
                 environment=environment())
  for protocol in protocols:
    if protocol in results["seconds"]:
      print(f"{protocol}: measured before, kept")
      continue
    began = time.perf_counter()
    session.config.label.protocols = (protocol,)
    found = evaluate_fields(session, labels_lib.label_sets(session))
    rows = [row for result in found.values() for row in result.rows]
    results["labels"] += aggregate(rows)
    results["seconds"][protocol] = round(time.perf_counter() - began)
    for name in ("psnr", "ssim", "depth_error_m"):
      results[name] = {field: getattr(result, name) for field, result in found.items()}
    write_json(path, results)
  return results


if __name__ == "__main__":
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("scenes", nargs="+")
  parser.add_argument("--protocols", nargs="+", default=PROTOCOLS)
  known, rest = parser.parse_known_args()
  try:
    main(known.scenes, known.protocols, rest)
  except InputError as error:
    sys.exit(f"error: {error}")
