"""From labelled gradients to a class for every pixel: methods, one interface.

An `Assignment` has three steps. `fit` sees the labelled entities; `scores` works
one by one, so a view may come in chunks and its gradients need not be kept;
`finish` sees the scores of a whole view (most methods have nothing to do there).
`label_map` then takes the best class of each pixel.

Notation: `J [N, P]` gradients of N rays, K classes with `class_ids [K]`.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
from typing import Any

from flax import struct
import jax
import jax.numpy as jnp
import numpy as np

from jnerf.errors import InputError
from jnerf.labeling import bayes
from jnerf.labeling.response import PRECISION, finite_response, linear_response
from jnerf.labeling.seeds import mean_gradient_seeds
from jnerf.shaping.pairs import unit_rows
from jnerf.structs import Array, Entities

METHODS = ("cosine", "paper", "bayes")


@dataclasses.dataclass(frozen=True)
class Assignment:
  """One way from labelled gradients to class scores.

  fit: `(entities (M), labels [M], class_ids [K]) -> state`, a pytree.
  scores: `(state, entities (N)) -> [N, K]`, higher is better; pure, to be jitted.
  finish: `[H, W, K] -> [H, W, K]`, on one view's scores; -inf drops a class.
  needs_samples: `scores` reads `weights, hidden, logits` of the rays' samples.
  needs_features: `fit` and `scores` read the photographs' features.
  on_host: `scores` is of NumPy's world and not to be jitted.
  """

  fit: Callable[[Entities, Array, Array], Any]
  scores: Callable[[Any, Entities], Array]
  finish: Callable[[Array], Array] = lambda scores: scores
  needs_samples: bool = False
  needs_features: bool = False
  on_host: bool = False


def make_assignment(method: str, *, bandwidth: float, ridge: float,
                    paper_step: float, finite: bool = True) -> Assignment:
  """The method of that name, with the settings of the config's `label` section.

  finite: whether the paper's nudge is finite (needs gradients of the rgb kernel).
  """
  if method == "cosine":
    return cosine_kernel(bandwidth)
  if method == "paper":
    return paper_recipe(paper_step, finite=finite)
  if method == "bayes":
    return bayes_classifier(ridge)
  raise InputError(f"label.methods: unknown method {method!r}; "
                   f"choose from {', '.join(METHODS)}")


@jax.jit
def label_map(scores, class_ids):
  """Best class of each pixel, `[..., K], [K] -> [...]` int32; 0 if all are -inf."""
  best = jnp.asarray(class_ids, jnp.int32)[jnp.argmax(scores, axis=-1)]
  return jnp.where(jnp.max(scores, axis=-1) > -jnp.inf, best, 0)


@struct.dataclass
class CosineState:
  """directions: `[K, m, P]` unit gradients of up to m labels per class.
  mask: `[K, m]` which of them exist."""

  directions: Array
  mask: Array


def cosine_kernel(bandwidth: float, max_labels: int = 512,
                  batch_size: int = 4096) -> Assignment:
  """Kernel density of each class on the sphere of unit gradients.

  A class's score is `bandwidth * log mean exp(cosine / bandwidth)` over its
  labels: with one click a class the cosine itself, otherwise between the mean
  cosine (wide) and the largest (narrow). The mean, not the sum: a class gains
  nothing by having more labels.

  Args:
    bandwidth: in units of cosine.
    max_labels: labels kept over all classes, evenly strided in the order given,
      so that a fully labelled frame costs no more than this.
    batch_size: rays worked on at once.
  """

  def fit(entities, labels, class_ids):
    labels, limit = np.asarray(labels), max(max_labels // len(class_ids), 1)
    rows = [_strided(np.flatnonzero(labels == c), limit) for c in class_ids]
    width = max(max(map(len, rows)), 1)
    index = np.zeros((len(rows), width), np.int64)
    mask = np.zeros((len(rows), width), bool)
    for k, row in enumerate(rows):
      index[k, :len(row)], mask[k, :len(row)] = row, True
    return CosineState(unit_rows(jnp.asarray(entities.J[index])), jnp.asarray(mask))

  def scores(state, entities):
    log_counts = jnp.log(jnp.maximum(jnp.sum(state.mask, axis=1), 1))

    def ray_scores(row):
      cosines = jnp.einsum("kmp,p->km", state.directions, row, precision=PRECISION)
      return bandwidth * (
          jax.nn.logsumexp(cosines / bandwidth, axis=1, where=state.mask)
          - log_counts)  # -inf for a class without labels

    return jax.lax.map(ray_scores, unit_rows(entities.J), batch_size=batch_size)

  return Assignment(fit, scores)


def _strided(indices, limit: int):
  """At most `limit` of `indices`, evenly spread over their order."""
  if len(indices) <= limit:
    return indices
  return indices[np.linspace(0, len(indices) - 1, limit).astype(np.int64)]


def paper_recipe(step: float, *, finite: bool = True) -> Assignment:
  """Nudge along each class's mean gradient; the largest normalised change wins.

  Args:
    step: length of the nudge; the directions have unit length (the paper's code
      takes the mean gradient as it is, whose length its loss keeps near 1).
    finite: exact change of the colours, needs the samples; otherwise
      `|J . v| * step`, its limit for small steps.
  """

  def fit(entities, labels, class_ids):
    return mean_gradient_seeds(entities.J, labels, class_ids)

  def scores(state, entities):
    if not finite:
      return jnp.abs(linear_response(entities.J, state)) * step
    rendering = entities.rendering
    return finite_response(rendering.weights, rendering.hidden, rendering.logits,
                           state, step=step)

  return Assignment(fit, scores, normalize_view, finite)


@jax.jit
def normalize_view(responses):
  """The paper's clean-up of one view's responses, `[H, W, K] -> [H, W, K]`.

  Clip at 0.8, 3 x 3 Gaussian blur, divide by the view's maximum; a class whose
  map is flat (standard deviation < 0.05 and mean < 0.01) is taken to be out of
  view and dropped (-inf; the code's zero would do the same unless all are).
  """
  clipped = jnp.minimum(responses, 0.8)
  padded = jnp.pad(clipped, ((1, 1), (1, 1), (0, 0)), mode="reflect")
  rows = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
  blurred = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 4
  maps = blurred / (jnp.max(blurred, axis=(0, 1), keepdims=True) + 1e-7)
  flat = ((jnp.std(maps, axis=(0, 1), keepdims=True) < 0.05)
          & (jnp.mean(maps, axis=(0, 1), keepdims=True) < 0.01))
  return jnp.where(flat, -jnp.inf, maps)


def bayes_classifier(ridge: float, balance: float = 0.5) -> Assignment:
  """Mean scores of the Bayesian linear classifier, see `bayes`.

  A ray's probabilities are its mean scores in one softmax, so the best class is
  the same; they and the variance, which costs a P x P solve per ray, are made by
  `bayes.class_probabilities` for those who ask.
  """

  def fit(entities, labels, class_ids):
    return bayes.fit_bayes(entities.J, labels, class_ids, ridge=ridge, balance=balance)

  def scores(state, entities):
    return bayes.mean_scores(state, entities.J)

  return Assignment(fit, scores)
