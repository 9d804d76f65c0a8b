"""Writes the README's tables anew from the measured json in experiments/results.

  python experiments/benchmarks/update_readme.py [--check]

To renew a scene's json, run its command and copy the metrics:

  cp runs/room/metrics.json experiments/results/room.json
"""

import json
import pathlib
import sys

from jnerf.evaluating.tables import update_readme

ROOT = pathlib.Path(__file__).parents[2]


def generated_readme() -> str:
  """README.md as the results say it should be."""
  results = {path.stem: json.loads(path.read_text())
             for path in sorted((ROOT / "experiments" / "results").glob("*.json"))}
  return update_readme((ROOT / "README.md").read_text(), results)


def main() -> None:
  """Rewrites README.md, or with --check exits 1 where it differs."""
  text, path = generated_readme(), ROOT / "README.md"
  if "--check" in sys.argv[1:]:
    sys.exit(0 if text == path.read_text() else "README.md differs from the results; "
             "run python experiments/benchmarks/update_readme.py")
  path.write_text(text)


if __name__ == "__main__":
  main()
