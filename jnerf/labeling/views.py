"""Whole views of a field, rendered chunk by chunk with their gradients.

`ViewRenderer` renders any rays with the rows `J [N, P]` that labelling works on, of the
same kind as were shaped: gradients in the same parameters, or activations, which take
their place. They are of the pixels or, where distances along the rays are given, of the
3D points there. One compiled program
serves all views: rays are padded to whole chunks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnerf.fields.model import Model
from jnerf.geometry import cameras
from jnerf.labeling.response import cosine_response
from jnerf.shaping import contrast
from jnerf.structs import Batch, Entities, Rays, Rendering, Samples, Scene


@dataclasses.dataclass(frozen=True)
class ViewRenderer:
  """Renders rays of one model in chunks; hashable, holds no arrays.

  model: the field; recipe: says what J is and how it is computed.
  chunk: rays rendered at once; background: what is behind the field.
  samples: whether renderings hold `weights, hidden, logits` of every sample, which
    are large and which few methods need.
  """

  model: Model
  recipe: contrast.Recipe
  chunk: int = 4096
  background: float = 0.5
  samples: bool = False

  def chunks(self, params, rays: Rays, distance=None,
             features=None) -> Iterator[tuple[Entities, int]]:
    """The rays, in order, some `chunk` at a time.

    distance: `[N]`: not the pixels but the 3D points at these distances.
    features: `[N, F]` of the photographs at the rays, to be handed on.

    Yields `chunk` entities, the last ones padded, and how many are no padding.
    """
    num_rays = rays.origins.shape[0]
    for start in range(0, num_rays, self.chunk):
      part = _part((rays, distance, features), start, self.chunk)
      yield _render(self, params, *part), min(self.chunk, num_rays - start)

  def map(self, params, rays: Rays, *fns: Callable[[Entities], Any], distance=None,
          features=None) -> list:
    """Applies each `fn: Entities -> tree of [n, ...]` to all chunks.

    distance, features: as in `chunks`. Returns trees of arrays over all rays, on the
    host.
    """
    num_rays, done, wholes = rays.origins.shape[0], 0, None
    for chunk, num in self.chunks(params, rays, distance, features):
      parts = [rows_of(jax.device_get(fn(chunk)), slice(num)) for fn in fns]
      if wholes is None:  # of whole size at once: to join parts takes twice as much
        wholes = jax.tree.map(
            lambda leaf: np.empty((num_rays, *leaf.shape[1:]), leaf.dtype), parts)
      for whole, part in zip(jax.tree.leaves(wholes), jax.tree.leaves(parts)):
        whole[done:done + num] = part
      done += num
    return wholes

  def entities(self, params, rays: Rays, features=None) -> Entities:
    """The pixels of any number of rays, without what the field said at samples."""
    return self.map(params, rays, lambda chunk: chunk.replace(
        rendering=chunk.rendering.replace(sigma=None, hidden=None, logits=None,
                                          proposals=())), features=features)[0]

  def gradients(self, params, rays: Rays) -> np.ndarray:
    """`J [N, P]` of any number of rays."""
    return self.map(params, rays, lambda chunk: chunk.J)[0]


def rows_of(tree, rows):
  """Some rows of every array in a tree, by a slice or by their numbers."""
  return jax.tree.map(lambda leaf: leaf[rows], tree)


def _part(tree, start: int, num: int):
  """`num` rows of every array in a tree from `start`; past the end, the last one again.

  A last chunk of another size would be compiled anew.
  """
  total = jax.tree.leaves(tree)[0].shape[0]
  return rows_of(tree, np.minimum(np.arange(start, start + num), total - 1))


@functools.partial(jax.jit, static_argnums=0)
def _render(renderer: ViewRenderer, params, rays: Rays, distance, features) -> Entities:
  model = renderer.model
  if distance is None:
    samples = model.sample(params, rays)
    rendering = model.render(params, rays, samples, renderer.background)
  else:
    rendering = _render_points(model, params, rays, distance)
    samples = Samples(t=rendering.t)
  recipe = dataclasses.replace(renderer.recipe, value_channel="mean",
                               entities="pixels" if distance is None else "points")
  # A constant key: a sketch's directions must be the same in every view.
  J = contrast.entity_rows(model, params, Batch(rays, rendering.rgb), samples,
                           rendering, jax.random.key(0), recipe)
  if not renderer.samples:
    rendering = rendering.replace(t=None, weights=None, sigma=None, hidden=None,
                                  logits=None, proposals=())
  points = rays.origins + rendering.distance_median[:, None] * rays.directions
  return Entities(J=J, points=points, rgb=rendering.rgb, features=features, rays=rays,
                  rendering=rendering)


def _render_points(model: Model, params, rays: Rays, distance) -> Rendering:
  """The points at `distance [N]`, each as a ray that meets nothing but it."""
  points = rays.origins + distance[:, None] * rays.directions
  output = model.at_points(params, points[:, None, :], rays.viewdirs)
  opaque = jnp.ones_like(distance)
  return Rendering(
      rgb=jax.nn.sigmoid(output.logits[:, 0]), acc=opaque, distance=distance,
      distance_median=distance, t=jnp.stack([distance, distance], axis=1),
      weights=opaque[:, None], sigma=output.sigma, hidden=output.hidden,
      logits=output.logits)


def rays_of_view(scene: Scene, view: int) -> Rays:
  """All H * W rays of a view of the scene, on the host."""
  return cameras.view_rays(scene.cam_to_world[view], scene.intrinsics[view], scene.size,
                           scene.near, scene.far)


def pixels_of_view(scene: Scene, view: int) -> np.ndarray:
  """`[H * W, 3]` view, row, column of a view's pixels, in the order of its rays."""
  width, height = scene.size
  rows, columns = np.indices((height, width)).reshape(2, -1)
  return np.stack([np.full_like(rows, view), rows, columns], axis=1)


def rays_of_pixels(scene: Scene, pixels: np.ndarray) -> Rays:
  """Rays through the centres of `pixels [N, 3]`: view, row, column of the scene."""
  view = pixels[:, 0]
  xy = (pixels[:, 2:0:-1] + 0.5).astype(np.float32)
  rays = cameras.cast_rays(
      xy, scene.cam_to_world[view].astype(np.float32),
      scene.intrinsics[view].astype(np.float32), scene.near, scene.far, xnp=np)
  return jax.tree.map(lambda leaf: leaf.astype(np.float32), rays)


def depth_of_view(scene: Scene, view: int, distance: np.ndarray) -> np.ndarray:
  """`[H, W]` depth along the camera's z from distances `[H * W]` along the rays."""
  per_depth = cameras.distance_per_depth(scene.intrinsics[view], scene.size)
  return (distance.reshape(per_depth.shape) / per_depth).astype(np.float32)


def distance_of_view(scene: Scene, view: int) -> np.ndarray:
  """`[H * W]` distances along the rays at which the view's depth lies, 0 = none."""
  per_depth = cameras.distance_per_depth(scene.intrinsics[view], scene.size)
  return (scene.depth[view] * per_depth).astype(np.float32).reshape(-1)


def response_map(J, direction) -> jax.Array:
  """|cosine| `[N]` of gradients with one direction `[P]`: what answers to a click."""
  return jnp.abs(cosine_response(jnp.asarray(J), jnp.asarray(direction)[:, None]))[:, 0]
