"""The built-in procedural room: fit, shape, label from clicks, report.

What: every stage on a scene that needs no download; pairs are chosen by `local`
features (colour and texture statistics), and by ground truth for comparison.

  python -m jnerf.main --config=experiments/room.py --workdir=runs/room
  python -m jnerf.main --config=experiments/room.py:smoke --workdir=runs/smoke
"""

from jnerf.config import default_config


def get_config(size: str = ""):
  """size: `smoke` for everything, tiny; `` for the real thing."""
  config = default_config()
  config.scene.format = "room"
  config.features.kind = "local"
  config.fit.steps = 1000
  config.shape.threshold = 0.75  # a tenth of the pairs of `local` features are above
  config.shape.oracle = True
  config.label.views = "test"  # of 120 views; the others would take a minute more
  if size == "smoke":
    _shrink(config)
  elif size:
    raise ValueError(f"experiments/room.py:{size}: only 'smoke' is known")
  return config


def _shrink(config):
  """Sizes at which every part runs in seconds and nothing is good."""
  config.scene.room.update(width=48, height=36, num_train=12, num_test=3)
  config.field.grid.update(num_levels=4, log2_table_size=12, finest=64, density_width=16,
                           color_width=16, proposal_cells=16, proposal_samples=16,
                           samples=8)
  config.fit.update(steps=60, num_rays=256, warmup_steps=10)
  config.shape.update(steps=20, num_rays=256, contrast_rays=128, warmup_steps=5)
  config.label.update(seeds=2, protocols=("sparse", "dense"))
  config.runtime.steps_per_call = 10
