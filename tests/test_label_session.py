"""A label session on other photographs of a scene: the labels of the first go."""

import functools
import json
import pathlib
import shutil

import numpy as np
from PIL import Image
import pytest
import tiny_replica

from jnerf import main
from jnerf.errors import InputError
from jnerf.fields import spaces
from jnerf.labeling import label_session
from jnerf.labeling.label_session import LabelSession

EXPERIMENT = f"{pathlib.Path(__file__).parent}/tiny_experiment.py"
HELD_OUT = (1, 4)  # test frames of the first capture


@pytest.fixture(scope="module")
def made(tmp_path_factory):
  """`(folder of a run, its capture, a capture of two of its views alone)`."""
  root = tmp_path_factory.mktemp("made")
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(tiny_replica, "WIDTH", 16)
    patch.setattr(tiny_replica, "HEIGHT", 12)
    first = tiny_replica.write(root / "first")
    other = tiny_replica.write(root / "other", num=3, layers=False, seed=5)
  # A third view, which is what trains in a capture that nobody trains on.
  tiny_replica.write_poses(other, tiny_replica.poses(6)[[*HELD_OUT, 0]])
  run(first, root / "run", "--config.label.methods=bayes,cosine",
      "--config.label.primary=bayes", "--config.label.ridge=0.05")
  return root / "run", first, other


def run(capture, folder, *arguments):
  main.main(["jnerf", f"--config={EXPERIMENT}:{capture}", f"--workdir={folder}",
             *arguments])


@pytest.fixture
def folder(made, tmp_path):
  return shutil.copytree(made[0], tmp_path / "run")


def image(path):
  return np.asarray(Image.open(path))


def test_other_photographs_get_the_labels_of_one_go(made, folder, capsys):
  metrics, config = ((folder / name).read_bytes()
                     for name in ("metrics.json", "config.json"))
  run(made[2], folder, "--mode=propagate",
      f"--config.label.session={folder}/label_session.json")
  out = capsys.readouterr().out
  assert str(folder / "labels" / "other-shaped-bayes") in out
  for kind in ("labels", "confidence"):
    for i, frame in enumerate((*HELD_OUT, 0)):
      found = image(folder / kind / "other-shaped-bayes" / f"rgb_{i}.png")
      np.testing.assert_array_equal(
          found, image(folder / kind / "shaped-bayes" / f"rgb_{frame}.png"))
    assert found.std() > 0  # or equality would mean little
  assert (folder / "metrics.json").read_bytes() == metrics
  assert (folder / "config.json").read_bytes() == config


def test_regions_of_the_first_photographs_label_the_others(made, folder):
  regions = ("--config.label.methods=regions", "--config.label.primary=regions")
  run(made[1], folder, "--mode=propagate", *regions)
  transfer = (made[2], folder, "--mode=propagate",
              f"--config.label.session={folder}/label_session.json")
  run(*transfer)
  for i, frame in enumerate((*HELD_OUT, 0)):
    np.testing.assert_array_equal(
        image(folder / "labels" / "other-shaped-regions" / f"rgb_{i}.png"),
        image(folder / "labels" / "shaped-regions" / f"rgb_{frame}.png"))
  (folder / "regions.npz").unlink()
  with pytest.raises(InputError, match=r"regions\.npz is gone"):
    run(*transfer)


@pytest.fixture(scope="module")
def by_regions(made, tmp_path_factory):
  """`(folder, *arguments)` of a transfer that rests on the folder's regions."""
  folder = shutil.copytree(made[0], tmp_path_factory.mktemp("by_regions") / "run")
  run(made[1], folder, "--mode=propagate", "--config.label.methods=regions",
      "--config.label.primary=regions")
  return folder, "--mode=propagate", f"--config.label.session={folder}/label_session.json"


@pytest.mark.parametrize("setting", [
    "features.vit.device=cpu", "features.vit.batch=3", "runtime.chunk=64"])
def test_what_bears_on_no_label_leaves_the_regions(made, by_regions, setting):
  folder, labels = by_regions[0], by_regions[0] / "labels"
  regions = (folder / "regions.npz").read_bytes()
  shutil.rmtree(labels / "other-shaped-regions", ignore_errors=True)
  run(made[2], *by_regions, f"--config.{setting}")
  assert (folder / "regions.npz").read_bytes() == regions
  for i, frame in enumerate((*HELD_OUT, 0)):
    np.testing.assert_array_equal(
        image(labels / "other-shaped-regions" / f"rgb_{i}.png"),
        image(labels / "shaped-regions" / f"rgb_{frame}.png"))


def without(left_out, path):
  """As earlier versions wrote the file."""
  with np.load(path) as archive:
    parts = {name: archive[name] for name in archive.files if name != left_out}
  np.savez(path, **parts)


OLDER = [functools.partial(without, name) for name in ("field", "normals")]


def of_another_field(path):
  with np.load(path) as archive:
    parts = dict(archive)
  np.savez(path, **{**parts, "field": "0" * 64})


@pytest.mark.parametrize("damage", [
    lambda path: path.write_bytes(b"damaged"),
    lambda path: path.write_bytes(path.read_bytes()[:-200]),
    lambda path: path.write_bytes(b""), *OLDER, of_another_field])
def test_regions_that_cannot_be_taken_are_refused_and_not_made(
    made, by_regions, damage, tmp_path):
  folder = shutil.copytree(by_regions[0], tmp_path / "run",
                           ignore=shutil.ignore_patterns("other-*"))
  path = folder / "regions.npz"
  damage(path)
  left = path.read_bytes()
  state = "an older version" if damage in OLDER else "another field, or damaged"
  with pytest.raises(InputError, match=rf"regions\.npz is of {state}.* copy .*"
                     r"label_session\.json elsewhere, .*--mode=propagate") as error:
    run(made[2], folder, *by_regions[1:])
  assert "\n" not in str(error.value) and path.read_bytes() == left
  assert not (folder / "labels" / "other-shaped-regions").exists()
  if damage is OLDER[0]:  # the first photographs make them anew
    run(made[1], folder, "--mode=propagate", "--config.label.methods=regions",
        "--config.label.primary=regions")
    run(made[2], folder, *by_regions[1:])
    assert (folder / "labels" / "other-shaped-regions").exists()


