"""Three ways to per-entity gradients, in float64: against each other and the truth.

The truth is a finite difference of the rendered value itself.
"""

import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_models
from tiny_models import quick_jit

from jnerf.errors import InputError
from jnerf.fields import samplers
from jnerf.shaping import jacobians, losses, pairs, parameters
from jnerf.structs import Samples

N, KERNEL, ALL = 9, "field/rgb/kernel", "field/.*"
SUBSETS = {"grid": ("field/density/.*", "field/trunk/kernel", "field/encoding/tables",
                    "field/(color|rgb)/.*"),
           "mlp": ("field/density/.*", "field/trunk_1/.*", "field/(feature|rgb)/.*")}


@pytest.fixture(scope="module", params=sorted(tiny_models.KINDS))
def case(request):
  """A model with its rays, fixed samples and exact rows, all float64 in NumPy.

  Ray 0 is empty: its samples have no length.
  """
  model = tiny_models.KINDS[request.param]()
  params = tiny_models.lively_params(model, dtype=np.float64)
  rays = tiny_models.rays(N, dtype=np.float64)
  values_fn = functools.partial(jacobians.ray_values, model)

  @quick_jit
  def prepare(params):
    t = model.sample(params, rays).t
    samples = Samples(t=t.at[0].set(t[0, 0]))
    rendering = model.render(params, rays, samples, jnp.full((1, 3), 0.7))
    return dict(samples=samples, rendering=rendering,
                closed=jacobians.closed_form(rendering),
                rows=jacobians.by_vjp(values_fn, params, ALL, rays, samples))

  with jax.enable_x64(True):
    prepared = jax.tree.map(np.asarray, prepare(params))
  return types.SimpleNamespace(
      kind=request.param, model=model, params=params, rays=rays, values_fn=values_fn,
      values=quick_jit(lambda p: values_fn(p, rays, prepared["samples"])), **prepared)


def columns(params, pattern, among=ALL):
  """Columns of the gradients of `among` that belong to `pattern`."""
  wide, _ = parameters.split(params, among)
  narrow, _ = parameters.split(params, pattern)
  flags = {path: np.full(leaf.shape, path in narrow) for path, leaf in wide.items()}
  return np.concatenate([flags[path].ravel() for path in sorted(flags)])


def difference(values, params, pattern, vector, step=1e-6):
  """Central difference of `values(params)` along a direction of the selected ones."""
  selected, rest = parameters.split(params, pattern)
  direction, start = {}, 0
  for path in sorted(selected):
    leaf = selected[path]
    direction[path] = vector[start:start + leaf.size].reshape(leaf.shape)
    start += leaf.size

  def at(distance):
    moved = {path: leaf + distance * direction[path] for path, leaf in selected.items()}
    return np.asarray(values(parameters.merge(moved, rest)))

  return (at(step) - at(-step)) / (2 * step)


def test_values_leave_the_background_out(case):
  with jax.enable_x64(True):
    values = np.asarray(case.values(case.params))
  foreground = case.rendering.rgb - (1 - case.rendering.acc[:, None]) * 0.7
  np.testing.assert_allclose(values, foreground.mean(1), atol=1e-12)
  assert values[0] == 0 and values[1:].min() > 0.01


def test_closed_form_equals_reverse_mode(case):
  exact = case.rows[:, columns(case.params, KERNEL)]
  scale = np.max(np.abs(exact), axis=1, keepdims=True)
  assert scale[1:].min() > 1e-3
  assert np.max(np.abs(case.closed - exact)[1:] / scale[1:]) < 1e-9
  np.testing.assert_array_equal(case.closed[0], 0)


def test_all_rows_equal_finite_differences(case):
  rng = np.random.default_rng(0)
  with jax.enable_x64(True):
    for pattern in (KERNEL, *SUBSETS[case.kind], ALL):
      rows = case.rows[:, columns(case.params, pattern)]
      assert np.abs(rows[1:]).max(axis=1).min() > 1e-6, f"{pattern} has a dead row"
      for _ in range(3):
        vector = rng.normal(size=rows.shape[1])
        expected = difference(case.values, case.params, pattern, vector)
        np.testing.assert_allclose(rows @ vector, expected, rtol=1e-6, atol=1e-8)


