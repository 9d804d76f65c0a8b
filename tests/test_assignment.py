"""Assignments on synthetic gradients: exact where they must be, useful in noise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnerf.errors import InputError
from jnerf.labeling import cosine
from jnerf.labeling.aggregator import fit_aggregator, log_probabilities
from jnerf.labeling.assignment import best_classes
from jnerf.labeling.cosine import CosineKernel
from jnerf.labeling.methods import METHODS, make_method
from jnerf.shaping.rows import RowKind
from jnerf.structs import Entities, Rendering

HEIGHT, WIDTH, S, H = 12, 16, 3, 16
CLASSES = [3, 8, 11, 40]
SETTINGS = {"bandwidth": 0.02, "ridge": 0.3, "paper_step": 0.1}
ON_REGIONS = ("regions", "walk")  # which need a scene
ON_ROWS = [name for name in METHODS if name not in ON_REGIONS]


def view(noise, seed=0):
  """A view whose quarters are four entities: `(J [N, 3H], rendering, truth)`.

  Hidden values cluster by entity, so gradients do; brightness differs by pixel.
  """
  rng = np.random.default_rng(seed)
  row, column = np.divmod(np.arange(HEIGHT * WIDTH), WIDTH)
  entity = row * 2 // HEIGHT * 2 + column * 2 // WIDTH
  centres = np.random.default_rng(99).exponential(size=(4, H)) ** 2
  hidden = np.repeat(centres[entity][:, None], S, axis=1)
  hidden = np.maximum(hidden + noise * rng.normal(size=hidden.shape), 0)
  weights = rng.dirichlet(np.ones(S), len(entity)) * rng.uniform(0.8, 1, (len(entity), 1))
  logits = rng.normal(size=(len(entity), 1, 3)) * 0.3 + np.zeros((1, S, 1))
  colours = 1 / (1 + np.exp(-logits))
  J = np.einsum("ns,nsc,nsh->nhc", weights, colours * (1 - colours) / 3, hidden)
  filler = jnp.zeros(len(entity))
  rendering = Rendering(
      rgb=jnp.zeros((len(entity), 3)), acc=filler, distance=filler,
      distance_median=filler, t=jnp.zeros((len(entity), S + 1)),
      weights=jnp.asarray(weights, jnp.float32), sigma=jnp.zeros((len(entity), S)),
      hidden=jnp.asarray(hidden, jnp.float32), logits=jnp.asarray(logits, jnp.float32))
  return (jnp.asarray(J.reshape(len(entity), -1), jnp.float32), rendering,
          np.array(CLASSES)[entity])


def clicks(truth, num, seed=0):
  rng = np.random.default_rng(seed)
  return np.concatenate([rng.choice(np.flatnonzero(truth == c), num, replace=False)
                         for c in CLASSES])


@jax.jit
def scores_of(classifier, some):
  return classifier.scores(some)


def accuracy(method, noise, index_fn, seed=0):
  seen, _, labels = view(noise, seed)
  test, rendering, truth = view(noise, seed + 1)
  index = index_fn(labels)
  classifier = method.fit(Entities(J=np.asarray(seen)[index]), labels[index], CLASSES)
  scores = scores_of(classifier, Entities(J=test, rendering=rendering))
  assert scores.shape == (len(truth), len(CLASSES))
  scores = method.finish(scores.reshape(HEIGHT, WIDTH, -1))
  predicted = np.asarray(best_classes(scores, CLASSES))
  assert predicted.shape == (HEIGHT, WIDTH)
  return np.mean(predicted.reshape(-1) == truth)


@pytest.mark.parametrize("name", ["cosine", "bayes", "mlp"])
def test_one_click_per_class_labels_clustered_gradients_without_error(name):
  assert accuracy(make_method(name, SETTINGS), 0.01, lambda t: clicks(t, 1)) == 1


@pytest.mark.parametrize("name", ON_ROWS)
@pytest.mark.parametrize("protocol", ["one click", "imbalanced frame"])
def test_every_method_beats_chance_in_noise(name, protocol):
  def frame(truth):  # 48 pixels of the first class, 3 of every other
    return np.concatenate([clicks(truth, 3), np.flatnonzero(truth == CLASSES[0])])
  index_fn = frame if protocol == "imbalanced frame" else lambda t: clicks(t, 1)
  method = make_method(name, SETTINGS)
  scores = [accuracy(method, 0.5, index_fn, seed) for seed in range(3)]
  assert min(scores) > 0.5  # four classes: chance is 0.25


def test_cosine_with_one_click_is_the_cosine(monkeypatch):
  monkeypatch.setattr(cosine, "BATCH", 50)  # leaves a remainder
  J, _, truth = view(0.3)
  index = clicks(truth, 1)
  classifier = CosineKernel(bandwidth=0.01).fit(Entities(J=J[index]), truth[index],
                                                CLASSES)
  scores = classifier.scores(Entities(J=J))
  rows = np.asarray(J) / np.linalg.norm(J, axis=1, keepdims=True)
  np.testing.assert_allclose(scores, rows @ rows[index].T, atol=1e-5)


def test_cosine_kernel_equals_a_loop_and_spans_mean_to_largest():
  J, _, truth = view(0.5)
  index = np.concatenate([clicks(truth, 4), clicks(truth, 1, seed=1)[:2]])  # 5, 5, 4, 4
  rows = np.asarray(J, np.float64) / np.linalg.norm(J, axis=1, keepdims=True)
  cosines = [rows @ rows[index[truth[index] == c]].T for c in CLASSES]

  def run(bandwidth):
    method = CosineKernel(bandwidth=bandwidth)
    return scores_of(method.fit(Entities(J=J[index]), truth[index], CLASSES),
                     Entities(J=J))

  expected = np.stack(
      [0.1 * np.log(np.mean(np.exp(c / 0.1), axis=1)) for c in cosines], axis=1)
  np.testing.assert_allclose(run(0.1), expected, atol=1e-5)
  means = np.stack([c.mean(1) for c in cosines], 1)
  np.testing.assert_allclose(run(100.0), means, atol=1e-3)  # less 0.5 var / bandwidth
  largest = np.stack([c.max(1) for c in cosines], 1)
  np.testing.assert_allclose(run(1e-4), largest, atol=2e-4)  # and nothing overflows


def test_cosine_keeps_a_bounded_share_of_a_labelled_frame():
  J, _, truth = view(0.1)
  classifier = CosineKernel(max_labels=40).fit(Entities(J=J), truth, [*CLASSES, 77])
  seeds = classifier.seeds
  assert seeds.directions.shape == (5, 8, 3 * H)
  np.testing.assert_array_equal(seeds.mask.sum(1), [8, 8, 8, 8, 0])
  scores = scores_of(classifier, Entities(J=J))
  assert bool(jnp.all(jnp.isneginf(scores[:, 4])))  # no label, never chosen
  assert np.mean(np.asarray(best_classes(scores, [*CLASSES, 77])) == truth) == 1


def test_cosines_fade_with_the_distance_from_the_click():
  J, _, truth = view(0.3)
  points = np.random.default_rng(1).normal(size=(len(truth), 3)).astype(np.float32)
  index = np.concatenate([clicks(truth, 2), clicks(truth, 1, seed=1)[:2]])  # 3, 3, 2, 2
  some = Entities(J=J[index], points=points[index])

  def run(scale):
    method = CosineKernel(bandwidth=0.1, position_scale=scale)
    return scores_of(method.fit(some, truth[index], CLASSES),
                     Entities(J=J, points=points))

  rows = np.asarray(J, np.float64) / np.linalg.norm(J, axis=1, keepdims=True)
  distances = np.linalg.norm(points[:, None] - points[index], axis=2)
  answers = rows @ rows[index].T * np.exp(-distances**2 / (2 * 0.7**2))
  expected = np.stack([
      0.1 * np.log(np.mean(np.exp(answers[:, truth[index] == c] / 0.1), axis=1))
      for c in CLASSES], axis=1)
  np.testing.assert_allclose(run(0.7), expected, atol=1e-5)
  np.testing.assert_allclose(run(1e4), run(0.0), atol=1e-5)  # far beyond the scene


def test_the_aggregator_tells_apart_what_no_line_can_and_is_repeatable():
  rng = np.random.default_rng(0)
  angle = rng.uniform(0, 2 * np.pi, 600)
  J = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32)
  labels = np.where(np.sin(2 * angle) > 0, 7, 2)  # opposite quadrants are one class
  fitted = [fit_aggregator(J[:500], labels[:500], [2, 5, 7], width=32, steps=400,
                           learning_rate=1e-2, seed=seed) for seed in (0, 0, 1)]
  found, again, other = (np.asarray(log_probabilities(state, J)) for state in fitted)
  np.testing.assert_allclose(np.exp(found).sum(1), 1, rtol=1e-5)
  np.testing.assert_array_equal(found, again)
  assert np.any(found != other)
  predicted = np.asarray([2, 5, 7])[found[500:].argmax(1)]
  assert np.mean(predicted == labels[500:]) > 0.93 and 5 not in predicted
  with pytest.raises(FloatingPointError, match="steps 0 to 400"):
    fit_aggregator(np.nan * J[:500], labels[:500], [2, 5, 7], width=32, steps=400,
                   learning_rate=1e-2)


def test_an_unknown_method_is_named():
  with pytest.raises(InputError, match="label.methods: unknown method 'magic'; choose"):
    make_method("magic", SETTINGS)


def test_a_method_takes_its_own_settings_and_defaults_for_the_rest():
  settings = {**SETTINGS, "ridge": 0.7, "width": 5, "position_scale": 2.0}
  made = {name: make_method(name, settings, rows=RowKind(jacobian="sketch"), seed=3)
          for name in ON_ROWS}
  assert made["bayes"].ridge == 0.7 and made["cosine"].bandwidth == 0.02
  assert made["mlp"].width == 5 and made["mlp"].steps == METHODS["mlp"]().steps
  assert made["paper"].position_scale == made["cosine"].position_scale == 2
  assert made["mlp"].seed == made["paper"].seed == 3
  assert not made["paper"].nudges_rgb and make_method("paper").nudges_rgb


def test_regions_are_asked_for_by_the_methods_that_need_them_alone():
  asked = []
  made = {name: make_method(name, regions_fn=lambda: asked.append(1) or "regions")
          for name in METHODS}
  assert asked == [1, 1]
  assert all(made[name].regions == "regions" for name in ON_REGIONS)


@pytest.mark.parametrize("name", ON_ROWS)
def test_a_class_that_is_only_denied_is_as_if_nobody_had_named_it(name):
  J, rendering, truth = view(0.3)
  index, method = clicks(truth, 2), make_method(name, SETTINGS)
  classes = np.array(CLASSES)
  entities = Entities(J=J, rendering=rendering)
  labels = np.r_[truth[index], -77, -77]
  with_it = method.fit(Entities(J=J[np.r_[index, 0, 1]]), labels, classes)
  without = method.fit(Entities(J=J[index]), truth[index], classes)
  np.testing.assert_allclose(with_it.scores(entities), without.scores(entities),
                             rtol=1e-6)


@pytest.mark.parametrize("name", ["cosine", "bayes"])
def test_a_negative_click_mends_its_pixel_and_leaves_what_is_far(name):
  J, _, truth = view(0.02)
  method = make_method(name, {"bandwidth": 0.02, "ridge": 0.05})
  index = clicks(truth, 1)[1:]  # nobody has clicked the first entity

  def predict(index, labels):
    classifier = method.fit(Entities(J=J[index]), labels, CLASSES[1:])
    return np.asarray(best_classes(classifier.scores(Entities(J=J)), CLASSES[1:]))

  before = predict(index, truth[index])
  missed, counts = np.unique(before[truth == CLASSES[0]], return_counts=True)
  wrong = missed[np.argmax(counts)]
  denied = np.flatnonzero((truth == CLASSES[0]) & (before == wrong))[:3]
  after = predict(np.r_[index, denied], np.r_[truth[index], [-wrong] * 3])
  assert not np.any(after[truth == CLASSES[0]] == wrong)
  others = truth != CLASSES[0]
  np.testing.assert_array_equal(after[others], truth[others])


def test_cosine_halves_a_kernel_that_negative_labels_equal():
  J, _, truth = view(0.5)
  index = clicks(truth, 2)
  method = CosineKernel(bandwidth=0.1)
  both = method.fit(Entities(J=J[np.r_[index, index[:2]]]),
                    np.r_[truth[index], -truth[index[:2]]], CLASSES)
  plain = method.fit(Entities(J=J[index]), truth[index], CLASSES)
  scores = [np.asarray(c.scores(Entities(J=J))) for c in (plain, both)]
  np.testing.assert_allclose(scores[1][:, 0], scores[0][:, 0] - 0.1 * np.log(2),
                             atol=1e-5)
  np.testing.assert_array_equal(scores[1][:, 1:], scores[0][:, 1:])
