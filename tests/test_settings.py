"""Settings: what is allowed, and what a user is told who asks for something else."""

import dataclasses

import pytest

from jnerf.errors import InputError
from jnerf.settings import check_settings, check_value, fields_of, setting, sorted_into


@dataclasses.dataclass(frozen=True)
class Lamp:
  """A group of settings, with a rule over two of them and a field that is none."""

  watts: float = setting(40.0, "of the bulb", above=0, at_most=100)
  bulbs: int = setting(2, "in a row", at_least=1, below=5)
  shade: str = setting("none", "over it", choices=("none", "paper", "glass"))
  lit: tuple = setting(("left",), "which are on", choices=("left", "right"))
  rooms: tuple = setting(("",), "where", choices=("", "hall"))
  sizes: tuple = setting((), "of its parts")
  maker: str | None = setting(None, "who made it")
  owner: str = "nobody"

  def check(self, section):
    if self.shade == "paper" and self.watts > 60:
      raise InputError(f"{section}.watts={self.watts}: must be at most 60 under paper")


@dataclasses.dataclass(frozen=True)
class Table:
  legs: int = setting(4, "it stands on", at_least=3)


@pytest.mark.parametrize("changes, message", [
    ({"watts": 0.0}, "lamp.watts=0.0: must be above 0"),
    ({"watts": 100.5}, "lamp.watts=100.5: must be at most 100"),
    ({"watts": float("nan")}, "lamp.watts=nan: must be a finite number"),
    ({"watts": float("inf")}, "lamp.watts=inf: must be a finite number"),
    ({"bulbs": 0}, "lamp.bulbs=0: must be at least 1"),
    ({"bulbs": 5}, "lamp.bulbs=5: must be below 5"),
    ({"shade": "wood"}, "lamp.shade='wood': must be one of none, paper, glass"),
    ({"lit": ("left", "middle")},
     "lamp.lit=('left', 'middle'): must be one or more of left, right"),
    ({"lit": ()}, "lamp.lit=(): must be one or more of left, right"),
    ({"rooms": ("attic",)}, "lamp.rooms=('attic',): must be one or more of hall"),
    ({"bulbs": None}, "lamp.bulbs=None: must be of the kind int"),
    ({"bulbs": True}, "lamp.bulbs=True: must be of the kind int"),
    ({"bulbs": 1.5}, "lamp.bulbs=1.5: must be of the kind int"),
    ({"watts": "5"}, "lamp.watts='5': must be of the kind float"),
    ({"shade": ["none"]}, "lamp.shade=['none']: must be of the kind str"),
    ({"lit": (["left"],)}, "lamp.lit=(['left'],): must be a tuple of str"),
    ({"lit": "left"}, "lamp.lit='left': must be a tuple of str"),
    ({"sizes": ("1",)}, "lamp.sizes=('1',): must be a tuple of float"),
    ({"sizes": (1.0, float("nan"))}, "lamp.sizes=(1.0, nan): must be a finite number"),
    ({"maker": 3}, "lamp.maker=3: must be of the kind str"),
    ({"shade": "paper", "watts": 75.0},
     "lamp.watts=75.0: must be at most 60 under paper"),
])
def test_what_is_not_allowed_is_named_with_its_mend(changes, message):
  with pytest.raises(InputError) as raised:
    check_settings(dataclasses.replace(Lamp(), **changes), "lamp")
  assert str(raised.value) == message


@pytest.mark.parametrize("changes", [
    {}, {"watts": 100.0}, {"watts": 1e-3}, {"bulbs": 1}, {"bulbs": 4},
    {"watts": 5}, {"sizes": (1, 2.5)}, {"maker": "me"}, {"lit": ("right", "left")},
    {"rooms": ()}, {"rooms": ("hall", "")},
    {"shade": "paper", "watts": 60.0}, {"owner": "anybody"}])
def test_what_is_allowed_passes(changes):
  check_settings(dataclasses.replace(Lamp(), **changes), "lamp")


def test_a_value_is_checked_under_the_key_that_names_it():
  bulbs = {field.name: field for field in fields_of(Lamp)}["bulbs"]
  check_value("here.bulbs", 4, bulbs)
  with pytest.raises(InputError, match="^here.bulbs=9: must be below 5$"):
    check_value("here.bulbs", 9, bulbs)
  with pytest.raises(InputError, match="^bulbs=9: must be below 5$"):  # of no section
    check_settings(Lamp(bulbs=9), "")


def test_fields_that_are_no_settings_are_passed_over():
  names = ["watts", "bulbs", "shade", "lit", "rooms", "sizes", "maker"]
  assert [field.name for field in fields_of(Lamp)] == names
  assert [field.name for field in fields_of(Lamp(watts=3.0))] == names


def test_flat_values_find_their_groups():
  lamp, table = sorted_into({"legs": 3, "watts": 15.0}, (Lamp, Table))
  assert lamp == Lamp(watts=15.0) and table == Table(legs=3)
  assert sorted_into({}, (Table, Lamp)) == [Table(), Lamp()]


@pytest.mark.parametrize("name, meant", [
    ("wats", "did you mean watts?"), ("leg", "did you mean legs?"),
    ("zzzz", "known are"), ("owner", "known are")])
def test_a_name_that_no_group_has_says_what_was_meant(name, meant):
  with pytest.raises(InputError) as raised:
    sorted_into({name: 1}, (Lamp, Table))
  assert str(raised.value).startswith(f"{name}: unknown setting; {meant}")
