"""The methods there are, by the names that `label.methods` takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import dataclasses
from typing import Any

from jnerf.errors import InputError
from jnerf.labeling.aggregator import MlpAggregator
from jnerf.labeling.assignment import Assignment
from jnerf.labeling.bayes import BayesClassifier
from jnerf.labeling.cosine import CosineKernel
from jnerf.labeling.paper_recipe import PaperRecipe
from jnerf.labeling.region_classifier import RegionClassifier
from jnerf.labeling.walker import WalkClassifier
from jnerf.settings import fields_of
from jnerf.shaping.rows import RowKind
from jnerf.shaping.scene_regions import SceneRegions

METHODS: dict[str, type[Assignment]] = {
    "regions": RegionClassifier, "walk": WalkClassifier, "bayes": BayesClassifier,
    "cosine": CosineKernel, "paper": PaperRecipe, "mlp": MlpAggregator}


def make_method(name: str, settings: Mapping[str, Any] = {}, *,
                rows: RowKind = RowKind(), seed: int = 0,
                regions_fn: Callable[[], SceneRegions] | None = None) -> Assignment:
  """The method of that name.

  settings: of any methods, flat; each takes its own, and defaults for the rest.
  rows: which rows it will see; seed: of what is random in fitting.
  regions_fn: gives the scene's regions, and is asked by methods that need them alone.
  """
  if name not in METHODS:
    raise InputError(f"label.methods: unknown method {name!r}; choose from "
                     f"{', '.join(METHODS)}")
  kind = METHODS[name]
  own = {field.name: settings[field.name] for field in fields_of(kind)
         if field.name in settings}
  context = {"seed": lambda: seed, "nudges_rgb": lambda: rows.nudges_rgb,
             "regions": regions_fn}
  own |= {field.name: context[field.name]() for field in dataclasses.fields(kind)
          if field.name in context}
  return kind(**own)
