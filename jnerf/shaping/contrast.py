"""The shaping terms of one batch: its entities' rows, pairs and the losses on them.

A row is what is aligned of an entity: its gradient or, by choice, its activation.
`Recipe` holds every choice of the method, the paper's and ours, as plain values;
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

from jnerf.fields.model import Model
from jnerf.shaping import activations, jacobians, losses, pairs, parameters
from jnerf.structs import Batch, Rendering, Samples

RGB_KERNEL = "field/rgb/kernel"
WIDEST = 8192  # parameters whose gradients `auto` keeps whole: 32 KB an entity


@dataclasses.dataclass(frozen=True)
class Recipe:
  """How a field is shaped; hashable.

  align: `gradients`, or `activations` of the layer that feeds `rgb`, for which none of
    the next four is asked but with its default.
  params: pattern of the parameters whose gradients are aligned.
  jacobian: `closed_form`, `vjp`, `sketch`, or `auto`: the closed form where it holds,
    a sketch of more than `WIDEST` parameters, else reverse mode.
  sketch_directions: K of the sketch.
  value_channel: `mean` of the channels, or a `random` one each step (paper code).
  entities: `pixels`, or the 3D `points` that the pixels' rays meet.
  contrast_weight, norm_weight: weights of the two terms; the norm's 0 skips it.
  temperature, similarity, absolute, self_positive, positives: see `losses`.
  every: contrast every `every`-th ray of a batch.
  min_positives, max_positives, threshold_rate: see `pairs.adapt_threshold`.
  color_scale, position_scale, normal_scale: > 0 joins the photographed colour, the 3D
    position and the surface's normal, see `pairs.gaussian_kernel`.
  geometry: who tells positions: the `field`, or the `sensor` where it measured.
  oracle: positives are pairs of equal ground-truth labels.
  """

  align: str = "gradients"
  params: str = RGB_KERNEL
  jacobian: str = "auto"
  sketch_directions: int = 256
  value_channel: str = "mean"
  entities: str = "pixels"
  contrast_weight: float = 1e-3
  norm_weight: float = 0.0
  temperature: float = 0.1
  similarity: str = "cosine"
  absolute: bool = True
  self_positive: bool = False
  positives: str = "any"
  every: int = 1
  min_positives: float = 0.05
  max_positives: float = 0.15
  threshold_rate: float = 1e-3
  color_scale: float = 0.0
  position_scale: float = 0.0
  normal_scale: float = 0.0
  geometry: str = "field"
  oracle: bool = False


def shaping_terms(model: Model, params, batch: Batch, samples: Samples,
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
  batch, samples, rendering = jax.tree.map(
      lambda x: x[::recipe.every], (batch, samples, rendering))
  rows = entity_rows(model, params, batch, samples, rendering, key, recipe)
  gather, total = _collectives(axis_name)
  s = losses.gradient_similarity(rows, gather(rows), similarity=recipe.similarity,
                                 absolute=recipe.absolute)
  num, num_all = s.shape
  is_self = _row_numbers(num, axis_name)[:, None] == jnp.arange(num_all)[None, :]
  similarity = pair_similarity(batch, rendering, gather, recipe)
  positive = similarity > (0.5 if recipe.oracle else threshold)
  if batch.segments is not None:
    positive |= pairs.same_label(batch.segments, gather(batch.segments)) > 0

  void = gather(batch.labels) == 0 if recipe.oracle else None
  loss, num_anchors = losses.info_nce(s, positive, is_self, recipe.temperature,
                                      recipe.self_positive, ignored=void,
                                      positives=recipe.positives)
  num_anchors = total(num_anchors)
  terms = {"contrast": loss / jnp.maximum(num_anchors, 1)}
  if recipe.norm_weight:
    terms["norm"] = jnp.sum(losses.unit_norm(rows)) / num_all
  share = total(jnp.sum(positive & ~is_self)) / float(num_all * (num_all - 1))
  if not recipe.oracle:
    threshold = pairs.adapt_threshold(
        threshold, share, min_share=recipe.min_positives,
        max_share=recipe.max_positives, rate=recipe.threshold_rate)
  return terms, threshold, {"positives": share, "anchors": num_anchors / num_all}


def entity_rows(model: Model, params, batch: Batch, samples: Samples,
                rendering: Rendering, key, recipe: Recipe):
  """`[N, P]` what the recipe aligns of a batch's entities; the key is consumed.

  Labelling takes the same rows of what it labels.
  """
  if recipe.align == "gradients":
    return entity_gradients(model, params, batch, samples, rendering, key, recipe)
  if recipe.entities == "pixels":
    return activations.of_rays(rendering)
  points = surface_points(batch, rendering)
  return activations.of_points(
      model.at_points(params, points[:, None, :], batch.rays.viewdirs))


def entity_gradients(model: Model, params, batch: Batch, samples: Samples,
                     rendering: Rendering, key, recipe: Recipe):
  """`J [N, P]` (or its sketch `[N, K]`) of a batch's entities; the key is consumed."""
  channel_key, sketch_key = jax.random.split(key)
  channel = jnp.asarray(jacobians.MEAN_CHANNEL)
  if recipe.value_channel == "random":
    channel = jax.nn.one_hot(jax.random.randint(channel_key, (), 0, 3), 3)
  values_fn, entities = _entities(model, batch, samples, rendering, channel, recipe)
  method = _method(params, recipe)
  if method == "closed_form":
    if recipe.entities == "pixels":
      return jacobians.closed_form(rendering, channel)
    points, viewdirs = entities
    output = model.at_points(params, points[:, None, :], viewdirs)
    return jacobians.closed_form_points(output.hidden[:, 0], output.logits[:, 0], channel)
  if method == "vjp":
    return jacobians.by_vjp(values_fn, params, recipe.params, *entities)
  return jacobians.sketch(values_fn, params, recipe.params, recipe.sketch_directions,
                          sketch_key, *entities)


