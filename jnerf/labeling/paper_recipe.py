"""The paper's way from labelled gradients to a label map, with all its choices.

Seeds of one kind (`seeds`), nudges along them, the responses of a class's seeds
joined to one (their mean, or the largest), and the clean-up of a view's responses.
Source: JacobiNeRF (arXiv 2304.00341), section 4 and its code.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from jnerf.labeling import seeds as seeds_lib
from jnerf.labeling.adaptive import adaptive_seeds
from jnerf.labeling.response import finite_response, linear_response, response_3d
from jnerf.labeling.seeds import Seeds
from jnerf.shaping.pairs import gaussian_kernel
from jnerf.structs import Entities


@dataclasses.dataclass(frozen=True)
class PaperRecipe:
  """What is nudged, how far, and whose response counts.

  step: length of the nudge; the directions have unit length (the paper's code
    takes the mean gradient as it is, whose length its loss keeps near 1).
  finite: exact change of the colours, needs the samples and gradients of the rgb
    kernel; otherwise `|J . v| * step`, its limit for small steps.
  directions: a kind of `seeds.REDUCTIONS`; num_centres: of `k_means`, a class.
  response: `2d`, the change of a pixel's colour, or `3d`, the change at every
    sample, composited; 3d needs what `finite` needs.
  position_scale: metres, > 0: the response to a labelled pixel fades with the
    distance from it; needs directions that are pixels, `mean_response`.
  seed: of random choices in k-means and in adaptive selection.
  """

  step: float
  finite: bool = True
  directions: str = "mean_gradient"
  num_centres: int = 4
  response: str = "2d"
  position_scale: float = 0.0
  seed: int = 0

  @property
  def needs_samples(self) -> bool:
    """Whether `responses` reads what was computed at the rays' samples."""
    return self.finite or self.response == "3d"

  def fit(self, entities: Entities, labels, class_ids) -> Seeds:
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

  def scores(self, seeds: Seeds, entities: Entities):
    """Response of N entities to K classes, `[N, K]`; 0 for a class without seeds."""
    responses = self._responses(seeds.columns, entities)
    if self.position_scale:
      responses = responses * gaussian_kernel(
          entities.points, seeds.points.reshape(-1, 3), self.position_scale)
    mask = seeds.mask[None]
    responses = jnp.where(mask, responses.reshape(-1, *seeds.mask.shape), 0)
    if seeds_lib.REDUCTIONS[self.directions] == "max":
      return jnp.max(responses, axis=2)
    return jnp.sum(responses, axis=2) / jnp.maximum(jnp.sum(mask, axis=2), 1)

  def _responses(self, V, entities: Entities):
    """Response of N entities to every direction, `[N, K * m]`, not negative."""
    rendering = entities.rendering
    # A ray takes memory for every direction: few rays at once where those are many.
    batch_size = max(min(1024, 2**16 // V.shape[1]), 1)
    if self.response == "3d":
      return response_3d(rendering.weights, rendering.hidden, V, step=self.step,
                         batch_size=batch_size)
    if self.finite:
      return finite_response(rendering.weights, rendering.hidden, rendering.logits, V,
                             step=self.step, batch_size=batch_size)
    return jnp.abs(linear_response(entities.J, V)) * self.step


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
