"""Groups of settings and the config composed of them: one default, type and help each."""

import dataclasses
import types
import typing

import pytest

from jnerf.errors import InputError
from jnerf.fields.kinds import GridSettings, MlpSettings
from jnerf.labeling.methods import METHODS, make_method
from jnerf.runs import parts
from jnerf.runs.config import (
  SECTIONS,
  default_config,
  flatten,
  method_settings,
  setting_fields,
  settings_of,
)
from jnerf.settings import check_settings, fields_of, setting, sorted_into
from jnerf.shaping.contrast import Recipe
from jnerf.shaping.pairs import PairRule
from jnerf.shaping.rows import RowKind
from jnerf.training.state import Schedule

KINDS = [(section, group if isinstance(group, type) else type(group))
         for section, groups in SECTIONS.items() for group in groups]


@dataclasses.dataclass(frozen=True)
class Cup:
  size: float = setting(0.3, "litres", above=0, at_most=1)
  count: int = setting(2, "of them", at_least=1, below=9)
  of: str = setting("tea", "what is in it", choices=("tea", "milk"))
  sides: tuple = setting((), "where it is held", choices=("", "left", "right"))
  owner: str = "nobody"  # no setting

  def check(self, section):
    if self.of == "milk" and self.size > 0.5:
      raise InputError(f"{section}.size={self.size}: too much milk")


def test_every_key_of_the_config_has_one_line_of_help():
  keys = [key for key, _, _ in setting_fields()]
  assert len(set(keys)) == len(keys)
  assert set(keys) == set(flatten(default_config().to_dict()))
  for key, field, _ in setting_fields():
    text = field.metadata["help"]
    assert text and text == " ".join(text.split()) and len(text) < 120, key


def test_values_of_the_config_are_of_the_groups_types():
  hints = {(section, name): hint for section, kind in KINDS
           for name, hint in typing.get_type_hints(kind).items()}
  config = default_config()
  for key, field, default in setting_fields():
    hint = hints[key.rpartition(".")[0], field.name]
    if isinstance(hint, types.UnionType):
      assert hint == str | None and default is None
      section, _, name = key.rpartition(".")
      assert config[section].get_type(name) is str
    else:
      assert type(default) is hint and type(config[key]) is hint, key


@pytest.mark.parametrize("section, kind", KINDS, ids=lambda part: getattr(
    part, "__name__", part))
def test_a_group_with_its_defaults_is_what_the_command_runs(section, kind):
  config = default_config()
  values = config[section] if section else config
  own = {field.name: field.default for field in fields_of(kind)}
  assert own  # or it would be no group
  differing = {name for name, default in own.items() if values[name] != default}
  if (section, kind) == ("shape", Schedule):  # shaping is shorter than fitting
    assert differing == {"steps", "warmup_steps"}
  else:
    assert not differing


def test_parts_with_their_defaults_are_those_of_the_config():
  config = default_config()
  assert parts.recipe_of(config) == Recipe() == Recipe.of()
  assert settings_of(config, GridSettings, "field.grid") == GridSettings()
  assert settings_of(config, MlpSettings, "field.mlp") == MlpSettings()
  for name, kind in METHODS.items():
    made = make_method(name, method_settings(config), regions_fn=lambda: None)
    assert made == make_method(name, regions_fn=lambda: None) and type(made) is kind


def test_a_setting_is_written_once():
  """But for how long and how fast two stages train, and what methods share."""
  sections = {}
  for section, kind in KINDS:
    sections.setdefault(kind, set()).add(section)
  assert {kind for kind, places in sections.items() if len(places) > 1} == {Schedule}
  for section, groups in SECTIONS.items():
    written = {}
    for group in groups:
      for field in fields_of(group):
        first = written.setdefault(field.name, field)
        assert (field.default, field.metadata) == (first.default, first.metadata), (
            f"{section}.{field.name}")
        if section != "label":  # where methods share some
          assert first is field, f"{section}.{field.name}"


def test_a_recipe_is_sorted_into_its_groups():
  recipe = Recipe.of(threshold=0.5, contrast_rays=0, align="activations", oracle=True)
  assert recipe == Recipe(RowKind(align="activations"), dataclasses.replace(
      Recipe().contrast, contrast_rays=0), PairRule(threshold=0.5), oracle=True)
  with pytest.raises(InputError, match="^treshold: unknown setting; did you mean thres"):
    Recipe.of(treshold=0.5)
  cup, rule = sorted_into({"count": 3}, (Cup, PairRule))
  assert cup == Cup(count=3) and rule == PairRule()
  with pytest.raises(InputError, match="^owner: unknown setting; known are size, count"):
    sorted_into({"owner": "me"}, (Cup,))


@pytest.mark.parametrize("changes, message", [
    ({"size": 0.0}, "kitchen.size=0.0: must be above 0"),
    ({"size": 1.5}, "kitchen.size=1.5: must be at most 1"),
    ({"size": float("nan")}, "kitchen.size=nan: must be a finite number"),
    ({"count": 0}, "kitchen.count=0: must be at least 1"),
    ({"count": 9}, "kitchen.count=9: must be below 9"),
    ({"of": "ink"}, "kitchen.of='ink': must be one of tea, milk"),
    ({"sides": ("left", "top")},
     "kitchen.sides=('left', 'top'): must be one or more of left, right"),
    ({"of": "milk", "size": 0.75}, "kitchen.size=0.75: too much milk")])
def test_what_a_group_does_not_allow(changes, message):
  check_settings(Cup(sides=("left", "right"), owner="me"), "kitchen")
  with pytest.raises(InputError) as error:
    check_settings(Cup(**changes), "kitchen")
  assert str(error.value) == message
