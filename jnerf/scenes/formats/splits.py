"""Which views train and which are held out.

A rule is a stride and an offset: view i belongs where `i % every == offset`,
with i the view's place in the capture's order. `every = 0` means "not given".
"""

from __future__ import annotations

import numpy as np

from jnerf.errors import InputError

LONG_CAPTURE = 900  # views from which on the paper's rule holds
PAPER_TRAIN = (5, 0)  # every 5th view trains,
PAPER_TEST = (5, 2)  # and the view 2 after it tests
SHORT_TEST = (8, 0)  # of a shorter capture every 8th tests, the others train


def split_views(num: int, train: tuple[int, int] = (0, 0),
                test: tuple[int, int] = (0, 0), file_test: tuple[int, int] = (0, 0),
                ) -> tuple[np.ndarray, np.ndarray, str]:
  """`(train, test, rule)`: int64 indices into `num` views, and the rule in words.

  train, test: `(every, offset)` of the user's; each wins over what follows.
  file_test: `(every, offset)` from the capture's own description. Without it, a
    capture of 900 views or more is split by the paper's rule, a shorter one
    holds out every 8th view. Views that do not test all train, except by the
    paper's rule.
  """
  for key, (every, offset) in (("scene.train", train), ("scene.test", test),
                               ("info.json: test", file_test)):
    if every < 0 or not 0 <= offset < max(every, 1):
      raise InputError(f"{key}_every={every} and {key}_offset={offset}: give "
                       "0 <= offset < every")
  test_listed = test[0] or file_test[0]
  if not train[0] and not test_listed and num >= LONG_CAPTURE:
    train, origin = PAPER_TRAIN, "the paper's rule"
  else:
    origin = ("the config" if test[0] else "info.json" if file_test[0]
              else "the default rule")
  if not test_listed:
    test = PAPER_TEST if num >= LONG_CAPTURE else SHORT_TEST
  elif not test[0]:
    test = file_test
  views = np.arange(num)
  is_test = views % test[0] == test[1]
  is_train = ~is_test
  if train[0]:
    is_train &= views % train[0] == train[1]
  rule = f"test views i % {test[0]} == {test[1]} by {origin}"
  if train[0]:
    rule += f", training views i % {train[0]} == {train[1]}"
  if not is_train.any():
    raise InputError(f"scene.train_every: no view of {num} is left to train on ({rule}); "
                     "set scene.train_every and scene.test_every")
  return np.flatnonzero(is_train), np.flatnonzero(is_test), rule
