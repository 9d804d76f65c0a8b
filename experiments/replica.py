"""A capture in the Replica layout: give its folder, all else follows.

What: every stage on a real or rendered room with depth and labels. Features are
the `.npz` in the folder where there is one, else the `local` statistics.

  python -m jnerf.main --config=experiments/replica.py \
      --config.scene.path=DATA/office_0 --workdir=runs/office_0

Two CPU cores: 11 minutes for office_0 (81 views at 300x170), of which 3.5 fitting and
2 x 1.5 shaping. Measured: experiments/results/labels-office_0.md.
"""

from jnerf.runs.config import default_config


def get_config():
  """Sizes chosen so that all stages end within 20 minutes on two CPU cores."""
  config = default_config()
  config.scene.format = "replica"
  config.scene.max_pixels = 5_000_000
  config.fit.steps = 3000
  # Longer and gentler than in the room: there is more fine detail to keep. (On
  # office_0 800 steps at this weight cost 0.7 dB and group no better.)
  config.shape.update(steps=1200, learning_rate=5e-3, final_learning_rate=1e-4,
                      contrast_weight=7e-4)
  config.shape.oracle = True
  return config
