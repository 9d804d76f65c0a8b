"""Fits captures of all kinds, each by its folder alone, and prints how well.

  python experiments/benchmarks/measure_captures.py DATA/fox DATA/lego ...

Per folder what a user would run: `inspect`, `fit` and `evaluate` with
experiments/capture.py and `scene.path`, in runs/captures/<name>. Two CPU cores: 4 to 8
minutes each. Measured: experiments/results/captures.md.
"""

import pathlib
import sys

import jnerf
from jnerf import main as jnerf_main
from jnerf.evaluating.tables import format_table
from jnerf.runs.workdir import Workdir

EXPERIMENT = str(pathlib.Path(__file__).parents[1] / "capture.py")
HEADER = ("scene", "views", "size", "steps", "minutes", "PSNR (dB)", "SSIM", "depth (cm)")


def main(folders: list[str]) -> None:
  """Measures every folder; what runs/captures holds is not redone."""
  rows = []
  for folder in folders:
    workdir = Workdir(pathlib.Path("runs/captures") / pathlib.Path(folder).name)
    for mode in ("inspect", "fit", "evaluate"):
      jnerf_main.main(["jnerf", f"--config={EXPERIMENT}", f"--config.scene.path={folder}",
                       f"--workdir={workdir.path}", f"--mode={mode}",
                       "--config.inspect.estimate=False"])
    rows.append(_row(workdir))
  print("\n" + format_table(HEADER, rows))


def _row(workdir: Workdir) -> list[str]:
  opened = jnerf.open_run(workdir.path)
  metrics, scene = opened.metrics, opened.scene
  fit, depth = metrics["stages"]["fit"], metrics["depth_error_m"]["plain"]
  return [scene.name, str(len(scene.frames)), "x".join(map(str, scene.size)),
          str(fit["steps"]), f"{fit['seconds'] / 60:.1f}",
          f"{metrics['psnr']['plain']:.1f}", f"{metrics['ssim']['plain']:.3f}",
          "" if depth is None else f"{100 * depth:.1f}"]


if __name__ == "__main__":
  main(sys.argv[1:])
