"""Selecting parameters by path: `field/rgb/kernel`, `field/(color|rgb)/.*`.

A pattern is a regular expression that must match a whole path, the keys of the
params tree joined by `/`. `split` takes a params tree apart into the selected
leaves and the rest, `merge` puts them together again, so that any function of
params becomes a function of the selected ones.
"""

from __future__ import annotations

import re

from flax import traverse_util
import jax.numpy as jnp

from jnerf.errors import InputError


def paths(params) -> list[str]:
  """Sorted paths of all leaves."""
  return sorted(traverse_util.flatten_dict(params, sep="/"))


def check_pattern(params, pattern: str) -> None:
  """Raises InputError, listing the paths, where the pattern matches none."""
  try:
    matched = any(re.fullmatch(pattern, path) for path in paths(params))
  except re.error as error:
    raise InputError(f"shape.params={pattern!r} is no regular expression: {error}"
                     ) from error
  if not matched:
    raise InputError(f"shape.params={pattern!r} matches no parameter; the paths are: "
                     + ", ".join(paths(params)))


def split(params, pattern: str) -> tuple[dict, dict]:
  """`(selected, rest)`: two dicts from path to leaf.

  Raises InputError, listing the paths, where the pattern matches none.
  """
  check_pattern(params, pattern)
  flat = traverse_util.flatten_dict(params, sep="/")
  selected = {path: leaf for path, leaf in flat.items() if re.fullmatch(pattern, path)}
  return selected, {path: leaf for path, leaf in flat.items() if path not in selected}


def merge(selected: dict, rest: dict) -> dict:
  """The params tree of two dicts from path to leaf; undoes `split`."""
  return traverse_util.unflatten_dict({**rest, **selected}, sep="/")


def to_vector(selected: dict, batch_dims: int = 0):
  """`[..., P]`: the leaves side by side, in the order of their sorted paths.

  batch_dims: leading axes that all leaves share, e.g. 1 for stacked gradients.
  """
  return jnp.concatenate([
      leaf.reshape(*leaf.shape[:batch_dims], -1)
      for _, leaf in sorted(selected.items())], axis=-1)


def from_vector(vector, like: dict) -> dict:
  """Undoes `to_vector`: `vector [P]` in the shapes of the leaves of `like`."""
  leaves, start = {}, 0
  for path, leaf in sorted(like.items()):
    leaves[path] = vector[start:start + leaf.size].reshape(leaf.shape)
    start += leaf.size
  return leaves
