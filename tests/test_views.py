"""Views and surface points, rendered in chunks with their gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_models

from jnerf.evaluating import metrics
from jnerf.evaluating.field_evaluation import Entrant, Evaluation
from jnerf.fields.field import RGB_KERNEL
from jnerf.fields.fitted import FittedField
from jnerf.geometry import cameras
from jnerf.geometry.poses import look_at
from jnerf.labeling.bayes import BayesClassifier
from jnerf.labeling.edges import EdgeSettings, average_alike, snap_to_edges
from jnerf.labeling.labeler import fit_labeler
from jnerf.labeling.labels import Labels, LabelSet
from jnerf.labeling.response import finite_response, linear_response
from jnerf.scenes import rays as rays_lib
from jnerf.shaping import jacobians
from jnerf.shaping.renderer import ViewRenderer
from jnerf.shaping.rows import RowKind
from jnerf.structs import Entities, Scene

NUM = 20
OFF = EdgeSettings(edge_passes=0)
DISTANCE = np.linspace(1.2, 2.8, NUM).astype(np.float32)


@pytest.fixture(scope="module")
def model():
  return tiny_models.grid()


@pytest.fixture(scope="module")
def params(model):
  return tiny_models.lively_params(model)


def gathered(renderer, params, rays, **options):
  return renderer.map(params, rays, lambda chunk: chunk.rgb,
                      lambda chunk: chunk.J, **options)


def test_chunks_with_a_remainder_equal_one_render(model, params):
  rays = tiny_models.rays(NUM)
  samples = model.sample(params, rays)
  whole = model.render(params, rays, samples, 0.5)
  rgb, J = gathered(ViewRenderer(model, chunk=8), params, rays)
  np.testing.assert_allclose(rgb, whole.rgb, atol=1e-6)
  np.testing.assert_allclose(J, jacobians.closed_form(whole), atol=1e-6)


@pytest.mark.parametrize("pattern", [RGB_KERNEL, "field/density/.*|field/rgb/bias"])
def test_gradients_of_points_are_those_of_their_values(model, params, pattern):
  """At given distances the entities are the points there, not the pixels."""
  rays = tiny_models.rays(NUM)
  points = rays.origins + DISTANCE[:, None] * rays.directions
  expected = jacobians.by_vjp(
      lambda *args: jacobians.point_values(model, *args), params, pattern, points,
      rays.viewdirs)
  renderer = ViewRenderer(model, RowKind(params=pattern), chunk=8)
  rgb, J = gathered(renderer, params, rays, distance=DISTANCE)
  np.testing.assert_allclose(J, expected, atol=1e-6)
  assert np.abs(J).max() > 1e-2
  np.testing.assert_allclose(
      rgb.mean(axis=1), jacobians.point_values(model, params, points, rays.viewdirs),
      atol=1e-6)
  _, of_pixels = gathered(renderer, params, rays)
  assert np.abs(J - of_pixels).max() > 1e-2


def test_finite_response_of_points_tends_to_their_gradients(model, params):
  rays = tiny_models.rays(NUM)
  renderer = ViewRenderer(model, chunk=NUM, samples=True)
  (chunk, _), = renderer.chunks(params, rays, DISTANCE)
  V = jax.random.normal(jax.random.key(0), (chunk.J.shape[1], 3))
  finite = finite_response(chunk.rendering.weights, chunk.rendering.hidden,
                           chunk.rendering.logits, V, step=1e-3, signed=True)
  np.testing.assert_allclose(finite / 1e-3, linear_response(chunk.J, V), atol=2e-3)
  assert float(jnp.max(jnp.abs(finite))) > 1e-4


def make_scene(depth, semantic):
  """Two views of the box; the second is the test view."""
  height, width = depth.shape[1:]
  poses = np.stack([look_at((2, 0, 0.5), (0, 0, 0)),
                    look_at((0, 2, 0.5), (0, 0, 0))])
  intrinsics = np.tile(cameras.pinhole_from_fov(width, height, 60.0), (2, 1))
  images = np.random.default_rng(0).random((2, height, width, 3), np.float32)
  return Scene(
      name="box", frames=("a", "b"), images=images, cam_to_world=poses,
      intrinsics=intrinsics, full_size=(width, height), near=tiny_models.NEAR,
      far=tiny_models.FAR, bounds=tiny_models.BOUNDS, train=np.array([0]),
      test=np.array([1]), depth=depth, semantic=semantic)


def test_depth_and_distance_undo_one_another():
  depth = np.random.default_rng(1).uniform(1, 3, (2, 12, 16)).astype(np.float32)
  scene = make_scene(depth, None)
  distance = rays_lib.distance_of_view(scene, 1)
  assert distance.shape == (12 * 16,) and (distance >= depth[1].reshape(-1)).all()
  np.testing.assert_allclose(rays_lib.depth_of_view(scene, 1, distance), depth[1],
                             rtol=1e-6)
  rays = rays_lib.rays_of_view(scene, 1)
  points = rays.origins + distance[:, None] * rays.directions
  camera = (points - scene.cam_to_world[1, :3, 3]) @ scene.cam_to_world[1, :3, :3]
  np.testing.assert_allclose(camera[:, 2], depth[1].reshape(-1), rtol=1e-5)


def labelled_box(model, params, edges=OFF):
  """The scene, its renderer, and a labeler that has seen all of its first view."""
  generator = np.random.default_rng(2)
  depth = generator.uniform(1.5, 2.5, (2, 12, 16)).astype(np.float32)
  depth[1, :, 10:] = 0
  semantic = generator.integers(1, 3, (2, 12, 16)).astype(np.int32)
  scene = make_scene(depth, semantic)
  rows, columns = np.indices((12, 16)).reshape(2, -1)
  labels = Labels(np.stack([0 * rows, rows, columns], 1), semantic[0].reshape(-1))
  renderer = ViewRenderer(model, chunk=64)
  labelled = renderer.entities(params, rays_lib.rays_of_pixels(scene, labels.pixels))
  return scene, renderer, fit_labeler(
      BayesClassifier(ridge=0.1), labelled, LabelSet(labels, protocol="dense"),
      edges=edges)


def evaluate(scene, renderer, params, *labelers, dimensions=("2d",)):
  field = FittedField(renderer.model, params)
  entrants = [Entrant("bayes", labeler, {}) for labeler in labelers]
  return Evaluation(scene, field, "plain", None, renderer).score(entrants, dimensions)


def test_points_are_scored_where_depth_is_known(model, params):
  """3D rows count the points that depth shows and judge the points' own gradients."""
  scene, renderer, labeler = labelled_box(model, params)
  depth, semantic = scene.depth, scene.semantic
  result = evaluate(scene, renderer, params, labeler, dimensions=("2d", "3d"))
  assert [row["dimension"] for row in result.rows] == ["2d", "3d"]
  rays = rays_lib.rays_of_view(scene, 1)
  J = gathered(renderer, params, rays, distance=rays_lib.distance_of_view(scene, 1))[1]
  predicted = 1 + np.argmax(labeler.classifier.scores(Entities(J=jnp.asarray(J))), axis=1)
  known = depth[1].reshape(-1) > 0
  right = (predicted == semantic[1].reshape(-1))[known]
  assert known.sum() == 120 and 0 < right.mean() < 1
  assert result.rows[1]["total_accuracy"] == pytest.approx(right.mean())
  assert all(row["seconds"] > 0 for row in result.rows)


