"""One training step: a pure function of state, batch and key.

The same function serves a notebook, `jax.jit` with shardings over N devices,
and `jax.pmap(axis_name=...)`: all randomness of the rays lies in the batch, a
loss term is this device's share of the whole batch's term, and with an axis
name shares and gradients are summed over the devices.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import optax

from jnerf.fields import regularizers
from jnerf.fields.model import Model
from jnerf.shaping import contrast
from jnerf.structs import Batch, Rendering
from jnerf.training.state import TrainState


@dataclasses.dataclass(frozen=True)
class Objective:
  """What is minimised; hashable.

  interlevel_weight, distortion_weight: of the field's own regularisers.
  depth_weight: of the error against measured depth, where a batch brings it.
  recipe: how to shape, or None to fit only.
  """

  interlevel_weight: float = 1.0
  distortion_weight: float = 1e-4
  depth_weight: float = 0.0
  recipe: contrast.Recipe | None = None

  def weights(self) -> dict[str, float]:
    """Weight of every term; the total loss is the weighted sum."""
    weights = {"photometric": 1.0, "coarse": 1.0,
               "interlevel": self.interlevel_weight,
               "distortion": self.distortion_weight, "depth": self.depth_weight}
    if self.recipe is not None:
      weights |= {"contrast": self.recipe.contrast_weight,
                  "norm": self.recipe.norm_weight}
    return weights


def train_step(state: TrainState, batch: Batch, key, *, model: Model,
               optimizer: optax.GradientTransformation, objective: Objective,
               axis_name: str | None = None) -> tuple[TrainState, dict]:
  """Returns the next state and scalars to log: `loss`, `psnr` and every term.

  batch: N rays, or under `pmap` this device's part of them. key: consumed; the
  caller derives it as `fold_in(run_key, state.step)`, the same on all devices.
  """
  def loss_fn(params):
    terms, threshold, figures = loss_terms(
        params, state.threshold, batch, key, model=model, objective=objective,
        axis_name=axis_name)
    weights = objective.weights()
    total = sum(weights[name] * term for name, term in terms.items())
    return total, (terms, threshold, figures)

  (total, (terms, threshold, figures)), grads = jax.value_and_grad(
      loss_fn, has_aux=True)(state.params)
  if axis_name is not None:
    total, terms, grads = jax.lax.psum((total, terms, grads), axis_name)
  updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
  new_state = TrainState(
      step=state.step + 1, params=optax.apply_updates(state.params, updates),
      opt_state=opt_state, threshold=threshold)
  logs = {"loss": total, "psnr": -10 * jnp.log10(terms["photometric"]), **terms,
          **figures}
  if objective.recipe is not None:
    logs["threshold"] = state.threshold
  return new_state, logs


def loss_terms(params, threshold, batch: Batch, key, *, model: Model,
               objective: Objective, axis_name: str | None = None):
  """Unweighted terms (shares, see above), next threshold, figures to log."""
  background = 0.0 if batch.background is None else batch.background
  samples = model.sample(params, batch.rays, batch.jitter)
  rendering = model.render(params, batch.rays, samples, background)
  terms = photometric_terms(rendering, batch.rgb, objective)
  if objective.depth_weight and batch.distance is not None:
    terms["depth"] = depth_error(rendering.distance, batch.distance)
  if axis_name is not None:
    num_devices = jax.lax.psum(1, axis_name)
    terms = {name: term / num_devices for name, term in terms.items()}
  if objective.recipe is None:
    return terms, threshold, {}
  shaping, threshold, figures = contrast.shaping_terms(
      model, params, batch, samples, rendering, threshold, key, objective.recipe,
      axis_name)
  return {**terms, **shaping}, threshold, figures


def photometric_terms(rendering: Rendering, rgb, objective: Objective) -> dict:
  """Mean squared colour error and the field's own regularisers."""
  terms = {"photometric": jnp.mean((rendering.rgb - rgb) ** 2)}
  if rendering.coarse_rgb is not None:
    terms["coarse"] = jnp.mean((rendering.coarse_rgb - rgb) ** 2)
  elif objective.interlevel_weight:
    (proposal_t, proposal_weights), = rendering.proposals
    terms["interlevel"] = regularizers.interlevel(
        rendering.t, rendering.weights, proposal_t, proposal_weights)
  if objective.distortion_weight and rendering.coarse_rgb is None:
    terms["distortion"] = regularizers.distortion(rendering.t, rendering.weights)
  return terms


def depth_error(rendered, measured):
  """Mean relative error of distances `[N]`; rays without a measurement count 0.

  Relative, so that it means the same in every unit; absolute rather than squared,
  since sensors err by a lot at the edges of things. A mean over all rays rather than
  over the measured ones, so that devices' shares of it add up.
  """
  known = measured > 0
  error = jnp.abs(rendered - measured) / jnp.where(known, measured, 1.0)
  return jnp.mean(jnp.where(known, error, 0.0))
