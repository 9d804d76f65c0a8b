"""What holds for every test: no silent broadcasting, and a warm compilation cache.

Eight virtual devices are not forced here, for they change what other tests compile;
a test that needs them starts a process of its own.
"""

import os
import pathlib
import tempfile

import jax
import pytest

from jnerf.training.compilation import enable_compilation_cache

jax.config.update("jax_numpy_rank_promotion", "raise")
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR",
    str(pathlib.Path(tempfile.gettempdir()) / f"jnerf-test-cache-{os.getuid()}"))
enable_compilation_cache()


@pytest.fixture(scope="session")
def repository() -> pathlib.Path:
  """The root of the repository."""
  return pathlib.Path(__file__).parents[1]
