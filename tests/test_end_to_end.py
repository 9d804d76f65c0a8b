"""The smoke run of the built-in room, from nothing to a report, and what it leaves."""

import html.parser
import json
import math
import pathlib

import numpy as np
from PIL import Image
import pytest
import smoke_run
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from jnerf import main
from jnerf.runs.run import Run
from jnerf.runs.workdir import Workdir, config_digest
from jnerf.scenes.clicks import click_pixels, read_clicks
from jnerf.stages.render import render_stage
from jnerf.structs import Scene
from jnerf.training.events import History

FIELDS = ["plain", "shaped", "shaped-oracle"]
OFFICE = pathlib.Path(__file__).parents[2] / "shared" / "data" / "office_0"


@pytest.fixture(scope="module")
def folder():
  return smoke_run.finished()


@pytest.fixture(scope="module")
def run(folder) -> Run:
  return smoke_run.run(folder)


@pytest.fixture(scope="module")
def scene() -> Scene:
  return smoke_run.scene()


@pytest.fixture(scope="module")
def metrics(folder):
  return json.loads((folder / "metrics.json").read_text())


def test_metrics_have_the_documented_form(metrics, run):
  assert set(metrics) == {
      "scene", "config_digest", "environment", "stages", "psnr", "ssim",
      "depth_error_m", "labels", "calibration"}
  assert metrics["scene"] == "room"
  assert metrics["config_digest"] == config_digest(run.config)
  for name in ("psnr", "ssim", "depth_error_m"):
    assert list(metrics[name]) == FIELDS
    assert all(math.isfinite(value) and value > 0 for value in metrics[name].values())
  assert all(8 < value < 40 for value in metrics["psnr"].values())
  assert all(value < 1 for value in metrics["ssim"].values())


def test_metrics_of_the_stages(metrics):
  trained = ("fit", "shape", "shape-oracle")
  assert set(metrics["stages"]) == {*trained, "propagate", "evaluate"}
  for stage, facts in metrics["stages"].items():
    assert facts["seconds"] > 0 and facts["peak_memory_bytes"] > 0
    if stage in trained:
      assert 0 < facts["compile_seconds"] < facts["seconds"]
      assert facts["rays_per_second"] > 0 and facts["num_params"] > 0
      assert facts["steps"] == {"fit": 60}.get(stage, 20)


def test_metrics_have_a_row_for_every_field_method_and_draw(metrics, run):
  rows = metrics["labels"]
  draws = [("sparse", 0), ("sparse", 1), ("dense", 0)]
  found = sorted((row["field"], row["method"], row["dimension"], row["protocol"],
                  row["seed"]) for row in rows)
  assert found == sorted(
      (field, method, dimension, *draw) for field in FIELDS for draw in draws
      for method in run.config.label.methods for dimension in ("2d", "3d"))
  for row in rows:
    assert set(row) == {
        "method", "field", "pairs", "protocol", "clicks", "seed", "dimension", "miou",
        "miou_all", "class_accuracy", "total_accuracy", "per_class_iou", "seconds"}
    assert row["pairs"] == {"plain": None, "shaped": "local",
                            "shaped-oracle": "oracle"}[row["field"]]
    assert row["seconds"] > 0
    assert 0 < row["miou"] < 1 and 0 < row["total_accuracy"] < 1
    assert row["miou_all"] <= row["miou"] + 1e-9
    ious = [iou for iou in row["per_class_iou"].values() if iou is not None]
    assert row["miou"] == pytest.approx(np.mean(ious))
  sparse = [row for row in rows if row["protocol"] == "sparse"]
  assert all(row["clicks"] == len(row["per_class_iou"]) for row in sparse)


def test_calibration_of_what_tells_probabilities(metrics):
  rows = metrics["calibration"]
  assert {(row["field"], row["method"]) for row in rows} == {
      (field, method) for field in FIELDS for method in ("regions", "cosine", "bayes")}
  assert len(rows) == len(FIELDS) * 3 * 3  # fields, methods, draws
  for row in rows:
    bins = np.array(row["bins"])
    assert 0 <= row["ece"] <= 1 and bins[:, 2].sum() == row["pixels"] > 500
    near = [r for r in metrics["labels"] if all(
        r[key] == row[key] for key in ("field", "method", "protocol", "seed",
                                       "dimension", "pairs"))]
    right = np.sum(bins[:, 1] * bins[:, 2]) / row["pixels"]
    assert right == pytest.approx(near[0]["total_accuracy"], abs=0.05)


def test_label_maps_are_palette_images_of_the_views_asked_for(
    folder, run, scene, metrics):
  name, frames = metrics["stages"]["propagate"]["labels"], scene.frames
  if run.config.label.views == "test":
    frames = [frames[view] for view in scene.test]
  paths = sorted((folder / "labels" / name).iterdir())
  assert [path.stem for path in paths] == sorted(frames)
  clicked = {c.class_id for c in read_clicks(
      folder / "clicks" / "sparse-seed0.json", scene).positive}
  seen = set()
  for path in paths:
    with Image.open(path) as image:
      assert image.mode == "P" and image.size == scene.size
      seen |= set(np.unique(np.asarray(image)).tolist())
  assert 1 < len(seen) and seen <= clicked


