"""Any capture in a layout that is recognised: give its folder, all else follows.

What: fit and shape a capture of one's own; with a clicks file also labels. Layouts:
Replica, nerfstudio or instant-ngp (transforms.json), Blender (transforms_train.json),
COLMAP (sparse/; needs pip install 'jacobinerf[colmap]'), LLFF (poses_bounds.npy),
ScanNet (color/, pose/, intrinsic/), NICE-SLAM (results/, traj.txt). See
docs/captures.md.

  python -m jnerf.main --config=experiments/capture.py \
      --config.scene.path=DATA/fox --workdir=runs/fox [--mode=inspect]

Two CPU cores: fitting takes about 4 minutes, shaping another two.
"""

from jnerf.runs.config import default_config


def get_config():
  """As for Replica, without ground truth."""
  config = default_config()
  config.scene.max_pixels = 5_000_000
  config.fit.steps = 3000
  config.shape.update(steps=1200, learning_rate=5e-3, final_learning_rate=1e-4,
                      contrast_weight=7e-4)
  return config
