"""Settings: what a user may change, written once, beside the code that uses it.

A group of settings is a frozen dataclass whose fields `setting` makes: default, one line
of help, and what is allowed. Configs, checks, `--help` and docs/settings.md all follow
from these (`jnerf.runs.config`), and the group with its defaults is what the command
runs. A group that has a rule over several fields says so in a method `check(section)`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import dataclasses
import difflib
import math
import numbers
from typing import Any

from jnerf.errors import InputError


def setting(default, help: str, *, choices: tuple = (), at_least=None, above=None,
            at_most=None, below=None) -> Any:
  """A field of a group of settings.

  help: one line, what it means and in which unit.
  choices: the values that are allowed; of a tuple, those that its elements may have.
  at_least, above, at_most, below: the range that is allowed.
  """
  limits = {"at least": at_least, "above": above, "at most": at_most, "below": below}
  return dataclasses.field(default=default, metadata={
      "help": help, "choices": choices,
      "limits": {name: limit for name, limit in limits.items() if limit is not None}})


def fields_of(group) -> Iterator[dataclasses.Field]:
  """The settings of a group, or of its class; other fields of it are passed over."""
  return (field for field in dataclasses.fields(group) if "help" in field.metadata)


def check_settings(group, section: str) -> None:
  """Raises InputError, naming `section.key`, value and mend, where a setting is wrong.

  section: the group's place in the config, such as `shape`.
  """
  for field in fields_of(group):
    check_value(f"{section}.{field.name}".lstrip("."), getattr(group, field.name), field)
  if hasattr(group, "check"):
    group.check(section)


def check_value(key: str, value, field: dataclasses.Field) -> None:
  """Raises InputError where a value is not what its field allows; key: names it."""
  _check_kind(key, value, field)
  for number in value if isinstance(value, tuple) else (value,):
    if isinstance(number, float) and not math.isfinite(number):
      raise InputError(f"{key}={value}: must be a finite number")
  choices = field.metadata["choices"]
  if choices and isinstance(value, tuple):
    if not set(value) <= set(choices) or not (value or "" in choices):
      raise InputError(f"{key}={value}: must be one or more of "
                       f"{', '.join(filter(None, choices))}")
  elif choices and value not in choices:
    raise InputError(f"{key}={value!r}: must be one of {', '.join(choices)}")
  holds = {"at least": lambda limit: value >= limit, "above": lambda limit: value > limit,
           "at most": lambda limit: value <= limit, "below": lambda limit: value < limit}
  for name, limit in field.metadata["limits"].items():
    if not holds[name](limit):
      raise InputError(f"{key}={value}: must be {name} {limit}")


def _check_kind(key: str, value, field: dataclasses.Field) -> None:
  """A value is of its default's kind, and so is each element of a tuple."""
  default = field.default
  if isinstance(default, tuple):
    element = type(default[0]) if default else str if field.metadata["choices"] else float
    if not isinstance(value, tuple) or not all(_is_a(part, element) for part in value):
      raise InputError(f"{key}={value!r}: must be a tuple of {element.__name__}")
  elif default is None:
    if not (value is None or isinstance(value, str)):
      raise InputError(f"{key}={value!r}: must be of the kind str")
  elif not _is_a(value, type(default)):
    raise InputError(f"{key}={value!r}: must be of the kind {type(default).__name__}")


def _is_a(value, kind: type) -> bool:
  """Whether a value is of a kind; a whole number is also a float, a truth no number."""
  kinds = {int: numbers.Integral, float: numbers.Real}
  return isinstance(value, kinds.get(kind, kind)) and (
      kind not in kinds or not isinstance(value, bool))


def sorted_into(values: Mapping[str, Any], groups: tuple[type, ...]) -> list:
  """One instance of each of `groups`, made of flat `values`; their defaults for the rest.

  Raises InputError for a value that no group has, with the name that was meant.
  """
  known = dict.fromkeys(field.name for group in groups for field in fields_of(group))
  for name in values:
    if name not in known:
      close = difflib.get_close_matches(name, known, n=1)
      hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
      raise InputError(f"{name}: unknown setting; {hint}")
  return [group(**{field.name: values[field.name] for field in fields_of(group)
                   if field.name in values}) for group in groups]
