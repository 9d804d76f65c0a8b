"""The public face: what it does is what the command does, and what it refuses."""

import types

import jax
import numpy as np
import pytest

import jnerf
from jnerf.evaluating.protocols import draw_label_set
from jnerf.runs.config import configured
from jnerf.scenes.room.room import RoomSettings
from jnerf.structs import Click, Clicks, Mask
from jnerf.training.state import Schedule

TINY = {"field.grid.num_levels": 2, "field.grid.log2_table_size": 8,
        "field.grid.coarsest": 4, "field.grid.finest": 8, "field.grid.density_width": 8,
        "field.grid.color_width": 8, "field.grid.proposal_cells": 4,
        "field.grid.proposal_samples": 4, "field.grid.samples": 4}
SHORT = Schedule(steps=4, num_rays=32, warmup_steps=1)
CLICKS = Clicks({1: "wall", 2: "floor"}, (
    Click("room_0000", 3, 2, 1), Click("room_0000", 8, 10, 2)))


@pytest.fixture(scope="module")
def case():
  """A tiny room, a field of it, and that shaped by whole gradients."""
  scene = jnerf.load_scene("", RoomSettings(width=16, height=12, num_train=4, num_test=1))
  features = jnerf.load_features(scene, scales=(1,), **{"features.local.stride": 2})
  field = jnerf.fit(scene, SHORT, **TINY)
  shaped = jnerf.shape(field, scene, features=features, pairs="features",
                       jacobian="sketch", sketch_directions=8,
                       steps=4, num_rays=32, warmup_steps=1, contrast_rays=0)
  clicks = Clicks(CLICKS.classes, tuple(
      click.replace(frame=scene.frames[0]) for click in CLICKS.positive))
  return types.SimpleNamespace(scene=scene, field=field, shaped=shaped, clicks=clicks)


def test_measured_depth_holds_geometry_while_shaping(case):
  def densities(**settings):
    shaped = jnerf.shape(case.field, case.scene, pairs="features", steps=2, num_rays=32,
                         warmup_steps=1, contrast_rays=0, **settings)
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(shaped.params)])
  assert not np.array_equal(densities(), densities(**{"fit.depth_weight": 10.0}))


def test_settings_reach_the_steps_that_a_call_takes_by_itself(case, monkeypatch):
  seen = {}

  def find(field, scene, maps, settings, *, geometry, chunk, on_views):
    seen.update(size=settings.num_regions, geometry=geometry, chunk=chunk,
                cells=maps.grid.shape[1])
    raise jnerf.InputError("seen")

  monkeypatch.setattr(jnerf.runs.loading, "find_scene_regions", find)
  with pytest.raises(jnerf.InputError, match="seen"):
    jnerf.shape(case.field, case.scene, geometry="sensor", **{
        "regions.num_regions": 7, "runtime.chunk": 100, "features.local.stride": 4})
  coarse = jnerf.load_features(case.scene, **{"features.local.stride": 4}).grid
  assert seen == {"size": 7, "geometry": "sensor", "chunk": 100, "cells": coarse.shape[1]}


def test_the_oracle_chooses_pairs_by_ground_truth(case):
  settings = dict(steps=2, num_rays=32, warmup_steps=1, contrast_rays=0, oracle=True)
  shaped = jnerf.shape(case.field, case.scene, **settings)
  assert not all(np.array_equal(a, b) for a, b in zip(
      jax.tree.leaves(shaped.params), jax.tree.leaves(case.field.params), strict=True))
  with pytest.raises(jnerf.InputError, match="shape.oracle=True needs labels"):
    jnerf.shape(case.field, case.scene.replace(semantic=None), **settings)


@pytest.mark.parametrize("settings, message", [
    ({"params": "sampler/.*"}, "parameters of the sampler alone"),
    ({"jacobian": "closed_form", "params": "field/density/kernel"}, "closed_form holds"),
    ({"geometry": "sensor"}, "has no measured depth")])
