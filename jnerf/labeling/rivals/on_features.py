"""Rivals on visual features: nearest prototype and linear probe, no gradients at all.

`OnFeatures` puts any features in the place of gradients, so that a rival is labelled
by the very code that labels gradients. The features here are those of the photographs
(`Entities.features`), each view by itself; `distilled` renders its own.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
import functools
from typing import Any

from flax import struct
import jax
import jax.numpy as jnp

from jnerf.labeling.assignment import Assignment, Classifier
from jnerf.labeling.bayes import BayesClassifier
from jnerf.labeling.response import cosine_response
from jnerf.labeling.seeds import mean_gradient_seeds
from jnerf.shaping.pairs import unit_rows
from jnerf.structs import Array, Entities

# `(context, entities (N)) -> [N, D]`, pure, to be jitted.
FeatureFn = Callable[[Any, Entities], Array]

# Measured on office_0 and living_room, with features of the photographs and distilled
# ones: ridges from 0.1 to 3 differ by 0.03 mIoU at most, 0.3 being best on average; a
# colour scale of 2 instead of 0.5 gains 0.03 on a labelled frame and loses 0.01 at ten
# clicks per class.
RIDGE = 0.3  # of the probes: noise over prior variance
COLOR_SCALE = 2.0  # of RGB in [0, 1], beside features of length 1


@dataclasses.dataclass(frozen=True)
class OnFeatures(Assignment):
  """A method on features in the place of gradients.

  method: how it labels; row_fn: `entities (N) -> [N, D]`, the features.
  sampled, photographed: whether `row_fn` reads samples, or photographs' features.
  """

  method: Assignment
  row_fn: Callable[[Entities], Array]
  sampled: bool = False
  photographed: bool = False

  def fit(self, entities: Entities, labels, class_ids) -> Any:
    return self.method.fit(entities, labels, class_ids)

  @property
  def rows(self) -> Callable[[Entities], Array]:
    return self.row_fn

  @property
  def needs_samples(self) -> bool:
    return self.sampled

  @property
  def needs_features(self) -> bool:
    return self.photographed


def feature_rivals(name: str, feature_fn: FeatureFn, context: Any = None,
                   **needs: bool) -> dict[str, Assignment]:
  """Nearest prototype `name` and linear probes `name-probe`, `name-probe-color`.

  context: a pytree that `feature_fn` needs, such as the params of a field; in a compiled
    function's closure it would be a constant. needs: as of `OnFeatures`.
  """
  probe = BayesClassifier(ridge=RIDGE)
  alone, colored = (functools.partial(jax.jit(fn), context) for fn in (
      feature_fn, joined_with_color(feature_fn, COLOR_SCALE)))
  return {name: OnFeatures(NearestPrototype(), alone, **needs),
          f"{name}-probe": OnFeatures(probe, alone, **needs),
          f"{name}-probe-color": OnFeatures(probe, colored, **needs)}


@dataclasses.dataclass(frozen=True)
class NearestPrototype(Assignment):
  """Cosine with the mean of each class's unit rows."""

  def fit(self, entities: Entities, labels, class_ids) -> Prototypes:
    return Prototypes(mean_gradient_seeds(entities.J, labels, class_ids))


@struct.dataclass
class Prototypes(Classifier):
  """columns: `[D, K]` mean row of every class."""

  columns: Array

  def scores(self, entities: Entities):
    return cosine_response(entities.J, self.columns)


def photo_features(context, entities: Entities):
  """The features of the photographs."""
  del context
  return jnp.asarray(entities.features)


def joined_with_color(feature_fn: FeatureFn, scale: float) -> FeatureFn:
  """Unit features, and beside them the colour, grey at 0, times `scale`.

  The colour is the one that the field renders; at the 34 dB and more of a fitted field
  the photograph's would be no other.
  """

  def joined(context, entities):
    color = scale * (jnp.asarray(entities.rgb) - 0.5)
    return jnp.concatenate([unit_rows(feature_fn(context, entities)), color], axis=1)

  return joined
