"""Regions of surfaces, and the walk over them, against loops and closed forms."""

import tracemalloc

import numpy as np
import pytest
from scipy import sparse

from jnerf.errors import InputError
from jnerf.shaping import diffusion, regions

NUM = 16


def two_walls(spacing=2, seed=0):
  """Cells of a flat sheet, left half red, right half blue, with features that agree."""
  i, j = np.meshgrid(np.arange(0, NUM, 1), np.arange(0, NUM, 1), indexing="ij")
  index = np.stack([i.ravel(), j.ravel(), np.full(i.size, spacing)], 1)
  left = index[:, 0] < NUM // 2
  rgb = np.where(left[:, None], [[0.8, 0.1, 0.1]], [[0.1, 0.1, 0.8]])
  features = np.where(left[:, None], [[1.0, 0.0]], [[0.0, 1.0]])
  noise = np.random.default_rng(seed).normal(size=rgb.shape)
  normals = np.tile([[0.0, 0.0, 1.0]], (len(index), 1))
  return regions.Cells(index, (index + 0.5) / NUM, rgb + 0.005 * noise, features,
                       normals, np.ones(len(index), int)), left


SCALES = regions.Scales(0.05, 0.2)
WALK = regions.Scales(0.2, 0.4)


def test_cells_average_what_all_views_saw():
  rng = np.random.default_rng(0)
  places = rng.random((3, 40, 3)).astype(np.float32)
  views = [(rng.random((40, 3)), rng.normal(size=(40, 5)), rng.normal(size=(40, 3)))
           for _ in range(3)]
  cells = regions.collect_cells(
      ((place, *view, None) for place, view in zip(places, views)), 2)
  assert cells.counts.sum() == 120 and len(cells.index) <= 8
  flat = places.reshape(-1, 3)
  rgb = np.concatenate([view[0] for view in views])
  unit = np.concatenate([view[1] / np.linalg.norm(view[1], axis=1, keepdims=True)
                         for view in views])
  for m, index in enumerate(cells.index):
    inside = (np.floor(flat * 2) == index).all(axis=1)
    assert cells.counts[m] == inside.sum()
    np.testing.assert_allclose(cells.rgb[m], rgb[inside].mean(0), rtol=1e-5)
    np.testing.assert_allclose(cells.points[m], flat[inside].mean(0), rtol=1e-5)
    mean = unit[inside].mean(0)
    np.testing.assert_allclose(cells.features[m], mean / np.linalg.norm(mean), atol=1e-5)
    mean = np.concatenate([view[2] for view in views])[inside].mean(0)
    np.testing.assert_allclose(cells.normals[m], mean / np.linalg.norm(mean), atol=1e-5)


def test_pixels_outside_of_the_scene_are_nobody_s_surface():
  rng = np.random.default_rng(3)
  places = rng.random((2, 30, 3)).astype(np.float32)
  views = [(rng.random((30, 3)), rng.normal(size=(30, 4)), rng.normal(size=(30, 3)))
           for _ in range(2)]
  seen = rng.random((2, 30)) < 0.6
  cells = regions.collect_cells(
      ((place, *view, inside) for place, view, inside in zip(places, views, seen)), 3)
  np.testing.assert_array_equal(cells.index, np.unique(cells.index, axis=0))
  assert cells.counts.sum() == seen.sum()
  rgb = np.stack([view[0] for view in views])
  for m, index in enumerate(cells.index):
    inside = seen & (np.floor(places * 3) == index).all(axis=-1)
    assert cells.counts[m] == inside.sum() > 0
    np.testing.assert_allclose(cells.rgb[m], rgb[inside].mean(0), rtol=1e-5)