def test_what_cannot_shape_is_refused_as_by_the_command(case, settings, message):
  with pytest.raises(jnerf.InputError, match=message):
    jnerf.shape(case.field, case.scene.replace(depth=None), **settings)


def test_what_cannot_label_is_refused_as_by_the_command(case):
  with pytest.raises(jnerf.InputError, match="paper tells no probabilities"):
    jnerf.fit_labeler(case.shaped, case.scene, case.clicks, method="paper",
                      min_confidence=0.5)
  negative = jnerf.LabelSet(jnerf.Labels(np.array([[0, 1, 2]]), np.array([-1])))
  with pytest.raises(jnerf.InputError, match="say of no pixel what it is"):
    labeler_of(case, negative)


def labeler_of(case, clicks, **settings):
  return jnerf.fit_labeler(case.shaped, case.scene, clicks, method="bayes", **settings)


def test_a_shaped_field_remembers_by_which_rows_it_was_shaped(case):
  assert case.field.rows is None
  assert case.shaped.rows.sketch_directions == 8
  labeler = jnerf.fit_labeler(case.shaped, case.scene, case.clicks, method="cosine")
  assert labeler.renderer.rows == case.shaped.rows
  assert labeler.labelled.J.shape[-1] == 8


def test_clicks_are_the_same_as_a_file_as_its_contents_and_in_memory(case, tmp_path):
  path, frame = tmp_path / "clicks.json", case.scene.frames[0]
  contents = {"classes": {1: "wall", "2": "floor"},
              "clicks": [{"frame": frame, "x": 3, "y": 2, "class": 1},
                         {"frame": frame, "x": 8, "y": 10, "class": 2}]}
  jnerf.scenes.clicks.write_clicks(path, case.clicks)
  maps = [labeler_of(case, clicks).label_view(1).classes
          for clicks in (path, contents, case.clicks)]
  np.testing.assert_array_equal(maps[0], maps[1])
  np.testing.assert_array_equal(maps[0], maps[2])


@pytest.mark.parametrize("change, message", [
    ({"x": 16}, r"clicks: clicks\[0\]: x=16 is outside the image"),
    ({"y": -1}, r"clicks: clicks\[0\]: y=-1 is outside the image"),
    ({"x": 2.5}, r"clicks: clicks\[0\]: x=2.5 is not an integer"),
    ({"class_id": 7}, r"clicks: clicks\[0\]: unknown class 7"),
    ({"frame": "other"}, r"clicks: clicks\[0\]: the scene has no frame 'other'")])
def test_clicks_in_memory_are_checked_as_a_file_is(case, change, message):
  first, second = case.clicks.positive
  clicks = Clicks(case.clicks.classes, (first.replace(**change), second))
  with pytest.raises(jnerf.InputError, match=message):
    labeler_of(case, clicks)


@pytest.mark.parametrize("mask, message", [
    (Mask("", "a.png", np.ones((12, 16), np.uint8), 9), "unknown class 9"),
    (Mask("", "a.png", np.full((12, 16), 5, np.uint8)), "a.png: unknown class 5"),
    (Mask("", "a.png", np.ones((5, 90), np.uint8), 1), "a.png is 90x5 pixels")])
def test_masks_in_memory_are_checked_as_files_are(case, mask, message):
  mask = mask.replace(frame=case.scene.frames[0])
  with pytest.raises(jnerf.InputError, match=rf"clicks: masks\[0\]: {message}"):
    labeler_of(case, Clicks({1: "wall"}, (), masks=(mask,)))


def test_numpy_integers_are_integers(case):
  first, second = case.clicks.positive
  clicks = Clicks({np.int64(1): "wall", 2: "floor"},
                  (first.replace(x=np.int64(3), class_id=np.uint8(1)), second))
  np.testing.assert_array_equal(labeler_of(case, clicks).label_view(1).classes,
                                labeler_of(case, case.clicks).label_view(1).classes)


