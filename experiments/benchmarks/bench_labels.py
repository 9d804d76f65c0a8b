"""What labels cost: propagation per class, and from a click to the new map.

What: a view of the built-in room's size 320x240, rendered by a model of the default
size with random parameters (nothing here depends on what is in the view).

  1. Seconds to label the view with 1, 10 and 40 classes, all of them from one render,
     beside the literal loop that perturbs the network and renders the view once per
     class (timed for one class, times K). Takes turns, so that a noisy machine
     disturbs all alike; medians, and the ratios asked for.
  2. Milliseconds from one more click to the view's label map, its gradients, colours and
     distances cached, 20 classes with 3 clicks each.

  3. Milliseconds to render 4096 rays: colour alone, and with rows by each way to compute
     them. Who wants colour alone pays for no row.

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
from jnerf.fields.fitted import FittedField
from jnerf.fields.kinds import grid_model
from jnerf.fields.spaces import Box
from jnerf.geometry import cameras
from jnerf.geometry.poses import look_at
from jnerf.labeling.bayes import BayesClassifier
from jnerf.labeling.cosine import CosineKernel
from jnerf.labeling.labeler import Labeler, fit_labeler
from jnerf.labeling.labels import Labels, LabelSet
from jnerf.labeling.paper_recipe import PaperRecipe, normalize_view
from jnerf.labeling.region_classifier import RegionClassifier
from jnerf.labeling.scene_labeler import NUM_UNLABELLED
from jnerf.shaping.regions import Regions
from jnerf.shaping.renderer import ViewRenderer, take
from jnerf.shaping.rows import RowKind
from jnerf.shaping.scene_regions import RegionSettings, SceneRegions
from jnerf.structs import Entities, Rays

_ROUNDS = flags.DEFINE_integer("rounds", 5, "Timed rounds, after one for warming up.")

WIDTH, HEIGHT = 320, 240
SPACE = Box(((-2.5, -2.0, 0.0), (2.5, 2.0, 2.6)))
CLASSES = (1, 10, 40)
STEP = 0.1


def make_view() -> Rays:
  """All rays of one view from the middle of the box."""
  pose = look_at((0.0, 0.0, 1.3), (2.0, 1.0, 1.0))
  lens = cameras.pinhole_from_fov(WIDTH, HEIGHT, 90.0)
  return cameras.view_rays(pose, lens, (WIDTH, HEIGHT), 0.1, 5.0)


def make_methods() -> dict:
  """Name to assignment; the regions are random ones of the default number."""
  num_regions = RegionSettings().num_regions
  rng = np.random.default_rng(0)
  rows = rng.normal(size=(num_regions, 16)).astype(np.float32)
  rows /= np.linalg.norm(rows, axis=1, keepdims=True)
  grid = rng.integers(0, num_regions, (64, 64, 64)).astype(np.int32)
  regions = SceneRegions(Regions(grid, *7 * [None]), grid[:1], SPACE)
  regions.__dict__["kernel"] = rows @ rows.T + np.eye(num_regions, dtype=np.float32)
  return {
      "regions": RegionClassifier(regions=regions), "bayes": BayesClassifier(),
      "cosine": CosineKernel(), "paper, linear": PaperRecipe(nudges_rgb=False),
      "paper, finite": PaperRecipe()}


def labels_of(class_ids) -> LabelSet:
  """A set of labels of no scene."""
  return LabelSet(Labels(np.zeros((len(class_ids), 3), np.int64), np.asarray(class_ids)))


def propagate(renderer: ViewRenderer, field: FittedField, rays: Rays,
              labeler: Labeler) -> np.ndarray:
  """The view's label map `[H, W]`: one render for all classes."""
  scores, rgb, distance = renderer.map(
      field.params, rays, labeler.scores, lambda entities: entities.rgb,
      lambda entities: entities.distance)
  return map_of_view(labeler, scores, rgb, distance)


def map_of_view(labeler: Labeler, scores, rgb, distance) -> np.ndarray:
  """`[H, W]` from what all pixels of the view say."""
  return labeler.label_map(*(values.reshape(HEIGHT, WIDTH, *values.shape[1:])
                             for values in (scores, rgb, distance))).classes


