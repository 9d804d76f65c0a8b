"""How rows are contrasted: the shaping terms of one batch.

`Recipe` holds every choice of the method, the paper's and ours, as plain values, in
groups: which rows (`rows`), which pairs (`pairs`), and here what the loss makes of them.
`shaping_terms` is a pure function of a rendered batch. Over several devices each
sees its part of the rays, but every anchor is contrasted with all rays of all
devices: under `jit` with shardings that is what the code says, under `pmap` the rows
and pair features are gathered along `axis_name`. A returned term is then the device's
share, so that the sum over devices is the whole batch's term.
"""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp

from jnerf.errors import InputError
from jnerf.fields.field import Field
from jnerf.settings import setting, sorted_into
from jnerf.shaping import losses, pairs
from jnerf.shaping.pairs import PairRule
from jnerf.shaping.rows import RowKind, rows_of
from jnerf.structs import Batch, Rendering, Samples


@dataclasses.dataclass(frozen=True)
class Contrast:
  """The contrastive loss and its weight; hashable."""

  contrast_weight: float = setting(1e-3, "weight of the contrastive loss", at_least=0)
  norm_weight: float = setting(0.0, "weight of (|row| - 1)^2; 0 skips it", at_least=0)
  temperature: float = setting(0.2, "of similarities in the softmax", above=0)
  similarity: str = setting("cosine", "of rows; dot: the paper code's",
                            choices=("cosine", "dot"))
  absolute: bool = setting(True, "|similarity|, the mutual-information reading")
  self_positive: bool = setting(False, "the anchor counts as its own positive, as in the "
                                "paper's code")
  positives: str = setting("auto", "what an anchor must resemble: any of its positives, "
                           "which may be wrong, or each; auto: each of the oracle's",
                           choices=("auto", "any", "each"))
  contrast_rays: int = setting(256, "rays of a batch that are contrasted; 0: all",
                               at_least=0)

  def every(self, num_rays: int) -> int:
    """Every how many rays of a batch one is contrasted; InputError where none fits."""
    if not 0 < self.contrast_rays < num_rays:
      return 1
    if num_rays % self.contrast_rays:
      raise InputError(f"shape.contrast_rays={self.contrast_rays} does not divide "
                       f"shape.num_rays={num_rays}; use a divisor, or 0 for all")
    return num_rays // self.contrast_rays


@dataclasses.dataclass(frozen=True)
class Recipe:
  """How a field is shaped; hashable, and with its defaults what the command does.

  oracle: positives are pairs of equal ground-truth labels.
  """

  rows: RowKind = RowKind()
  contrast: Contrast = Contrast()
  pairs: PairRule = PairRule()
  oracle: bool = False

  @classmethod
  def of(cls, *, oracle: bool = False, **settings) -> Recipe:
    """The recipe with these settings of any of its groups; defaults for the rest."""
    return cls(*sorted_into(settings, (RowKind, Contrast, PairRule)), oracle=oracle)

  @property
  def positives(self) -> str:
    """`any` or `each`: the oracle's positives are right, others often are not."""
    if self.contrast.positives == "auto":
      return "each" if self.oracle else "any"
    return self.contrast.positives


def shaping_terms(model: Field, params, batch: Batch, samples: Samples,
                  rendering: Rendering, threshold, key, recipe: Recipe,
                  axis_name: str | None = None):
  """Loss terms, the next threshold, and figures to log.

  batch, samples, rendering: of the same N rays (under `pmap`, this device's).
  threshold: scalar on pair similarities; key: consumed, for random channels and
    the sketch's directions.

  Returns `(terms, threshold, figures)`: unweighted terms, the adapted threshold
  and scalars `positives` (their share of all pairs) and `anchors` (the share of
  entities that had both a positive and a negative).
  """
  contrast, num_devices = recipe.contrast, _num_devices(axis_name)
  every = contrast.every(batch.rgb.shape[0] * num_devices)
  batch, samples, rendering = jax.tree.map(
      lambda x: x[::every], (batch, samples, rendering))
  rows = rows_of(model, params, batch.rays, samples, rendering, key, recipe.rows)
  gather, total = _collectives(axis_name)
  s = losses.gradient_similarity(rows, gather(rows), similarity=contrast.similarity,
                                 absolute=contrast.absolute)
  num, num_all = s.shape
  is_self = _row_numbers(num, axis_name)[:, None] == jnp.arange(num_all)[None, :]
  positive = _positives(batch, rendering, gather, threshold, recipe)
  void = gather(batch.labels) == 0 if recipe.oracle else None
  loss, num_anchors = losses.info_nce(s, positive, is_self, contrast.temperature,
                                      contrast.self_positive, ignored=void,
                                      positives=recipe.positives)
  num_anchors = total(num_anchors)
  terms = {"contrast": loss / jnp.maximum(num_anchors, 1)}
  if contrast.norm_weight:
    terms["norm"] = jnp.sum(losses.unit_norm(rows)) / num_all
  share = total(jnp.sum(positive & ~is_self)) / float(num_all * (num_all - 1))
  if not recipe.oracle:
    threshold = recipe.pairs.adapt(threshold, share)
  return terms, threshold, {"positives": share, "anchors": num_anchors / num_all}


def _positives(batch: Batch, rendering: Rendering, gather, threshold, recipe: Recipe):
  """`[n, N]` which of all entities are positives of this device's."""
  if recipe.oracle:
    return pairs.same_label(batch.labels, gather(batch.labels)) > 0.5
  positive = pairs.similarity_of(batch, rendering, gather, recipe.pairs) > threshold
  if batch.segments is not None:
    positive |= pairs.same_label(batch.segments, gather(batch.segments)) > 0
  return positive


def _num_devices(axis_name) -> int:
  return 1 if axis_name is None else jax.lax.axis_size(axis_name)


def _collectives(axis_name):
  """`(gather, total)` over the devices of `axis_name`; identities without one."""
  if axis_name is None:
    return (lambda x: x), (lambda x: x)
  return (functools.partial(jax.lax.all_gather, axis_name=axis_name, tiled=True),
          functools.partial(jax.lax.psum, axis_name=axis_name))


def _row_numbers(num: int, axis_name):
  """Numbers of this device's rows among the gathered ones."""
  start = 0 if axis_name is None else jax.lax.axis_index(axis_name) * num
  return start + jnp.arange(num)
