"""What memory this machine has, and what others do on it."""

from __future__ import annotations

import os
import pathlib

import jax

# Where a container's limit is told: control groups of version 2, then 1.
_GROUP_LIMITS = ("/sys/fs/cgroup/memory.max",
                 "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def host_memory_bytes() -> int | None:
  """Memory that this process may use: the machine's or its container's; None unknown."""
  try:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
  except (ValueError, OSError, AttributeError):
    return None
  for path in _GROUP_LIMITS:
    try:
      total = min(total, int(pathlib.Path(path).read_text()))
    except (OSError, ValueError):  # not there, or "max"
      continue
  return total


def device_memory_bytes() -> int | None:
  """Memory of one device; None where it is the host's, or untold."""
  return (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")


def others_load() -> float:
  """Cores that other programs kept busy of late, at least; 0 where it is not told."""
  try:
    return max(0.0, os.getloadavg()[0] - 1)  # this process may be one of the load
  except OSError:
    return 0.0
