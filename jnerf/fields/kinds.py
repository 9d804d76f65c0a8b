"""The kinds of fields there are, each with its settings.

Another kind is a group of settings and a function `(space, settings) -> Field` in a file
of its own, and one entry in `FIELDS`.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses
from typing import NamedTuple

from jnerf.errors import InputError
from jnerf.fields import regularizers
from jnerf.fields.field import Field
from jnerf.fields.grid_field import GridField
from jnerf.fields.hash_grid import CORNERS
from jnerf.fields.mlp_field import MlpField
from jnerf.fields.model import Model
from jnerf.fields.samplers import CoarseSampler, GridSampler
from jnerf.fields.spaces import Space
from jnerf.settings import setting


@dataclasses.dataclass(frozen=True)
class GridSettings:
  """The hash grid and the density grid that places its samples."""

  num_levels: int = setting(8, "grids of growing resolution", at_least=1)
  features_per_level: int = setting(4, "features of a grid's corner", at_least=1)
  log2_table_size: int = setting(16, "log2 of the rows of a level's table", at_least=1)
  coarsest: int = setting(16, "cells along the longest side of the bounds", at_least=2)
  finest: int = setting(512, "cells of the finest grid")
  interpolation: str = setting("tetrahedral", "from 4 corners of a cell, or from all 8",
                               choices=tuple(CORNERS))
  density_width: int = setting(64, "hidden units of the density network", at_least=1)
  color_width: int = setting(128, "H, units of the layer that feeds rgb", at_least=1)
  proposal_cells: int = setting(64, "the density grid that places samples", at_least=2)
  proposal_samples: int = setting(48, "samples of that grid on a ray", at_least=1)
  samples: int = setting(24, "samples of the field on a ray", at_least=1)

  def check(self, section: str) -> None:
    """Raises InputError where the levels do not ascend."""
    if self.finest < self.coarsest:
      raise InputError(f"{section}.finest={self.finest}: must not be below "
                       f"{section}.coarsest={self.coarsest}")


def grid_model(space: Space, settings: GridSettings = GridSettings()) -> Model:
  """The fast model: a hash grid, sampled where a dense density grid sees something."""
  s = settings
  field = GridField(
      space, s.num_levels, s.features_per_level, s.log2_table_size, s.coarsest, s.finest,
      s.interpolation, s.density_width, color_width=s.color_width)
  sampler = GridSampler(space, ((s.proposal_cells, s.proposal_samples),), s.samples)
  return Model(field, sampler, (("interlevel", regularizers.interlevel),
                                ("distortion", regularizers.distortion)))


@dataclasses.dataclass(frozen=True)
class MlpSettings:
  """The paper's coarse and fine networks."""

  depth: int = setting(8, "layers of the trunk", at_least=1)
  width: int = setting(256, "units of its layers", at_least=1)
  skip: int = setting(4, "the position is joined to this layer's output, from 0",
                      at_least=1)
  color_width: int = setting(128, "H, units of the layer that feeds rgb", at_least=1)
  position_octaves: int = setting(10, "octaves of the position's encoding", at_least=0)
  direction_octaves: int = setting(4, "octaves of the direction's", at_least=0)
  coarse_samples: int = setting(64, "samples of the coarse network on a ray", at_least=1)
  fine_samples: int = setting(128, "further samples of the fine one", at_least=1)


def mlp_model(space: Space, settings: MlpSettings = MlpSettings()) -> Model:
  """The paper's model: NeRF's coarse and fine networks.

  Each learns from the photographs themselves; there are no regularisers.
  """
  s = settings

  def field(name):
    return MlpField(space, s.depth, s.width, s.skip, s.color_width, s.position_octaves,
                    s.direction_octaves, name=name)

  return Model(field(None), CoarseSampler(
      field("coarse"), space, s.coarse_samples, s.fine_samples))


class Kind(NamedTuple):
  """settings: the group's class; make: `(space, settings) -> Field`."""

  settings: type
  make: Callable[[Space, object], Field]


FIELDS = {"grid": Kind(GridSettings, grid_model), "mlp": Kind(MlpSettings, mlp_model)}


@dataclasses.dataclass(frozen=True)
class FieldSettings:
  """Which field."""

  kind: str = setting("grid", "hash grid, or the paper's mlp", choices=tuple(FIELDS))
