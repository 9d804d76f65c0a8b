"""Regions: patches of a scene's surfaces that belong together, before anybody clicks.

One photograph says little of a pixel. Where the geometry is known, all that the
views saw of a place can be put together: its colour and its visual features, averaged
over the views. Cells of a grid over the scene that hold surface are then merged into
regions, each of one colour and one kind of features, that end where these change, and at
creases: a concave fold of the surface is where one thing stands on another, a convex one
an edge of the thing itself (Hoffman and Richards 1984, Parts of Recognition; Stein et al.
2014, Object Partitioning using Local Convexity).

Notation: M occupied cells of a grid of n^3 cells over the unit cube of the model's
space, F feature channels, R regions.
"""

from __future__ import annotations

from collections.abc import Iterable
import dataclasses

from flax import struct
import jax.numpy as jnp
import numpy as np
from scipy import ndimage, sparse, spatial

from jnerf.host_arrays import unit_rows
from jnerf.structs import Array

NUM_NEIGHBOURS = 10  # cells that a cell is compared with
MAX_TRIES = 12  # at the merging threshold that gives the number of regions asked for


@dataclasses.dataclass
class Cells:
  """What all views saw in each of M occupied cells.

  index: `[M, 3]` place in the grid; points: `[M, 3]` mean in the unit cube.
  rgb: `[M, 3]` mean colour; features: `[M, F]` mean direction, of length 1.
  normals: `[M, 3]` mean direction in the unit cube, of length 1; counts: `[M]` pixels.
  """

  index: np.ndarray
  points: np.ndarray
  rgb: np.ndarray
  features: np.ndarray
  normals: np.ndarray
  counts: np.ndarray


@struct.dataclass
class Regions:
  """R regions, where they lie and what they are like.

  grid: `[n, n, n]` int32, the region of every cell; one without surface has that of
    the nearest that has.
  points: `[R, 3]` mean in the unit cube; rgb: `[R, 3]`; features: `[R, F]`, unit rows.
  normals: `[R, 3]` unit rows, in the unit cube.
  counts: `[R]` how many pixels saw each.
  links: `[E, 2]` int32 pairs of regions that touch, each once; contacts: `[E]` how many
    pairs of their cells are neighbours, each pair once.
  """

  grid: Array
  points: Array
  rgb: Array
  features: Array
  normals: Array
  counts: Array
  links: Array
  contacts: Array


@dataclasses.dataclass(frozen=True)
class Scales:
  """Differences that matter between neighbours.

  color: of RGB in [0, 1]; features: of 1 - cosine.
  crease: of 1 - cosine of the normals across a concave fold; 0: folds do not matter.
  """

  color: float
  features: float
  crease: float = 0.0


def cell_index(coordinates, num_cells: int, xnp=jnp):
  """`[..., 3]` int32 cells of places in the unit cube, whose edge is divided in n."""
  cells = xnp.floor(coordinates * num_cells).astype(xnp.int32)
  return xnp.clip(cells, 0, num_cells - 1)


def region_at(grid, coordinates, xnp=jnp):
  """`[...]` region of places `[..., 3]` in the unit cube."""
  cells = cell_index(coordinates, grid.shape[0], xnp)
  return grid[cells[..., 0], cells[..., 1], cells[..., 2]]


def collect_cells(views: Iterable[tuple], num_cells: int) -> Cells:
  """Averages over cells what the views saw there, in the order of cells' places.

  views: per view, one after the other, since all together would not fit memory:
    `coordinates [m, 3]` in the unit cube, where m of its pixels lie; their `rgb [m, 3]`,
    `features [m, F]` and `normals [m, 3]`; and `visible [m]` bool, those that are of the
    scene, or None for all. A view may have as many as it likes.
  num_cells: n; the memory for it is that of n^3 int32, beside the cells themselves.
  """
  slots = np.full(num_cells**3, -1, np.int32)  # of occupied cells, in the order met
  occupied, sums = np.empty(0, np.int64), None
  for coordinates, rgb, features, normals, visible in views:
    part = slice(None) if visible is None else visible
    coordinates = coordinates[part]
    numbers, member, counts = np.unique(
        np.ravel_multi_index(tuple(cell_index(coordinates, num_cells, np).T),
                             (num_cells,) * 3), return_inverse=True, return_counts=True)
    fresh = numbers[slots[numbers] < 0]
    slots[fresh] = len(occupied) + np.arange(len(fresh))
    occupied = np.concatenate([occupied, fresh])
    add = _summation(member.reshape(-1), len(numbers))
    values = (counts, add @ coordinates, add @ rgb[part],
              add @ unit_rows(features[part].astype(np.float32)), add @ normals[part])
    if sums is None:
      sums = [np.zeros((0, *value.shape[1:]), kind)
              for value, kind in zip(
                  values, (np.int64, float, float, np.float32, np.float32))]
    for total, value in zip(sums, values):
      total.resize((len(occupied), *total.shape[1:]), refcheck=False)  # with zeros
      total[slots[numbers]] += value
  order = np.argsort(occupied)
  counts, points, rgb, features, normals = (total[order] for total in sums)
  index = np.stack(np.unravel_index(occupied[order], (num_cells,) * 3), axis=-1)
  return Cells(index, points / counts[:, None], rgb / counts[:, None],
               unit_rows(features), unit_rows(normals), counts)


