"""How many clicks it takes: proposed where to click next, against random clicks.

  python experiments/benchmarks/bench_clicks.py room DATA/office_0 DATA/living_room

The field is the shaped one of benchmark_labels.py, trained in the same folders unless it
is there, the classifier `regions`. The aim is the mIoU that 5 random
clicks per class reach (`clicks-5`, mean of the seeds). From the first of them in each
class on, rules say pixel by pixel of the training views where to click next, and are
answered with the true class; a click on void is spent. All scores are of every third
pixel of the test views, along both axes, without snapping labels to edges.

  regions       by `region_clicks`, as `propagate` proposes
  regions, 10   in batches of ten, answered when all ten are chosen
  gradients     by `next_click`, the rule of methods without regions, in batches of five
  random        any pixel of the training views

Writes experiments/results/clicks-<scene>.json. Two CPU cores: about 5 minutes a scene.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import sys

from benchmark_labels import HERE, make_run
import jax.numpy as jnp
import numpy as np

from jnerf.errors import InputError
from jnerf.evaluating.click_simulation import clicks_needed, simulate_clicks
from jnerf.evaluating.metrics import confusion_matrix, segmentation_scores
from jnerf.evaluating.protocols import draw_label_set
from jnerf.evaluating.tables import click_table
from jnerf.files import write_json
from jnerf.labeling import bayes, next_click, region_clicks
from jnerf.labeling.labeler import Labeler, fit_labeler
from jnerf.labeling.labels import Labels, LabelSet
from jnerf.labeling.proposals import CANDIDATES, POOL, clicks_in_regions
from jnerf.labeling.scene_labeler import unlabelled_entities
from jnerf.runs import parts
from jnerf.runs.loading import load_field, load_method, load_scene
from jnerf.runs.run import Run
from jnerf.runs.workdir import environment
from jnerf.scenes.pixels import random_pixels
from jnerf.scenes.rays import pixels_of_view, rays_of_pixels
from jnerf.shaping.renderer import take
from jnerf.stages.fit import fit
from jnerf.stages.shape import shape
from jnerf.structs import Entities, Scene

SEEDS = 5
STRIDE = 3  # of the test pixels that are scored, along both axes
RULES = {"regions": 1, "regions, 10": 10, "gradients": 5, "random": 5}


@dataclasses.dataclass(frozen=True)
class Pixels:
  """Pixels that were rendered: what labelling needs of them, and their true classes."""

  entities: Entities
  truth: np.ndarray


class Experiment:
  """One scene: its shaped field, what can be clicked, and what is scored."""

  def __init__(self, run: Run, scene: Scene):
    self.run, self.scene = run, scene
    self.field = load_field(run, scene, "shape")
    self.renderer = parts.renderer_of(run.config, self.field.model, self.field.background)
    self.method = load_method(run, scene, "regions")
    self.unlabelled = unlabelled_entities(self.renderer, self.field, scene,
                                          run.config.seed)
    self.test = self._render(self._test_pixels())
    self.in_regions = clicks_in_regions(self.renderer, self.field, scene,
                                        self.method.regions)
    anywhere = random_pixels(self.scene, 4 * POOL, seed=1)
    self.first_anywhere = len(self.in_regions.areas)
    self.pool_pixels = np.concatenate([self.in_regions.pixels, anywhere])
    self.protocol = [draw_label_set(self.scene, "clicks-5", seed).labels
                     for seed in range(SEEDS)]
    self.classes = np.array(self.protocol[0].classes)

  def measure(self) -> dict:
    """Curves of all rules and seeds, and what is to be reached."""
    random_clicks = [self._render(labels.pixels) for labels in self.protocol]
    aims = [self._score(self._learn(some, list(range(len(some.truth)))))
            for some in random_clicks]
    num = int(np.mean([len(labels.class_ids) for labels in self.protocol]))
    curves = {rule: [self._curve(rule, seed, num) for seed in range(SEEDS)]
              for rule in RULES}
    return {"scene": self.scene.name, "environment": environment(), "clicks": num,
            "miou": float(np.mean(aims)), "miou_of_seeds": aims,
            "rules": {rule: [_summary(curve, float(np.mean(aims))) for curve in of_seeds]
                      for rule, of_seeds in curves.items()}}

  def _curve(self, rule: str, seed: int, num: int) -> list[dict]:
    labels = self.protocol[seed]
    first = np.unique(labels.class_ids, return_index=True)[1]
    pool = self._render(np.concatenate([self.pool_pixels, labels.pixels[first]]))
    size = len(self.pool_pixels)
    chooser = {"regions": self._by_regions, "regions, 10": self._by_regions,
               "gradients": self._by_gradients, "random": self._at_random}[rule]
    curve = simulate_clicks(
        pool.truth, list(range(size, size + len(first))),
        learn=lambda labelled: (labelled, self._learn(pool, labelled)),
        choose=functools.partial(chooser, pool, np.random.default_rng(seed)),
        score=lambda learnt: self._score(learnt[1]), num=num, batch=RULES[rule])
    print(f"{self.scene.name} {rule}, seed {seed}: " + ", ".join(
        f"{point['clicks']}: {point['score']:.3f}" for point in curve[::5]), flush=True)
    return curve

  def _by_regions(self, pool, rng, learnt, clicked, size):
    labelled, _ = learnt
    gone = np.isin(np.arange(self.first_anywhere), clicked)

    def learn(regions, classes):
      labeler = self._learn(pool, labelled + regions, np.concatenate(
          [pool.truth[labelled], self.classes[classes]]).astype(np.int64))
      return np.asarray(labeler.probabilities(self.in_regions.entities))

    areas = np.where(gone, 0, self.in_regions.areas)
    return region_clicks.propose_clicks(learn, areas, size)[0]

  def _by_gradients(self, pool, rng, learnt, clicked, size):
    labelled, _ = learnt
    state = bayes.fit_bayes(pool.entities.J[labelled], pool.truth[labelled], self.classes,
                            ridge=self.run.config.label.ridge)
    drawn = self._anywhere(rng, clicked)[:POOL]
    chosen, _ = next_click.propose_clicks(state, pool.entities.J[drawn], size, CANDIDATES)
    return drawn[np.asarray(chosen)]

  def _at_random(self, pool, rng, learnt, clicked, size):
    return self._anywhere(rng, clicked)[:size]

  def _anywhere(self, rng, clicked) -> np.ndarray:
    return rng.permutation(np.setdiff1d(
        np.arange(self.first_anywhere, len(self.pool_pixels)), clicked))

  def _learn(self, pool: Pixels, labelled: list[int], truth=None) -> Labeler:
    truth = pool.truth[labelled] if truth is None else truth
    labels = LabelSet(Labels(np.zeros((len(truth), 3), np.int64), truth))
    return fit_labeler(self.method, take(pool.entities, np.array(labelled)), labels,
                       self.unlabelled)

  def _score(self, labeler: Labeler) -> float:
    scores = labeler.scores(self.test.entities)
    best = np.asarray(jnp.argmax(scores, axis=1))
    num = 1 + max(int(self.test.truth.max()), int(self.classes.max()))
    confusion = confusion_matrix(self.classes[best], self.test.truth, num)
    return float(segmentation_scores(confusion, self.classes.tolist())["miou"])

  def _test_pixels(self) -> np.ndarray:
    pixels = np.concatenate([pixels_of_view(self.scene, view)
                             for view in self.scene.test])
    return pixels[np.all(pixels[:, 1:] % STRIDE == 1, axis=1)]

  def _render(self, pixels: np.ndarray) -> Pixels:
    entities = self.renderer.entities(self.field.params,
                                      rays_of_pixels(self.scene, pixels))
    return Pixels(Entities(J=entities.J, points=entities.points),
                  self.scene.semantic[tuple(pixels.T)].astype(np.int64))


def _summary(curve: list[dict], aim: float) -> dict:
  return {"needed": clicks_needed(curve, aim),
          "curve": [[point["clicks"], round(point["score"], 4)] for point in curve]}


def main(scenes: list[str], overrides: list[str]) -> None:
  """Runs all scenes; `overrides` are --config.a.b=value, as of the command."""
  for scene in scenes:
    run = make_run(scene, overrides)
    for stage in (fit, shape):
      print(stage(run), flush=True)
    results = Experiment(run, load_scene(run)).measure()
    path = HERE / "results" / f"clicks-{results['scene']}.json"
    write_json(path, results)
    print(click_table(results), path, sep="\n", flush=True)


if __name__ == "__main__":
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument("scenes", nargs="+", type=str)
  known, rest = parser.parse_known_args()
  try:
    main(known.scenes, rest)
  except InputError as error:
    sys.exit(f"error: {error}")
