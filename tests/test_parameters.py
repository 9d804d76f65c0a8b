"""Selection by path: nothing lost, a fixed order, and misses that help."""

import jax.numpy as jnp
import numpy as np
import pytest

from jnerf.errors import InputError
from jnerf.shaping import parameters


def make_params():
  rng = np.random.default_rng(0)
  return {"sampler": {"grid": rng.normal(size=(2, 2))},
          "field": {"rgb": {"kernel": rng.normal(size=(4, 3)),
                            "bias": rng.normal(size=3)},
                    "color": {"kernel": rng.normal(size=(2, 4))}}}


PATHS = ["field/color/kernel", "field/rgb/bias", "field/rgb/kernel", "sampler/grid"]


@pytest.mark.parametrize("pattern, expected", [
    ("field/rgb/kernel", ["field/rgb/kernel"]),
    ("field/rgb", None),  # a whole path, not a part of one
    ("field/(color|rgb)/kernel", ["field/color/kernel", "field/rgb/kernel"]),
    (".*", PATHS),
])
def test_split_takes_whole_paths_and_merge_undoes_it(pattern, expected):
  params = make_params()
  if expected is None:
    with pytest.raises(InputError):
      parameters.split(params, pattern)
    return
  selected, rest = parameters.split(params, pattern)
  assert sorted(selected) == expected
  assert sorted([*selected, *rest]) == PATHS
  merged = parameters.merge(selected, rest)
  assert parameters.paths(merged) == PATHS
  assert merged["field"]["rgb"]["kernel"] is params["field"]["rgb"]["kernel"]


def test_vector_holds_leaves_in_the_order_of_their_paths():
  selected, _ = parameters.split(make_params(), "field/.*")
  vector = parameters.to_vector(dict(reversed(selected.items())))
  leaves = [selected[path].ravel() for path in PATHS[:3]]
  np.testing.assert_allclose(vector, np.concatenate(leaves), rtol=1e-6)
  back = parameters.from_vector(vector, selected)
  assert sorted(back) == PATHS[:3]
  for path, leaf in back.items():
    np.testing.assert_allclose(leaf, selected[path], rtol=1e-6)


def test_vectors_of_stacked_leaves_keep_their_leading_axes():
  selected, _ = parameters.split(make_params(), "field/.*")
  stacked = {path: jnp.stack([leaf, 2 * leaf]) for path, leaf in selected.items()}
  vector = parameters.to_vector(selected)
  np.testing.assert_allclose(parameters.to_vector(stacked, batch_dims=1),
                             jnp.stack([vector, 2 * vector]), rtol=1e-6)


@pytest.mark.parametrize("pattern", ["field/rbg/kernel", "rgb/kernel", ""])
def test_a_miss_lists_the_paths_in_one_line(pattern):
  with pytest.raises(InputError) as caught:
    parameters.split(make_params(), pattern)
  message = str(caught.value)
  assert all(path in message for path in PATHS)
  assert repr(pattern) in message and "\n" not in message


def test_a_broken_expression_is_named():
  with pytest.raises(InputError, match=r"field/\(rgb.*no regular expression"):
    parameters.check_pattern(make_params(), "field/(rgb")