def test_cells_of_many_views_take_the_memory_of_one():
  num_views, num_pixels = 40, 20_000

  def views():
    rng = np.random.default_rng(4)
    for view in range(num_views):
      places = (rng.random((num_pixels, 3)) * (view + 1) / num_views).astype(np.float32)
      yield places, places, places, places, None

  tracemalloc.start()
  cells = regions.collect_cells(views(), 16)
  peak = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  assert cells.counts.sum() == num_views * num_pixels and len(cells.index) == 16**3
  np.testing.assert_allclose(cells.points, cells.rgb, rtol=1e-5)
  assert peak < 12 * num_views * num_pixels / 2  # of half of the places alone


def test_views_may_have_numbers_of_places_of_their_own():
  few = [(np.full((m, 3), at, np.float32), np.full((m, 3), m), np.ones((m, 2)),
          np.ones((m, 3)), None) for m, at in ((3, 0.9), (1, 0.1), (5, 0.9))]
  cells = regions.collect_cells(few, 2)
  np.testing.assert_array_equal(cells.counts, [1, 8])
  np.testing.assert_allclose(cells.rgb[:, 0], [1, (3 * 3 + 5 * 5) / 8])


def test_regions_end_where_colour_changes():
  cells, left = two_walls()
  found = regions.find_regions(cells, SCALES, num_cells=NUM, num_regions=8)
  of_cells = regions.region_at(found.grid, cells.points, np)
  assert 4 <= len(found.points) <= 16
  assert not set(of_cells[left]) & set(of_cells[~left])
  for region in range(len(found.points)):  # its figures are the means of its cells
    member = of_cells == region
    assert found.counts[region] == member.sum()
    np.testing.assert_allclose(found.points[region], cells.points[member].mean(0),
                               rtol=1e-5)
    np.testing.assert_allclose(found.rgb[region], cells.rgb[member].mean(0), rtol=1e-4)


