"""The command: flags to config, config to one call per mode.

  python -m jnerf.main --config=experiments/room.py --workdir=runs/room

Kept short on purpose: whatever a mode does is in `jnerf.stages` and can be
called from a notebook or a test with a config of its own.
"""

from __future__ import annotations

import argparse
import errno
import inspect
import sys

from jnerf.errors import InputError
from jnerf.runs.config import validate
from jnerf.runs.experiment import load_experiment, override
from jnerf.runs.run import Run
from jnerf.runs.settings_page import settings_text
from jnerf.runs.workdir import Workdir
from jnerf.stages.modes import MODES
from jnerf.training.compilation import enable_compilation_cache

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def main(argv: list[str]) -> None:
  """Runs one mode; raises InputError on what the user can mend.

  argv: the program's name and its arguments, as in `sys.argv`.
  """
  arguments, overrides = _parser().parse_known_args(argv[1:])
  config = override(load_experiment(arguments.config), overrides)
  validate(config)
  workdir = Workdir(arguments.workdir)
  enable_compilation_cache(config.runtime.compilation_cache)
  run = Run(config, workdir, command="python -m jnerf.main " + " ".join(argv[1:]))
  print(MODES[arguments.mode](run))


class _Parser(argparse.ArgumentParser):
  """Raises InputError where argparse would print the usage and exit."""

  def error(self, message):
    raise InputError(f"{message}; see --help")


def _parser() -> argparse.ArgumentParser:
  lines = "\n".join(f"  {name:10} {(inspect.getdoc(mode) or '').partition(chr(10))[0]}"
                    for name, mode in MODES.items())
  parser = _Parser(
      prog="python -m jnerf.main", allow_abbrev=False,
      usage="%(prog)s --config=FILE[:ARG] --workdir=DIR [--mode=MODE] "
            "[--config.KEY=VALUE ...]",
      description="Labels a whole 3D scene from a handful of clicks.",
      epilog=f"modes:\n{lines}\n\nsettings, --config.KEY=VALUE, with their defaults:\n"
             f"{settings_text()}",
      formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument("--config", required=True, metavar="FILE[:ARG]",
                      help="experiment, e.g. experiments/room.py or room.py:smoke")
  parser.add_argument("--workdir", required=True, metavar="DIR",
                      help="folder of this run; what is done there is not redone")
  parser.add_argument("--mode", default="run", choices=MODES, metavar="MODE",
                      help="what to do, see below (default: run)")
  return parser


def console() -> None:
  """Entry point: one line and exit code 2 where the input is wrong."""
  try:
    main(sys.argv)
  except InputError as error:
    print("jnerf: " + " ".join(str(error).split()), file=sys.stderr)
    sys.exit(2)
  except OSError as error:
    if error.errno not in _NO_ROOM:
      raise
    print(f"jnerf: {error.strerror}; make room, and the same command goes on from the "
          "last checkpoint", file=sys.stderr)
    sys.exit(2)
  except KeyboardInterrupt:
    print("jnerf: stopped; the same command goes on from the last checkpoint",
          file=sys.stderr)
    sys.exit(130)


if __name__ == "__main__":
  console()
