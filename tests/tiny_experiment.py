"""The smallest experiment: `--config=tests/tiny_experiment.py:FOLDER` of a capture."""

from jnerf.runs.config import default_config


def get_config(path):
  config = default_config()
  config.scene.update(format="replica", path=path, test_every=3, test_offset=1)
  config.features.kind = "local"
  config.features.local.update(stride=2, scales=(1,))
  config.field.grid.update(
      num_levels=2, log2_table_size=8, coarsest=4, finest=8, density_width=8,
      color_width=8, proposal_cells=4, proposal_samples=4, samples=4)
  config.fit.update(steps=4, num_rays=32, warmup_steps=1)
  config.shape.update(steps=4, num_rays=32, warmup_steps=1, contrast_rays=0)
  config.regions.update(num_cells=16, num_regions=12, num_channels=4)
  config.label.update(seeds=1, protocols=("sparse",), methods=("cosine",),
                      primary="cosine")
  config.render.num_frames = 2
  config.inspect.estimate = False
  config.runtime.update(steps_per_call=2, chunk=256)
  return config
