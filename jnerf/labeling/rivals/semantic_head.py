"""A rival: a semantic head on the field, trained on the clicks.

After Semantic-NeRF (Zhi et al. 2021): class scores of points, from what the field knows
of them before it is told the direction, are rendered like colours; a copy of the fitted
field learns them by cross-entropy at the labelled pixels and goes on learning the
photographs beside it. Every set of labels takes a training of its own.

Notation: N rays, S samples, K classes, L labelled rays of a step.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from flax import struct
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from jnerf.fields.model import Model
from jnerf.fields.samplers import points_along
from jnerf.labeling.assignment import Assignment
from jnerf.rendering import compositing
from jnerf.structs import Array, Batch, Rays

CLASSES = 32  # the head's outputs come in multiples, so that it is compiled once


class Head(nn.Module):
  """`geometry [N, S, G] -> logits [N, S, outputs]`."""

  outputs: int
  width: int = 64

  @nn.compact
  def __call__(self, geometry):
    hidden = nn.relu(nn.Dense(self.width, name="trunk")(nn.relu(geometry)))
    return nn.Dense(self.outputs, name="classes")(hidden)


@dataclasses.dataclass(frozen=True)
class HeadTraining:
  """How a head is trained; hashable.

  labelled_rays: L, drawn anew each step, of every class as many.
  semantic_weight: of the cross-entropy, beside the mean squared error of colours.
  """

  labelled_rays: int = 128
  semantic_weight: float = 0.04
  learning_rate: float = 1e-3


@struct.dataclass
class LabelledRays:
  """rays: L rays; jitter: `[L, 2]`; target: `[L]` which class, counted from 0."""

  rays: Rays
  jitter: Array
  target: Array


@struct.dataclass
class HeadState:
  """params: of the field and, under `head`, of the head; classes: `[K]` its outputs."""

  params: Any
  classes: Array


def semantic_head(model: Model, params, batches: Batch,
                  training: HeadTraining = HeadTraining()) -> Assignment:
  """Trains a copy of `params` with a head for every set of labels.

  batches: the photometric batches, with a leading axis of steps.
  """

  def fit(entities, labels, class_ids):
    num_steps = batches.rgb.shape[0]
    outputs = CLASSES * -(-len(class_ids) // CLASSES)
    labelled = draw_labelled(entities.rays, labels, class_ids, num_steps,
                             training.labelled_rays)
    trained = train_head(model, training, outputs, params, batches, labelled,
                         np.int32(len(class_ids)))
    return HeadState(trained, jnp.arange(len(class_ids)))

  def scores(state, entities):
    outputs = state.params["head"]["classes"]["bias"].shape[0]
    t = entities.rendering.t
    _, logits = render_classes(model, Head(outputs), state.params, entities.rays, t)
    return logits[:, state.classes]

  return Assignment(fit, scores, needs_samples=True)


def draw_labelled(rays: Rays, labels, class_ids, num_steps: int,
                  num_rays: int) -> LabelledRays:
  """Labelled rays for all steps, `[num_steps, num_rays, ...]`; every class as often."""
  random = np.random.default_rng(0)
  labels = np.asarray(labels)
  of_class = [np.flatnonzero(labels == c) for c in class_ids]
  seen = np.array([k for k, rows in enumerate(of_class) if len(rows)])
  target = random.choice(seen, (num_steps, num_rays))
  place = random.random((num_steps, num_rays))
  counts = np.array([len(rows) for rows in of_class])
  firsts = np.cumsum(counts) - counts
  index = np.concatenate(of_class)[firsts[target] + (place * counts[target]).astype(int)]
  jitter = random.random((num_steps, num_rays, 2), np.float32) - np.float32(0.5)
  return LabelledRays(jax.tree.map(lambda leaf: np.asarray(leaf)[index], rays), jitter,
                      target.astype(np.int32))


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def train_head(model: Model, training: HeadTraining, outputs: int, params,
               batches: Batch, labelled: LabelledRays, num_classes):
  """Params of the trained copy of the field, with those of the head under `head`.

  batches, labelled: with a leading axis of steps. num_classes: of the outputs, how many
  are in use. The sampler stays as it is.
  """
  head = Head(outputs)
  geometry = jax.eval_shape(
      lambda: model.at_points(params, jnp.zeros((1, 1, 3)), jnp.zeros((1, 3)))).geometry
  fresh = head.init(jax.random.key(0), jnp.zeros(geometry.shape))["params"]
  start = {"field": params["field"], "head": fresh}
  num_steps = batches.rgb.shape[0]
  rates = {"field": training.learning_rate, "head": 10 * training.learning_rate}
  optimizer = optax.multi_transform({name: optax.adam(
      optax.cosine_decay_schedule(rate, num_steps), b2=0.99, eps=1e-15)
      for name, rate in rates.items()}, {name: name for name in rates})

  def loss_fn(learnt, batch, labelled):
    moved = {**learnt, "sampler": params["sampler"]}
    samples = model.sample(params, batch.rays, batch.jitter)
    rendering = model.render(moved, batch.rays, samples, batch.background)
    samples = model.sample(params, labelled.rays, labelled.jitter)
    _, logits = render_classes(model, head, moved, labelled.rays, samples.t)
    logits = jnp.where(jnp.arange(outputs)[None, :] < num_classes, logits, -1e9)
    errors = optax.softmax_cross_entropy_with_integer_labels(logits, labelled.target)
    return (jnp.mean((rendering.rgb - batch.rgb) ** 2)
            + training.semantic_weight * jnp.mean(errors))

  def one_step(state, step):
    learnt, opt_state = state
    grads = jax.grad(loss_fn)(learnt, *step)
    updates, opt_state = optimizer.update(grads, opt_state, learnt)
    return (optax.apply_updates(learnt, updates), opt_state), None

  (learnt, _), _ = jax.lax.scan(
      one_step, (start, optimizer.init(start)), (batches, labelled))
  return {**learnt, "sampler": params["sampler"]}


def render_classes(model: Model, head: Head, params, rays: Rays, t):
  """Class logits `[N, outputs]` at the samples `t [N, S + 1]`; and the weights.

  One sample is a point, and opaque.
  """
  output = model.at_points(params, points_along(rays, t), rays.viewdirs)
  if t.shape[1] == 2:
    weights = jnp.ones_like(output.sigma)
  else:
    weights = compositing.compositing_weights(output.sigma, t)
  logits = head.apply({"params": params["head"]}, output.geometry)
  return weights, compositing.composite(weights, logits)
