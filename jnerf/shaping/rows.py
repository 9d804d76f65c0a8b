"""Rows: what shaping aligns of an entity, its gradient or, by choice, its activation.

An entity is a pixel, by the ray through it, or the 3D point that the ray meets. A
`RowKind` says which row an entity has; how rows are contrasted is no matter of it
(`contrast`), so that labelling, which compares the same rows, knows nothing of losses.
"""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp

from jnerf.errors import InputError
from jnerf.fields.field import RGB_KERNEL, Field
from jnerf.settings import setting
from jnerf.shaping import activations, jacobians, parameters
from jnerf.structs import Rays, Rendering, Samples

WIDEST = 8192  # parameters whose gradients `auto` keeps whole: 32 KB an entity


@dataclasses.dataclass(frozen=True)
class RowKind:
  """Which row an entity has; hashable.

  With activations none of the next four settings is asked but with its default.
  """

  align: str = setting("gradients", "what is aligned: gradients, or activations of the "
                       "layer that feeds rgb", choices=("gradients", "activations"))
  params: str = setting(RGB_KERNEL, "pattern of the parameters whose gradients are "
                        "aligned")
  jacobian: str = setting("auto", "how gradients are computed; auto: the closed form "
                          "where it holds, a sketch of very many, else vjp",
                          choices=("auto", "closed_form", "vjp", "sketch"))
  sketch_directions: int = setting(256, "width of a sketch", at_least=1)
  value_channel: str = setting("mean", "colour whose gradient is taken; random: one "
                               "channel a step, as the paper's code",
                               choices=("mean", "random"))
  entities: str = setting("pixels", "pixels, or the 3D points that their rays meet",
                          choices=("pixels", "points"))

  def check(self, section: str) -> None:
    """Raises InputError where settings contradict one another."""
    if not self.params:
      raise InputError(f"{section}.params='': must name parameters, as "
                       f"{RGB_KERNEL!r} does")
    if self.align == "gradients":
      return
    for key, only, why in (
        ("params", RGB_KERNEL, "of the layer that feeds rgb"),
        ("jacobian", "auto", "no gradients"), ("value_channel", "mean", "of no channel")):
      if getattr(self, key) != only:
        raise InputError(f"{section}.{key}={getattr(self, key)!r}: must be {only} with "
                         f"{section}.align=activations, which are {why}")

  def for_labels(self, entities: str) -> RowKind:
    """The rows that labelling compares of `pixels` or `points`: of no random channel."""
    return dataclasses.replace(self, value_channel="mean", entities=entities)

  @property
  def nudges_rgb(self) -> bool:
    """Whether rows are whole gradients of the `rgb` kernel, which can move it."""
    return (self.align == "gradients" and self.params == RGB_KERNEL
            and self.jacobian != "sketch")


def rows_of(model: Field, params, rays: Rays, samples: Samples, rendering: Rendering, key,
            kind: RowKind):
  """`[N, P]` rows of the entities of N rays (a sketch's are `[N, K]`).

  samples, rendering: of these rays; key: consumed, for random channels and the sketch's
  directions, which are the same for equal keys.
  """
  if kind.align == "gradients":
    return _gradients(model, params, rays, samples, rendering, key, kind)
  if kind.entities == "pixels":
    return activations.of_rays(rendering)
  points = surface_points(rays, rendering)
  return activations.of_points(
      model.at_points(params, points[:, None, :], rays.viewdirs))


def surface_points(rays: Rays, rendering: Rendering):
  """`[N, 3]` where the rays meet half of their opacity; no gradient flows."""
  return points_at(rays, jax.lax.stop_gradient(rendering.distance_median))


def points_at(rays: Rays, distance):
  """`[N, 3]` points at `distance [N]` along the rays."""
  return rays.origins + distance[:, None] * rays.directions


def jacobian_method(model: Field, params, kind: RowKind) -> str:
  """How the gradients are computed, `auto` resolved."""
  if kind.jacobian != "auto":
    return kind.jacobian
  if kind.params == model.closed_form_rows:
    return "closed_form"
  selected, _ = parameters.split(params, kind.params)
  return "sketch" if sum(leaf.size for leaf in selected.values()) > WIDEST else "vjp"


def _gradients(model, params, rays, samples, rendering, key, kind):
  channel_key, sketch_key = jax.random.split(key)
  channel = jnp.asarray(jacobians.MEAN_CHANNEL)
  if kind.value_channel == "random":
    channel = jax.nn.one_hot(jax.random.randint(channel_key, (), 0, 3), 3)
  values_fn, entities = _values(model, rays, samples, rendering, channel, kind)
  method = jacobian_method(model, params, kind)
  if method == "closed_form":
    if kind.entities == "pixels":
      return jacobians.closed_form(rendering, channel)
    points, viewdirs = entities
    output = model.at_points(params, points[:, None, :], viewdirs)
    return jacobians.closed_form_points(output.hidden[:, 0], output.logits[:, 0], channel)
  if method == "vjp":
    return jacobians.by_vjp(values_fn, params, kind.params, *entities)
  return jacobians.sketch(values_fn, params, kind.params, kind.sketch_directions,
                          sketch_key, *entities)


def _values(model, rays, samples, rendering, channel, kind):
  """The values function of the kind's entities, and the entities themselves."""
  if kind.entities == "pixels":
    # The samplers' own beliefs are not needed again, only where they looked.
    return (functools.partial(jacobians.ray_values, model, channel=channel),
            (rays, Samples(t=samples.t)))
  return (functools.partial(jacobians.point_values, model, channel=channel),
          (surface_points(rays, rendering), rays.viewdirs))
