"""Experiment files, and single settings changed on the command line.

An experiment is a Python file with `get_config() -> ConfigDict`, or with
`get_config(argument)` where it is called as `FILE:ARGUMENT`.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
import difflib
import inspect
import pathlib
import runpy
from typing import Any

from ml_collections import ConfigDict

from jnerf.errors import InputError
from jnerf.runs.config import flatten

_PREFIX = "--config."
# Tuples that may be empty hold numbers, unless they are here with one of their kind.
_EMPTY = {"label.rivals": ("",)}


def load_experiment(name: str) -> ConfigDict:
  """The config of the experiment `FILE` or `FILE:ARGUMENT`.

  Whatever goes wrong in the file is raised as InputError, with its line.
  """
  path, *argument = name.split(":", 1)
  if not pathlib.Path(path).is_file():
    raise InputError(f"--config={name}: there is no file {path}; try "
                     "experiments/room.py")
  try:
    get_config = runpy.run_path(path).get("get_config")
    if not callable(get_config):
      raise InputError(f"--config={name}: {path} has no function get_config()")
    if argument and not inspect.signature(get_config).parameters:
      raise InputError(f"--config={name}: {path} takes no argument; leave out "
                       f"':{argument[0]}'")
    config = get_config(*argument)
  except InputError:
    raise
  except Exception as error:  # the user's own code may raise anything
    raise InputError(f"--config={name}: {_place(error, path)}: "
                     f"{type(error).__name__}: {error}") from error
  if not isinstance(config, ConfigDict):
    raise InputError(f"--config={name}: get_config() returns no ConfigDict, but "
                     f"{type(config).__name__}; start from "
                     "jnerf.runs.config.default_config()")
  return config.lock()


def override(config: ConfigDict, arguments: Sequence[str]) -> ConfigDict:
  """`config` with the settings of arguments such as `--config.fit.steps=500`.

  A value is read as the type of the one it replaces; tuples are written with
  commas. Raises InputError naming the argument for an unknown key or other type.
  """
  for argument in arguments:
    key, equals, text = argument.removeprefix(_PREFIX).partition("=")
    if not argument.startswith(_PREFIX) or not equals:
      raise InputError(f"{argument!r} is no flag; flags are --config=FILE, "
                       f"--workdir=DIR, --mode=MODE and {_PREFIX}KEY=VALUE")
    old = _get(config, key)
    config.update_from_flattened_dict(
        {key: _parse(argument, text, _EMPTY.get(key, old) if old == () else old)})
  return config


def _get(config: ConfigDict, key: str) -> Any:
  """The setting of that name; InputError proposes the name that was meant."""
  settings = flatten(config.to_dict())
  if key in settings:
    return settings[key]
  inside = [name for name in settings if name.startswith(f"{key}.")]
  if inside:
    raise InputError(f"{_PREFIX}{key} is a group; set a key in it, such as {inside[0]}")
  close = (difflib.get_close_matches(key, settings, n=1)
           or [name for name in settings if name.endswith("." + key.split(".")[-1])])
  hint = f"did you mean {close[0]}?" if close else "--help lists all"
  raise InputError(f"{_PREFIX}{key}: unknown key; {hint}")


def _parse(argument: str, text: str, old: Any) -> Any:
  """`text` as a value of the type that `old` has; None stands for text."""
  try:
    if isinstance(old, bool):
      return {"true": True, "false": False, "1": True, "0": False}[text.lower()]
    if isinstance(old, tuple):
      return _parse_tuple(text, type(old[0]) if old else float)
    return text if old is None else type(old)(text)
  except (KeyError, ValueError, SyntaxError) as error:
    kind = "true or false" if isinstance(old, bool) else type(old).__name__
    raise InputError(f"{argument}: must be of the kind {kind}, as "
                     f"{_written(old)} is") from error


def _parse_tuple(text: str, kind: type) -> tuple:
  """`a,b`, `(a, b)` or `('a', 'b')`; the elements are of one kind."""
  elements = [part.strip() for part in text.strip().strip("()[]").split(",")]
  unquoted = [ast.literal_eval(part) if part[:1] in ("'", '"') else part
              for part in elements if part]
  return tuple(kind(part) for part in unquoted)


def _written(value: Any) -> str:
  """A value as it is written on the command line."""
  if isinstance(value, tuple):
    return ",".join(map(str, value)) or "()"
  return repr(value)


def _place(error: Exception, path: str) -> str:
  """`file line n` of the innermost frame of `error` that lies in `path`."""
  if isinstance(error, SyntaxError):
    return f"{error.filename} line {error.lineno}"
  line, trace = None, error.__traceback__
  while trace is not None:
    if trace.tb_frame.f_code.co_filename == path:
      line = trace.tb_lineno
    trace = trace.tb_next
  return f"{path} line {line}" if line else path
