"""From labelled gradients to a class for every pixel: methods, one interface.

An `Assignment` has four steps. `fit` sees the labelled entities; `adapt`, where a method
has it, unlabelled ones; `scores` works one by one, so a view may come in chunks and its
gradients need not be kept; `finish` sees the scores of a whole view (most methods have
nothing to do there).
`label_map` then takes the best class of each pixel.

Notation: `J [N, P]` gradients of N rays, K classes with `class_ids [K]`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnerf.errors import InputError
from jnerf.labeling import bayes
from jnerf.labeling.aggregator import fit_aggregator, log_probabilities
from jnerf.labeling.paper_recipe import PaperRecipe, normalize_view
from jnerf.labeling.response import PRECISION
from jnerf.labeling.seeds import MAX_LABELS, every_gradient
from jnerf.shaping.pairs import gaussian_kernel, unit_rows
from jnerf.structs import Array, Entities

METHODS = ("cosine", "paper", "bayes", "mlp")


@dataclasses.dataclass(frozen=True)
class Assignment:
  """One way from labelled gradients to class scores.

  fit: `(entities (M), labels [M], class_ids [K]) -> state`, a pytree. A label -c says
    "not class c"; a method that cannot use it leaves it out.
  scores: `(state, entities (N)) -> [N, K]`, higher is better; pure, to be jitted.
  probabilities: `(state, entities (N)) -> [N, K]` of the classes, as `scores`; None
    where a method tells none.
  adapt: `(state, entities (N)) -> state`, from unlabelled pixels of the training views;
    None where a method learns nothing from them.
  rows: `entities (N) -> [N, D]` what this method alone takes for gradients, see
    `with_rows`; None where it takes J.
  finish: `[H, W, K] -> [H, W, K]`, on one view's scores; -inf drops a class.
  needs_samples: `scores` reads `weights, hidden, logits` of the rays' samples.
  needs_features: `fit` and `scores` read the photographs' features.
  on_host: `scores` is of NumPy's world and not to be jitted.
  """

  fit: Callable[[Entities, Array, Array], Any]
  scores: Callable[[Any, Entities], Array]
  probabilities: Callable[[Any, Entities], Array] | None = None
  adapt: Callable[[Any, Entities], Any] | None = None
  rows: Callable[[Entities], Array] | None = None
  finish: Callable[[Array], Array] = lambda scores: scores
  needs_samples: bool = False
  needs_features: bool = False
  on_host: bool = False


def with_rows(assignment: Assignment, entities: Entities, chunk: int = 8192) -> Entities:
  """The entities as `fit` and `scores` of this method take them.

  What is rendered for that, `chunk` at a time, serves all sets of labels.
  """
  if assignment.rows is None:
    return entities
  num = len(jax.tree.leaves(entities)[0])
  parts = [jax.tree.map(lambda leaf: leaf[start:start + chunk], entities)  # noqa: B023
           for start in range(0, num, chunk)]
  return entities.replace(J=np.concatenate([assignment.rows(part) for part in parts]))


def make_assignment(method: str, *, bandwidth: float, ridge: float, paper_step: float,
                    finite: bool = True, directions: str = "mean_gradient",
                    num_centres: int = 4, response: str = "2d",
                    position_scale: float = 0.0, mlp: Mapping[str, Any] | None = None,
                    seed: int = 0) -> Assignment:
  """The method of that name, with the settings of the config's `label` section.

  finite, directions, num_centres, response: of the paper's recipe, see `PaperRecipe`.
  position_scale: of the cosine kernel and the paper's recipe.
  mlp: keyword arguments of `mlp_aggregator`.
  seed: of what is random in fitting.
  """
  if method == "cosine":
    return cosine_kernel(bandwidth, position_scale)
  if method == "paper":
    return paper_recipe(
        paper_step, finite=finite, directions=directions, num_centres=num_centres,
        response=response, position_scale=position_scale, seed=seed)
  if method == "bayes":
    return bayes_classifier(ridge)
  if method == "mlp":
    return mlp_aggregator(**(mlp or {}), seed=seed)
  raise InputError(f"label.methods: unknown method {method!r}; "
                   f"choose from {', '.join(METHODS)}")


@jax.jit
def label_map(scores, class_ids):
  """Best class of each pixel, `[..., K], [K] -> [...]` int32; 0 if all are -inf."""
  best = jnp.asarray(class_ids, jnp.int32)[jnp.argmax(scores, axis=-1)]
  return jnp.where(jnp.max(scores, axis=-1) > -jnp.inf, best, 0)


def confidence(probabilities):
  """Probability of the most probable class, `[..., K] -> [...]`."""
  return jnp.max(probabilities, axis=-1)


def cosine_kernel(bandwidth: float, position_scale: float = 0.0,
                  max_labels: int = MAX_LABELS, batch_size: int = 4096) -> Assignment:
  """Kernel density of each class on the sphere of unit gradients.

  A class's score is `bandwidth * log mean exp(cosine / bandwidth)` over its
  labels: with one click a class the cosine itself, otherwise between the mean
  cosine (wide) and the largest (narrow). The mean, not the sum: a class gains
  nothing by having more labels. That mean `D` is halved where the mean over the labels
  that say "not this class", `D'`, equals it: the score takes `D * D / (D + D')`.

  A class's probability is its share in the sum of all densities. Not calibrated: the
  bandwidth is chosen for the best labels, and makes it far too sure.

  Args:
    bandwidth: in units of cosine.
    position_scale: metres, > 0: a label's cosine is multiplied by `exp(-d^2 / (2
      scale^2))` of its distance d from the entity.
    max_labels: labels kept over all classes, see `every_gradient`.
    batch_size: rays worked on at once.
  """

  def fit(entities, labels, class_ids):
    labels = np.asarray(labels)
    return tuple(every_gradient(entities, sign * labels, class_ids, max_labels)
                 for sign in (1, -1))

  def closeness(seeds, row, point):
    cosines = jnp.einsum("kmp,p->km", seeds.directions, row, precision=PRECISION)
    if position_scale:
      near = gaussian_kernel(point[None], seeds.points.reshape(-1, 3), position_scale)
      cosines = cosines * near.reshape(cosines.shape)
    counts = jnp.maximum(jnp.sum(seeds.mask, axis=1), 1)
    return (jax.nn.logsumexp(cosines / bandwidth, axis=1, where=seeds.mask)
            - jnp.log(counts))  # -inf for a class without labels

  def scores(state, entities):
    def ray_scores(entity):
      here, against = (closeness(seeds, *entity) for seeds in state)
      against = jnp.maximum(against, -1e30)
      return bandwidth * (here + jax.nn.log_sigmoid(here - against))

    return jax.lax.map(ray_scores, (unit_rows(entities.J), entities.points),
                       batch_size=batch_size)

  def probabilities(state, entities):
    return jax.nn.softmax(scores(state, entities) / bandwidth, axis=-1)

  return Assignment(fit, scores, probabilities)


def paper_recipe(step: float, **choices) -> Assignment:
  """Nudge along each class's seeds; the largest normalised change wins.

  step and choices: see `PaperRecipe`.
  """
  recipe = PaperRecipe(step, **choices)
  return Assignment(recipe.fit, recipe.scores, finish=normalize_view,
                    needs_samples=recipe.needs_samples)


def bayes_classifier(ridge: float, balance: float = 0.5) -> Assignment:
  """Mean scores of the Bayesian linear classifier, see `bayes`.

  A ray's probabilities are its mean scores in one softmax, so the best class is
  the same; they need the variance, which costs a P x P solve per ray.
  """

  def fit(entities, labels, class_ids):
    return bayes.fit_bayes(entities.J, labels, class_ids, ridge=ridge, balance=balance)

  def scores(state, entities):
    return bayes.mean_scores(state, entities.J)

  def probabilities(state, entities):
    return bayes.class_probabilities(state, entities.J)

  return Assignment(fit, scores, probabilities)


def mlp_aggregator(*, width: int = 128, steps: int = 500, learning_rate: float = 3e-3,
                   seed: int = 0) -> Assignment:
  """Log-probabilities of a small network on unit gradients, see `aggregator`."""

  def fit(entities, labels, class_ids):
    return fit_aggregator(entities.J, labels, class_ids, width=width, steps=steps,
                          learning_rate=learning_rate, seed=seed)

  def scores(state, entities):
    return log_probabilities(state, entities.J)

  def probabilities(state, entities):
    return jnp.exp(scores(state, entities))

  return Assignment(fit, scores, probabilities)
