"""Everything that training changes, in one pytree that is checkpointed whole."""

from __future__ import annotations

import dataclasses
from typing import Any

from flax import struct
import jax
import jax.numpy as jnp
import optax

from jnerf.errors import InputError
from jnerf.settings import setting


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


@dataclasses.dataclass(frozen=True)
class Schedule:
  """How long a stage trains, on how many rays, and how fast."""

  steps: int = setting(1500, "of training", at_least=1)
  num_rays: int = setting(1024, "rays of a batch", at_least=2)
  learning_rate: float = setting(1e-2, "after the warm-up", above=0)
  final_learning_rate: float = setting(5e-4, "to which it decays", above=0)
  warmup_steps: int = setting(50, "in which it grows; of a shorter training half",
                              at_least=0)

  def check(self, section: str) -> None:
    """Raises InputError where settings contradict one another."""
    if self.final_learning_rate > self.learning_rate:
      raise InputError(
          f"{section}.final_learning_rate={self.final_learning_rate}: must not be above "
          f"{section}.learning_rate={self.learning_rate}")

  @property
  def warmup(self) -> int:
    """Steps of the warm-up, which a quick try of few steps cuts short."""
    return self.warmup_steps if self.warmup_steps < self.steps else self.steps // 2

  def steps_per_call(self, at_most: int) -> int:
    """Into calls of how many steps all are divided evenly."""
    return max(n for n in range(1, min(at_most, self.steps) + 1) if self.steps % n == 0)


def make_optimizer(schedule: Schedule,
                   max_grad_norm: float = 0.0) -> optax.GradientTransformation:
  """Adam with linear warm-up and exponential decay to the final rate.

  epsilon is 1e-15, as in Instant-NGP: rows of a hash table that few samples
  touch have tiny gradients and must not be slowed down by it.

  max_grad_norm: to which gradients are clipped; 0: not at all.
  """
  rate, warmup = schedule.learning_rate, schedule.warmup
  rates = optax.warmup_exponential_decay_schedule(
      init_value=rate / max(warmup, 1), peak_value=rate, warmup_steps=warmup,
      transition_steps=max(schedule.steps - warmup, 1),
      decay_rate=schedule.final_learning_rate / rate)
  adam = optax.adam(rates, b1=0.9, b2=0.99, eps=1e-15)
  if max_grad_norm:
    return optax.chain(optax.clip_by_global_norm(max_grad_norm), adam)
  return adam


def num_params(params) -> int:
  """How many numbers a params tree holds."""
  return sum(leaf.size for leaf in jax.tree.leaves(params))
