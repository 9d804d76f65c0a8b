"""Stages on a tiny capture: what is redone, what is refused, scenes without labels."""

import json
import pathlib
import shutil

import jax
import numpy as np
from PIL import Image
import pytest
import tiny_replica

from jnerf import main
from jnerf.errors import InputError
from jnerf.features import local_features
from jnerf.runs import labelling as labels_of_run
from jnerf.runs import loading
from jnerf.runs.workdir import Workdir
from jnerf.shaping.renderer import ViewRenderer

EXPERIMENT = f"{pathlib.Path(__file__).parent}/tiny_experiment.py"


@pytest.fixture(scope="module")
def captures(tmp_path_factory):
  """The same capture with labels and depth, and without."""
  root = tmp_path_factory.mktemp("captures")
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(tiny_replica, "WIDTH", 16)
    patch.setattr(tiny_replica, "HEIGHT", 12)
    return {"labelled": tiny_replica.write(root / "labelled"),
            "bare": tiny_replica.write(root / "bare", layers=False)}


@pytest.fixture
def command(tmp_path, captures, capsys):
  """`command(capture, *arguments)` calls jnerf in one folder; returns what it printed."""
  def run(capture, *arguments):
    capsys.readouterr()
    main.main(["jnerf", f"--config={EXPERIMENT}:{captures[capture]}",
               f"--workdir={tmp_path}", *arguments])
    return capsys.readouterr().out

  return run


@pytest.fixture(scope="module")
def finished(captures, tmp_path_factory):
  """A whole run on the capture with labels."""
  folder = tmp_path_factory.mktemp("finished")
  main.main(["jnerf", f"--config={EXPERIMENT}:{captures['labelled']}",
             f"--workdir={folder}"])
  return folder


@pytest.fixture
def done(finished, tmp_path):
  """A copy of that run, in the folder that `command` works in."""
  return shutil.copytree(finished, tmp_path, dirs_exist_ok=True)


def checkpoint_times(folder) -> dict[str, int]:
  """Every file of every checkpoint and when it was written."""
  return {str(path): path.stat().st_mtime_ns
          for path in (folder / "checkpoints").rglob("*") if path.is_file()}


def metrics_of(folder) -> dict:
  return json.loads((folder / "metrics.json").read_text())


def test_modes_say_where_results_are_and_what_is_done_is_kept(command, tmp_path):
  assert str(tmp_path / "inspect") in command("labelled", "--mode=inspect")
  assert str(tmp_path / "checkpoints" / "fit") in command("labelled", "--mode=fit")
  assert "report.html" in command("labelled", "--mode=evaluate")
  assert list(metrics_of(tmp_path)["psnr"]) == ["plain"]
  fitted = checkpoint_times(tmp_path)
  out = command("labelled", "--config.shape.temperature=0.2")  # nothing rests on it yet
  assert "fit: done before, kept" in out and "metrics.json" in out
  # The evaluation of the plain field alone does not count as the evaluation.
  assert list(metrics_of(tmp_path)["psnr"]) == ["plain", "shaped"]
  shaped = checkpoint_times(tmp_path)
  assert fitted.items() < shaped.items()
  report = (tmp_path / "report.html").stat().st_mtime_ns
  out = command("labelled", "--config.shape.temperature=0.2",
                "--config.runtime.chunk=128")
  assert out.count("done before, kept") == 4
  assert checkpoint_times(tmp_path) == shaped
  assert (tmp_path / "report.html").stat().st_mtime_ns == report
  out = command("labelled", "--mode=render", "--config.shape.temperature=0.2",
                "--config.render.path=interpolate")
  assert str(tmp_path / "renders" / "shaped-interpolate") in out
  assert len(list((tmp_path / "renders" / "shaped-interpolate").glob("rgb_*.png"))) == 2


def test_changed_config_is_refused_or_its_stages_are_made_anew(command, done, tmp_path):
  held = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
  for key, value in (("fit.steps", 8), ("shape.num_rays", 64), ("scene.near", 0.2)):
    with pytest.raises(InputError, match=f"^{key} changed .*start over$"):
      command("labelled", f"--config.{key}={value}")
  with pytest.raises(InputError, match=r"^label\.ridge changed .*--mode=propagate"):
    command("labelled", "--config.label.ridge=0.5")
  assert {path: path.read_bytes() for path in tmp_path.rglob("*.json")} == held
  (tmp_path / "labels" / "shaped-cosine" / "stale.png").touch()
  out = command("labelled", "--mode=propagate", "--config.label.ridge=0.5")
  assert len(list((tmp_path / "labels" / "shaped-cosine").iterdir())) == 6
  assert str(tmp_path / "labels" / "shaped-cosine") in out
  assert not Workdir(tmp_path).is_done("evaluate")  # it was made with another ridge
  out = command("labelled", "--config.label.ridge=0.5")
  assert "propagate: done before, kept" in out and "evaluate: shaped field" in out
  command("labelled", "--mode=render", "--config.label.ridge=0.7")  # does not bear on it
  assert Workdir(tmp_path).is_done("evaluate")


