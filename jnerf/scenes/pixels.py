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

from jnerf.geometry import cameras, patch_grids
from jnerf.scenes import strata as strata_lib
from jnerf.scenes.drawable import Drawable
from jnerf.structs import Array, Batch, FeatureMaps, Scene


@struct.dataclass
class PixelData:
  """All that batches are gathered from, of the training views.

  images: `[V, H, W, 3]` float32 in [0, 1].
  cam_to_world: `[V, 4, 4]` float32; intrinsics: `[V, 4, 8 or 9]` float32.
  features: `[V, h, w, F]` visual features on their patch grid, or, with `regions`,
    `[R, F]` those of R regions; or None.
  features_extent: the part of an image that the grid covers, `FeatureMaps.extent`.
  labels: `[V, H, W]` int32 ground-truth classes, only for the oracle, or None.
  alpha: `[V, H, W]` float32 opacity, where `images` are over black; or None.
  distance: `[V, H, W]` float32 measured distance along the rays, 0 = none; or None.
  normals: `[V, h, w, 3]` float16 directions that surfaces face, on the patch grid of
    the features; or None.
  regions: `[V, h', w']` int32 the region of every block of pixels, or None.
  segments: `[V, H, W]` int32 hints as in `hints.read_hints`, or None.
  drawable: the pixels that the masks leave, or None where all may be drawn.
  strata: how contrasted pixels are drawn, or None: as all others.
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
  normals: Array | None = None
  regions: Array | None = None
  segments: Array | None = None
  drawable: Drawable | None = None
  strata: strata_lib.Strata | None = None

  @property
  def shape(self) -> tuple[int, int, int]:
    """`(V, H, W)`, what `draw_pixels` draws from."""
    return self.images.shape[:3]


def pixel_data(scene: Scene, feature_maps: FeatureMaps | None = None,
               with_labels: bool = False, with_depth: bool = False,
               segments: np.ndarray | None = None) -> PixelData:
  """The training views of `scene` on the host.

  feature_maps: of all views of the scene, in its order.
  with_depth: whether measured depth goes in, where the scene has it.
  segments: `[V, H, W]` hints for all views of the scene.
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
      segments=None if segments is None else segments[views],
      drawable=None if scene.mask is None else Drawable.of(scene.mask[views]))


def draw_pixels(key: jax.Array, num: int, shape: tuple[int, int, int],
                drawable: Drawable | None = None, num_views: int = 0,
                strata: strata_lib.Strata | None = None, every: int = 1) -> jax.Array:
  """`[num, 3]` int32 (view, row, column), uniform with replacement.

  key: consumed; shape: `(V, H, W)`; drawable: as in `PixelData`.
  num_views: > 0 draws that many views first and takes equal shares, in order, of the
    pixels from each: pixels of one view then meet often enough to be compared.
  strata: replace every `every`-th pixel by one that they draw.
  """
  if strata is not None:
    key, strata_key = jax.random.split(key)
    drawn = draw_pixels(key, num, shape, drawable, num_views)
    balanced = strata_lib.draw(strata_key, -(-num // every), strata)
    return drawn.at[::every].set(_triples(*balanced, shape))
  if num_views:
    return _draw_from_views(key, num, shape, drawable, num_views)
  if drawable is not None:
    return _triples(*drawable.draw(key, num), shape)
  return jax.random.randint(key, (num, 3), 0, jnp.array(shape, jnp.int32)[None],
                            dtype=jnp.int32)


def _draw_from_views(key, num, shape, drawable, num_views) -> jax.Array:
  view_key, pixel_key = jax.random.split(key)
  available = shape[0] if drawable is None else len(drawable.views)
  views = jax.random.randint(view_key, (num_views,), 0, available)
  view = views[jnp.arange(num) * num_views // num]
  if drawable is not None:
    return _triples(*drawable.draw_of_views(pixel_key, view), shape)
  inside = jax.random.randint(pixel_key, (num,), 0, shape[1] * shape[2])
  return _triples(view, inside, shape)


def _triples(view, inside, shape) -> jax.Array:
  """`[N, 3]` int32 (view, row, column) from row-major numbers inside views."""
  return jnp.stack([view, inside // shape[2], inside % shape[2]], -1).astype(jnp.int32)


def gather_batch(data: PixelData, pixels, xnp=jnp, background=None) -> Batch:
  """What the step needs at `pixels [N, 3]` (view, row, column).

  background: `[N, 3]`, what is behind the field and behind transparent photographs;
    None for black.
  """
  view, row, column = pixels[:, 0], pixels[:, 1], pixels[:, 2]
  xy = (xnp.stack([column, row], axis=-1) + 0.5).astype(xnp.float32)
  rays = cameras.cast_rays(xy, data.cam_to_world[view], data.intrinsics[view],
                           data.near, data.far, xnp)

  def on_grid(grid):
    if grid is None:
      return None
    size = xnp.array([data.shape[:0:-1]], xnp.float32)
    return patch_grids.sample_features(grid, view, xy / size, xnp,
                                                data.features_extent)

  def features():
    if data.regions is None:
      return on_grid(data.features)
    high, wide = data.regions.shape[1:]
    _, height, width = data.shape
    region = data.regions[view, row * high // height, column * wide // width]
    return data.features[region].astype(xnp.float32)

  def of_pixels(stack):
    return None if stack is None else stack[view, row, column]

  rgb = data.images[view, row, column]
  if data.alpha is not None and background is not None:
    rgb = rgb + (1 - data.alpha[view, row, column][:, None]) * background
  return Batch(
      rays=rays, rgb=rgb, features=features(), labels=of_pixels(data.labels),
      distance=of_pixels(data.distance), normals=on_grid(data.normals),
      segments=of_pixels(data.segments), background=background)


def random_pixels(scene: Scene, num: int, seed: int) -> np.ndarray:
  """`[<= num, 3]` (view, row, column), different random pixels of the training views.

  None where the scene's mask leaves pixels out.
  """
  height, width = scene.images.shape[1:3]
  counts = [height * width if scene.mask is None else np.count_nonzero(scene.mask[view])
            for view in scene.train]
  ends = np.cumsum(counts, dtype=np.int64)
  rng = np.random.default_rng(seed)
  chosen = rng.choice(ends[-1], min(num, ends[-1]), replace=False)
  view = np.searchsorted(ends, chosen, side="right")
  inside = chosen - (ends - counts)[view]
  for i in np.unique(view) if scene.mask is not None else ():
    free = np.flatnonzero(scene.mask[scene.train[i]])
    inside[view == i] = free[inside[view == i]]
  return np.stack([scene.train[view], inside // width, inside % width], axis=1)
