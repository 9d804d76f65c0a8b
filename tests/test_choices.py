"""What is shaped and how it is labelled, by settings of the command line alone."""

import json
import pathlib
import shutil

import numpy as np
from PIL import Image
import pytest
import tiny_replica

from jnerf import main
from jnerf.errors import InputError
from jnerf.runs.experiment import load_experiment
from jnerf.runs.labelling import label_sets
from jnerf.runs.loading import load_scene
from jnerf.runs.run import Run
from jnerf.runs.workdir import Workdir
from jnerf.scenes.clicks import read_clicks
from jnerf.viewing.palette import read_label_png

EXPERIMENT = f"{pathlib.Path(__file__).parent}/tiny_experiment.py"
MLP = ("field.kind=mlp", *(f"field.mlp.{setting}" for setting in (
    "depth=2", "width=8", "color_width=8", "position_octaves=2", "direction_octaves=1",
    "coarse_samples=4", "fine_samples=4")))
ROW_KEYS = {"method", "field", "pairs", "protocol", "clicks", "seed", "dimension", "miou",
            "miou_all", "class_accuracy", "total_accuracy", "per_class_iou", "seconds"}


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
  """Two classes, of which the first is two instances: 300 and 301, and 600."""
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(tiny_replica, "WIDTH", 16)
    patch.setattr(tiny_replica, "HEIGHT", 12)
    root = tiny_replica.write(tmp_path_factory.mktemp("capture") / "wall")
  for path in (root / "semantic_instance").iterdir():
    instances = np.asarray(Image.open(path)).copy()
    instances[6:] += instances[6:] == 300
    tiny_replica.save(path, instances)
  return root


def call(capture, folder, *settings, mode="run"):
  main.main(["jnerf", f"--config={EXPERIMENT}:{capture}", f"--workdir={folder}",
             f"--mode={mode}", *(f"--config.{setting}" for setting in settings)])


@pytest.fixture(scope="module")
def fitted(capture, tmp_path_factory):
  folder = tmp_path_factory.mktemp("fitted")
  call(capture, folder, mode="fit")
  return folder


@pytest.fixture(scope="module")
def shaped(capture, fitted, tmp_path_factory):
  folder = tmp_path_factory.mktemp("shaped")
  shutil.copytree(fitted, folder, dirs_exist_ok=True)
  call(capture, folder, mode="shape")
  return folder


@pytest.fixture(scope="module")
def fitted_mlp(capture, tmp_path_factory):
  folder = tmp_path_factory.mktemp("fitted_mlp")
  call(capture, folder, *MLP, mode="fit")
  return folder


@pytest.fixture
def run(capture, request, tmp_path):
  """`run(*settings)` shapes, labels and evaluates a fitted field; its metrics."""
  def made(*settings):
    fitted = request.getfixturevalue("fitted_mlp" if MLP[0] in settings else "fitted")
    shutil.copytree(fitted, tmp_path, dirs_exist_ok=True)
    call(capture, tmp_path, *settings)
    return json.loads((tmp_path / "metrics.json").read_text())

  return made


@pytest.fixture
def label(capture, shaped, tmp_path):
  """`label(*settings)` labels and evaluates the shaped field; its rows.

  With `mode="propagate"` it labels alone.
  """
  shutil.copytree(shaped, tmp_path, dirs_exist_ok=True)

  def made(*settings, mode="run"):
    call(capture, tmp_path, *settings, mode=mode)
    return json.loads((tmp_path / "metrics.json").read_text()).get("labels")

  return made


@pytest.mark.parametrize("settings", [
    ("shape.value_channel=random", "shape.entities=points",
     "shape.params=field/(density|trunk)/.*", "label.dimensions=2d,3d"),
    ("shape.params=.*", "shape.jacobian=sketch", "shape.sketch_directions=8"),
    ("shape.align=activations", "shape.entities=points",
     "label.methods=regions,cosine"),
    pytest.param(("shape.params=.*", "shape.jacobian=sketch", "shape.entities=points",
                  "label.methods=cosine,bayes,paper,mlp"), marks=pytest.mark.slow),
    pytest.param(("shape.params=field/(density|rgb)/kernel", "shape.jacobian=vjp",
                  "label.methods=cosine,bayes,paper,mlp"), marks=pytest.mark.slow),
    pytest.param(("shape.jacobian=sketch", "label.methods=cosine,paper"),
                 marks=pytest.mark.slow),
    (*MLP, "shape.params=field/(density|trunk_1)/.*", "shape.entities=points",
     "shape.value_channel=random"),
    *(pytest.param((*field, *settings), marks=pytest.mark.slow)
      for field in ((), MLP) for settings in (
          ("shape.params=field/density/kernel", "label.methods=cosine,bayes,paper,mlp"),
          ("shape.params=field/trunk(_1)?/kernel", "shape.value_channel=random"),
          ("shape.align=activations", "label.methods=regions,bayes,cosine,mlp",
           "label.dimensions=2d,3d"))),
    pytest.param((*MLP, "shape.params=.*", "shape.jacobian=sketch",
                  "label.methods=cosine,bayes,paper,mlp"), marks=pytest.mark.slow),
], ids=lambda settings: " ".join(s for s in settings if s[:10] != "field.mlp."))
def test_a_field_shaped_otherwise_is_labelled(run, settings):
  metrics = run(*settings)
  assert metrics["stages"]["propagate"]["labels"] == "shaped-cosine"
  found = {(row["field"], row["method"], row["dimension"]) for row in metrics["labels"]}
  assert len(found) == len(metrics["labels"]) >= 2
  assert all(0 <= row["miou"] <= 1 for row in metrics["labels"])


