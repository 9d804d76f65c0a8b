"""What is minimised: the loss terms on a rendered batch, and their weights.

Terms come from three sides: what the photographs say (`TERMS`), what keeps the field in
shape (`Field.regularizers`), and what shapes it (`shaping.contrast`). Another one of the
first kind is a function here, an entry in `TERMS` and a setting of its weight.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
from typing import Any

import jax.numpy as jnp

from jnerf.settings import fields_of, setting
from jnerf.shaping import contrast
from jnerf.structs import Batch, Rendering


@dataclasses.dataclass(frozen=True)
class Objective:
  """What is minimised: terms, each times its weight; hashable.

  A setting `x_weight` weighs the term `x`; a term without one counts as it is.
  recipe: how to shape, or None to fit only.
  """

  interlevel_weight: float = setting(1.0, "weight of what the sampler learns from",
                                     at_least=0)
  # Small: it draws weights together before views agree on where, nearer than they
  # should be (office_0: depth off by 6.3 cm at 1e-3, by 54 cm at 1e-2, by 3.7 cm now).
  distortion_weight: float = setting(1e-4, "weight of the spread of a ray's weights",
                                     at_least=0)
  depth_weight: float = setting(0.0, "weight of the error against a sensor's depth, "
                                "where there is any", at_least=0)
  recipe: contrast.Recipe | None = None

  def weighted(self, terms: dict) -> dict:
    """The terms that count, each times its weight."""
    groups = (self, self.recipe.contrast) if self.recipe else (self,)
    weights = {field.name.removesuffix("_weight"): getattr(group, field.name)
               for group in groups for field in fields_of(group)
               if field.name.endswith("_weight")}
    return {name: weights.get(name, 1.0) * term for name, term in terms.items()
            if weights.get(name, 1.0)}


def photographic_terms(rendering: Rendering, batch: Batch) -> dict[str, Any]:
  """All of `TERMS` that a batch has the data for, unweighted, by name."""
  terms = {name: term(rendering, batch) for name, term in TERMS.items()}
  return {name: term for name, term in terms.items() if term is not None}


def photometric(rendering: Rendering, batch: Batch):
  """Mean squared error of the colour."""
  return jnp.mean((rendering.rgb - batch.rgb) ** 2)


def coarse(rendering: Rendering, batch: Batch):
  """The same of the colours that rounds of sampling rendered by themselves."""
  colors = [proposal.rgb for proposal in rendering.proposals if proposal.rgb is not None]
  if not colors:
    return None
  return sum(jnp.mean((color - batch.rgb) ** 2) for color in colors)


def depth(rendering: Rendering, batch: Batch):
  """Mean relative error of distances; rays without a measurement count 0.

  Relative, so that it means the same in every unit; absolute rather than squared,
  since sensors err by a lot at the edges of things. A mean over all rays rather than
  over the measured ones, so that devices' shares of it add up.
  """
  if batch.distance is None:
    return None
  known = batch.distance > 0
  error = (jnp.abs(rendering.distance - batch.distance)
           / jnp.where(known, batch.distance, 1.0))
  return jnp.mean(jnp.where(known, error, 0.0))


# Name to `(rendering, batch) -> scalar`, None where the batch lacks what it takes.
TERMS: dict[str, Callable[[Rendering, Batch], Any]] = {
    "photometric": photometric, "coarse": coarse, "depth": depth}