def find_regions(cells: Cells, scales: Scales, *, num_cells: int,
                 num_regions: int) -> Regions:
  """Merges cells into about `num_regions` regions, which end at differences that matter.

  num_cells: n, as in `collect_cells`.
  """
  first, second, distance, spacing = _neighbours(cells.points)
  cost = distance**2 / (8 * spacing**2) + difference(cells, first, second, scales)
  region = merge(len(cells.points), first, second, cost, num_regions)
  sums = _summation(region, region.max() + 1, cells.counts)
  counts = np.asarray(sums.sum(axis=1))
  links, contacts = _contacts(region[first], region[second])
  grid = np.full((num_cells,) * 3, -1, np.int32)
  grid[tuple(cells.index.T)] = region
  nearest = ndimage.distance_transform_edt(grid < 0, return_distances=False,
                                           return_indices=True)
  single = np.float32
  return Regions(
      grid=grid[tuple(nearest)], points=(sums @ cells.points / counts).astype(single),
      rgb=(sums @ cells.rgb / counts).astype(single),
      features=unit_rows(sums @ cells.features).astype(single),
      normals=unit_rows(sums @ cells.normals).astype(single),
      counts=counts.reshape(-1).astype(single), links=links,
      contacts=contacts.astype(single))


def difference(nodes: Cells | Regions, first, second, scales: Scales) -> np.ndarray:
  """`[E]` how unlike the pairs `first [E]`, `second [E]` of neighbours are."""
  rgb, features = nodes.rgb, nodes.features
  result = np.sum((rgb[first] - rgb[second]) ** 2, axis=1) / (2 * scales.color**2)
  for start in range(0, len(first), 1 << 18):  # features of all pairs are large
    part = slice(start, start + (1 << 18))
    cosine = np.sum(features[first[part]] * features[second[part]], axis=1)
    result[part] += (1 - cosine) / scales.features
  if scales.crease:
    result += concavity(nodes.points, nodes.normals, first, second) / scales.crease
  return result


def concavity(points, normals, first, second) -> np.ndarray:
  """`[E]` 1 - cosine of the normals of pairs across a concave fold; 0 across others.

  Across a concave fold normals lean towards one another: going from one point to the
  other, they turn back.
  """
  turn = np.sum((normals[first] - normals[second]) * (points[first] - points[second]),
                axis=1)
  return np.where(turn < 0, 1 - np.sum(normals[first] * normals[second], axis=1), 0.0)


def merge(num_nodes: int, first, second, cost, num_regions: int) -> np.ndarray:
  """`[num_nodes]` region of every node, numbered from 0; about `num_regions`.

  Felzenszwalb and Huttenlocher (2004): edges in order of their cost join two regions
  where it is no more than what either holds together already, plus a threshold that
  shrinks with its size. The threshold is searched for the number of regions.

  first, second: `[E]` nodes of edges without direction: a pair may be listed from
    either side or from both, which counts once; cost: `[E]`, of a pair that is listed
    twice the lower one holds.
  """
  order = np.argsort(cost, kind="stable")
  order = order[np.sort(_once(num_nodes, first[order], second[order]))]
  edges = [side[order].tolist() for side in (first, second, cost)]
  low, high, threshold = 0.0, np.inf, 0.5
  for _ in range(MAX_TRIES):
    parents = _join(num_nodes, *edges, threshold)
    roots = int(np.sum(parents == np.arange(num_nodes)))
    if abs(roots - num_regions) <= 0.08 * num_regions:
      break
    low, high = (threshold, high) if roots > num_regions else (low, threshold)
    threshold = 2 * threshold if np.isinf(high) else (low + high) / 2
  while (parents[parents] != parents).any():
    parents = parents[parents]
  return np.unique(parents, return_inverse=True)[1].astype(np.int32).reshape(-1)


def _join(num_nodes: int, first, second, cost, threshold: float) -> np.ndarray:
  """Parents `[num_nodes]` of a forest whose roots are the regions."""
  parent, size = list(range(num_nodes)), [1] * num_nodes
  holds = [threshold] * num_nodes
  for a, b, price in zip(first, second, cost):
    while parent[a] != a:
      parent[a] = a = parent[parent[a]]
    while parent[b] != b:
      parent[b] = b = parent[parent[b]]
    if a != b and price <= holds[a] and price <= holds[b]:
      parent[b] = a
      size[a] += size[b]
      holds[a] = price + threshold / size[a]
  return np.array(parent)


def _neighbours(points):
  """Pairs of neighbours, each once: one of the two is among the other's nearest.

  Returns `(first [E], second [E], distance [E], spacing)`, the median distance of all
  points to their nearest ones.
  """
  count = min(NUM_NEIGHBOURS + 1, len(points))
  distance, number = spatial.cKDTree(points).query(points, list(range(2, count + 1)))
  first = np.repeat(np.arange(len(points)), number.shape[1])
  once = _once(len(points), first, number.reshape(-1))
  return (first[once], number.reshape(-1)[once], distance.reshape(-1)[once],
          np.median(distance))


def _once(num_nodes: int, first, second) -> np.ndarray:
  """Places of the edges that name a pair of two nodes for the first time.

  Whichever of the two comes first: nearest neighbours are not mutual, and a pair that
  only its higher number lists is a pair as well.
  """
  pair = np.minimum(first, second).astype(np.int64) * num_nodes
  pair += np.maximum(first, second)
  place = np.unique(pair, return_index=True)[1]
  return place[first[place] != second[place]]


def _contacts(first, second):
  """Links `[E, 2]` between regions and contacts `[E]`, of neighbouring cells' regions."""
  pairs = np.sort(np.stack([first, second], axis=1), axis=1)
  return np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0, return_counts=True)


def _summation(member, num: int, weights=None):
  """Sparse `[num, m]` matrix of sums; `member [m]` says to which each adds."""
  weights = np.ones(len(member)) if weights is None else weights
  return sparse.csr_matrix((weights.astype(np.float32), (member, np.arange(len(member)))),
                           shape=(num, len(member)))
