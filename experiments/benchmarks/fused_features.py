"""Features fused over views against features of single views.

  python experiments/benchmarks/fused_features.py experiments/replica.py \
      DATA/office_0 runs/fused

Fits the scene once and shapes it twice, with the features as they are and fused
through the fitted geometry (`shape.fuse_features`). Prints the precision of positives
at equal shares of positives, over random pairs of training pixels, and the rows of
both evaluations. Two CPU cores: 12 minutes for office_0, 15 for living_room.
Measured: experiments/results/fused_features.md.
"""

import pathlib
import shutil
import sys

import jax
import numpy as np

import jnerf
from jnerf import main as jnerf_main
from jnerf.evaluating.pair_quality import precision_of_positives
from jnerf.evaluating.tables import label_table
from jnerf.runs import parts
from jnerf.runs.config import settings_of
from jnerf.runs.loading import load_features
from jnerf.runs.workdir import Workdir
from jnerf.scenes import pixels
from jnerf.shaping.pair_data import PairSource, pair_data
from jnerf.shaping.pairs import feature_similarity

SHARES = (0.01, 0.03, 0.05, 0.10, 0.15)
BATCHES, PIXELS = 60, 256  # whose pairs are looked at; as many as shaping contrasts
VARIANTS = {"single": False, "fused": True}


def main(experiment: str, scene: str, folder: str) -> None:
  """Runs all; what the folder holds is not redone."""
  root = pathlib.Path(folder)
  common = ["jnerf", f"--config={experiment}", f"--config.scene.path={scene}",
            "--config.shape.oracle=False"]
  jnerf_main.main([*common, f"--workdir={root / 'single'}", "--mode=fit"])
  if not (root / "fused").exists():
    shutil.copytree(root / "single", root / "fused")
  for name, fused in VARIANTS.items():
    jnerf_main.main([*common, f"--workdir={root / name}",
                     "--config.shape.pairs=features",
                     f"--config.shape.fuse_features={fused}"])
  print_precision(root)
  for name in VARIANTS:
    print(f"\n{name}\n")
    print(label_table([row for row in Workdir(root / name).read_metrics()["labels"]
                        if row["field"] == "shaped" or name == "single"]))


def print_precision(root: pathlib.Path) -> None:
  """The table of precisions; both kinds of features are looked up at the same pixels."""
  runs = {name: jnerf.open_run(root / name) for name in VARIANTS}
  scene = runs["single"].scene
  print("\n| features | " + " | ".join(f"{share:.0%}" for share in SHARES) + " |")
  print("|---|" + "---|" * len(SHARES))
  for name, opened in runs.items():
    config = opened.run.config
    data = pair_data(
        opened.field("plain"), scene, load_features(opened.run, scene),
        parts.recipe_of(config), settings_of(config, PairSource, "shape"))
    precisions = []
    for key in jax.random.split(jax.random.key(0), BATCHES):
      chosen = np.asarray(pixels.draw_pixels(key, PIXELS, data.shape, data.drawable))
      features = pixels.gather_batch(data, chosen, np).features
      labels = scene.semantic[scene.train][tuple(chosen.T)]
      precisions.append(precision_of_positives(
          np.asarray(feature_similarity(features, features)), labels, SHARES))
    means = np.mean(precisions, axis=0)
    print(f"| {name} | " + " | ".join(f"{mean:.3f}" for mean in means) + " |")


if __name__ == "__main__":
  main(*sys.argv[1:])
