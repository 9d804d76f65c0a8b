"""Which pixels a training step sees, and what is known at them.

Notation: V training views, N pixels. A pixel is `(view, row, column)`, all
integers, `view` counting the training views only, so that no draw can reach a
test view. `gather_batch` runs inside the compiled step where the data fit the
device (`xnp=jnp`) and on the host where they do not (`xnp=np`).
"""

from __future__ import annotations

from flax import struct
import jax
import jax.numpy as jnp
import numpy as np

from jnerf.scenes import cameras, precomputed_features
from jnerf.structs import Array, Batch, FeatureMaps, Scene


@struct.dataclass
class PixelData:
  """All that batches are gathered from, of the training views.

  images: `[V, H, W, 3]` float32 in [0, 1].
  cam_to_world: `[V, 4, 4]` float32; intrinsics: `[V, 4 or 9]` float32.
  features: `[V, h, w, F]` visual features on their patch grid, or None.
  features_extent: the part of an image that the grid covers, `FeatureMaps.extent`.
  labels: `[V, H, W]` int32 ground-truth classes, only for the oracle, or None.
  alpha: `[V, H, W]` float32 opacity, where `images` are over black; or None.
  distance: `[V, H, W]` float32 measured distance along the rays, 0 = none; only
    where depth supervises, else None.
  drawable: `[M]` int32 row-major numbers of the pixels that the masks leave, or None
    where all may be drawn.
  near, far: distances along every ray.
  """

  images: Array
  cam_to_world: Array
  intrinsics: Array
  near: float = struct.field(pytree_node=False)
  far: float = struct.field(pytree_node=False)
  features: Array | None = None
  features_extent: tuple[float, float, float, float] = struct.field(
      pytree_node=False, default=(0.0, 0.0, 1.0, 1.0))
  labels: Array | None = None
  alpha: Array | None = None
  distance: Array | None = None
  drawable: Array | None = None

  @property
  def shape(self) -> tuple[int, int, int]:
    """`(V, H, W)`, what `draw_pixels` draws from."""
    return self.images.shape[:3]


def pixel_data(scene: Scene, feature_maps: FeatureMaps | None = None,
               with_labels: bool = False, with_depth: bool = False) -> PixelData:
  """The training views of `scene` on the host.

  feature_maps: of all views of the scene, in its order.
  with_depth: whether measured depth goes in, where the scene has it.
  with_labels: whether ground-truth classes go in; for the oracle only. Raises
    ValueError where the scene has none.
  """
  if with_labels and scene.semantic is None:
    raise ValueError(f"scene {scene.name} has no labels")
  views, distance = scene.train, None
  if with_depth and scene.depth is not None:
    distance = np.stack([
        scene.depth[view] * cameras.distance_per_depth(scene.intrinsics[view], scene.size)
        for view in views]).astype(np.float32)
  maps = feature_maps or FeatureMaps(grid=None)
  return PixelData(
      images=scene.images[views],
      cam_to_world=scene.cam_to_world[views].astype(np.float32),
      intrinsics=scene.intrinsics[views].astype(np.float32),
      near=float(scene.near), far=float(scene.far),
      features=None if maps.grid is None else maps.grid[views],
      features_extent=maps.extent,
      labels=scene.semantic[views] if with_labels else None,
      alpha=None if scene.alpha is None else scene.alpha[views], distance=distance,
      drawable=None if scene.mask is None else np.flatnonzero(
          scene.mask[views]).astype(np.int32))


def draw_pixels(key: jax.Array, num: int, shape: tuple[int, int, int],
                drawable=None) -> jax.Array:
  """`[num, 3]` int32 (view, row, column), uniform with replacement.

  key: consumed; shape: `(V, H, W)`; drawable: as in `PixelData`.
  """
  if drawable is not None:
    chosen = jax.random.randint(key, (num,), 0, drawable.shape[0])
    return jnp.stack(jnp.unravel_index(jnp.asarray(drawable[chosen]), shape), axis=-1)
  return jax.random.randint(key, (num, 3), 0, jnp.array(shape, jnp.int32)[None],
                            dtype=jnp.int32)


def gather_batch(data: PixelData, pixels, xnp=jnp, background=None) -> Batch:
  """What the step needs at `pixels [N, 3]` (view, row, column).

  background: `[N, 3]`, what is behind the field and behind transparent photographs;
    None for black.
  """
  view, row, column = pixels[:, 0], pixels[:, 1], pixels[:, 2]
  xy = (xnp.stack([column, row], axis=-1) + 0.5).astype(xnp.float32)
  rays = cameras.cast_rays(xy, data.cam_to_world[view], data.intrinsics[view],
                           data.near, data.far, xnp)
  features = labels = distance = None
  if data.features is not None:
    _, height, width = data.shape
    size = xnp.array([[width, height]], xnp.float32)
    features = precomputed_features.sample_features(data.features, view, xy / size, xnp,
                                                    data.features_extent)
  if data.labels is not None:
    labels = data.labels[view, row, column]
  if data.distance is not None:
    distance = data.distance[view, row, column]
  rgb = data.images[view, row, column]
  if data.alpha is not None and background is not None:
    rgb = rgb + (1 - data.alpha[view, row, column][:, None]) * background
  return Batch(rays=rays, rgb=rgb, features=features, labels=labels,
               distance=distance, background=background)
