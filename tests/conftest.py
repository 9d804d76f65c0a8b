"""What holds for every test: no silent broadcasting, and a warm compilation cache.

Tests run on all cores, a worker on each, which then has one thread. Eight virtual devices
are not forced here, for they change what other tests compile; a test that needs them
starts a process of its own.
"""

import os
import pathlib
import tempfile

if "PYTEST_XDIST_WORKER" in os.environ:
  os.environ.setdefault("NPROC", "1")  # threads of JAX's CPU device; read at its start
  for pool in ("OMP", "OPENBLAS"):
    os.environ.setdefault(f"{pool}_NUM_THREADS", "1")

import jax
import pytest
import smoke_run

from jnerf.features import lite_features
from jnerf.training.compilation import enable_compilation_cache

jax.config.update("jax_numpy_rank_promotion", "raise")
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR",
    str(pathlib.Path(tempfile.gettempdir()) / f"jnerf-test-cache-{os.getuid()}"))
enable_compilation_cache()


@pytest.fixture(scope="session", autouse=True)
def shared_folder(tmp_path_factory) -> pathlib.Path:
  """A folder that all workers of this run of the tests have in common."""
  base = tmp_path_factory.getbasetemp()
  smoke_run.shared.append(
      base.parent if "PYTEST_XDIST_WORKER" in os.environ else base)
  return smoke_run.shared[-1]


@pytest.fixture(scope="session")
def repository() -> pathlib.Path:
  """The root of the repository."""
  return pathlib.Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def without_lite_weights(monkeypatch):
  """Tests do not depend on whether the extra `features-lite` is installed."""
  monkeypatch.setattr(lite_features, "find_weights", lambda model: None)
