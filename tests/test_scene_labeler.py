"""A labeler on a scene: a view's label map, and the files that are made of it."""

import dataclasses
import types

import numpy as np
import pytest
import tiny_models

from jnerf.errors import InputError
from jnerf.fields.fitted import FittedField
from jnerf.geometry import cameras
from jnerf.geometry.poses import look_at
from jnerf.labeling.bayes import BayesClassifier
from jnerf.labeling.edges import EdgeSettings
from jnerf.labeling.labels import Labels, LabelSet
from jnerf.labeling.scene_labeler import fit_scene_labeler
from jnerf.scenes.rays import rays_of_pixels, rays_of_view
from jnerf.shaping.renderer import ViewRenderer
from jnerf.stages.label_maps import write_views
from jnerf.structs import Scene
from jnerf.viewing.palette import read_confidence_png, read_label_png

WIDTH, HEIGHT = 16, 12
MODEL = tiny_models.grid()


def make_scene(**changes) -> Scene:
  poses = np.stack([look_at(place, (0, 0, 0)) for place in ((2, 0, 0.5), (0, 2, 0.5))])
  return Scene(
      name="box", frames=("a", "b"), images=np.zeros((2, HEIGHT, WIDTH, 3), np.float32),
      cam_to_world=poses, full_size=(WIDTH, HEIGHT), near=tiny_models.NEAR,
      far=tiny_models.FAR, bounds=tiny_models.BOUNDS, train=np.array([0]),
      test=np.array([1]), intrinsics=np.tile(
          cameras.pinhole_from_fov(WIDTH, HEIGHT, 60.0), (2, 1))).replace(**changes)


@pytest.fixture(scope="module", params=[0, 2], ids=["plain", "snapped"])
def case(request):
  """A scene labeler of a few clicks, and the labels and confidence of view `b`."""
  scene, params = make_scene(), tiny_models.lively_params(MODEL)
  renderer, field = ViewRenderer(MODEL, chunk=64), FittedField(MODEL, params)
  rng = np.random.default_rng(0)
  pixels = np.stack([np.zeros(12, int), rng.integers(0, HEIGHT, 12),
                     rng.integers(0, WIDTH, 12)], axis=1)
  label_set = LabelSet(Labels(pixels, np.array([1, 4] * 6)))
  edges = EdgeSettings(edge_passes=request.param, edge_color_scale=0.2)
  whole = fit_scene_labeler(BayesClassifier(), label_set, field, scene, renderer,
                            edges=edges)
  seen = renderer.entities(params, rays_of_view(scene, 1))
  of_view = [np.asarray(values).reshape(HEIGHT, WIDTH, *values.shape[1:]) for values in (
      whole.labeler.scores(seen), seen.rgb, seen.distance,
      whole.labeler.probabilities(seen))]
  return types.SimpleNamespace(
      scene_labeler=whole, scene=scene, pixels=pixels, params=params, renderer=renderer,
      expected=whole.labeler.label_map(*of_view))


def test_a_view_is_labelled_by_all_its_pixels(case):
  labelled = case.renderer.entities(case.params, rays_of_pixels(case.scene, case.pixels))
  np.testing.assert_array_equal(case.scene_labeler.labelled.J, labelled.J)
  for view in (1, "b"):
    found = case.scene_labeler.label_view(view)
    np.testing.assert_array_equal(found.classes, case.expected.classes)
    np.testing.assert_allclose(found.confidence, case.expected.confidence, rtol=1e-4)
  assert set(np.unique(case.expected.classes)) == {1, 4}
  with pytest.raises(InputError, match="no frame 'c'"):
    case.scene_labeler.label_view("c")
  with pytest.raises(InputError, match="no view -1; its views count from 0 to 1"):
    case.scene_labeler.label_view(-1)


def test_files_hold_the_label_map_and_void_where_nobody_can_tell(case, tmp_path):
  for kind in ("labels", "confidence"):
    (tmp_path / kind / "mine").mkdir(parents=True)
    (tmp_path / kind / "mine" / "stale.png").touch()
  write_views(case.scene_labeler, [1], tmp_path, "mine")
  names = [path.name for path in sorted(tmp_path.rglob("*.png"))]
  assert names == ["b.png", "b.png"]
  np.testing.assert_array_equal(read_label_png(tmp_path / "labels/mine/b.png"),
                                case.expected.classes)
  np.testing.assert_allclose(read_confidence_png(tmp_path / "confidence/mine/b.png"),
                             case.expected.confidence, atol=0.51 / 255)
  middle = float(np.median(case.expected.confidence))
  sure = dataclasses.replace(case.scene_labeler, min_confidence=middle)
  write_views(sure, [1], tmp_path, "sure")
  np.testing.assert_array_equal(
      read_label_png(tmp_path / "labels/sure/b.png"),
      np.where(case.expected.confidence >= middle, case.expected.classes, 0))
