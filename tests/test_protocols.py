"""Protocols: what is drawn, from where, and that it is the same again."""

import json
import pathlib

import numpy as np
from PIL import Image
import pytest

from jnerf.errors import InputError
from jnerf.evaluating import protocols
from jnerf.evaluating.metrics import confusion_matrix
from jnerf.evaluating.protocols import (
  MIN_SHARE,
  draw_label_set,
  draw_labels,
  parse_protocol,
  score_row,
)
from jnerf.labeling.labels import Labels, LabelSet, labels_to_clicks
from jnerf.runs.config import default_config, validate
from jnerf.scenes.clicks import click_pixels, read_clicks, write_clicks
from jnerf.structs import Scene

DATA = pathlib.Path(__file__).parents[2] / "shared" / "data"


MIN_PIXELS = 10  # of the 120 that a made frame has


@pytest.fixture
def coarse_share(monkeypatch):
  """Frames of 120 pixels are too small for the real share to mean anything."""
  monkeypatch.setattr(protocols, "MIN_SHARE", MIN_PIXELS / 120)


def scene(semantic, train, test=(), full_scale=2, **replaced):
  """A scene of which only the labels are real."""
  num, height, width = semantic.shape
  return Scene(
      name="made", frames=tuple(f"rgb_{i}" for i in range(num)),
      images=np.zeros((num, height, width, 3), np.float32),
      cam_to_world=np.tile(np.eye(4), (num, 1, 1)), intrinsics=np.ones((num, 4)),
      full_size=(full_scale * width, full_scale * height), near=0.1, far=5.0,
      bounds=np.zeros((2, 3)), train=np.array(train), test=np.array(test),
      semantic=semantic.astype(np.int32), class_names={0: "void", 1: "wall", 5: "lamp"}
  ).replace(**replaced)


def labelled_scene():
  """Six frames of 10 x 12; 1, 2, 4 train. Frame 0 (test) sees the most classes."""
  maps = np.ones((6, 10, 12), int)
  maps[0] = np.arange(120).reshape(10, 12) // 12  # classes 0..9
  maps[1, :3] = 0
  maps[1, 9, :MIN_PIXELS - 1] = 7  # too few pixels to be present
  maps[2, :2], maps[2, 9] = 5, 3
  maps[4, :4], maps[4, 8:] = 5, 7
  return scene(maps, train=[1, 2, 4], test=[0, 3, 5])


def as_tuples(labels):
  return [(*pixel, c) for pixel, c in zip(labels.pixels.tolist(),
                                          labels.class_ids.tolist(), strict=True)]


@pytest.mark.parametrize("protocol", ["sparse", "clicks-3", "dense", "per-frame-0.7"])
def test_labels_are_true_training_pixels_and_repeatable(protocol, coarse_share):
  made = labelled_scene()
  for seed in range(5):
    labels = draw_labels(made, protocol, seed)
    view, row, column = labels.pixels.T
    assert set(view) <= set(made.train)
    np.testing.assert_array_equal(made.semantic[view, row, column], labels.class_ids)
    assert 0 not in labels.class_ids
    assert len(set(as_tuples(labels))) == len(labels.class_ids)  # none twice
    assert as_tuples(draw_labels(made, protocol, seed)) == as_tuples(labels)
  draws = {tuple(as_tuples(draw_labels(made, protocol, seed))) for seed in range(5)}
  assert len(draws) == (5 if parse_protocol(protocol).is_drawn else 1)


def test_sparse_clicks_once_each_in_the_frame_that_sees_most_classes(coarse_share):
  """Frames 2 and 4 both see three classes: the first counts; test frame 0 never."""
  labels = draw_labels(labelled_scene(), "sparse", 0)
  assert set(labels.pixels[:, 0]) == {2}
  assert labels.class_ids.tolist() == [1, 3, 5] == labels.classes


def test_dense_labels_that_same_frame_but_no_void_and_no_stray_pixels(coarse_share):
  made = labelled_scene()
  labels = draw_labels(made, "dense", 0)
  assert len(labels.class_ids) == 120 and set(labels.pixels[:, 0]) == {2}
  only = made.replace(train=np.array([1]))  # void rows, nine pixels of class 7
  labels = draw_labels(only, "dense", 0)
  assert labels.classes == [1] == draw_labels(only, "sparse", 0).classes
  assert len(labels.class_ids) == 120 - 36 - (MIN_PIXELS - 1)