def test_clicks_files_are_true_to_the_scene(folder, scene):
  paths = sorted((folder / "clicks").iterdir())
  assert [path.name for path in paths] == ["sparse-seed0.json", "sparse-seed1.json"]
  for path in paths:
    clicks = read_clicks(path, scene)
    pixels = click_pixels(clicks, scene)
    assert len(set(pixels[:, 0])) == 1 and pixels[0, 0] in scene.train
    assert [scene.semantic[tuple(pixel)] for pixel in pixels] == [
        click.class_id for click in clicks.positive]


class Links(html.parser.HTMLParser):
  """Collects what a page asks the network or the disk for."""

  def __init__(self):
    super().__init__()
    self.links, self.images = [], 0

  def handle_starttag(self, tag, attrs):
    for name, value in attrs:
      if name in ("src", "href", "data", "srcset", "action"):
        self.images += value.startswith("data:image/png;base64,")
        if not value.startswith(("data:", "#")):
          self.links.append((tag, value))


def test_report_needs_nothing_but_itself(folder):
  text = (folder / "report.html").read_text()
  page = Links()
  page.feed(text)
  assert [link for link in page.links if link[0] != "a"] == []
  assert "@import" not in text and "url(http" not in text and "<script src" not in text
  assert page.images >= 10  # photographs, renders, depth, labels, responses
  assert all(field in text for field in FIELDS) and "sparse" in text and "chair" in text


@pytest.mark.parametrize("stage, steps", [("fit", 60), ("shape", 20)])
def test_curves_and_event_files_agree(folder, stage, steps):
  history = History.load(folder / "curves" / f"{stage}.json")
  at, losses = history.curve("loss")
  assert at.tolist() == list(range(10, steps + 1, 10)) and np.isfinite(losses).all()
  if stage == "fit":
    assert losses[-1] < losses[0]
  else:
    assert {"contrast", "positives", "threshold"} <= set(history.names)
  path, = (folder / "tensorboard" / stage).iterdir()
  events = [(event.step, value.tensor.float_val[0])
            for event in EventFileLoader(str(path)).Load()
            for value in event.summary.value if value.tag.endswith("loss")]
  assert [step for step, _ in events] == at.tolist()
  assert np.allclose([value for _, value in events], losses)


def test_config_is_stored(folder, run):
  assert Workdir(folder).read_config() == run.config


@pytest.mark.parametrize("path, field, num", [
    ("test", "shaped", 3), ("orbit", "plain", 2)])
def test_rendered_frames(tmp_path, folder, scene, path, field, num):
  other = smoke_run.run(tmp_path)
  other.config.render.update(path=path, field=field, num_frames=2)
  (tmp_path / "metrics.json").write_text((folder / "metrics.json").read_text())
  (tmp_path / "checkpoints").symlink_to(folder / "checkpoints")
  frames = render_stage(other, scene)
  assert frames == tmp_path / "renders" / f"{field}-{path}"
  for kind in ("rgb", "depth"):
    paths = sorted(frames.glob(f"{kind}_*.png"))
    assert len(paths) == num
    for frame in paths:
      image = np.asarray(Image.open(frame))
      assert image.shape == (36, 48, 3) and image.std() > 1


@pytest.mark.slow
@pytest.mark.skipif(not OFFICE.exists(), reason=f"no capture at {OFFICE}")
def test_a_real_capture(tmp_path, capsys):
  replica = pathlib.Path(smoke_run.EXPERIMENT).parent / "replica.py"
  tiny = {"scene.path": OFFICE, "scene.width": 75, "shape.oracle": False, "fit.steps": 50,
          "fit.warmup_steps": 5, "fit.num_rays": 256, "shape.steps": 25,
          "shape.warmup_steps": 5, "shape.num_rays": 256, "shape.contrast_rays": 0,
          "label.seeds": 1, "label.protocols": "sparse", "label.methods": "cosine",
          "label.views": "test"}
  main.main(["jnerf", f"--config={replica}", f"--workdir={tmp_path}",
             *(f"--config.{key}={value}" for key, value in tiny.items())])
  assert str(tmp_path / "report.html") in capsys.readouterr().out
  metrics = json.loads((tmp_path / "metrics.json").read_text())
  assert metrics["scene"] == "office_0" and metrics["psnr"]["plain"] > 12
  assert {row["pairs"] for row in metrics["labels"]} == {None, "precomputed"}
  with Image.open(next((tmp_path / "labels" / "shaped-cosine").iterdir())) as image:
    assert image.width == 75
