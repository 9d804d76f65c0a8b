"""Arrays from PyTorch's old checkpoint files (`torch.save` before 1.6), without PyTorch.

Such a file is a magic number, a protocol, facts about the machine, a pickle of tensors
that name their storages, the names of these in order, and their numbers. Pickles can run
code: of this one nothing is loaded but ordered dictionaries and tensors.
"""

from __future__ import annotations

import collections
from collections.abc import Mapping
import dataclasses
import pathlib
import pickle
from typing import Any, BinaryIO

import numpy as np

from jnerf.errors import InputError

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
_TYPES = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2",
          "LongStorage": "<i8", "IntStorage": "<i4"}
# What a damaged file, or one made to harm, raises.
_DAMAGE = (OSError, ValueError, EOFError, TypeError, KeyError, IndexError, AttributeError,
           MemoryError, OverflowError, ImportError, RecursionError, pickle.PickleError)


def read_weights(path: str | pathlib.Path) -> dict[str, np.ndarray]:
  """The arrays of a checkpoint that holds a dictionary of tensors, by name.

  Raises InputError for a file that is no such checkpoint, or damaged.
  """
  try:
    with open(path, "rb") as file:
      return _read(file)
  except _DAMAGE as error:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0][:120]
    raise InputError(f"{path}: cannot be read as weights ({reason}); install or copy it "
                     "again") from None


def _read(file: BinaryIO) -> dict[str, np.ndarray]:
  header = [_Unpickler(file).load() for _ in range(3)]
  if header[:2] != [MAGIC, PROTOCOL] or not header[2]["little_endian"]:
    raise ValueError("it is no checkpoint of PyTorch's old form")
  tensors, names = _Unpickler(file).load(), _Unpickler(file).load()
  if not isinstance(tensors, Mapping):
    raise ValueError("it holds no dictionary of tensors")
  types = {tensor.storage.name: tensor.storage.dtype for tensor in tensors.values()}
  storages = {}
  for name in names:
    num, dtype = int.from_bytes(file.read(8), "little"), np.dtype(types[name])
    data = file.read(num * dtype.itemsize)
    storages[name] = np.frombuffer(data, dtype, num)
  return {str(key): tensor.array(storages) for key, tensor in tensors.items()}


@dataclasses.dataclass(frozen=True)
class _Storage:
  name: str
  dtype: str


@dataclasses.dataclass(frozen=True)
class _Tensor:
  """Where a tensor's numbers lie in a storage; offset and strides count numbers."""

  storage: _Storage
  offset: int
  shape: tuple[int, ...]
  strides: tuple[int, ...]

  def array(self, storages: Mapping[str, np.ndarray]) -> np.ndarray:
    numbers = storages[self.storage.name]
    last = self.offset + sum((size - 1) * step for size, step in zip(
        self.shape, self.strides, strict=True))
    if min(self.offset, *self.shape, *self.strides, last) < 0 or last >= len(numbers):
      raise ValueError("a tensor exceeds its storage")
    return np.lib.stride_tricks.as_strided(
        numbers[self.offset:], self.shape,
        [step * numbers.itemsize for step in self.strides]).copy()


class _Unpickler(pickle.Unpickler):
  """Loads tensors as `_Tensor`; knows nothing else that could be called."""

  def find_class(self, module: str, name: str) -> Any:
    if (module, name) == ("collections", "OrderedDict"):
      return collections.OrderedDict
    if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
      return lambda storage, offset, shape, strides, *_: _Tensor(
          storage, offset, tuple(shape), tuple(strides))
    if module == "torch" and name in _TYPES:
      return _TYPES[name]
    raise ValueError(f"it asks for {module}.{name}, which weights do not need")

  def persistent_load(self, pid: tuple) -> _Storage:
    _, dtype, name, *_ = pid
    return _Storage(name, dtype)
