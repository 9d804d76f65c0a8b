"""Rays of a field rendered chunk by chunk, with the rows that were shaped, or without.

One compiled program serves any number of rays: they are padded to whole chunks. Whoever
wants colour and distance alone asks for no rows, and pays for none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnerf.fields.field import Field
from jnerf.shaping.rows import RowKind, points_at, rows_of
from jnerf.structs import Entities, Rays, Rendering, Samples


@dataclasses.dataclass(frozen=True)
class ViewRenderer:
  """Renders rays of one field in chunks; hashable, holds no arrays.

  model: the field; rows: which rows `J [N, P]` entities have; None: none.
  chunk: rays rendered at once; background: what is behind the field.
  samples: whether entities hold renderings, with `weights, hidden, logits` of every
    sample, which are large and which few methods need.
  """

  model: Field
  rows: RowKind | None = RowKind()
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
      part = _padded_part((rays, distance, features), start, self.chunk)
      yield _render(self, params, *part), min(self.chunk, num_rays - start)

  def map(self, params, rays: Rays, *fns: Callable[[Entities], Any], distance=None,
          features=None) -> list:
    """Applies each `fn: Entities -> tree of [n, ...]` to all chunks.

    distance, features: as in `chunks`. Returns trees of arrays over all rays, on the
    host. One chunk is worked on while the one before is fetched.
    """
    num_rays, done, wholes, ahead = rays.origins.shape[0], 0, None, []
    for chunk, num in self.chunks(params, rays, distance, features):
      ahead.append(([fn(chunk) for fn in fns], num))
      if len(ahead) > 1:
        wholes, done = _fetch(*ahead.pop(0), wholes, done, num_rays)
    for results, num in ahead:
      wholes, done = _fetch(results, num, wholes, done, num_rays)
    return wholes

  def entities(self, params, rays: Rays, features=None) -> Entities:
    """The pixels of any number of rays, of their samples `t` and `weights` alone."""
    return self.map(params, rays, _without_wide_samples, features=features)[0]

  def gradients(self, params, rays: Rays) -> np.ndarray:
    """The rows `J [N, P]` of any number of rays."""
    return self.map(params, rays, lambda chunk: chunk.J)[0]

  def colors(self, params, rays: Rays) -> tuple[np.ndarray, np.ndarray]:
    """`rgb [N, 3]` and `distance [N]`; no row is computed for them."""
    return tuple(dataclasses.replace(self, rows=None, samples=False).map(
        params, rays, lambda chunk: chunk.rgb, lambda chunk: chunk.distance))


def take(tree, rows):
  """Some rows of every array in a tree, by a slice or by their numbers."""
  return jax.tree.map(lambda leaf: leaf[rows], tree)


def _fetch(results, num: int, wholes, done: int, num_rays: int):
  """Copies one chunk's results to their place in arrays over all rays."""
  parts = [take(jax.device_get(result), slice(num)) for result in results]
  if wholes is None:  # of whole size at once: to join parts takes twice as much
    wholes = jax.tree.map(
        lambda leaf: np.empty((num_rays, *leaf.shape[1:]), leaf.dtype), parts)
  for whole, part in zip(jax.tree.leaves(wholes), jax.tree.leaves(parts)):
    whole[done:done + num] = part
  return wholes, done + num


def _padded_part(tree, start: int, num: int):
  """`num` rows of every array in a tree from `start`; past the end, the last one again.

  A last chunk of another size would be compiled anew.
  """
  total = jax.tree.leaves(tree)[0].shape[0]
  return take(tree, np.minimum(np.arange(start, start + num), total - 1))


def _without_wide_samples(chunk: Entities) -> Entities:
  if chunk.rendering is None:
    return chunk
  return chunk.replace(rendering=chunk.rendering.replace(
      sigma=None, hidden=None, logits=None, proposals=()))


@functools.partial(jax.jit, static_argnums=0)
def _render(renderer: ViewRenderer, params, rays: Rays, distance, features) -> Entities:
  model, kind, J = renderer.model, renderer.rows, None
  if distance is None:
    samples = model.sample(params, rays)
    rendering = model.render(params, rays, samples, renderer.background)
  else:
    rendering = _render_points(model, params, rays, distance)
    samples = Samples(t=rendering.t)
  if kind is not None:
    # A constant key: a sketch's directions must be the same in every view.
    J = rows_of(model, params, rays, samples, rendering, jax.random.key(0),
                kind.for_labels("pixels" if distance is None else "points"))
  return Entities(
      J=J, points=points_at(rays, rendering.distance_median), rgb=rendering.rgb,
      distance=rendering.distance_median, features=features, rays=rays,
      rendering=rendering if renderer.samples else None)


def _render_points(model: Field, params, rays: Rays, distance) -> Rendering:
  """The points at `distance [N]`, each as a ray that meets nothing but it."""
  points = points_at(rays, distance)
  output = model.at_points(params, points[:, None, :], rays.viewdirs)
  opaque = jnp.ones_like(distance)
  return Rendering(
      rgb=jax.nn.sigmoid(output.logits[:, 0]), acc=opaque, distance=distance,
      distance_median=distance, t=jnp.stack([distance, distance], axis=1),
      weights=opaque[:, None], sigma=output.sigma, hidden=output.hidden,
      logits=output.logits)