def test_walks_between_creases_label_and_propose(run, tmp_path):
  metrics = run("regions.crease_scale=0.1", "regions.walk_crease_scale=0.1",
                "label.methods=walk,regions", "label.primary=walk", "label.proposals=2",
                "label.dimensions=2d,3d", "label.protocols=clicks-3")
  assert metrics["stages"]["propagate"]["labels"] == "shaped-walk"
  scores = {(row["field"], row["method"], row["dimension"]): row["miou"]
            for row in metrics["labels"]}
  assert len(scores) == 8 and min(scores.values()) > 0.2
  assert {row["method"] for row in metrics["calibration"]} == {"walk", "regions"}
  proposals = json.loads((tmp_path / "next_clicks.json").read_text())["proposals"]
  assert len(proposals) == 2 and 0 < proposals[0]["probability"] <= 1


@pytest.mark.parametrize("settings", [
    ("label.directions=mean_response", "label.position_scale=0.5"),
    ("label.directions=k_means", "label.num_centres=2", "label.response=3d"),
    pytest.param(("label.directions=adaptive",), marks=pytest.mark.slow),
], ids=" ".join)
def test_every_choice_of_the_paper_s_recipe_labels(label, settings):
  rows = label(*settings, "label.methods=paper,mlp", "label.primary=paper",
               "label.mlp.steps=20", "label.dimensions=3d", "label.protocols=clicks-3")
  assert {(row["field"], row["method"]) for row in rows} == {
      (field, method) for field in ("plain", "shaped") for method in ("paper", "mlp")}
  assert all(0 <= row["miou"] <= 1 for row in rows)


def test_instances_are_labelled_scored_and_merged(label, tmp_path):
  rows = label("label.protocols=instance-sparse,merged-sparse,sparse,instance-dense",
               "label.dimensions=2d,3d", "label.edge_passes=0")
  assert all(set(row) == ROW_KEYS for row in rows)
  classes = {row["protocol"]: (row["clicks"], *row["per_class_iou"]) for row in rows}
  assert classes == {
      "instance-sparse": (3, "300", "301", "600"), "merged-sparse": (3, "1", "2"),
      "sparse": (2, "1", "2"), "instance-dense": (11 * 16, "300", "301", "600")}
  assert {path.stem for path in (tmp_path / "clicks").iterdir()} == {
      "instance-sparse-seed0", "merged-sparse-seed0", "sparse-seed0"}
  calibrated = json.loads((tmp_path / "metrics.json").read_text())["calibration"]
  assert {row["protocol"] for row in calibrated} == {  # no merged ones
      "instance-sparse", "instance-dense", "sparse"}
  # Right where the labels are, of instances as of classes.
  accuracy = {tuple(row[key] for key in ("protocol", "field", "method")):
              row["total_accuracy"] for row in rows if row["dimension"] == "2d"}
  for row in calibrated:
    bins = np.array(row["bins"])
    right = np.sum(bins[:, 1] * bins[:, 2]) / row["pixels"]
    assert abs(right - accuracy[row["protocol"], row["field"], row["method"]]) < 0.15
  for path in (tmp_path / "labels" / "shaped-cosine").iterdir():  # 16 bits, by instances
    assert set(np.unique(read_label_png(path))) <= {300, 301, 600}
  report = (tmp_path / "report.html").read_text()
  assert "instance-sparse" in report and "class 1 301" in report
  label("label.protocols=merged-sparse", mode="propagate")
  for path in (tmp_path / "labels" / "shaped-cosine").iterdir():
    assert set(np.unique(read_label_png(path))) <= {1, 2}


def test_merged_labels_are_the_instance_labels_by_class(capture, label, tmp_path):
  """The same clicks are drawn for both, so one must be the other's merge."""
  label("label.protocols=instance-clicks-3", mode="propagate")
  instances = {path.name: read_label_png(path)
               for path in (tmp_path / "labels" / "shaped-cosine").iterdir()}
  label("label.protocols=merged-clicks-3", mode="propagate")
  for name, predicted in instances.items():
    merged = read_label_png(tmp_path / "labels" / "shaped-cosine" / name)
    np.testing.assert_array_equal(merged, predicted // 300)
  scene = load_scene(Run(load_experiment(f"{EXPERIMENT}:{capture}"), Workdir(tmp_path)))
  clicks = [read_clicks(tmp_path / "clicks" / f"{kind}-clicks-3-seed0.json", scene)
            for kind in ("instance", "merged")]
  assert clicks[0] == clicks[1]
  assert clicks[0].classes == {300: "class 1 300", 301: "class 1 301",
                               600: "class 2 600"}


def test_instances_that_a_scene_lacks_are_refused_before_work(capture, tmp_path):
  bare = shutil.copytree(capture, tmp_path / "bare",
                         ignore=shutil.ignore_patterns("semantic_instance"))
  with pytest.raises(InputError, match=r"^label\.protocols: merged-sparse needs .*inst"):
    call(bare, tmp_path / "run", "label.protocols=sparse,merged-sparse")
  assert not (tmp_path / "run").exists()
  only = shutil.copytree(capture, tmp_path / "only",
                         ignore=shutil.ignore_patterns("semantic_class"))
  config = load_experiment(f"{EXPERIMENT}:{only}")
  scene = load_scene(Run(config, Workdir(tmp_path / "run")))
  assert label_sets(config, scene) == []  # as in any scene without classes
  config.label.protocols = ("instance-sparse",)
  found, = label_sets(config, scene)
  assert found.classes == [300, 301, 600]