def test_clicks_k_draws_k_per_class_over_frames_and_nests(coarse_share):
  made = labelled_scene()
  few, many = (draw_labels(made, f"clicks-{k}", 3) for k in (2, 5))
  assert many.classes == [1, 3, 5, 7]
  assert np.bincount(many.class_ids)[[1, 3, 5, 7]].tolist() == [5] * 4
  assert set(as_tuples(few)) < set(as_tuples(many))
  assert 1 not in many.pixels[many.class_ids == 7, 0]  # not present in frame 1
  assert draw_labels(made, "clicks-40", 0).class_ids.tolist().count(3) == 12  # all


def test_clicks_are_uniform_over_the_pixels_of_a_class(coarse_share):
  made = labelled_scene()
  draws = [draw_labels(made, "clicks-1", seed) for seed in range(400)]
  views = np.concatenate([d.pixels[d.class_ids == 5, 0] for d in draws])
  # Class 5 has 24 pixels in frame 2 and 48 in frame 4.
  assert np.mean(views == 4) == pytest.approx(2 / 3, abs=0.1)


def test_per_frame_clicks_every_present_class_of_its_frames(coarse_share):
  made = labelled_scene()
  everything = draw_labels(made, "per-frame-1", 0)
  seen = sorted(zip(everything.pixels[:, 0].tolist(), everything.class_ids.tolist(),
                    strict=True))
  assert seen == [(1, 1), (2, 1), (2, 3), (2, 5), (4, 1), (4, 5), (4, 7)]
  assert set(draw_labels(made, "per-frame-0.34", 0).pixels[:, 0]) == {2}  # the middle


def test_instances_are_drawn_from_their_own_maps(coarse_share):
  made = labelled_scene()
  instances = np.where(np.arange(12) < 6, 300, 301) + np.zeros((6, 10, 1), int)
  made = made.replace(instance=instances)
  label_set = draw_label_set(made, "instance-sparse", 0)
  assert label_set.classes == [300, 301] and label_set.merge_into is None
  np.testing.assert_array_equal(label_set.truth(made), instances)
  names = labels_to_clicks(label_set, made).classes
  of_class = {0: "void", 1: "wall", 3: "class 3", 5: "lamp", 7: "class 7"}
  for pixel, i in zip(label_set.labels.pixels, label_set.labels.class_ids.tolist()):
    assert names[i] == f"{of_class[int(made.semantic[tuple(pixel)])]} {i}"
  nameless = LabelSet(label_set.labels)  # ids without a name
  assert labels_to_clicks(nameless, made).classes == {300: "class 300",
                                                      301: "class 301"}
  bare = draw_label_set(made.replace(semantic=None), "instance-sparse", 0)
  assert labels_to_clicks(bare, made).classes == {300: "instance 300",
                                                  301: "instance 301"}


def test_instances_to_be_merged_are_clicked_where_they_have_a_class(coarse_share):
  made = labelled_scene()
  instances = np.where(np.arange(10)[:, None] < 3, 300, 301) + np.zeros((6, 1, 12), int)
  made = made.replace(instance=instances, train=np.array([1]))  # its 300 is void
  assert draw_labels(made, "instance-dense", 0).classes == [300, 301]
  labels = draw_labels(made, "merged-dense", 0)
  assert labels.classes == [301] and len(labels.class_ids) == 84
  assert np.all(made.semantic[tuple(labels.pixels.T)] > 0)
  label_set = draw_label_set(made, "merged-dense", 0)
  assert label_set.merge_into == {301: 1} and label_set.classes == [1]
  assert label_set.class_names[1] == "wall" and label_set.names[301] == "wall 301"
  np.testing.assert_array_equal(label_set.merged(np.array([301, 0])), [1, 0])
  np.testing.assert_array_equal(label_set.truth(made), made.semantic)


@pytest.mark.parametrize("prefix", ["instance", "merged"])
def test_prefixes_change_what_is_labelled_alone(prefix):
  for name in ("sparse", "dense", "clicks-3", "per-frame-0.5"):
    parsed, plain = parse_protocol(f"{prefix}-{name}"), parse_protocol(name)
    assert parsed.target == prefix and plain.target == "semantic"
    assert (parsed.kind, parsed.clicks, parsed.share, parsed.is_drawn) == (
        plain.kind, plain.clicks, plain.share, plain.is_drawn)
  with pytest.raises(InputError, match=f"{prefix}-dense needs .* made has none"):
    draw_labels(labelled_scene(), f"{prefix}-dense", 0)