def test_what_nobody_can_tell_is_void(case):
  sure = labeler_of(case, case.clicks, min_confidence=0.9).label_view(1)
  every = labeler_of(case, case.clicks).label_view(1)
  np.testing.assert_array_equal(
      sure.classes, np.where(every.confidence >= 0.9, every.classes, 0))


def test_what_the_capture_does_not_hold_is_void(case):
  mask = np.ones(case.scene.images.shape[:3], bool)
  mask[1, :6] = False
  labeler = jnerf.fit_labeler(case.shaped, case.scene.replace(mask=mask), case.clicks,
                              method="bayes")
  found = labeler.label_view(1).classes
  assert not found[:6].any()
  assert found[6:].all()


@pytest.mark.parametrize("pixel, message", [
    ((0, 12, 0), "must lie below 5 views, 12 rows, 16 columns"),
    ((5, 0, 0), "must lie below 5 views"), ((0, -1, 0), "must lie below"),
    ((0, 1), "must be three integers"), ((0, 1.5, 2), "must be three integers")])
def test_a_pixel_that_there_is_not_cannot_respond(case, pixel, message):
  with pytest.raises(jnerf.InputError, match=message):
    jnerf.respond(case.field, case.scene, pixel)


def test_a_response_is_one_view_of_shares(case):
  found = jnerf.respond(case.shaped, case.scene, (0, 11, 15))
  assert found.shape == (12, 16)
  assert found.min() >= 0 and found.max() <= 1


def test_scores_are_of_views_that_there_are(case):
  labeler = labeler_of(case, draw_label_set(case.scene, "sparse", 0))
  assert 0 <= jnerf.score_labels(labeler)["miou"] <= 1
  with pytest.raises(jnerf.InputError, match="no view 9; its views count from 0 to 4"):
    jnerf.score_labels(labeler, [9])
  with pytest.raises(jnerf.InputError, match="no views to score"):
    jnerf.score_labels(labeler, [])


def test_settings_of_another_call_are_refused():
  with pytest.raises(jnerf.InputError, match="holds settings of shape, not of fit"):
    configured("fit", [jnerf.Contrast()], {})
  with pytest.raises(jnerf.InputError, match=r"give its settings, Schedule\(\.\.\.\)"):
    configured("fit", [Schedule], {})
  with pytest.raises(jnerf.InputError, match="int is no group of settings"):
    configured("fit", [3], {})
  with pytest.raises(jnerf.InputError, match="mode: unknown setting of fit"):
    configured("fit", [], {"mode": "all"})
  with pytest.raises(jnerf.InputError, match="say which, as in .*features.local.stride"):
    configured("features", [], {"stride": 2})


def test_a_capture_is_no_larger_than_the_command_would_make_it(tmp_path, monkeypatch):
  seen = []
  monkeypatch.setattr(jnerf.api.scene_load, "load_scene",
                      lambda scene, room: seen.append(scene))
  jnerf.load_scene(tmp_path)
  jnerf.load_scene(tmp_path, max_pixels=7)
  assert [settings.max_pixels for settings in seen] == [5_000_000, 7]


@pytest.mark.parametrize("seed", [-1, 1.5, 10**20])
def test_seeds_are_those_of_the_command(case, seed):
  with pytest.raises(jnerf.InputError, match=f"seed={seed}: must be"):
    jnerf.fit(case.scene, SHORT, seed=seed, **TINY)


def test_settings_are_found_in_the_parts_of_a_section():
  assert configured("features", [], {"scales": (1, 2)}).features.local.scales == (1, 2)
  assert configured("scene", [], {"num_test": np.int64(3)}).scene.room.num_test == 3
  config = configured("fit", [Schedule(steps=7), jnerf.MlpSettings(width=32)], {})
  assert (config.fit.steps, config.field.kind, config.field.mlp.width) == (7, "mlp", 32)
  assert config.shape.steps == 400
