"""One training step: a pure function of state, batch and key.

The same function serves a notebook, `jax.jit` with shardings over N devices,
and `jax.pmap(axis_name=...)`: all randomness of the rays lies in the batch, a
loss term is this device's share of the whole batch's term, and with an axis
name shares and gradients are summed over the devices.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from jnerf.fields.field import Field
from jnerf.shaping import contrast
from jnerf.structs import Batch
from jnerf.training.objective import Objective, photographic_terms
from jnerf.training.state import TrainState


def train_step(state: TrainState, batch: Batch, key, *, model: Field,
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
    weighted = objective.weighted(terms)
    terms = {name: terms[name] for name in weighted}  # one of no weight costs nothing
    return sum(weighted.values()), (terms, threshold, figures)

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


def loss_terms(params, threshold, batch: Batch, key, *, model: Field,
               objective: Objective, axis_name: str | None = None):
  """Unweighted terms (shares, see above), next threshold, figures to log."""
  background = 0.0 if batch.background is None else batch.background
  samples = model.sample(params, batch.rays, batch.jitter)
  rendering = model.render(params, batch.rays, samples, background)
  terms = {**photographic_terms(rendering, batch), **model.regularizers(rendering)}
  if axis_name is not None:
    num_devices = jax.lax.psum(1, axis_name)
    terms = {name: term / num_devices for name, term in terms.items()}
  if objective.recipe is None:
    return terms, threshold, {}
  shaping, threshold, figures = contrast.shaping_terms(
      model, params, batch, samples, rendering, threshold, key, objective.recipe,
      axis_name)
  return {**terms, **shaping}, threshold, figures