def _method(params, recipe: Recipe) -> str:
  """How J is computed, `auto` resolved."""
  if recipe.jacobian != "auto":
    return recipe.jacobian
  if recipe.params == RGB_KERNEL:
    return "closed_form"
  selected, _ = parameters.split(params, recipe.params)
  return "sketch" if sum(leaf.size for leaf in selected.values()) > WIDEST else "vjp"


def _entities(model, batch, samples, rendering, channel, recipe):
  """The values function of the recipe's entities, and the entities themselves."""
  if recipe.entities == "pixels":
    # The samplers' own beliefs are not needed again, only where they looked.
    places = Samples(t=samples.t)
    return (functools.partial(jacobians.ray_values, model, channel=channel),
            (batch.rays, places))
  return (functools.partial(jacobians.point_values, model, channel=channel),
          (surface_points(batch, rendering), batch.rays.viewdirs))


def surface_points(batch: Batch, rendering: Rendering):
  """`[N, 3]` where the rays meet half of their opacity; no gradient flows."""
  return _points_at(batch, jax.lax.stop_gradient(rendering.distance_median))


def _points_at(batch, distance):
  return batch.rays.origins + distance[:, None] * batch.rays.directions


def pair_similarity(batch: Batch, rendering: Rendering, gather, recipe: Recipe):
  """`[n, N]` similarity of this device's entities with all, for choosing pairs."""
  if recipe.oracle:
    return pairs.same_label(batch.labels, gather(batch.labels))
  similarity = pairs.feature_similarity(batch.features, gather(batch.features))
  for scale, rows_fn in (
      (recipe.color_scale, lambda: batch.rgb),
      (recipe.position_scale, lambda: _places(batch, rendering, recipe)),
      (recipe.normal_scale, lambda: pairs.unit_rows(batch.normals))):
    if scale:
      rows = rows_fn()
      similarity = similarity * pairs.gaussian_kernel(rows, gather(rows), scale)
  return similarity


def _places(batch: Batch, rendering: Rendering, recipe: Recipe):
  """`[N, 3]` where the rays meet a surface, as whom the recipe trusts says."""
  distance = jax.lax.stop_gradient(rendering.distance_median)
  if recipe.geometry == "sensor":
    distance = jnp.where(batch.distance > 0, batch.distance, distance)
  return _points_at(batch, distance)


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
