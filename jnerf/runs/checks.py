"""What can be known to be wrong before a mode begins, and before anything is written.

A run that cannot end for a reason that the user can mend is refused here, in
seconds, not after an hour of fitting.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
from ml_collections import ConfigDict

from jnerf.errors import InputError
from jnerf.evaluating.metrics import SSIM_RADIUS
from jnerf.fields.field import RGB_KERNEL, Field
from jnerf.runs import parts
from jnerf.runs.labelling import label_sets
from jnerf.runs.loading import features_choice, load_hints
from jnerf.runs.rivals import needs_features
from jnerf.runs.run import TRAINED, Run
from jnerf.shaping import parameters
from jnerf.structs import Scene
from jnerf.training import devices


def check(run: Run, scene: Scene, stages: Sequence[str], keep: Sequence[str]) -> None:
  """Raises InputError for whatever keeps `stages` from being run.

  keep: stages whose results in the folder must stay right, see `Run`.
  """
  config = run.config
  run.check_config(keep)
  for stage in TRAINED:
    if stage in stages:
      section = parts.section_of(stage)
      devices.check_divisible(config[section].num_rays, devices.data_mesh(),
                              f"{section}.num_rays")
  if "shape" in stages:
    check_shaping(config, scene, parts.model_of(config, parts.space_of(config, scene)))
    features_choice(run, scene).source.check(scene)
    load_hints(config, scene)
  if "propagate" in stages or "evaluate" in stages:
    _check_labels(run, scene, propagated="propagate" in stages)
  if "evaluate" in stages:
    if needs_features(config.label.rivals):
      features_choice(run, scene).source.check(scene)
    if min(scene.size) <= 2 * SSIM_RADIUS:
      raise InputError(
          f"scene.width: images of {scene.size[0]}x{scene.size[1]} are too small to "
          f"score; take at least {2 * SSIM_RADIUS + 1} pixels a side")


def check_method(config: ConfigDict) -> None:
  """Raises InputError where the primary method cannot do what is asked of it."""
  settings = config.label
  method = parts.method_of(config, settings.primary, lambda: None)
  if settings.min_confidence > 0 and not method.tells_probabilities:
    raise InputError(f"label.min_confidence: the method {settings.primary} tells no "
                     "probabilities; set it to 0, or label.primary to bayes")


def _check_labels(run: Run, scene: Scene, propagated: bool) -> None:
  """The clicks or draws, the method, the dimensions."""
  label = run.config.label
  if label.session:
    raise InputError("label.session: is for --mode=propagate; leave it out otherwise")
  sets = label_sets(run.config, scene)
  if propagated and not sets:
    raise InputError(f"label.clicks: {scene.name} has no labels to draw clicks from; "
                     "click, and give the clicks file as --config.label.clicks=FILE")
  check_method(run.config)
  if sets and "3d" in label.dimensions and not scene.has_test_depth:
    raise InputError(f"label.dimensions: 3d scores the surface that depth shows, and "
                     f"the test views of {scene.name} have none; set it to 2d")


def check_shaping(config: ConfigDict, scene: Scene, model: Field) -> None:
  """Raises InputError where the config cannot shape a field of that kind.

  The pattern, the Jacobian, the labels for an oracle, the depth of a sensor.
  """
  shape = config.shape
  shapes = jax.eval_shape(lambda key: model.init(key, scene), jax.random.key(0))
  selected, _ = parameters.split(shapes, shape.params)
  if not any(path.startswith("field/") for path in selected):
    raise InputError(f"shape.params={shape.params!r} matches parameters of the sampler "
                     "alone, in which no pixel has a gradient; name some of field/")
  if shape.jacobian == "closed_form" and shape.params != model.closed_form_rows:
    raise InputError(f"shape.jacobian=closed_form holds for shape.params={RGB_KERNEL} "
                     f"only, not {shape.params}; use auto, vjp or sketch")
  if shape.oracle and scene.semantic is None:
    raise InputError("shape.oracle=True needs labels, and the scene has none; "
                     "set it to False")
  if shape.geometry == "sensor" and scene.depth is None:
    raise InputError(f"shape.geometry=sensor: {scene.name} has no measured depth; set it "
                     "to field")
  parts.recipe_of(config).contrast.every(shape.num_rays)
