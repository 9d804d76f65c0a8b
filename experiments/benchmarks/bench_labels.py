"""What labels cost: propagation per class, and from a click to the new map.

What: a view of the built-in room's size 320x240, rendered by a model of the default
size with random parameters (nothing here depends on what is in the view).

  1. Seconds to label the view with 1, 10 and 40 classes, all of them from one render,
     beside the literal loop that perturbs the network and renders the view once per
     class (timed for one class, times K). Takes turns, so that a noisy machine
     disturbs all alike; medians, and the ratios asked for.
  2. Milliseconds from one more click to the view's label map, its gradients, colours and
     distances cached, 20 classes with 3 clicks each.

Labels are snapped to edges as the default config does.

  python experiments/benchmarks/bench_labels.py [--rounds=5]

Hardware and figures: experiments/results/bench_labels.md
"""

import statistics
import time

from absl import app, flags
import jax
import jax.numpy as jnp
import numpy as np

from jnerf.evaluating.tables import format_table
from jnerf.fields.model import grid_model
from jnerf.fields.spaces import Box
from jnerf.geometry import cameras
from jnerf.geometry.poses import look_at
from jnerf.labeling.assignment import (
  bayes_classifier,
  cosine_kernel,
  label_map,
  paper_recipe,
)
from jnerf.labeling.edges import snap_to_edges
from jnerf.labeling.paper_recipe import normalize_view
from jnerf.labeling.region_classifier import region_classifier
from jnerf.labeling.views import ViewRenderer, rows_of
from jnerf.runs.config import default_config
from jnerf.shaping.contrast import Recipe
from jnerf.stages.labels import NUM_UNLABELLED
from jnerf.structs import Entities, Rays

_ROUNDS = flags.DEFINE_integer("rounds", 5, "Timed rounds, after one for warming up.")

WIDTH, HEIGHT = 320, 240
SPACE = Box(((-2.5, -2.0, 0.0), (2.5, 2.0, 2.6)))
CLASSES = (1, 10, 40)
STEP = 0.1
_LABEL = default_config().label
EDGES = {"passes": _LABEL.edge_passes, "color_scale": _LABEL.edge_color_scale,
         "depth_scale": _LABEL.edge_depth_scale}


def make_view() -> Rays:
  """All rays of one view from the middle of the box."""
  pose = look_at((0.0, 0.0, 1.3), (2.0, 1.0, 1.0))
  lens = cameras.pinhole_from_fov(WIDTH, HEIGHT, 90.0)
  return cameras.view_rays(pose, lens, (WIDTH, HEIGHT), 0.1, 5.0)


def make_methods() -> dict:
  """Name to assignment; the regions are random ones of the default number."""
  num_regions = default_config().regions.num_regions
  rng = np.random.default_rng(0)
  rows = rng.normal(size=(num_regions, 16)).astype(np.float32)
  rows /= np.linalg.norm(rows, axis=1, keepdims=True)
  grid = rng.integers(0, num_regions, (64, 64, 64)).astype(np.int32)
  return {
      "regions": region_classifier(grid, SPACE.unit_cube, rows @ rows.T + np.eye(
          num_regions, dtype=np.float32), ridge=_LABEL.ridge,
          gradient_weight=_LABEL.gradient_weight, area_prior=_LABEL.area_prior),
      "bayes": bayes_classifier(_LABEL.ridge),
      "cosine": cosine_kernel(_LABEL.bandwidth),
      "paper, linear": paper_recipe(STEP, finite=False),
      "paper, finite": paper_recipe(STEP)}


def propagate(renderer, params, rays, assignment, scores_fn, state, class_ids):
  """The view's label map `[H, W]`: one render for all classes."""
  seen = renderer.map(params, rays, lambda entities: scores_fn(state, entities),
                      lambda entities: entities.rendering.rgb,
                      lambda entities: entities.rendering.distance_median)
  return map_of_view(assignment, *seen, class_ids)


def map_of_view(assignment, scores, rgb, distance, class_ids):
  """`[H, W]` from what all pixels of the view say."""
  scores = assignment.finish(scores.reshape(HEIGHT, WIDTH, -1))
  return label_map(snap_to_edges(scores, rgb.reshape(HEIGHT, WIDTH, 3),
                                 distance.reshape(HEIGHT, WIDTH), **EDGES), class_ids)


def literal_loop(renderer, params, rays, directions, step=STEP, size=(WIDTH, HEIGHT)):
  """Responses `[H, W, K]` as the paper's code makes them: a perturbed copy of the network
  and a render of the view for every direction, and the view itself once before.

  directions: `[K, H, 3]` in the rgb kernel.
  """
  def render(params):
    return renderer.map(params, rays, lambda entities: entities.rgb)[0]

  before, responses = render(params), []
  for direction in directions:
    moved = jax.tree.map(lambda leaf: leaf, params)
    moved["field"]["rgb"] = dict(
        moved["field"]["rgb"], kernel=moved["field"]["rgb"]["kernel"] + step * direction)
    responses.append(np.abs(render(moved) - before).mean(axis=-1))
  return np.stack(responses, axis=-1).reshape(size[1], size[0], -1)


