"""One invocation of jnerf: its config, its folder, and how it was called."""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses

import jax
from ml_collections import ConfigDict

from jnerf.runs.workdir import Workdir, config_digest, environment
from jnerf.structs import Scene

# Stages in the order in which they run. Each has its own stream of randomness.
TRAINED = ("fit", "shape", "shape-oracle")
STAGES = (*TRAINED, "propagate", "evaluate")
FIELD_OF_STAGE = {"fit": "plain", "shape": "shaped", "shape-oracle": "shaped-oracle"}
STAGE_OF_FIELD = {field: stage for stage, field in FIELD_OF_STAGE.items()}


@dataclasses.dataclass(frozen=True)
class Run:
  """config: all settings; workdir: the folder; command: the call, for the report."""

  config: ConfigDict
  workdir: Workdir
  command: str = ""

  @property
  def fields(self) -> dict[str, str]:
    """Field names of metrics.json to the stages that make them, in order."""
    return fields_of_config(self.config)

  def check_config(self, keep: Sequence[str] = STAGES) -> None:
    """Raises InputError where the config contradicts the folder's results.

    keep: stages whose results must stay right, as far as the folder holds them.
    """
    self.workdir.check_config(self.config, self._held(keep))

  def begin(self, scene: Scene, keep: Sequence[str] = STAGES) -> None:
    """Checks the config as `check_config` does and makes it the folder's."""
    self.workdir.store_config(self.config, self._held(keep))
    self.workdir.update_metrics(
        scene=scene.name, config_digest=config_digest(self.config),
        environment=environment())

  def _held(self, keep: Sequence[str]) -> list[str]:
    held = self.workdir.held_stages()
    # An evaluation of the plain field alone does not bind: shaping makes it anew.
    return [stage for stage in held
            if stage in keep and (stage != "evaluate" or "shape" in held)]


def fields_of_config(config: ConfigDict) -> dict[str, str]:
  """Names of the fields that a config makes, to their stages, in order."""
  stages = [stage for stage in TRAINED if stage != "shape-oracle" or config.shape.oracle]
  return {FIELD_OF_STAGE[stage]: stage for stage in stages}


def stage_key(seed: int, stage: str) -> jax.Array:
  """The root of a stage's randomness."""
  number = (*STAGES, "distill").index(stage)
  return jax.random.fold_in(jax.random.key(seed), number)