def test_a_subset_is_a_part_of_all(case):
  """Columns follow the sorted paths, whatever is selected."""
  pattern = SUBSETS[case.kind][-1]
  with jax.enable_x64(True):
    rows = quick_jit(lambda p: jacobians.by_vjp(
        case.values_fn, p, pattern, case.rays, case.samples))(case.params)
  np.testing.assert_allclose(rows, case.rows[:, columns(case.params, pattern)],
                             rtol=1e-12, atol=1e-15)


def test_a_single_channel(case):
  channel = (0.0, 1.0, 0.0)
  values_fn = functools.partial(jacobians.ray_values, case.model, channel=channel)
  with jax.enable_x64(True):
    closed = np.asarray(quick_jit(lambda r: jacobians.closed_form(r, channel))(
        case.rendering)).reshape(N, -1, 3)
    vector = np.random.default_rng(1).normal(size=closed[0].size)
    expected = difference(
        quick_jit(lambda p: values_fn(p, case.rays, case.samples)), case.params, KERNEL,
        vector)
  np.testing.assert_array_equal(closed[:, :, [0, 2]], 0)
  np.testing.assert_allclose(closed.reshape(N, -1) @ vector, expected, rtol=1e-7,
                             atol=1e-10)


def test_points_likewise(case):
  points = np.asarray(samplers.points_along(case.rays, case.samples.t))[:, 3]
  viewdirs = case.rays.viewdirs
  values_fn = functools.partial(jacobians.point_values, case.model)
  with jax.enable_x64(True):
    @quick_jit
    def both(params):
      output = case.model.at_points(params, points[:, None], viewdirs)
      closed = jacobians.closed_form_points(output.hidden[:, 0], output.logits[:, 0])
      return closed, jacobians.by_vjp(values_fn, params, ALL, points, viewdirs)

    closed, rows = map(np.asarray, both(case.params))
    vector = np.random.default_rng(2).normal(size=rows.shape[1])
    values = quick_jit(lambda params: values_fn(params, points, viewdirs))
    expected = difference(values, case.params, ALL, vector)
  exact = rows[:, columns(case.params, KERNEL)]
  np.testing.assert_allclose(closed, exact, rtol=1e-9, atol=1e-9 * np.abs(exact).max())
  np.testing.assert_allclose(rows @ vector, expected, rtol=1e-6, atol=1e-8)


def test_jvp_equals_the_product_with_the_rows(case):
  """A forward derivative where JAX allows it; the sketch below covers the rest."""
  pattern = SUBSETS[case.kind][-1]
  selected, rest = parameters.split(case.params, pattern)
  rows = case.rows[:, columns(case.params, pattern)]
  vector = np.random.default_rng(3).normal(size=rows.shape[1])
  with jax.enable_x64(True):
    @quick_jit
    def derivative(selected, vector):
      direction = parameters.from_vector(vector, selected)
      return jax.jvp(lambda s: case.values_fn(parameters.merge(s, rest), case.rays,
                                              case.samples), (selected,), (direction,))[1]
    np.testing.assert_allclose(derivative(selected, vector), rows @ vector, rtol=1e-10,
                               atol=1e-14)


def test_sketch_is_the_product_with_its_directions(case):
  """All parameters, the hash tables too; directions made again from the key."""
  key, num = jax.random.key(5), 16
  with jax.enable_x64(True):
    found = quick_jit(lambda p: jacobians.sketch(
        case.values_fn, p, ALL, num, key, case.rays, case.samples))(case.params)
    directions = np.asarray(quick_jit(jax.vmap(
        lambda k: jax.random.normal(k, case.rows.shape[1:])))(jax.random.split(key, num)))
  assert found.shape == (N, num)
  np.testing.assert_allclose(found, case.rows @ directions.T / np.sqrt(num), rtol=1e-9,
                             atol=1e-13)


def cosines(rows):
  unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
  return (unit @ unit.T)[np.triu_indices(len(rows), 1)]


