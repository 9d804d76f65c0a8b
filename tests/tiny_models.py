"""Models of a few hundred numbers, with rays, batches and pixels to run them on."""

import functools

import jax
import numpy as np

from jnerf.fields.kinds import GridSettings, MlpSettings, grid_model, mlp_model
from jnerf.fields.model import Model
from jnerf.fields.spaces import Box
from jnerf.geometry import cameras
from jnerf.geometry.poses import look_at
from jnerf.scenes.pixels import PixelData
from jnerf.structs import Batch, Rays

# Compiling is most of what these tests cost; optimised code would gain nothing.
quick_jit = functools.partial(jax.jit, compiler_options={
    "xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_use_fusion_emitters": False})

BOUNDS = np.array([[-1.0, -0.8, -0.6], [1.0, 0.8, 0.6]])
SPACE = Box.of(BOUNDS)
NEAR, FAR = 0.5, 4.0


def grid(space=SPACE, **changes) -> Model:
  settings = dict(
      num_levels=3, features_per_level=2, log2_table_size=8, coarsest=2, finest=12,
      interpolation="tetrahedral", density_width=16, color_width=16, proposal_cells=8,
      proposal_samples=8, samples=6)
  return grid_model(space, GridSettings(**(settings | changes)))


def mlp(space=SPACE, **changes) -> Model:
  settings = dict(depth=2, width=16, skip=0, color_width=16, position_octaves=3,
                  direction_octaves=2, coarse_samples=8, fine_samples=6)
  return mlp_model(space, MlpSettings(**(settings | changes)))


KINDS = {"grid": grid, "mlp": mlp}


def lively_params(model: Model, seed: int = 0, dtype=np.float32):
  """Params as after some training: no unit is dead and the tables say something.

  Only shapes are asked of the model, which compiles nothing.
  """
  rng = np.random.default_rng(seed)

  def draw(path, leaf):
    layer, name = path[-2].key, path[-1].key
    scale = {"tables": 0.5, "density_grid": 1.0, "bias": 0.2}.get(name)
    scale = scale or 1.5 / np.sqrt(leaf.shape[0])
    shift = 1.5 * (layer == "density" and name == "bias")
    return np.asarray(shift + scale * rng.normal(size=leaf.shape), dtype)

  return jax.tree_util.tree_map_with_path(
      draw, jax.eval_shape(model.init, jax.random.key(0)))


def rays(num: int, seed: int = 0, dtype=np.float32) -> Rays:
  """Rays from below the box through random places in it."""
  rng = np.random.default_rng(seed)
  origins = np.array([[0.0, 0.0, -2.0]]) + 0.1 * rng.normal(size=(num, 3))
  targets = rng.uniform(0.8 * BOUNDS[0], 0.8 * BOUNDS[1], (num, 3))
  directions = targets - origins
  directions /= np.linalg.norm(directions, axis=1, keepdims=True)
  ones = np.ones((num, 1), dtype)
  return Rays(origins.astype(dtype), directions.astype(dtype), directions.astype(dtype),
              dtype(NEAR) * ones, dtype(FAR) * ones)


def batch(num: int, seed: int = 0) -> Batch:
  """Rays whose colours, features and labels follow three clusters in space."""
  rng = np.random.default_rng(seed)
  some = rays(num, seed)
  cluster = np.digitize(some.directions[:, 0], [-0.1, 0.1])
  features = np.eye(3)[cluster] + 0.2 * rng.normal(size=(num, 3))
  colors = 0.2 + 0.6 * np.eye(3)[cluster]
  single = np.float32
  return Batch(
      rays=some, rgb=colors.astype(single), features=features.astype(single),
      labels=cluster.astype(np.int32), background=rng.random((num, 3)).astype(single),
      jitter=(rng.random((num, 2)) - 0.5).astype(single))


def pixel_data(size: tuple[int, int] = (8, 6), views: int = 4) -> PixelData:
  """Views from a ring around the box, with random images, features and labels."""
  rng = np.random.default_rng(0)
  width, height = size
  angles = np.arange(views) * 2 * np.pi / views
  poses = np.stack([look_at((2 * np.cos(a), 2 * np.sin(a), 0.5), (0, 0, 0))
                    for a in angles])
  intrinsics = np.tile(cameras.pinhole_from_fov(width, height, 60.0), (views, 1))
  return PixelData(
      images=rng.random((views, height, width, 3)).astype(np.float32),
      cam_to_world=poses.astype(np.float32), intrinsics=intrinsics.astype(np.float32),
      features=rng.normal(size=(views, 3, 4, 5)).astype(np.float16),
      labels=rng.integers(0, 4, (views, height, width)).astype(np.int32),
      near=NEAR, far=FAR)
