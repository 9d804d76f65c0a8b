"""Compile time and memory: both are part of the user's wait, so both are measured."""

from __future__ import annotations

from collections.abc import Callable
import os
import pathlib
import resource
import sys
import time
from typing import Any

import jax

from jnerf.errors import InputError


def enable_compilation_cache(folder: str | None = None) -> pathlib.Path | None:
  """Lets JAX keep compiled programs on the disk, so a second run starts at once.

  folder: where to; "" switches the cache off; None takes the folder named by
    `JAX_COMPILATION_CACHE_DIR`, else `jnerf/jax` in the user's cache folder
    (`XDG_CACHE_HOME`, else `~/.cache`).

  Returns the folder in use, or None where there is no cache: switched off, or
  the user's cache folder cannot be written. Raises InputError when a `folder`
  that was asked for cannot be written.
  """
  if folder == "":
    jax.config.update("jax_compilation_cache_dir", None)
    return None
  path = pathlib.Path(folder).expanduser() if folder else _default_folder()
  try:
    path.mkdir(parents=True, exist_ok=True)
    writable = os.access(path, os.W_OK)
  except OSError:
    writable = False
  if not writable:
    if folder:
      raise InputError(f"runtime.compilation_cache: cannot write to {folder}; name "
                       "another folder, or '' to switch the cache off")
    return None
  jax.config.update("jax_compilation_cache_dir", str(path.absolute()))
  # JAX's own threshold (1 s) would leave out most of what a small run compiles.
  jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
  jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
  return path


def compile_timed(jitted: Callable, *args: Any,
                  **kwargs: Any) -> tuple[Callable, float]:
  """Compiles a `jax.jit`-ed function for these arguments.

  Returns `(compiled, seconds)`: a callable that accepts arguments of the same
  shapes, types and shardings only (an argument that is static to `jitted` is left
  out of its calls), and how long tracing and compiling took.
  """
  start = time.perf_counter()
  compiled = jitted.lower(*args, **kwargs).compile()
  return compiled, time.perf_counter() - start


def peak_memory_bytes() -> int:
  """Largest memory so far: of any local device if it tells, else of the process.

  The figure never falls during a run: a stage's own is at most what is read
  after it.
  """
  stats = [device.memory_stats() or {} for device in jax.local_devices()]
  peaks = [stat["peak_bytes_in_use"] for stat in stats if "peak_bytes_in_use" in stat]
  if peaks:
    return max(peaks)
  resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  return resident if sys.platform == "darwin" else resident * 1024  # bytes there


def _default_folder() -> pathlib.Path:
  named = os.environ.get("JAX_COMPILATION_CACHE_DIR")
  if named:
    return pathlib.Path(named).expanduser()
  home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
  return pathlib.Path(home).expanduser() / "jnerf" / "jax"
