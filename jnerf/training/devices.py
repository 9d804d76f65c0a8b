"""One mesh of all local devices with one axis, `data`, along which rays are split.

Everything is written for the global batch; `jit` with these shardings splits
the work. (Not `shard_map`: differentiating replicated parameters per ray inside
it sums the rows over devices without a word.)
"""

from __future__ import annotations

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
import numpy as np

from jnerf.errors import InputError


def data_mesh(devices=None) -> Mesh:
  """A mesh with the axis `data` over `devices`, by default all local ones."""
  return Mesh(np.array(jax.local_devices() if devices is None else devices), ("data",))


def replicated(mesh: Mesh) -> NamedSharding:
  """Whole on every device."""
  return NamedSharding(mesh, PartitionSpec())


def split(mesh: Mesh, axis: int = 0) -> NamedSharding:
  """Split along `axis`, the entity axis."""
  return NamedSharding(mesh, PartitionSpec(*(None,) * axis, "data"))


def check_divisible(num_rays: int, mesh: Mesh, name: str) -> None:
  """Raises InputError, naming the key, where rays do not split evenly."""
  if num_rays % mesh.size:
    raise InputError(f"{name}={num_rays} does not split over {mesh.size} devices; "
                     f"use a multiple of {mesh.size}")
