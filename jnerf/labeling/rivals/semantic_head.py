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

from jnerf.fields.field import Field
from jnerf.fields.samplers import points_along
from jnerf.labeling.assignment import Assignment, Classifier
from jnerf.rendering import compositing
from jnerf.structs import Array, Batch, Entities, Rays
from jnerf.training.loop import finite_logs, scan_steps

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

  labelled_rays: L, drawn anew each step.
  semantic_weight: of the cross-entropy, beside the mean squared error of colours, which
    a fitted field has brought to 1e-4 (the paper's 0.04 is for training from scratch).
  learning_rate: the field's; the head, which is new, has ten times as much.
  """

  labelled_rays: int = 384
  semantic_weight: float = 0.004
  learning_rate: float = 3e-3


@struct.dataclass
class LabelledRays:
  """rays: L rays; jitter: `[L, 2]`; target: `[L]` which class, counted from 0."""

  rays: Rays
  jitter: Array
  target: Array


@dataclasses.dataclass(frozen=True, eq=False)
class SemanticHead(Assignment):
  """Trains a copy of a fitted field with a head for every set of labels.

  model, params: the fitted field; batches: the photometric batches, with a leading axis
  of steps.
  """

  model: Field
  params: Any
  batches: Batch
  training: HeadTraining = HeadTraining()

  @property
  def needs_samples(self) -> bool:
    return True

  def fit(self, entities: Entities, labels, class_ids) -> HeadClassifier:
    num_classes = len(class_ids)
    labelled = draw_labelled(entities.rays, labels, class_ids,
                             self.batches.rgb.shape[0], self.training.labelled_rays)
    outputs = CLASSES * -(-num_classes // CLASSES)
    num_steps = self.batches.rgb.shape[0]
    trained, logs = train_head(self.model, self.training, outputs, self.params,
                               self.batches, labelled, np.int32(num_classes))
    finite_logs(logs, 0, num_steps)
    return HeadClassifier(trained, jnp.arange(num_classes), self.model)


@struct.dataclass
class HeadClassifier(Classifier):
  """A trained field and head; used: `[K]` the outputs in use."""

  trained: Any
  used: Array
  model: Field = struct.field(pytree_node=False)

  def scores(self, entities: Entities):
    outputs = self.trained["head"]["classes"]["bias"].shape[0]
    logits = render_classes(self.model, Head(outputs), self.trained, entities.rays,
                            entities.rendering.t)
    return logits[:, self.used]


def draw_labelled(rays: Rays, labels, class_ids, num_steps: int,
                  num_rays: int) -> LabelledRays:
  """Labelled rays for all steps, `[num_steps, num_rays, ...]`, every class as often.

  However many labels there are, the shapes are the same, and nothing is compiled anew.
  """
  random = np.random.default_rng(0)
  same = np.asarray(labels)[:, None] == np.asarray(class_ids)[None, :]
  chances = np.max(same / np.maximum(same.sum(axis=0), 1), axis=1)
  index = random.choice(len(same), (num_steps, num_rays), p=chances / chances.sum())
  jitter = random.random((num_steps, num_rays, 2), np.float32) - np.float32(0.5)
  return LabelledRays(jax.tree.map(lambda leaf: np.asarray(leaf)[index], rays), jitter,
                      np.argmax(same, axis=1).astype(np.int32)[index])


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def train_head(model: Field, training: HeadTraining, outputs: int, params,
               batches: Batch, labelled: LabelledRays, num_classes):
  """`(params, logs)`: of the trained copy, `field`, and of its head, `head`.

  batches, labelled: with a leading axis of steps. num_classes: of the outputs, how many
  are in use. The sampler stays as it is. logs: as of `training.loop.scan_steps`.
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
    samples = model.sample(params, batch.rays, batch.jitter)
    rendering = model.render(learnt, batch.rays, samples, batch.background)
    samples = model.sample(params, labelled.rays, labelled.jitter)
    logits = render_classes(model, head, learnt, labelled.rays, samples.t)
    logits = jnp.where(jnp.arange(outputs)[None, :] < num_classes, logits, -1e9)
    errors = optax.softmax_cross_entropy_with_integer_labels(logits, labelled.target)
    return (jnp.mean((rendering.rgb - batch.rgb) ** 2)
            + training.semantic_weight * jnp.mean(errors))

  def one_step(state, step):
    learnt, opt_state = state
    loss, grads = jax.value_and_grad(loss_fn)(learnt, *step)
    updates, opt_state = optimizer.update(grads, opt_state, learnt)
    return (optax.apply_updates(learnt, updates), opt_state), {"loss": loss}

  (learnt, _), logs = scan_steps(
      one_step, (start, optimizer.init(start)), (batches, labelled))
  return learnt, logs


def render_classes(model: Field, head: Head, params, rays: Rays, t):
  """Class logits `[N, outputs]` of rays at the samples `t [N, S + 1]`.

  A single sample is a point, and opaque.
  """
  output = model.at_points(params, points_along(rays, t), rays.viewdirs)
  if t.shape[1] == 2:
    weights = jnp.ones_like(output.sigma)
  else:
    # Clicks teach the trunk, but are too few to say where surfaces are.
    weights = jax.lax.stop_gradient(compositing.compositing_weights(output.sigma, t))
  logits = head.apply({"params": params["head"]}, output.geometry)
  return compositing.composite(weights, logits)
