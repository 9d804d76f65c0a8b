"""The paper's way from labelled gradients to a label map, with all its choices.

Seeds of one kind (`seeds`), nudges along them, the responses of a class's seeds
joined to one (their mean, or the largest), and the clean-up of a view's responses.
Source: JacobiNeRF (arXiv 2304.00341), section 4 and its code.
"""

from __future__ import annotations

import dataclasses

from flax import struct
import jax
import jax.numpy as jnp

from jnerf.errors import InputError
from jnerf.labeling import seeds as seeds_lib
from jnerf.labeling.adaptive import adaptive_seeds
from jnerf.labeling.assignment import Assignment, Classifier, PositionScale
from jnerf.labeling.response import finite_response, linear_response, response_3d
from jnerf.labeling.seeds import Seeds
from jnerf.settings import setting
from jnerf.shaping.pairs import gaussian_kernel
from jnerf.structs import Entities


@dataclasses.dataclass(frozen=True, kw_only=True)
class PaperRecipe(PositionScale, Assignment):
  """What is nudged, how far, and whose response counts: the largest normalised one.

  paper_step: the directions have unit length (the paper's code takes the mean gradient
    as it is, whose length its loss keeps near 1).
  position_scale: the response to a labelled pixel fades with the distance from it; needs
    directions that are pixels, `mean_response`.
  nudges_rgb: exact change of the colours, needs the samples and gradients of the rgb
    kernel; otherwise `|J . v| * step`, its limit for small steps. `3d` needs the same.
  seed: of random choices in k-means and in adaptive selection.
  """

  paper_step: float = setting(0.1, "t of the paper's finite nudge", above=0)
  directions: str = setting("mean_gradient", "what the paper's nudge follows",
                            choices=tuple(seeds_lib.REDUCTIONS))
  num_centres: int = setting(4, "of k_means, per class", at_least=1)
  response: str = setting("2d", "the nudge's effect on pixels, or on every sample",
                          choices=("2d", "3d"))
  nudges_rgb: bool = True
  seed: int = 0

  def check(self, section: str) -> None:
    """Raises InputError where directions lie nowhere that should fade with distance."""
    if self.position_scale and self.directions != "mean_response":
      raise InputError(f"{section}.directions={self.directions!r}: must be mean_response "
                       f"with {section}.position_scale, since other directions lie "
                       "nowhere")

  @property
  def needs_samples(self) -> bool:
    return self.nudges_rgb or self.response == "3d"

  @property
  def finishes(self) -> bool:
    return True

  def finish(self, scores):
    return normalize_view(scores)

  def fit(self, entities: Entities, labels, class_ids) -> PaperClassifier:
    return PaperClassifier(self._seeds(entities, labels, class_ids), self)

  def _seeds(self, entities: Entities, labels, class_ids) -> Seeds:
    """The seeds of M labelled entities."""
    J = entities.J
    if self.directions == "mean_response":
      return seeds_lib.every_gradient(entities, labels, class_ids)
    if self.directions == "k_means":
      return seeds_lib.k_means_seeds(J, labels, class_ids, seed=self.seed,
                                     num_centres=self.num_centres)
    if self.directions == "adaptive":
      V = adaptive_seeds(J, labels, class_ids, seed=self.seed)
    else:
      V = seeds_lib.mean_gradient_seeds(J, labels, class_ids)
    return seeds_lib.one_per_class(V, labels, class_ids)


@struct.dataclass
class PaperClassifier(Classifier):
  """The seeds of every class, and how they are nudged along."""

  seeds: Seeds
  recipe: PaperRecipe = struct.field(pytree_node=False)

  def scores(self, entities: Entities):
    """Response of N entities to K classes, `[N, K]`; 0 for a class without seeds."""
    seeds, recipe = self.seeds, self.recipe
    responses = self._responses(seeds.columns, entities)
    if recipe.position_scale:
      responses = responses * gaussian_kernel(
          entities.points, seeds.points.reshape(-1, 3), recipe.position_scale)
    mask = seeds.mask[None]
    responses = jnp.where(mask, responses.reshape(-1, *seeds.mask.shape), 0)
    if seeds_lib.REDUCTIONS[recipe.directions] == "max":
      return jnp.max(responses, axis=2)
    return jnp.sum(responses, axis=2) / jnp.maximum(jnp.sum(mask, axis=2), 1)

  def _responses(self, V, entities: Entities):
    """Response of N entities to every direction, `[N, K * m]`, not negative."""
    rendering, step = entities.rendering, self.recipe.paper_step
    # A ray takes memory for every direction: few rays at once where those are many.
    batch_size = max(min(1024, 2**16 // V.shape[1]), 1)
    if self.recipe.response == "3d":
      return response_3d(rendering.weights, rendering.hidden, V, step=step,
                         batch_size=batch_size)
    if self.recipe.nudges_rgb:
      return finite_response(rendering.weights, rendering.hidden, rendering.logits, V,
                             step=step, batch_size=batch_size)
    return jnp.abs(linear_response(entities.J, V)) * step


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
