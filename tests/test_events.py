"""Event files read back by TensorBoard, curves, progress lines, compile helpers."""

import io
import json
import math
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnerf.errors import InputError
from jnerf.training import compilation
from jnerf.training.events import Events, History
from jnerf.training.progress import Progress, duration, over_views


def read_events(folder):
  from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
  return EventAccumulator(str(folder)).Reload()


def test_events_read_back(tmp_path):
  with Events(tmp_path / "fit") as events:
    assert not (tmp_path / "fit").exists()
    events.scalars(10, {"loss": jnp.float32(0.5), "psnr": 20})
  stored = read_events(tmp_path / "fit")
  assert set(stored.Tags()["scalars"]) == {"loss", "psnr"}
  assert [(e.step, e.value) for e in stored.Scalars("loss")] == [(10, 0.5)]


def test_resume_does_not_double_steps(tmp_path):
  with Events(tmp_path) as events:
    for step in (10, 20, 30, 40):
      events.scalars(step, {"loss": 1.0})
  with Events(tmp_path, start=20) as events:  # killed at 40, resumed from 20
    for step in (30, 40, 50):
      events.scalars(step, {"loss": 2.0})
  stored = [(e.step, e.value) for e in read_events(tmp_path).Scalars("loss")]
  assert stored == [(10, 1.0), (20, 1.0), (30, 2.0), (40, 2.0), (50, 2.0)]


def test_history_survives_a_resume(tmp_path):
  path = tmp_path / "curves" / "fit.json"
  history = History.load(path)
  for step in (10, 20, 30):
    history.add(step, {"loss": 1 / step})
  history.add(20, {"psnr": math.nan})
  history.save()
  resumed = History.load(path, last_step=20)
  assert resumed.names == ("loss", "psnr")
  resumed.add(30, {"loss": 7.0})
  resumed.save()
  steps, values = History.load(path).curve("loss")
  np.testing.assert_array_equal(steps, [10, 20, 30])
  np.testing.assert_array_equal(values, [0.1, 0.05, 7.0])
  assert np.isnan(History.load(path).curve("psnr")[1]).all()
  assert History.load(path).curve("unknown")[0].shape == (0,)
  json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(name))


@pytest.mark.parametrize("text", ["{", "[1]", '{"loss": 3}', '{"loss": [[1, "x"]]}'])
def test_damaged_history_names_the_file(tmp_path, text):
  (tmp_path / "fit.json").write_text(text)
  with pytest.raises(InputError, match=r"fit\.json"):
    History.load(tmp_path / "fit.json")


def test_progress_prints_plain_lines_where_there_is_no_terminal():
  stream = io.StringIO()
  with Progress("fit", total=100, start=40, rays_per_step=1024, interval=0.0,
                stream=stream) as progress:
    progress.update(50, {"loss": jnp.float32(0.25), "psnr": 21.0})
    progress.update(60, {"loss": 0.125})
    assert progress.rays_per_second > 0
  lines = stream.getvalue().splitlines()
  assert len(lines) == 2 and "\r" not in stream.getvalue()
  assert lines[0].startswith("fit 50/100  loss 0.25  psnr 21")
  assert lines[1].startswith("fit 60/100  loss 0.125  psnr 21")
  assert "rays/s" in lines[1] and "ETA 0." in lines[1]


def test_progress_is_a_bar_on_a_terminal_and_seldom_prints_elsewhere():
  class Terminal(io.StringIO):
    def isatty(self):
      return True

  bar, pipe = Terminal(), io.StringIO()
  for stream in (bar, pipe):
    with Progress("fit", total=100, rays_per_step=8, stream=stream) as progress:
      for step in range(1, 101):
        progress.update(step, {"loss": 0.5})
  assert "100/100" in bar.getvalue() and "loss 0.5" in bar.getvalue()
  assert pipe.getvalue().count("\n") == 1 and pipe.getvalue().startswith("fit 100/100")


def test_views_are_gone_through_once_each_with_a_line_at_the_end(capsys):
  assert list(over_views(["a", "b", "c"], "render")) == ["a", "b", "c"]
  lines = capsys.readouterr().err.splitlines()
  assert len(lines) == 1 and lines[0].startswith("render 3/3  images/s ")
  assert list(over_views([], "render")) == [] and not capsys.readouterr().err


@pytest.mark.parametrize("seconds, text", [
    (0.04, "0.0 s"), (9.96, "10 s"), (59.7, "1 min"), (185.2, "3 min 05 s"),
    (3661, "1 h 01 min"), (7200, "2 h")])
def test_durations_read_well(seconds, text):
  assert duration(seconds) == text


def test_compile_timed_runs_the_same_program():
  compiled, seconds = compilation.compile_timed(jax.jit(jnp.sin), jnp.ones(3))
  np.testing.assert_array_equal(compiled(jnp.ones(3)), jnp.sin(jnp.ones(3)))
  assert seconds > 0
  with pytest.raises(TypeError):
    compiled(jnp.ones(4))


def test_peak_memory_counts_what_is_held():
  assert compilation.peak_memory_bytes() > jnp.ones(1 << 20).nbytes


_CACHED = """
import jax, jax.numpy as jnp
from jnerf.training.compilation import enable_compilation_cache
folder = enable_compilation_cache()
def many(x):
  for i in range(60):
    x = jnp.sin(x @ x) + i
  return x
jax.jit(many)(jnp.ones((3, 3)))
print(folder)
"""


def test_cache_is_filled_in_the_users_cache_folder(tmp_path, repository):
  kept = {name: value for name, value in os.environ.items()
          if name != "JAX_COMPILATION_CACHE_DIR"}
  result = subprocess.run(
      [sys.executable, "-c", _CACHED], cwd=repository, check=True, capture_output=True,
      text=True, env={**kept, "XDG_CACHE_HOME": str(tmp_path)})
  assert result.stdout.strip() == str(tmp_path / "jnerf" / "jax")
  assert any("many" in file.name for file in tmp_path.rglob("*-cache"))


def test_the_variable_of_jax_goes_before_the_users_folder():
  folder = compilation.enable_compilation_cache()  # tests/conftest.py sets it
  assert str(folder) == os.environ["JAX_COMPILATION_CACHE_DIR"]
  assert jax.config.jax_compilation_cache_dir == str(folder)


def test_cache_folder_that_cannot_be_made(tmp_path, monkeypatch):
  before = jax.config.jax_compilation_cache_dir
  (tmp_path / "file").touch()
  with pytest.raises(InputError, match=r"runtime\.compilation_cache"):
    compilation.enable_compilation_cache(str(tmp_path / "file" / "cache"))
  monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "file" / "cache"))
  assert compilation.enable_compilation_cache() is None
  assert jax.config.jax_compilation_cache_dir == before