def test_instances_are_merged_in_other_photographs_too(made, folder):
  """Each class of the capture is one instance, 300 times its id."""
  run(made[1], folder, "--mode=propagate", "--config.label.protocols=merged-sparse")
  kept = label_session.read_label_session(folder / "label_session.json")
  assert kept.merge_into == {300: 1, 600: 2} and sorted(kept.names) == [300, 600]
  run(made[2], folder, "--mode=propagate",
      f"--config.label.session={folder}/label_session.json")
  for i, frame in enumerate((*HELD_OUT, 0)):
    found = image(folder / "labels" / "other-shaped-cosine" / f"rgb_{i}.png")
    assert set(np.unique(found)) <= {1, 2}
    np.testing.assert_array_equal(
        found, image(folder / "labels" / "shaped-cosine" / f"rgb_{frame}.png"))


@pytest.mark.parametrize("arguments, message", [
    (("--mode=propagate", "--config.field.grid.color_width=16"),
     r"^field\.grid\.color_width changed"),
    (("--mode=evaluate",), r"scene\.path changed|^label\.session: is for"),
    (("--mode=run",), r"scene\.path changed|^label\.session: is for")])
def test_what_a_session_is_not_for(made, folder, arguments, message):
  with pytest.raises(InputError, match=message):
    run(made[2], folder, *arguments,
        f"--config.label.session={folder}/label_session.json")


@pytest.mark.parametrize("damage", [
    lambda raw: raw.pop("rays"), lambda raw: raw["rays"][0].pop(),
    lambda raw: raw["rays"][0].__setitem__(0, "x"), lambda raw: raw["labels"].pop(),
    lambda raw: raw.update(labels=[-1] * len(raw["labels"])),
    lambda raw: raw["space"].update(kind="Torus"), lambda raw: raw.update(near="a"),
    lambda raw: raw["space"].update(colour=1), lambda raw: raw.update(far=-1.0),
    lambda raw: raw.update(settings=[]), lambda raw: raw.update(names=3),
    lambda raw: raw["settings"].update(magic=1), lambda raw: raw["rays"][0].__setitem__(
        0, 1e300),
    lambda raw: raw["space"].update(bounds=[[0, 0, 0], [0, 0, 0]]),
    lambda raw: raw["space"].update(bounds=[[0, 0], [1, 1]]),
    lambda raw: raw["space"].update(bounds="cube")])
def test_a_damaged_session_is_named_in_one_line(made, folder, damage):
  path = folder / "label_session.json"
  raw = json.loads(path.read_text())
  damage(raw)
  path.write_text(json.dumps(raw))
  with pytest.raises(InputError, match=r"label_session\.json: .*--mode=propagate") as e:
    run(made[2], folder, "--mode=propagate", f"--config.label.session={path}")
  assert "\n" not in str(e.value)
  assert not (folder / "labels" / "other-shaped-bayes").exists()


def test_settings_of_a_session_are_checked_as_any(made, folder):
  path = folder / "label_session.json"
  raw = json.loads(path.read_text())
  raw["settings"]["ridge"] = -1.0
  path.write_text(json.dumps(raw))
  with pytest.raises(InputError, match=r"^label\.ridge=-1\.0: must be above 0"):
    run(made[2], folder, "--mode=propagate", f"--config.label.session={path}")


def test_no_session(made, folder):
  with pytest.raises(InputError, match=r"none\.json: no such file"):
    run(made[2], folder, "--mode=propagate", "--config.label.session=none.json")


@pytest.mark.parametrize("space", [
    spaces.Box(((0.0, 0.0, 0.1), (1.0, 2.0, 3.0))),
    spaces.Contracted(((-1.0, -1.0, -1.0), (1.0, 1.0, 1.0))),
    spaces.Ndc(((1.0, 0.0, 0.0, 0.5), (0.0, 1.0, 0.0, 0.1), (0.0, 0.0, 1.0, 1 / 3)),
               (0.7, 0.5), 0.3)])
def test_the_file_keeps_every_number(tmp_path, space):
  rng = np.random.default_rng(0)
  kept = LabelSession(
      rng.normal(size=(5, 6)).astype(np.float32), np.array([1, 2, -1, 900, 1]),
      {1: "wall", 2: "", 900: "cup"}, {"ridge": 1 / 3, "dimensions": ("2d",)}, space,
      0.1, 1 / 3, 0.5, {1: 7, 900: 12})
  path = label_session.write_label_session(tmp_path / "s.json", kept)
  read = label_session.read_label_session(path)
  np.testing.assert_array_equal(read.rays, kept.rays)
  np.testing.assert_array_equal(read.labels, kept.labels)
  assert read.rays.dtype == np.float32 and hash(read.space) == hash(space)
  for name in ("names", "settings", "space", "near", "far", "background", "merge_into"):
    assert getattr(read, name) == getattr(kept, name)
  np.testing.assert_array_equal(read.label_set.merged(np.array([[1, 900], [2, 1]])),
                                [[7, 12], [0, 7]])


def test_a_file_of_before_merges_nothing(made, folder):
  path = folder / "label_session.json"
  raw = json.loads(path.read_text())
  raw.pop("merge_into")
  path.write_text(json.dumps(raw))
  assert label_session.read_label_session(path).merge_into is None