def fold(concave: bool):
  """Cells on two sheets with the same stripes that meet at a right angle at x = 1/2.

  Seen from above: a floor that a wall rises from, or a table whose side drops.
  """
  half = np.arange(NUM // 2)
  i, j = np.meshgrid(half, np.arange(NUM), indexing="ij")
  flat = np.stack([i.ravel(), j.ravel(), np.full(i.size, 8)], 1)
  rise = np.stack([np.full(i.size, 8), j.ravel(),
                   8 + i.ravel() if concave else 7 - i.ravel()], 1)
  index = np.concatenate([flat, rise])
  normals = np.repeat([[0.0, 0, 1], [-1.0, 0, 0] if concave else [1.0, 0, 0]], i.size, 0)
  ones = np.ones((len(index), 3))
  rgb = ones * np.where(index[:, 1:2] // 4 % 2, 0.3, 0.5)
  return regions.Cells(index, (index + 0.5) / NUM, rgb, ones, normals,
                       ones[:, 0].astype(int)), i.size


@pytest.mark.parametrize("concave, crease, parted", [
    (True, 0.1, True), (True, 0.0, False), (False, 0.1, False)])
def test_regions_end_and_walks_stop_at_concave_folds_alone(concave, crease, parted):
  cells, num = fold(concave)
  found = regions.find_regions(cells, regions.Scales(0.05, 0.2, crease), num_cells=NUM,
                               num_regions=8 if parted else 4)
  of_cells = regions.region_at(found.grid, cells.points, np)
  across = set(of_cells[:num]) & set(of_cells[num:])
  assert bool(across) != parted
  np.testing.assert_allclose(np.linalg.norm(found.normals, axis=1), 1, rtol=1e-5)
  if parted:
    rising = found.points[:, 2] > 8.6 / NUM
    free, stopped = (diffusion.kernel(diffusion.transitions(diffusion.links(
        found, regions.Scales(0.2, 0.4, c))), 0.99)[np.ix_(rising, ~rising)].mean()
        for c in (0.0, 0.1))
    assert stopped < 0.5 * free


def test_concavity_is_of_the_angle_and_of_its_sign():
  points = np.array([[0, 0, 0], [1, 0, 1.0]])
  lean = np.array([[0, 0, 1.0], [-1, 0, 0]])  # a floor and the wall it meets
  first, second = np.array([0, 1]), np.array([1, 0])
  np.testing.assert_allclose(regions.concavity(points, lean, first, second), [1, 1])
  np.testing.assert_allclose(
      regions.concavity(points, -lean, first, second), [0, 0])  # from behind: an edge
  np.testing.assert_allclose(
      regions.concavity(points, lean[[0, 0]], first, second), [0, 0])


def test_a_cell_without_surface_has_the_nearest_region():
  cells, _ = two_walls(spacing=2)
  found = regions.find_regions(cells, SCALES, num_cells=NUM, num_regions=6)
  above = cells.points + [[0, 0, 0.5]]
  np.testing.assert_array_equal(regions.region_at(found.grid, above, np),
                                regions.region_at(found.grid, cells.points, np))
  assert found.grid.min() >= 0


def test_links_count_neighbours_of_two_regions():
  first, second = np.array([0, 1, 1, 2, 2, 0]), np.array([1, 0, 2, 1, 2, 1])
  links, contacts = regions._contacts(first, second)
  np.testing.assert_array_equal(links, [[0, 1], [1, 2]])
  np.testing.assert_array_equal(contacts, [3, 2])


def test_merging_follows_the_published_rule():
  """Against sets of nodes, with the inner difference computed from its definition."""
  rng = np.random.default_rng(3)
  num, threshold = 30, 0.7
  first, second = np.array([(a, b) for a in range(num) for b in range(a + 1, num)
                            if rng.random() < 0.2]).T
  cost = rng.random(len(first))
  parts = {i: {i} for i in range(num)}
  inner = dict.fromkeys(range(num), 0.0)
  for e in np.argsort(cost):
    a, b = (next(r for r, part in parts.items() if node in part)
            for node in (first[e], second[e]))
    if a != b and cost[e] <= min(inner[r] + threshold / len(parts[r]) for r in (a, b)):
      parts[a] |= parts.pop(b)
      inner[a] = cost[e]
  order = np.argsort(cost)
  parent = regions._join(num, first[order].tolist(), second[order].tolist(),
                         cost[order].tolist(), threshold)
  assert int(np.sum(parent == np.arange(num))) == len(parts)
  region = regions.merge(num, first, second, cost, len(parts))
  for part in parts.values():
    assert len(set(region[list(part)])) == 1


def test_an_edge_listed_by_its_higher_number_alone_joins():
  first, second = np.array([1, 3]), np.array([0, 2])
  region = regions.merge(4, first, second, np.array([0.1, 0.1]), 2)
  assert region[0] == region[1] != region[2] == region[3]


def test_merging_does_not_rest_on_how_nodes_are_numbered():
  """Nearest neighbours are not mutual: many edges are listed from one side alone."""
  rng = np.random.default_rng(5)
  points, num = rng.random((200, 2)), 200
  apart = np.linalg.norm(points[:, None] - points[None], axis=-1)
  nearest = np.argsort(apart, axis=1)[:, 1:5]
  first, second = np.repeat(np.arange(num), 4), nearest.reshape(-1)
  cost = apart[first, second]
  region = regions.merge(num, first, second, cost, 20)
  for seed in range(3):
    renumbered = np.random.default_rng(seed).permutation(num)
    other = regions.merge(num, renumbered[first], renumbered[second], cost, 20)
    names = set(zip(region, other[renumbered]))
    assert len(names) == region.max() + 1 == other.max() + 1


def test_a_pair_listed_from_both_sides_counts_once():
  rng = np.random.default_rng(6)
  (first, second), cost = rng.integers(40, size=(2, 90)), rng.random(90)
  both = [np.concatenate(sides) for sides in ((first, second), (second, first))]
  np.testing.assert_array_equal(
      regions.merge(40, first, second, cost, 8),
      regions.merge(40, *both, np.concatenate([cost, cost + 0.5]), 8))
  np.testing.assert_array_equal(regions._once(3, np.array([0, 1, 2, 2]),
                                              np.array([1, 0, 2, 1])), [0, 3])


@pytest.fixture(name="walk")
def make_walk():
  cells, _ = two_walls()
  found = regions.find_regions(cells, SCALES, num_cells=NUM, num_regions=30)
  return found, diffusion.transitions(diffusion.links(found, WALK))


def test_the_walk_is_symmetric_and_keeps_its_mass(walk):
  _, S = walk
  dense = S.toarray()
  np.testing.assert_allclose(dense, dense.T, atol=1e-12)
  assert np.linalg.eigvalsh(dense).max() == pytest.approx(1.0)


def test_the_kernel_is_the_sum_over_walks_of_all_lengths(walk):
  _, S = walk
  total, step = np.zeros(S.shape), np.eye(S.shape[0])
  for _ in range(400):
    total += step
    step = 0.9 * step @ S
  scale = 1 / np.sqrt(np.diagonal(total))
  expected = scale[:, None] * total * scale[None, :]
  kernel = diffusion.kernel(S, 0.9)
  np.testing.assert_allclose(kernel, expected, atol=1e-4)
  np.testing.assert_allclose(np.diagonal(kernel), 1, rtol=1e-5)


def ring(num):
  """A walk around `num` regions, each linked to the next and to the third."""
  step = sparse.eye(num, k=1) + 0.3 * sparse.eye(num, k=3) + sparse.eye(num, k=1 - num)
  links = (step + step.T).tocsr()
  scale = sparse.diags(1 / np.sqrt(np.asarray(links.sum(axis=1)).reshape(-1)))
  return (scale @ links @ scale).tocsr()


def test_the_kernel_is_made_in_its_own_memory():
  S, num = ring(1100), 1100
  tracemalloc.start()
  kernel = diffusion.kernel(S, 0.9)
  peak = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  assert kernel.nbytes == 4 * num**2 and peak < 2 * 4 * num**2
  assert kernel.flags.c_contiguous
  inverse = np.linalg.inv(np.eye(num) - 0.9 * S.toarray())
  scale = 1 / np.sqrt(np.diagonal(inverse))
  np.testing.assert_allclose(kernel, scale[:, None] * inverse * scale, atol=2e-6)


@pytest.mark.parametrize("reach", [1.0, 1.5])
def test_a_walk_without_end_is_an_input_error(walk, reach):
  with pytest.raises(InputError, match="regions.reach=1"):
    diffusion.kernel(1.001 * walk[1], reach)


def test_one_side_answers_more_than_the_other(walk):
  found, S = walk
  left = found.points[:, 0] < 0.5
  kernel = diffusion.kernel(S, 0.99)
  assert kernel[np.ix_(left, left)].min() > kernel[np.ix_(left, ~left)].max()


def test_the_embedding_keeps_the_kernels_inner_products(walk):
  _, S = walk
  whole = diffusion.embedding(S, 0.99, S.shape[0])
  np.testing.assert_allclose(whole @ whole.T, diffusion.kernel(S, 0.99), atol=2e-3)
  small = diffusion.embedding(S, 0.99, 4)
  assert small.shape == (S.shape[0], 4)
  np.testing.assert_allclose(np.linalg.norm(small, axis=1), 1, rtol=1e-5)
  error = np.abs(small @ small.T - diffusion.kernel(S, 0.99))
  assert error.mean() < 0.2
  again = diffusion.embedding(S, 0.99, 4)
  np.testing.assert_array_equal(small, again)


def test_a_region_that_touches_nothing_is_alone():
  lonely = regions.Regions(
      grid=None, points=np.zeros((3, 3)), rgb=np.zeros((3, 3)), features=np.ones((3, 1)),
      normals=np.ones((3, 3)), counts=np.ones(3), links=np.array([[0, 1]]),
      contacts=np.ones(1))
  S = diffusion.transitions(diffusion.links(lonely, regions.Scales(0.1, 0.1)))
  assert sparse.issparse(S)
  np.testing.assert_allclose(diffusion.kernel(S, 0.5)[2], [0, 0, 1], atol=1e-6)
