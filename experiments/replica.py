"""A capture in the Replica layout: give its folder, all else follows.

What: every stage on a real or rendered room with depth and labels. Features are
the `.npz` in the folder where there is one, else the `local` statistics.

  python -m jnerf.main --config=experiments/replica.py \
      --config.scene.path=DATA/office_0 --workdir=runs/office_0
"""

from jnerf.config import default_config


def get_config():
  """Sizes chosen so that all stages end within 20 minutes on two CPU cores."""
  config = default_config()
  config.scene.format = "replica"
  config.scene.max_pixels = 5_000_000
  config.fit.steps = 2000
  config.shape.oracle = True
  return config
