"""Does the cosine of gradients tell mutual information? Measured on a fitted field.

What: perturbs the rgb kernel of a field that `experiments/room.py` has fitted,
renders random test pixels under every perturbation, estimates the mutual
information of pairs of pixels from those samples with no Gaussian assumption,
and compares it with the formula -1/2 log(1 - cos^2) of their gradients.

  python -m jnerf.main --config=experiments/room.py --workdir=runs/room
  python experiments/benchmarks/mutual_information.py --workdir=runs/room

Time: about 2 minutes on 2 CPU cores. Figures: experiments/results/
mutual_information.md
"""

from absl import app, flags, logging
import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

import jnerf
from jnerf.fields.field import RGB_KERNEL
from jnerf.labeling.response import cosine_response
from jnerf.runs.run import FIELD_OF_STAGE
from jnerf.scenes.rays import rays_of_pixels
from jnerf.shaping import jacobians, mutual_information

_WORKDIR = flags.DEFINE_string("workdir", "runs/room", "Folder of a finished run.")
_STAGE = flags.DEFINE_enum("stage", "fit", list(FIELD_OF_STAGE), "Which field.")
_PIXELS = flags.DEFINE_integer("pixels", 64, "Pixels; all their pairs are compared.")
_DRAWS = flags.DEFINE_integer("draws", 4096, "Perturbations.")
_NOISE = flags.DEFINE_float("noise", 0.02, "Standard deviation of the perturbation.")


def main(argv) -> None:
  """Prints the correlation of estimate and formula over all pairs."""
  del argv
  logging.set_verbosity(logging.WARNING)  # Orbax tells all it does
  opened = jnerf.open_run(_WORKDIR.value)
  scene, field = opened.scene, opened.field(FIELD_OF_STAGE[_STAGE.value])
  model, params = field.model, field.params
  generator = np.random.default_rng(0)
  width, height = scene.size
  pixels = np.stack([generator.choice(scene.test, _PIXELS.value),
                     generator.integers(0, height, _PIXELS.value),
                     generator.integers(0, width, _PIXELS.value)], axis=1)
  rays = rays_of_pixels(scene, pixels)
  samples = jax.jit(model.sample)(params, rays)

  def values_fn(params):
    return jacobians.ray_values(model, params, rays, samples)

  responses = jax.jit(lambda params: mutual_information.perturbed_responses(
      values_fn, params, RGB_KERNEL, jax.random.key(0), num_draws=_DRAWS.value,
      noise=_NOISE.value))(params)
  J = jax.jit(lambda params: jacobians.closed_form(
      model.render(params, rays, samples, 0.0)))(params)
  i, j = np.triu_indices(_PIXELS.value, k=1)
  cosines = cosine_response(J, J.T)[i, j]
  estimates = jax.jit(jax.vmap(mutual_information.estimate, in_axes=(1, 1)))(
      responses[:, i], responses[:, j])
  predicted = mutual_information.from_cosine(jnp.clip(cosines, -0.999, 0.999))
  print(f"{FIELD_OF_STAGE[_STAGE.value]} field, {len(i)} pairs of {_PIXELS.value} test "
        f"pixels, {_DRAWS.value} perturbations of standard deviation {_NOISE.value}")
  print(f"  correlation of estimate and formula: Pearson "
        f"{np.corrcoef(estimates, predicted)[0, 1]:.4f}, Spearman "
        f"{stats.spearmanr(estimates, predicted).statistic:.4f}")
  correlation = np.corrcoef(np.asarray(responses).T)[i, j]
  print(f"  correlation of responses against cosine of gradients: mean |difference| "
        f"{np.mean(np.abs(correlation - cosines)):.4f}")
  for lo, hi in ((0, 0.1), (0.1, 0.3), (0.3, 1.0), (1.0, 4.0)):
    chosen = (predicted >= lo) & (predicted < hi)
    if chosen.any():
      print(f"  formula in [{lo}, {hi}): mean {np.mean(predicted[chosen]):.3f}, "
            f"estimate {np.mean(estimates[chosen]):.3f}, {int(chosen.sum())} pairs")


if __name__ == "__main__":
  app.run(main)