def test_rendering_that_stops_leaves_older_frames_whole(command, done, tmp_path,
                                                        monkeypatch):
  arguments = "labelled", "--mode=render", "--config.render.path=interpolate"
  command(*arguments)
  folder = tmp_path / "renders" / "shaped-interpolate"
  before = {path.name: path.read_bytes() for path in folder.iterdir()}
  assert {"rgb_0000.png", "depth_0001.png"} <= set(before)

  def full(*unused):
    raise OSError("No space left on device")

  monkeypatch.setattr("os.fsync", full)
  with pytest.raises(OSError, match="No space"):
    command(*arguments)
  assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_oracle_can_be_asked_for_later(command, done, tmp_path):
  before = checkpoint_times(tmp_path)
  out = command("labelled", "--config.shape.oracle=true")
  assert "shape: done before, kept" in out and "propagate: done before, kept" in out
  assert before.items() < checkpoint_times(tmp_path).items()
  metrics = metrics_of(tmp_path)
  assert list(metrics["psnr"]) == ["plain", "shaped", "shaped-oracle"]
  assert {row["pairs"] for row in metrics["labels"]} == {None, "local", "oracle"}


def test_scene_without_labels(command, tmp_path):
  out = command("bare")
  assert "propagate: skipped" in out and "--config.label.clicks=FILE" in out
  metrics = metrics_of(tmp_path)
  assert metrics["labels"] == [] and list(metrics["psnr"]) == ["plain", "shaped"]
  assert metrics["depth_error_m"] == {"plain": None, "shaped": None}
  assert (tmp_path / "report.html").exists() and not (tmp_path / "labels").exists()
  with pytest.raises(InputError, match=r"^label\.clicks: .*no labels to draw"):
    command("bare", "--mode=propagate")


def refuse(*unused, **options):
  raise AssertionError("what is not needed is made")


def test_evaluating_a_scene_without_labels_looks_for_no_regions(
    command, tmp_path, monkeypatch):
  methods = ("--config.label.methods=regions,cosine", "--config.label.primary=regions",
             "--config.label.rivals=features,knn")
  command("bare", "--mode=fit", *methods)
  monkeypatch.setattr(loading, "find_scene_regions", refuse)
  monkeypatch.setattr(local_features, "local_features", refuse)
  command("bare", "--mode=evaluate", *methods)
  metrics = metrics_of(tmp_path)
  assert metrics["labels"] == [] and list(metrics["psnr"]) == ["plain"]
  assert not (tmp_path / "regions.npz").exists()


def test_rows_are_named_after_features_that_are_not_made(
    command, done, tmp_path, monkeypatch):
  stored = json.loads((tmp_path / "config.json").read_text())
  stored["features"]["kind"] = "auto"  # which takes the same ones
  (tmp_path / "config.json").write_text(json.dumps(stored))
  monkeypatch.setattr(loading, "find_scene_regions", refuse)
  monkeypatch.setattr(local_features, "local_features", refuse)
  command("labelled", "--mode=evaluate", "--config.features.kind=auto")
  rows = metrics_of(tmp_path)["labels"]
  assert {(row["field"], row["pairs"]) for row in rows} == {
      ("plain", None), ("shaped", "local")}


def test_the_report_s_responses_hold_no_view_s_gradients(
    command, done, tmp_path, monkeypatch):
  asked, gradients, whole = [], ViewRenderer.gradients, ViewRenderer.map

  def of_clicks(renderer, params, rays):
    asked.append(len(rays.origins))
    return gradients(renderer, params, rays)

  def of_rays(renderer, params, rays, *fns, **options):
    results = whole(renderer, params, rays, *fns, **options)
    if len(rays.origins) == 12 * 16:  # a whole view
      assert all(leaf.size <= 12 * 16 * 3 for leaf in jax.tree.leaves(results))
    return results

  (tmp_path / "renders" / "responses.png").unlink()
  monkeypatch.setattr(ViewRenderer, "gradients", of_clicks)
  monkeypatch.setattr(ViewRenderer, "map", of_rays)
  command("labelled", "--mode=evaluate")
  assert asked == [2, 2]  # two clicks, in either field
  assert (tmp_path / "renders" / "responses.png").exists()


def write_clicks(path):
  clicks = [{"frame": "rgb_0", "x": x, "y": 6, "class": c} for x, c in ((2, 3), (13, 7))]
  path.write_text(json.dumps({"classes": {"3": "a cup", "7": "a jug"}, "clicks": clicks}))


