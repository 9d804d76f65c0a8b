"""What can be known to be wrong before a mode begins, and before anything is written.

A run that cannot end for a reason that the user can mend is refused here, in
seconds, not after an hour of fitting.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax

from jnerf.errors import InputError
from jnerf.evaluating.metrics import SSIM_RADIUS
from jnerf.shaping import parameters
from jnerf.shaping.contrast import RGB_KERNEL
from jnerf.stages import labels as labels_lib
from jnerf.stages.session import FIELD_OF_STAGE, TRAINED, Session
from jnerf.structs import Scene
from jnerf.training import devices


def check(session: Session, stages: Sequence[str], keep: Sequence[str]) -> None:
  """Raises InputError for whatever keeps `stages` from being run.

  keep: stages whose results in the folder must stay right, see `Session`.
  """
  session.check_config(keep)
  scene = session.scene
  for stage in TRAINED:
    if stage in stages:
      devices.check_divisible(session.training(stage).num_rays, devices.data_mesh(),
                              f"{stage.split('-')[0]}.num_rays")
  if "shape" in stages:
    _check_shaping(session)
  if "propagate" in stages or "evaluate" in stages:
    if session.config.label.session:
      raise InputError("label.session: is for --mode=propagate; leave it out otherwise")
    sets = labels_lib.label_sets(session)
    if "propagate" in stages and not sets:
      raise InputError(f"label.clicks: {scene.name} has no labels to draw clicks from; "
                       "click, and give the clicks file as --config.label.clicks=FILE")
    check_method(session)
    if sets and "3d" in session.config.label.dimensions and not _has_depth(scene):
      raise InputError(f"label.dimensions: 3d scores the surface that depth shows, and "
                       f"the test views of {scene.name} have none; set it to 2d")
  if "evaluate" in stages and any(name.startswith(("features", "distilled"))
                                  for name in session.config.label.rivals):
    session.check_features()
  if "evaluate" in stages and min(scene.size) <= 2 * SSIM_RADIUS:
    raise InputError(f"scene.width: images of {scene.size[0]}x{scene.size[1]} are too "
                     f"small to score; take at least {2 * SSIM_RADIUS + 1} pixels a side")


def check_method(session: Session) -> None:
  """Raises InputError where the primary method cannot do what is asked of it."""
  settings = session.config.label
  if settings.min_confidence > 0 and not labels_lib.tells_probabilities(session):
    raise InputError(f"label.min_confidence: the method {settings.primary} tells no "
                     "probabilities; set it to 0, or label.primary to bayes")


def _has_depth(scene: Scene) -> bool:
  return scene.depth is not None and bool(scene.depth[scene.test].any())


def check_trained(session: Session, stage: str) -> None:
  """Raises InputError unless the folder holds the field that `stage` makes."""
  if not session.workdir.is_done(stage):
    oracle = " with --config.shape.oracle=True" if stage == "shape-oracle" else ""
    raise InputError(f"{session.workdir.path} holds no finished {FIELD_OF_STAGE[stage]} "
                     f"field; run --mode={stage.split('-')[0]}{oracle} first")


def _check_shaping(session: Session) -> None:
  """The pattern, the Jacobian, the labels for an oracle, the features."""
  shape = session.config.shape
  shapes = jax.eval_shape(session.model.init, jax.random.key(0))
  selected, _ = parameters.split(shapes, shape.params)
  if not any(path.startswith("field/") for path in selected):
    raise InputError(f"shape.params={shape.params!r} matches parameters of the sampler "
                     "alone, in which no pixel has a gradient; name some of field/")
  if shape.jacobian == "closed_form" and shape.params != RGB_KERNEL:
    raise InputError(f"shape.jacobian=closed_form holds for shape.params={RGB_KERNEL} "
                     f"only, not {shape.params}; use auto, vjp or sketch")
  if shape.oracle and session.scene.semantic is None:
    raise InputError("shape.oracle=True needs labels, and the scene has none; "
                     "set it to False")
  if shape.geometry == "sensor" and session.scene.depth is None:
    raise InputError(f"shape.geometry=sensor: {session.scene.name} has no measured "
                     "depth; set it to field")
  session.recipe(oracle=False)
  # Reads and checks the files, and keeps them for shaping.
  session.check_features()
  session.hints  # noqa: B018
