"""One render for all classes against the paper code's loop: perturb, render, compare."""

import pathlib
import runpy

import jax
import numpy as np
import tiny_models

from jnerf.geometry import cameras
from jnerf.geometry.poses import look_at
from jnerf.labeling.assignment import best_classes
from jnerf.labeling.labeler import fit_labeler
from jnerf.labeling.labels import Labels, LabelSet
from jnerf.labeling.paper_recipe import PaperRecipe, normalize_view
from jnerf.shaping.renderer import ViewRenderer, take

BENCH = (pathlib.Path(__file__).parents[1] / "experiments" / "benchmarks"
         / "bench_labels.py")
WIDTH, HEIGHT = 16, 12


def test_labels_of_one_render_are_those_of_a_render_per_class():
  model = tiny_models.grid()
  params = tiny_models.lively_params(model)
  rays = cameras.view_rays(
      look_at((0.2, 2.0, 0.3), (0, 0, 0)),
      cameras.pinhole_from_fov(WIDTH, HEIGHT, 60.0), (WIDTH, HEIGHT), tiny_models.NEAR,
      tiny_models.FAR)
  renderer = ViewRenderer(model, chunk=64, samples=True)
  class_ids = np.array([3, 4, 7, 9])
  clicked = renderer.entities(params, take(rays, np.array([5, 60, 100, 180])))
  labels = LabelSet(Labels(np.zeros((4, 3), np.int64), class_ids))
  labeler = fit_labeler(PaperRecipe(paper_step=0.1), clicked, labels)
  flat, = renderer.map(params, rays, labeler.scores)
  label_map = labeler.label_map(flat.reshape(HEIGHT, WIDTH, -1))
  directions = np.asarray(labeler.classifier.seeds.columns).T.reshape(4, -1, 3)
  before = jax.tree.map(np.copy, params)
  responses = runpy.run_path(str(BENCH))["literal_loop"](
      renderer, params, rays, directions, step=0.1, size=(WIDTH, HEIGHT))
  np.testing.assert_allclose(flat.reshape(responses.shape), responses, atol=1e-6)
  expected = best_classes(normalize_view(responses), class_ids)
  np.testing.assert_array_equal(label_map.classes, expected)
  assert len(np.unique(expected)) > 1
  jax.tree.map(np.testing.assert_array_equal, params, before)  # no network was moved