def propagation_table(rounds: int) -> str:
  """Part 1."""
  model = grid_model(SPACE, **default_config().field.grid)
  params, rays = jax.jit(model.init)(jax.random.key(0)), make_view()
  renderer = ViewRenderer(model, Recipe())
  methods, cases = make_methods(), {}
  for name, method in methods.items():
    scores_fn = jax.jit(method.scores)
    sampling = ViewRenderer(model, Recipe(), samples=method.needs_samples)
    for num in CLASSES:
      clicked, class_ids = some_clicks(renderer, params, rays, num)
      state = method.fit(clicked, class_ids, class_ids)
      cases[name, num] = (propagate, sampling, params, rays, method, scores_fn, state,
                          class_ids)
  clicked, _ = some_clicks(renderer, params, rays, 1)
  direction = np.asarray(clicked.J).reshape(1, -1, 3)
  cases["literal loop", 1] = (lambda *args: normalize_view(jnp.asarray(
      literal_loop(*args))), renderer, params, rays, direction)
  seconds = take_turns(cases, rounds)
  one_render = seconds["literal loop", 1] / 2  # a loop of one class renders twice
  rows = []
  for name in methods:
    times = [seconds[name, num] for num in CLASSES]
    loop = one_render * (CLASSES[-1] + 1)
    rows.append([name, *(f"{t:.2f}" for t in times), f"{times[-1] / times[0]:.2f}",
                 f"{loop / times[-1]:.1f}", f"{loop / times[-1] / CLASSES[-1]:.2f}"])
  return format_table(["method", *(f"{num} classes (s)" for num in CLASSES), "40 / 1",
                       "loop / ours, K = 40", "/ K"], rows)


def some_clicks(renderer, params, rays, num_classes: int, each: int = 1):
  """Random pixels of the view as entities, and their class ids, `each` a class."""
  chosen = np.random.default_rng(1).choice(WIDTH * HEIGHT, num_classes * each)
  part = jax.tree.map(lambda leaf: np.asarray(leaf)[chosen], rays)
  return (renderer.entities(params, part),
          np.tile(np.arange(1, num_classes + 1), each))


def latency_table(rounds: int, num_classes: int = 20, each: int = 3) -> str:
  """Part 2: fit to one more click, score all cached pixels, take the best class.

  Methods that learn from unlabelled pixels see as many as `propagate` shows them.
  """
  model = grid_model(SPACE, **default_config().field.grid)
  params, rays = jax.jit(model.init)(jax.random.key(0)), make_view()
  renderer, rows = ViewRenderer(model, Recipe()), []
  view = renderer.entities(params, rays)
  seen = [jnp.asarray(view.rendering.rgb), jnp.asarray(view.rendering.distance_median)]
  view = Entities(J=jnp.asarray(view.J), points=jnp.asarray(view.points))
  unlabelled = rows_of(view, slice(NUM_UNLABELLED))
  clicked, labels = some_clicks(renderer, params, rays, num_classes, each)
  class_ids = np.arange(1, num_classes + 1)
  for name, method in make_methods().items():
    if method.needs_samples:
      continue
    scores_fn, times = jax.jit(method.scores), []
    for count in range(len(labels) - rounds - 2, len(labels) + 1):
      part = jax.tree.map(lambda leaf: leaf[:count], clicked)  # noqa: B023 - used at once
      began = time.perf_counter()
      state = method.fit(part, labels[:count], class_ids)
      if method.adapt:
        state = method.adapt(state, unlabelled)
      np.asarray(map_of_view(method, scores_fn(state, view), *seen, class_ids))
      times.append(1e3 * (time.perf_counter() - began))
    times = times[2:]  # the first ones compile
    rows.append([name, f"{statistics.median(times):.0f}", f"{max(times):.0f}"])
  return format_table(["method", "median (ms)", "slowest (ms)"], rows)


def take_turns(cases: dict, rounds: int) -> dict:
  """Median seconds of each `(fn, *args)`, all of them once in every round."""
  times = {key: [] for key in cases}
  for turn in range(rounds + 1):
    for key, (fn, *args) in cases.items():
      began = time.perf_counter()
      np.asarray(fn(*args))
      if turn:
        times[key].append(time.perf_counter() - began)
  return {key: statistics.median(values) for key, values in times.items()}


def main(_):
  """Prints both tables."""
  print(propagation_table(_ROUNDS.value), latency_table(4 * _ROUNDS.value), sep="\n\n")


if __name__ == "__main__":
  app.run(main)