@pytest.mark.parametrize("mode", ["propagate", "evaluate", "run"])
@pytest.mark.parametrize("change", ["moved", "edited"])
def test_the_clicks_file_is_read_once_and_then_left_alone(
    command, done, tmp_path, monkeypatch, mode, change):
  """Whatever becomes of the file while a stage works, names and labels agree."""
  path, reads, read = tmp_path / "mine.json", [], labels_of_run.read_clicks

  def read_then_change(at, scene):
    clicks = read(at, scene)
    reads.append(at)
    if len(reads) == 2:  # the first was to check it
      path.unlink() if change == "moved" else path.write_text(
          path.read_text().replace("a cup", "a pot").replace("7", "5"))
    return clicks

  write_clicks(path)
  if mode == "run":  # all that rests on clicks is to be made
    Workdir(tmp_path).forget(["propagate", "evaluate"])
  monkeypatch.setattr(labels_of_run, "read_clicks", read_then_change)
  command("labelled", f"--mode={mode}", f"--config.label.clicks={path}")
  assert len(reads) == 2
  if mode != "propagate":
    report = (tmp_path / "report.html").read_text()
    assert "a jug" in report and "a cup" in report and "a pot" not in report
  if mode != "evaluate":
    session = json.loads((tmp_path / "label_session.json").read_text())
    assert session["names"] == {"3": "a cup", "7": "a jug"}
    assert sorted(session["labels"]) == [3, 7]
    for png in (tmp_path / "labels" / "shaped-cosine").iterdir():
      assert set(np.unique(np.asarray(Image.open(png)))) <= {3, 7}


def test_clicks_label_a_scene_without_labels(command, tmp_path):
  path = tmp_path / "mine.json"
  write_clicks(path)
  command("bare", f"--config.label.clicks={path}")
  assert metrics_of(tmp_path)["labels"] == []  # nothing to score them against
  for i in range(6):
    path = tmp_path / "labels" / "shaped-cosine" / f"rgb_{i}.png"
    labels = np.asarray(Image.open(path))
    assert labels.shape == (12, 16) and set(np.unique(labels)) <= {3, 7}
    sure = np.asarray(Image.open(tmp_path / "confidence" / "shaped-cosine" / path.name))
    assert sure.dtype == np.uint8 and sure.shape == labels.shape
    assert sure.min() >= 127  # of two classes, the better one
  assert "a jug" in (tmp_path / "report.html").read_text()
  assert metrics_of(tmp_path)["stages"]["propagate"]["clicks"] == 2


def test_pixels_that_are_not_sure_enough_are_void(command, done, tmp_path):
  def maps(kind):
    return np.stack([np.asarray(Image.open(path)) for path in sorted(
        (tmp_path / kind / "shaped-cosine").glob("*.png"))])

  command("labelled", "--mode=propagate")
  whole, sure = maps("labels"), maps("confidence") / 255
  middle = float(np.median(sure))
  command("labelled", "--mode=propagate", f"--config.label.min_confidence={middle}")
  np.testing.assert_array_equal(maps("confidence") / 255, sure)
  kept = maps("labels")
  np.testing.assert_array_equal(kept[kept > 0], whole[kept > 0])
  assert sure[kept == 0].max() <= middle + 1 / 255  # as far as 8 bits tell
  assert sure[kept > 0].min() >= middle - 1 / 255
  assert 0 < np.mean(kept == 0) < 1
  with pytest.raises(InputError, match=r"^label\.min_confidence: the method paper tells"):
    command("labelled", "--mode=propagate", "--config.label.min_confidence=0.5",
            "--config.label.primary=paper", "--config.label.methods=('paper',)")


@pytest.mark.parametrize("method", ["cosine", "regions"])
def test_propagation_proposes_clicks_that_a_clicks_file_takes(
    command, done, tmp_path, method):
  out = command("labelled", "--mode=propagate", "--config.label.proposals=4",
                f"--config.label.primary={method}",
                f"--config.label.methods=('{method}',)")
  path = tmp_path / "next_clicks.json"
  assert str(path) in out
  proposals = json.loads(path.read_text())["proposals"]
  assert len(proposals) == 4
  assert len({(p["frame"], p["x"], p["y"]) for p in proposals}) == 4
  for proposal in proposals:
    assert proposal["frame"] not in ("rgb_1", "rgb_4")  # test views
    assert 0.5 <= proposal["probability"] <= 1 and 0 <= proposal["settles"] < 1
  # The first settles something; the last may find all settled.
  assert proposals[0]["settles"] > 0
  clicks = [{key: p[key] for key in ("frame", "x", "y", "class")} for p in proposals]
  mine = tmp_path / "mine.json"
  mine.write_text(json.dumps({"classes": {"1": "a", "2": "b"}, "clicks": clicks,
                              "negative": [{**clicks[0], "class": 2}]}))
  command("labelled", "--mode=propagate", "--config.label.proposals=0",
          f"--config.label.clicks={mine}")
  assert not path.exists()  # they were for other clicks
  assert metrics_of(tmp_path)["stages"]["propagate"]["clicks"] == 5


def test_a_gone_checkpoint_is_named(command, done, tmp_path):
  (tmp_path / "checkpoints" / "fit").rename(tmp_path / "elsewhere")
  with pytest.raises(InputError, match=r"checkpoints/fit is gone"):
    command("labelled", "--mode=evaluate")
