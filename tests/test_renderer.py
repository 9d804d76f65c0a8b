"""What a renderer is asked for is what it computes: colour alone costs colour alone."""

import numpy as np
import pytest
import tiny_models

from jnerf.shaping import renderer as renderer_lib
from jnerf.shaping.renderer import ViewRenderer
from jnerf.shaping.rows import RowKind

NUM = 10
WIDE = RowKind(params="field/(color|rgb)/.*", jacobian="vjp")
KINDS = {"closed form": RowKind(), "vjp": WIDE,
         "sketch": RowKind(params="field/.*", jacobian="sketch", sketch_directions=4)}


@pytest.fixture(scope="module")
def field():
  """`(model, params, rays)`, with rays that leave a remainder of a chunk of 4."""
  model = tiny_models.grid()
  return model, tiny_models.lively_params(model), tiny_models.rays(NUM)


@pytest.fixture
def traced(monkeypatch):
  """The kinds of rows that were traced."""
  kinds, rows_of = [], renderer_lib.rows_of

  def tracing(*args):
    kinds.append(args[-1])
    return rows_of(*args)

  monkeypatch.setattr(renderer_lib, "rows_of", tracing)
  return kinds


@pytest.mark.parametrize("background", [0.25])
@pytest.mark.parametrize("kind", KINDS)
def test_colours_trace_no_row_and_are_those_rendered_with_rows(field, traced, kind,
                                                               background):
  model, params, rays = field
  # A background of its own for each kind, so that nothing was compiled before.
  background += 0.01 * list(KINDS).index(kind)
  renderer = ViewRenderer(model, KINDS[kind], chunk=4, background=background,
                          samples=True)
  rgb, distance = renderer.colors(params, rays)
  assert traced == []
  entities = renderer.entities(params, rays)
  assert traced == [KINDS[kind]] and entities.J.shape[0] == NUM
  assert entities.J.shape[1] == renderer.gradients(params, rays).shape[1]
  np.testing.assert_allclose(rgb, entities.rgb, atol=1e-6)
  np.testing.assert_allclose(distance, entities.distance, atol=1e-6)
  assert np.ptp(rgb) > 0.05


def test_without_rows_entities_have_all_but_them(field, traced):
  model, params, rays = field
  bare = ViewRenderer(model, None, chunk=4, background=0.75)
  entities = bare.entities(params, rays)
  assert entities.J is None and entities.rendering is None and traced == []
  whole = tiny_models.quick_jit(model)(params, rays, 0.75)
  np.testing.assert_allclose(entities.rgb, whole.rgb, atol=1e-5)
  np.testing.assert_allclose(entities.distance, whole.distance_median, atol=1e-4)
  np.testing.assert_allclose(
      entities.points, rays.origins + whole.distance_median[:, None] * rays.directions,
      atol=1e-4)
  at = np.linspace(1.2, 2.8, NUM).astype(np.float32)
  points, = bare.map(params, rays, lambda chunk: chunk.points, distance=at)
  assert traced == []  # nor of points at given distances
  np.testing.assert_allclose(points, rays.origins + at[:, None] * rays.directions,
                             atol=1e-5)


def test_a_chunk_is_worked_on_while_the_one_before_is_fetched(field, monkeypatch):
  model, params, rays = field  # 10 rays: chunks of 4, 4 and 2
  order, fetch = [], renderer_lib.jax.device_get

  def color(chunk):
    order.append("begin")
    return chunk.rgb

  def fetching(result):
    order.append("fetch")
    return fetch(result)

  monkeypatch.setattr(renderer_lib.jax, "device_get", fetching)
  rgb, = ViewRenderer(model, None, chunk=4).map(params, rays, color)
  assert order == ["begin", "begin", "fetch", "begin", "fetch", "fetch"]
  assert rgb.shape == (NUM, 3)
