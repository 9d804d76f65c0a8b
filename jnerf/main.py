"""The command: flags to config, config to one call per mode.

  python -m jnerf.main --config=experiments/room.py --workdir=runs/room

Kept short on purpose: whatever a mode does is in `jnerf.stages` and can be
called from a notebook or a test with a config of its own.
"""

from __future__ import annotations

import sys

from absl import flags
from ml_collections import config_flags

from jnerf.config import validate
from jnerf.errors import InputError
from jnerf.stages import modes
from jnerf.stages.session import Session
from jnerf.stages.workdir import Workdir
from jnerf.training.compilation import enable_compilation_cache

_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "Experiment file, e.g. experiments/room.py or room.py:smoke.")
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of this run.")
_MODE = flags.DEFINE_enum("mode", "run", list(modes.MODES), "What to do.")


def main(argv: list[str]) -> None:
  """Runs one mode; raises InputError on what the user can mend."""
  _parse(argv)
  config = _CONFIG.value
  validate(config)
  enable_compilation_cache(config.runtime.compilation_cache)
  session = Session(config, Workdir(_WORKDIR.value),
                    command="python -m jnerf.main " + " ".join(argv[1:]))
  print(modes.MODES[_MODE.value](session))


def _parse(argv: list[str]) -> None:
  """Reads the flags; whatever is wrong with them becomes one line."""
  try:
    rest = flags.FLAGS(argv)[1:]
  except InputError:
    raise
  except flags.Error as error:
    raise InputError(f"{error}; see --help") from error
  except OSError as error:
    raise InputError(f"--config: {error.filename} cannot be read") from error
  except (AttributeError, KeyError, TypeError, ValueError, SyntaxError) as error:
    raise InputError(f"--config: {error}") from error
  if rest:
    raise InputError(f"{rest[0]!r} is no flag; flags are --config, --workdir, --mode "
                     "and --config.KEY=VALUE")
  for flag, value in (("--config", _CONFIG.value), ("--workdir", _WORKDIR.value)):
    if value is None:
      raise InputError(f"{flag} is missing; try --config=experiments/room.py "
                       "--workdir=runs/room")


def console() -> None:
  """Entry point: one line and exit code 2 where the input is wrong."""
  try:
    main(sys.argv)
  except InputError as error:
    print("jnerf: " + " ".join(str(error).split()), file=sys.stderr)
    sys.exit(2)
  except KeyboardInterrupt:
    print("jnerf: stopped; the same command goes on from the last checkpoint",
          file=sys.stderr)
    sys.exit(130)


if __name__ == "__main__":
  console()
