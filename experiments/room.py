"""The built-in procedural room: fit, shape, label from clicks, report.

What: every stage on a scene that needs no download; pairs are chosen by `local`
features (colour and texture statistics), and by ground truth for comparison.

  python -m jnerf.main --config=experiments/room.py --workdir=runs/room
  python -m jnerf.main --config=experiments/room.py:smoke --workdir=runs/smoke

Two CPU cores: about 4 minutes, of which 65 s fitting and 2 x 40 s shaping; smoke
about a minute, nearly all of it compiling. Expect 32 dB on test views and, with one
click per class in one frame, mIoU 0.65 plain and 0.75 shaped by `regions`; 0.47 and 0.72
by `cosine`, 0.95 with the oracle's pairs. Measured rows: experiments/results/room.json.
"""

from jnerf.runs.config import default_config


def get_config(size: str = ""):
  """size: `smoke` for everything, tiny; `` for the real thing."""
  config = default_config()
  config.scene.format = "room"
  config.features.kind = "local"
  config.scene.room.num_test = 12
  config.fit.steps = 850
  config.shape.update(steps=500, contrast_weight=2e-3)
  config.shape.oracle = True
  config.label.views = "test"  # labelling the others would take two minutes more
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
  config.regions.update(num_cells=32, num_regions=400)
  config.shape.update(steps=20, num_rays=256, contrast_rays=128, warmup_steps=5)
  config.label.update(seeds=2, protocols=("sparse", "dense"), views="all",
                      methods=("regions", "cosine", "paper", "bayes"),
                      dimensions=("2d", "3d"))
  config.runtime.steps_per_call = 10
