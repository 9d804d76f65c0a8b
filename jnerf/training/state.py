"""Everything that training changes, in one pytree that is checkpointed whole."""

from __future__ import annotations

from typing import Any

from flax import struct
import jax
import jax.numpy as jnp
import optax

from jnerf.fields.model import Model


@struct.dataclass
class TrainState:
  """A point in training; with the run's key it determines all that follows.

  step: int32 scalar, steps done.
  params: the model's parameters.
  opt_state: the optimiser's.
  threshold: float32 scalar, the adaptive threshold on pair similarities.
  """

  step: Any
  params: Any
  opt_state: Any
  threshold: Any


def create(params, optimizer: optax.GradientTransformation,
           threshold: float = 0.0) -> TrainState:
  """The state before the first step, with given params."""
  return TrainState(step=jnp.zeros((), jnp.int32), params=params,
                    opt_state=optimizer.init(params),
                    threshold=jnp.asarray(threshold, jnp.float32))


def initialize(model: Model, optimizer: optax.GradientTransformation, key) -> TrainState:
  """The state of a fresh model; the key is consumed."""
  return create(model.init(key), optimizer)


def make_optimizer(*, steps: int, learning_rate: float, final_learning_rate: float,
                   warmup_steps: int,
                   max_grad_norm: float = 0.0) -> optax.GradientTransformation:
  """Adam with linear warm-up and exponential decay to the final rate.

  epsilon is 1e-15, as in Instant-NGP: rows of a hash table that few samples
  touch have tiny gradients and must not be slowed down by it.
  """
  schedule = optax.warmup_exponential_decay_schedule(
      init_value=learning_rate / max(warmup_steps, 1), peak_value=learning_rate,
      warmup_steps=warmup_steps, transition_steps=max(steps - warmup_steps, 1),
      decay_rate=final_learning_rate / learning_rate)
  adam = optax.adam(schedule, b1=0.9, b2=0.99, eps=1e-15)
  if max_grad_norm:
    return optax.chain(optax.clip_by_global_norm(max_grad_norm), adam)
  return adam


def num_params(params) -> int:
  """How many numbers a params tree holds."""
  return sum(leaf.size for leaf in jax.tree.leaves(params))