def test_sketched_cosines_err_by_one_over_the_root_of_their_number(case):
  """On a linear map with the field's rows, so that many draws cost little."""
  sizes, seeds = np.array([16, 64, 256, 1024]), 48
  rows = case.rows[1:, columns(case.params, KERNEL)]
  exact = cosines(rows)
  params = {"field": {"rgb": {"kernel": np.zeros(rows.shape[1])}}}
  with jax.enable_x64(True):
    wide = np.asarray(quick_jit(jax.vmap(lambda key: jacobians.sketch(
        lambda params, rows: rows @ params["field"]["rgb"]["kernel"], params, KERNEL,
        1024, key, jnp.asarray(rows))))(jax.random.split(jax.random.key(0), seeds)))
  spread = []
  for size in sizes:  # directions are independent: any K of them are a sketch
    errors = [cosines(block) - exact for seed in range(seeds)
              for block in np.split(wide[seed], 1024 // size, axis=1)]
    spread.append(np.sqrt(np.mean(np.square(errors))))
  slope = np.polyfit(np.log(sizes), np.log(spread), 1)[0]
  assert slope == pytest.approx(-0.5, abs=0.08)
  # The spread of the correlation of 1024 Gaussian pairs, by the delta method.
  expected = np.sqrt(np.mean((1 - exact**2)**2) / 1024)
  assert spread[-1] == pytest.approx(expected, rel=0.25)


def test_an_empty_ray_gives_a_zero_row_and_finite_gradients(case):
  """Second order: a loss on J is differentiated through J."""
  np.testing.assert_array_equal(case.rows[0], 0)
  positive = np.array([[abs(i - j) < 2 for j in range(N)] for i in range(N)])
  selected, rest = parameters.split(case.params, "field/(color|rgb|density)/kernel")

  def loss(selected):
    params = parameters.merge(selected, rest)
    rendering = case.model.render(params, case.rays, case.samples, 0.0)
    rows = jacobians.closed_form(rendering)
    s = jnp.abs(pairs.unit_rows(rows) @ pairs.unit_rows(rows).T)
    total, _ = losses.info_nce(s, positive, np.eye(N, dtype=bool), 0.2)
    return total + jnp.sum(losses.unit_norm(rows))

  with jax.enable_x64(True):
    loss = quick_jit(jax.value_and_grad(loss))
    _, slopes = loss(selected)
    for path, slope in slopes.items():
      assert np.all(np.isfinite(slope)) and np.max(np.abs(slope)) > 1e-5, path
    assert_slopes_match(loss, selected)


def assert_slopes_match(value_and_grad, selected, step=1e-6):
  """Along a random direction, with a central difference."""
  rng = np.random.default_rng(7)
  directions = {path: rng.normal(size=leaf.shape) for path, leaf in selected.items()}
  up, down = (float(value_and_grad({
      path: leaf + sign * step * directions[path] for path, leaf in selected.items()})[0])
              for sign in (1, -1))
  along = sum(np.sum(np.asarray(slope) * directions[path])
              for path, slope in value_and_grad(selected)[1].items())
  assert abs(along) > 1e-6
  np.testing.assert_allclose(along, (up - down) / (2 * step), rtol=1e-5)


def test_reverse_mode_rows_can_be_differentiated_too(case):
  """Through the gradient of the hash lookup: what shaping other layers needs."""
  pattern = SUBSETS[case.kind][0]
  rays, samples = jax.tree.map(lambda leaf: leaf[1:3], (case.rays, case.samples))
  selected, rest = parameters.split(
      case.params, {"grid": "field/encoding/tables", "mlp": "field/trunk_0/kernel"}[
          case.kind])
  vector = np.random.default_rng(6).normal(size=(2, columns(case.params, pattern).sum()))

  @quick_jit
  @jax.value_and_grad
  def projected(selected):
    params = parameters.merge(selected, rest)
    return jnp.sum(vector * jacobians.by_vjp(case.values_fn, params, pattern, rays,
                                             samples))

  with jax.enable_x64(True):
    assert_slopes_match(projected, selected)


def test_a_pattern_that_misses_lists_the_paths(case):
  with pytest.raises(InputError, match="field/rgb/kernel") as caught:
    jacobians.by_vjp(case.values_fn, case.params, "rgb", case.rays, case.samples)
  assert "'rgb'" in str(caught.value) and "\n" not in str(caught.value)
  with pytest.raises(InputError, match="field/rgb/kernel"):
    jacobians.sketch(case.values_fn, case.params, "nothing", 4, jax.random.key(0),
                     case.rays, case.samples)
