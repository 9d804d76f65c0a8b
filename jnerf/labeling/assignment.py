"""From labelled entities to a class for every other: what every method is.

An `Assignment` is a method with its settings. `fit` sees the labelled entities and gives
a `Classifier`, what was learnt from them; `adapt`, where a method has it, shows that
unlabelled ones. A classifier scores entities one by one, so a view may come in chunks and
its gradients need not be kept; `finish` sees the scores of a whole view (most methods
have nothing to do there). `labeler` puts these together.

A classifier is a pytree that holds all that scoring needs, arrays as leaves and settings
as static fields. So it is an argument of compiled functions: another click, which
changes the arrays alone, compiles nothing.

Another method is a class of each kind in a file of its own and one entry in
`methods.METHODS`; the fields that it makes by `setting` become settings of `label`.

Notation: N entities with rows `J [N, P]`, K classes with `class_ids [K]`.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnerf.settings import setting
from jnerf.shaping.renderer import take
from jnerf.structs import Array, Entities


class Classifier:
  """What a method has learnt from labels; a pytree (but for methods `on_host`)."""

  def scores(self, entities: Entities) -> Array:
    """`[N, K]`, higher is better; pure, to be compiled."""
    raise NotImplementedError

  def probabilities(self, entities: Entities) -> Array:
    """`[N, K]` of the classes, of methods that tell them; pure, to be compiled."""
    raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Assignment(abc.ABC):
  """One way from labelled entities to class scores; what it needs, by properties."""

  @abc.abstractmethod
  def fit(self, entities: Entities, labels, class_ids) -> Any:
    """The `Classifier` that M entities with `labels [M]` teach, of `class_ids [K]`.

    A label -c says "not class c"; a method that cannot use it leaves it out.
    """

  def adapt(self, classifier, unlabelled: Entities) -> Any:
    """The classifier that has seen unlabelled pixels of the training views too."""
    del unlabelled
    return classifier

  def finish(self, scores) -> Array:
    """`[H, W, K] -> [H, W, K]`, one view's scores; -inf drops a class."""
    return scores

  @property
  def rows(self) -> Callable[[Entities], Array] | None:
    """`entities (N) -> [N, D]` what this method alone takes for J, see `with_rows`."""
    return None

  @property
  def adapts(self) -> bool:
    """Whether `adapt` does anything."""
    return False

  @property
  def tells_probabilities(self) -> bool:
    """Whether its classifiers do."""
    return False

  @property
  def finishes(self) -> bool:
    """Whether `finish` does anything."""
    return False

  @property
  def needs_samples(self) -> bool:
    """Whether scoring reads the rendering of the entities' samples."""
    return False

  @property
  def needs_features(self) -> bool:
    """Whether `rows` reads the photographs' features."""
    return False

  @property
  def on_host(self) -> bool:
    """Whether classifiers are of NumPy's world and not to be compiled."""
    return False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ridge:
  """The setting that the linear classifiers share."""

  ridge: float = setting(0.3, "of bayes and regions: noise over prior variance", above=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PositionScale:
  """The setting that methods share whose clicks answer near by."""

  position_scale: float = setting(0.0, "metres; above 0 cosine and paper answer to "
                                  "clicks near by", at_least=0)


def with_rows(assignment: Assignment, entities: Entities, chunk: int = 8192) -> Entities:
  """The entities as `fit` and `scores` of this method take them.

  What is rendered for that, `chunk` at a time, serves all sets of labels.
  """
  if assignment.rows is None:
    return entities
  num = len(jax.tree.leaves(entities)[0])
  parts = [take(entities, slice(start, start + chunk)) for start in range(0, num, chunk)]
  return entities.replace(J=np.concatenate([assignment.rows(part) for part in parts]))


@jax.jit
def best_classes(scores, class_ids):
  """Best class of each pixel, `[..., K], [K] -> [...]` int32; 0 if all are -inf."""
  best = jnp.asarray(class_ids, jnp.int32)[jnp.argmax(scores, axis=-1)]
  return jnp.where(jnp.max(scores, axis=-1) > -jnp.inf, best, 0)


def confidence(probabilities):
  """Probability of the most probable class, `[..., K] -> [...]`; at most 1."""
  return jnp.minimum(jnp.max(probabilities, axis=-1), 1.0)  # sums round past 1