def test_rows_of_few_large_ids_are_scored_as_those_of_small_ones():
  pred, true = np.array([1, 2, 2, 0, 1]), np.array([1, 2, 1, 2, 0])
  ids = np.array([0, 300, 60000])
  confusion = confusion_matrix(pred, true, 3)
  facts = dict(method="cosine", field="plain", pairs=None, protocol="instance-sparse",
               clicks=2, seed=0, dimension="2d", seconds=1.0, confusion=confusion)
  small = score_row(clicked=[1, 2], **facts)
  large = score_row(clicked=[300, 60000], ids=ids, **facts)
  assert small.pop("per_class_iou") == pytest.approx({"1": 1 / 2, "2": 1 / 3})
  assert large.pop("per_class_iou") == pytest.approx(
      {"300": 1 / 2, "60000": 1 / 3})
  assert small == large


def test_clicks_files_lead_back_to_the_same_pixels(tmp_path, coarse_share):
  made = labelled_scene()
  label_set = draw_label_set(made, "clicks-4", 0)
  labels = label_set.labels
  write_clicks(tmp_path / "clicks.json", labels_to_clicks(label_set, made))
  clicks = read_clicks(tmp_path / "clicks.json", made)
  np.testing.assert_array_equal(click_pixels(clicks, made), labels.pixels)
  assert [c.class_id for c in clicks.positive] == labels.class_ids.tolist()
  assert clicks.classes[1] == "wall" and max(c.x for c in clicks.positive) >= 12


def test_negative_labels_become_negative_clicks():
  made = labelled_scene()
  labels = Labels(np.array([[1, 0, 0], [2, 3, 4]]), np.array([1, -5]))
  assert labels.classes == [1]
  clicks = labels_to_clicks(LabelSet(labels), made)
  assert [c.class_id for c in clicks.positive] == [1] and set(clicks.classes) == {1, 5}
  assert [(c.class_id, c.frame) for c in clicks.negative] == [(5, made.frames[2])]


@pytest.mark.parametrize("name", ["", "sparse-1", "clicks", "clicks-0", "clicks--1",
                                  "per-frame-0", "per-frame-0.0", "per-frame-2",
                                  "instance-", "instance-clicks-0", "merged",
                                  "merged-instance-sparse", "sparse-merged"])
def test_an_unknown_protocol_is_named(name):
  with pytest.raises(InputError, match=f"label.protocols: {name!r} must be sparse"):
    parse_protocol(name)


def test_the_config_accepts_what_can_be_drawn():
  config = default_config()
  config.label.protocols = ("sparse", "dense", "clicks-10", "per-frame-0.05",
                            "instance-sparse", "merged-clicks-3", "instance-per-frame-1")
  validate(config)
  for name in config.label.protocols:
    parse_protocol(name)
  config.label.protocols = ("per-frame-0.0",)
  with pytest.raises(InputError, match="per-frame-0.0"):
    validate(config)


def test_scenes_without_labels_say_so(coarse_share):
  made = labelled_scene()
  with pytest.raises(InputError, match="made: has no ground-truth labels"):
    draw_labels(made.replace(semantic=None), "sparse", 0)
  with pytest.raises(InputError, match="no training frame is covered"):
    draw_labels(made.replace(semantic=np.zeros((6, 10, 12), np.int32)), "sparse", 0)


def test_a_row_holds_what_metrics_json_promises():
  true = np.array([1, 1, 5, 5, 0])
  labels = Labels(np.zeros((2, 3), np.int64), np.array([5, 1]))
  row = score_row(method="cosine", field="plain", pairs=None, protocol="sparse",
                  clicks=2, seed=np.int64(3), dimension="2d", seconds=1,
                  confusion=confusion_matrix(np.array([1, 5, 5, 5, 1]), true, 6),
                  clicked=labels.classes)
  assert list(row) == ["method", "field", "pairs", "protocol", "clicks", "seed",
                       "dimension", "miou", "miou_all", "class_accuracy",
                       "total_accuracy", "per_class_iou", "seconds"]
  assert json.loads(json.dumps(row, allow_nan=False)) == row
  assert row["per_class_iou"] == pytest.approx({"1": 1 / 2, "5": 2 / 3})


def test_the_richest_frame_of_a_real_room():
  """Frame 8 of office_0 sees most classes, found here by `np.unique`."""
  folder = DATA / "office_0"
  if not folder.is_dir():
    pytest.skip(f"{folder} is not on this machine")
  train = [i for i in range(81) if i % 8 != 4]
  maps = np.stack([np.asarray(Image.open(
      folder / "semantic_class" / f"semantic_class_{i}.png").resize(
          (300, 170), Image.Resampling.NEAREST)) for i in range(81)])
  seen = [sum(n >= MIN_SHARE * 51000 for c, n in zip(*np.unique(
      maps[i], return_counts=True), strict=True) if c) for i in train]
  labels = draw_labels(scene(maps, train), "sparse", 0)
  assert set(labels.pixels[:, 0]) == {train[seen.index(max(seen))]} == {8}
  assert len(labels.classes) == max(seen) == 15