def test_pixels_are_snapped_to_edges_points_are_not(model, params):
  edges = EdgeSettings(edge_passes=2, edge_color_scale=0.2, edge_depth_scale=0.1)
  results = {}
  for name, settings in (("off", OFF), ("on", edges)):
    scene, renderer, labeler = labelled_box(model, params, settings)
    results[name] = evaluate(scene, renderer, params, labeler,
                             dimensions=("2d", "3d"))
  labels = {name: result.views[1].labels["dense", "bayes"]
            for name, result in results.items()}
  rgb, distance, scores, sure = (
      values.reshape(12, 16, *values.shape[1:]) for values in renderer.map(
          params, rays_lib.rays_of_view(scene, 1), lambda chunk: chunk.rgb,
          lambda chunk: chunk.distance,
          labeler.scores, labeler.probabilities))
  np.testing.assert_array_equal(labels["off"], 1 + np.argmax(scores, axis=-1))
  snapped = snap_to_edges(scores, rgb, distance, passes=2, color_scale=0.2,
                          depth_scale=0.1)
  np.testing.assert_array_equal(labels["on"], 1 + np.argmax(snapped, axis=-1))
  assert 0.02 < np.mean(labels["on"] != labels["off"]) < 0.5
  on, off = (results[name].rows[1] for name in ("on", "off"))
  assert on["dimension"] == "3d" and on["per_class_iou"] == off["per_class_iou"]
  label_map = labeler.label_map(scores, rgb, distance, sure)  # what `propagate` writes
  np.testing.assert_array_equal(label_map.classes, labels["on"])
  told = average_alike(sure, rgb, distance, passes=2, color_scale=0.2, depth_scale=0.1)
  np.testing.assert_allclose(label_map.confidence, np.max(told, axis=-1), atol=1e-6)


def test_masked_pixels_are_not_scored(model, params):
  depth = np.full((2, 12, 16), 2.0, np.float32)
  scene = make_scene(depth, None)
  mask = np.random.default_rng(3).random((2, 12, 16)) < 0.5
  renderer = ViewRenderer(model, chunk=64)

  found = evaluate(scene.replace(mask=mask), renderer, params)
  shown, kept = found.views[1], mask[1]
  error = np.mean((shown.rgb[kept] - scene.images[1][kept]) ** 2)
  assert found.psnr == pytest.approx(-10 * np.log10(error))
  assert found.depth_error_m == pytest.approx(
      np.median(np.abs(shown.depth[kept] - 2.0)), rel=1e-5)
  patched = np.where(kept[..., None], shown.rgb, scene.images[1])
  assert found.ssim == pytest.approx(metrics.ssim(patched, scene.images[1]))
  everywhere = evaluate(scene.replace(mask=np.ones_like(mask)), renderer, params)
  assert everywhere.psnr == evaluate(scene, renderer, params).psnr != found.psnr
