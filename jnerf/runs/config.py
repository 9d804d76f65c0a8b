"""The config: all settings of jnerf, composed of the groups beside the code.

A section of the config is one group of settings or several (`SECTIONS`); each group is a
frozen dataclass where its settings are used (`jnerf.settings`), so that a setting is
written once. An experiment file overlays the default (`config = default_config();
config.fit.steps = 500`); an unknown key or a value of another type fails at once.

`ConfigDict` ends here: everything below takes groups, or plain arguments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
import copy
import dataclasses
import difflib
from typing import Any

from ml_collections import ConfigDict, config_dict
import numpy as np

from jnerf.errors import InputError
from jnerf.evaluating.protocols import parse_protocol
from jnerf.features.feature_choice import FeatureSettings
from jnerf.features.lite_features import LiteSettings
from jnerf.features.local_features import LocalSettings
from jnerf.features.vit_features import VitSettings
from jnerf.fields.field import RGB_KERNEL
from jnerf.fields.kinds import FIELDS, FieldSettings
from jnerf.labeling.edges import EdgeSettings
from jnerf.labeling.methods import METHODS, make_method
from jnerf.runs.run_settings import (
  FitSettings,
  InspectSettings,
  LabelSettings,
  RenderSettings,
  RunSettings,
  RuntimeSettings,
)
from jnerf.scenes.load import SceneSettings
from jnerf.scenes.room.room import RoomSettings
from jnerf.settings import check_value, fields_of
from jnerf.shaping.contrast import Contrast
from jnerf.shaping.pair_data import PairSource
from jnerf.shaping.pairs import PairRule
from jnerf.shaping.rows import RowKind
from jnerf.shaping.scene_regions import RegionSettings
from jnerf.training.objective import Objective
from jnerf.training.state import Schedule

# Section to its groups; a group with other defaults than its own is given as an instance.
SECTIONS: dict[str, tuple] = {
    "": (RunSettings,),
    "scene": (SceneSettings,),
    "scene.room": (RoomSettings,),
    "field": (FieldSettings,),
    **{f"field.{name}": (kind.settings,) for name, kind in FIELDS.items()},
    "fit": (Schedule, Objective, FitSettings),
    "features": (FeatureSettings,),
    "features.local": (LocalSettings,),
    "features.lite": (LiteSettings,),
    "features.vit": (VitSettings,),
    "regions": (RegionSettings,),
    "shape": (Schedule(steps=400, warmup_steps=20), RowKind, Contrast, PairRule,
              PairSource),
    "label": (LabelSettings, EdgeSettings,
              *(kind for name, kind in METHODS.items() if name != "mlp")),
    "label.mlp": (METHODS["mlp"],),
    "render": (RenderSettings,),
    "inspect": (InspectSettings,),
    "runtime": (RuntimeSettings,),
}


# Sections beside their own that calls from Python also take settings of.
ALSO_OF = {"fit": ("field",)}
MANY = 5  # times as many device calls as asked for would cost the user's time


def setting_fields() -> Iterator[tuple[str, dataclasses.Field, Any]]:
  """`(key, field, default)` of every setting, section by section."""
  for section, groups in SECTIONS.items():
    listed = set()
    for group in groups:
      for field in fields_of(group):
        if field.name not in listed:  # several methods may share one
          listed.add(field.name)
          default = field.default if isinstance(group, type) else getattr(
              group, field.name)
          yield f"{section}.{field.name}".lstrip("."), field, default


def default_config() -> ConfigDict:
  """All keys, with defaults that suit an indoor capture on a laptop CPU."""
  config = ConfigDict()
  for key, _, default in setting_fields():
    *sections, name = key.split(".")
    section = config
    for part in sections:
      if part not in section:
        section[part] = ConfigDict()
      section = section[part]
    section[name] = config_dict.placeholder(str) if default is None else default
  return config.lock()


def settings_of(config: ConfigDict, group: type, section: str, **others) -> Any:
  """The group of that class as a section of the config has it.

  others: fields of it that are no settings.
  """
  values = config[section] if section else config
  return group(**{field.name: values[field.name] for field in fields_of(group)}, **others)


def configured(section: str, groups: Sequence, settings: Mapping[str, Any],
               config: ConfigDict | None = None) -> ConfigDict:
  """The default config, or `config`, with other settings; for calls from Python.

  section: in which `settings` are looked up, and below it, unless their names are whole
    keys such as `field.kind`.
  groups: instances of groups of this section, or of what belongs to it.

  Raises InputError for a setting that there is not, or of another section or type.
  """
  config = copy.deepcopy(config) if config is not None else default_config()
  values = {}
  for group in groups:
    place = _section_of_group(group, section)
    values |= {f"{place}.{field.name}": getattr(group, field.name)
               for field in fields_of(group)}
    for name, kind in FIELDS.items():
      if kind.settings is type(group):
        values["field.kind"] = name
  known = {key for key, _, _ in setting_fields()}
  for name, value in settings.items():
    below = sorted(key for key in known if key.startswith(f"{section}."))
    of_name = [key for key in below if key.split(".")[-1] == name]
    key = name if "." in name else f"{section}.{name}".lstrip(".")
    if key not in known and len(of_name) == 1:
      key, = of_name  # of a part of the section, as `scales` of `features.local`
    if key not in known:
      own = [key.split(".")[-1] for key in below]
      close = difflib.get_close_matches(name, own, n=1)
      hint = f"did you mean {close[0]}?" if close else "see docs/settings.md"
      if of_name:
        hint = f"say which, as in **{{{of_name[0]!r}: ...}}"
      raise InputError(f"{name}: unknown setting of {section}; {hint}")
    values[key] = value.item() if isinstance(value, np.generic) else value
  for key, value in values.items():
    try:
      config.update_from_flattened_dict({key: value})
    except (TypeError, ValueError) as error:
      raise InputError(f"{key}={value!r}: must be of the kind "
                       f"{type(config[key]).__name__}") from error
  return config


def _section_of_group(group: Any, preferred: str) -> str:
  """Where a group belongs in a call of the section `preferred`."""
  if isinstance(group, type):
    raise InputError(f"{group.__name__}: give its settings, {group.__name__}(...)")
  kind = type(group)
  homes = [section for section, groups in SECTIONS.items()
           if any(kind in (other, type(other)) for other in groups)]
  if not homes:
    raise InputError(f"{kind.__name__} is no group of settings; see docs/settings.md")
  roots = (preferred, "runtime", *ALSO_OF.get(preferred, ()))
  fitting = [home for home in homes if home.split(".")[0] in roots]
  if not fitting:
    raise InputError(f"{kind.__name__}: holds settings of {' and '.join(homes)}, not of "
                     f"{preferred}")
  return fitting[0]


def method_settings(config: ConfigDict) -> dict[str, Any]:
  """The settings of all labelling methods, flat."""
  return {**config.label, **config.label.mlp}


def row_kind(config: ConfigDict) -> RowKind:
  """Which rows are shaped, and compared by labels."""
  return settings_of(config, RowKind, "shape")


def validate(config: ConfigDict) -> None:
  """Checks every setting that can be judged without the data.

  Raises InputError with one line that names the key, its value and the mend.
  """
  for key, field, _ in setting_fields():
    check_value(key, config[key], field)
  for section, groups in SECTIONS.items():
    for group in groups:
      kind = group if isinstance(group, type) else type(group)
      if hasattr(kind, "check") and kind not in METHODS.values():
        settings_of(config, kind, section).check(section)
  for protocol in config.label.protocols:
    parse_protocol(protocol)
  _check_stages(config)
  _check_methods(config)


def _check_stages(config: ConfigDict) -> None:
  """The rules over several sections of training."""
  for name in ("fit", "shape"):
    schedule = settings_of(config, Schedule, name)
    per_call = config.runtime.steps_per_call
    if schedule.steps > per_call > MANY * schedule.steps_per_call(per_call):
      raise InputError(f"{name}.steps={schedule.steps}: must divide into calls of about "
                       f"runtime.steps_per_call={per_call}; take a multiple of that")
  shape = config.shape
  if shape.contrast_rays == 1 or shape.contrast_rays > shape.num_rays:
    raise InputError(f"shape.contrast_rays={shape.contrast_rays}: must be 0 (all), or "
                     f"from 2 to shape.num_rays={shape.num_rays}")


def _check_methods(config: ConfigDict) -> None:
  """What the methods that are asked for say of their settings, and of the rows."""
  rows, label = row_kind(config), config.label
  for name in label.methods:
    method = make_method(name, method_settings(config), rows=rows,
                         regions_fn=lambda: None)
    if hasattr(method, "check"):
      method.check("label")
  if "paper" not in label.methods:
    return
  if rows.align == "activations":
    raise InputError(f"label.methods={tuple(label.methods)}: must not hold paper, which "
                     "nudges along gradients, with shape.align=activations")
  if label.response == "3d" and not rows.nudges_rgb:
    raise InputError(f"label.response='3d': must be 2d unless shape.params={RGB_KERNEL}, "
                     "and not sketched, whose nudges it follows")


def flatten(plain: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
  """Nested settings as one dict with dotted names."""
  flat = {}
  for name, value in plain.items():
    if isinstance(value, Mapping):
      flat |= flatten(value, f"{prefix}{name}.")
    else:
      flat[prefix + name] = value
  return flat
