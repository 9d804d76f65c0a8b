"""Damage done to files, and what must come of it: they are read, or refused in a line."""

import pathlib

import numpy as np
import pytest

from jnerf.errors import InputError


def times_refused(path: pathlib.Path, load_fn, num: int) -> int:
  """How many of `num` damaged versions of the file `path` end in an `InputError`.

  Each has up to five random bytes changed, and one in five is cut short besides.
  load_fn: reads what the file is a part of; it may raise nothing else.
  """
  rng, whole, refused = np.random.default_rng(0), path.read_bytes(), 0
  for _ in range(num):
    damaged = bytearray(whole)
    for _ in range(rng.integers(1, 6)):
      damaged[rng.integers(len(whole))] = rng.integers(256)
    end = rng.integers(1, len(whole) + 1) if rng.random() < 0.2 else len(whole)
    path.write_bytes(bytes(damaged[:end]))
    try:
      load_fn()
    except InputError as error:
      refused += 1
      assert "\n" not in str(error)
  return refused


def complaint_of(load_fn) -> str:
  """The one line, of bearable length, that `load_fn` is refused with."""
  with pytest.raises(InputError) as error:
    load_fn()
  message = str(error.value)
  assert "\n" not in message and len(message) < 900
  return message
