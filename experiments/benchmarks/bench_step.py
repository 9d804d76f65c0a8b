"""What shaping costs: shaped step / plain step, for both fields, in one run.

What: the same rays, the same model; closed-form Jacobian of the rgb kernel, and
for comparison the general path (vmap of vjp) and a sketch. Steps of the variants
take turns, so that a noisy machine disturbs all of them alike; medians.

  python experiments/benchmarks/bench_step.py [--num_rays=1024] [--rounds=20]

Hardware and figures: experiments/results/bench_step.md
"""

import statistics
import time

from absl import app, flags
import jax
import jax.numpy as jnp

from jnerf.fields.kinds import grid_model, mlp_model
from jnerf.fields.spaces import Box
from jnerf.shaping.contrast import Recipe
from jnerf.structs import Batch, Rays
from jnerf.training import state as state_lib
from jnerf.training.objective import Objective
from jnerf.training.step import train_step

_RAYS = flags.DEFINE_integer("num_rays", 1024, "Rays a step of the grid field.")
_MLP_RAYS = flags.DEFINE_integer("num_mlp_rays", 64, "Rays a step of the mlp field.")
_ROUNDS = flags.DEFINE_integer("rounds", 20, "Timed rounds, after one for warming up.")
_FIELDS = flags.DEFINE_list("fields", ["grid", "mlp"], "Which fields.")
_SLOW = flags.DEFINE_bool("general", False, "Also time vjp and sketch Jacobians.")

SPACE = Box(((-2.5, -2.0, 0.0), (2.5, 2.0, 2.6)))


def random_batch(num_rays: int, num_features: int = 32) -> Batch:
  """Rays from the middle of the box in all directions, with random targets."""
  keys = jax.random.split(jax.random.key(0), 5)
  directions = jax.random.normal(keys[0], (num_rays, 3))
  directions /= jnp.linalg.norm(directions, axis=-1, keepdims=True)
  ones = jnp.ones((num_rays, 1))
  rays = Rays(jnp.array([[0.0, 0.0, 1.3]]) * ones, directions, directions, 0.1 * ones,
              4.0 * ones)
  return Batch(
      rays, jax.random.uniform(keys[1], (num_rays, 3)),
      features=jax.random.normal(keys[2], (num_rays, num_features)),
      jitter=jax.random.uniform(keys[3], (num_rays, 2), minval=-0.5, maxval=0.5),
      background=jax.random.uniform(keys[4], (num_rays, 3)))


def variants() -> dict[str, Recipe | None]:
  """Name to recipe; None is the plain step."""
  recipes = {"plain": None, "shaped": Recipe(),
             "shaped by activations": Recipe.of(align="activations"),
             "shaped, all rays contrasted": Recipe.of(contrast_rays=0)}
  if _SLOW.value:
    recipes |= {"vmap of vjp": Recipe.of(jacobian="vjp"),
                "sketch, K = 64": Recipe.of(jacobian="sketch", sketch_directions=64)}
  return recipes


def seconds_per_step(model, num_rays: int) -> dict[str, float]:
  """Median seconds of every variant."""
  params = jax.jit(model.init)(jax.random.key(1))
  optimizer = state_lib.make_optimizer(state_lib.Schedule())
  batch, key = random_batch(num_rays), jax.random.key(2)
  state = state_lib.create(params, optimizer, 0.5)

  def compiled(recipe):
    def step(state, batch, key):
      return train_step(state, batch, key, model=model, optimizer=optimizer,
                        objective=Objective(recipe=recipe))
    return jax.jit(step).lower(state, batch, key).compile()

  steps = {name: compiled(recipe) for name, recipe in variants().items()}
  times = {name: [] for name in steps}
  for i in range(_ROUNDS.value + 1):
    for name, step in steps.items():
      began = time.perf_counter()
      jax.block_until_ready(step(state, batch, key))
      if i:
        times[name].append(time.perf_counter() - began)
  return {name: statistics.median(values) for name, values in times.items()}


def main(argv) -> None:
  """Prints one table per field."""
  del argv
  print(f"{jax.devices()[0].device_kind}, {jax.device_count()} device(s)")
  makers = {"grid": (grid_model, _RAYS.value), "mlp": (mlp_model, _MLP_RAYS.value)}
  for name in _FIELDS.value:
    make, num_rays = makers[name]
    times = seconds_per_step(make(SPACE), num_rays)
    print(f"\n{name}, {num_rays} rays a step")
    for variant, seconds in times.items():
      print(f"  {variant:28s} {1e3 * seconds:9.1f} ms   {num_rays / seconds:12,.0f} "
            f"rays/s   {seconds / times['plain']:.3f} x plain")


if __name__ == "__main__":
  app.run(main)