def literal_loop(renderer, params, rays, directions, step=STEP, size=(WIDTH, HEIGHT)):
  """Responses `[H, W, K]` as the paper's code makes them: a perturbed copy of the network
  and a render of the view for every direction, and the view itself once before.

  directions: `[K, H, 3]` in the rgb kernel.
  """
  def render(params):
    return renderer.colors(params, rays)[0]

  before, responses = render(params), []
  for direction in directions:
    moved = jax.tree.map(lambda leaf: leaf, params)
    moved["field"]["rgb"] = dict(
        moved["field"]["rgb"], kernel=moved["field"]["rgb"]["kernel"] + step * direction)
    responses.append(np.abs(render(moved) - before).mean(axis=-1))
  return np.stack(responses, axis=-1).reshape(size[1], size[0], -1)


def some_field() -> FittedField:
  """A model of the default size with random parameters."""
  model = grid_model(SPACE)
  return FittedField(model, jax.jit(model.init)(jax.random.key(0)))


def propagation_table(rounds: int) -> str:
  """Part 1."""
  field, rays = some_field(), make_view()
  renderer, cases = ViewRenderer(field.model), {}
  methods = make_methods()
  for name, method in methods.items():
    sampling = ViewRenderer(field.model, samples=method.needs_samples)
    for num in CLASSES:
      clicked, class_ids = some_clicks(renderer, field.params, rays, num)
      labeler = fit_labeler(method, clicked, labels_of(class_ids), take(
          clicked, slice(NUM_UNLABELLED)))
      cases[name, num] = (propagate, sampling, field, rays, labeler)
  clicked, _ = some_clicks(renderer, field.params, rays, 1)
  direction = np.asarray(clicked.J).reshape(1, -1, 3)
  cases["literal loop", 1] = (lambda *args: normalize_view(jnp.asarray(
      literal_loop(*args))), renderer, field.params, rays, direction)
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
  field, rays = some_field(), make_view()
  renderer, rows = ViewRenderer(field.model), []
  view = renderer.entities(field.params, rays)
  seen = [jnp.asarray(view.rgb), jnp.asarray(view.distance)]
  view = Entities(J=jnp.asarray(view.J), points=jnp.asarray(view.points))
  unlabelled = take(view, slice(NUM_UNLABELLED))
  clicked, labels = some_clicks(renderer, field.params, rays, num_classes, each)
  for name, method in make_methods().items():
    if method.needs_samples:
      continue
    times = []
    for count in range(len(labels) - rounds - 2, len(labels) + 1):
      part = take(clicked, slice(count))
      began = time.perf_counter()
      labeler = fit_labeler(method, part, labels_of(labels[:count]), unlabelled)
      map_of_view(labeler, labeler.scores(view), *seen)
      times.append(1e3 * (time.perf_counter() - began))
    times = times[2:]  # the first ones compile
    rows.append([name, f"{statistics.median(times):.0f}", f"{max(times):.0f}"])
  return format_table(["method", "median (ms)", "slowest (ms)"], rows)


def rendering_table(rounds: int) -> str:
  """Part 3."""
  field, rays, ways = some_field(), make_view(), {"none": None}
  ways |= {name: RowKind(jacobian=name, sketch_directions=64)
           for name in ("closed_form", "vjp", "sketch")}
  part = take(rays, slice(ViewRenderer.chunk))

  def render(renderer):
    chunk, _ = next(renderer.chunks(field.params, part))
    return jax.block_until_ready(chunk.rgb if chunk.J is None else chunk.J)

  seconds = take_turns({name: (render, ViewRenderer(field.model, rows))
                        for name, rows in ways.items()}, rounds)
  alone = seconds["none"]
  return format_table(["rows", "4096 rays (ms)", "x colour alone"], [
      [name, f"{1e3 * s:.1f}", f"{s / alone:.2f}"] for name, s in seconds.items()])


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
  """Prints all tables."""
  print(propagation_table(_ROUNDS.value), latency_table(4 * _ROUNDS.value),
        rendering_table(_ROUNDS.value), sep="\n\n")


if __name__ == "__main__":
  app.run(main)
