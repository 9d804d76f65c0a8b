"""Checkpoints: bitwise round trips, what a kill leaves, damage and mismatch."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest

from jnerf.errors import InputError
from jnerf.training.checkpoints import Checkpoints


def make_state(seed: int = 0, width: int = 5):
  key = jax.random.key(seed)
  params = {"field": {"rgb": {"kernel": jax.random.normal(key, (width, 3))}},
            "half": jax.random.normal(key, (7,)).astype(jnp.bfloat16)}
  return {
      "params": params,
      "opt_state": optax.adam(1e-3).init(params),
      "step": jnp.asarray(seed, jnp.int32),
      "key": jax.random.key_data(key),
      "threshold": jnp.float32(0.1),
      "odd": jnp.array([np.nan, -0.0, np.inf, 1e-45], jnp.float32),
      "count": np.arange(4) + seed,
  }


def assert_same_bits(state, other):
  assert jax.tree.structure(state) == jax.tree.structure(other)
  for leaf, twin in zip(jax.tree.leaves(state), jax.tree.leaves(other), strict=True):
    assert leaf.dtype == twin.dtype and leaf.shape == twin.shape
    assert isinstance(twin, jax.Array) == isinstance(leaf, jax.Array)
    assert np.asarray(leaf).tobytes() == np.asarray(twin).tobytes()


def test_round_trip_is_bitwise_also_from_a_new_object(tmp_path):
  state = make_state(3)
  with Checkpoints(tmp_path / "fit") as checkpoints:
    assert checkpoints.restore(state) is None and checkpoints.steps == []
    assert not (tmp_path / "fit").exists()
    checkpoints.save(3, state)
  with Checkpoints(tmp_path / "fit") as checkpoints:
    restored, step = checkpoints.restore(make_state(0))
  assert step == 3
  assert_same_bits(state, restored)


def test_keeps_the_last_two_and_a_saved_step_stays(tmp_path):
  with Checkpoints(tmp_path) as checkpoints:
    for step in (5, 10, 20):
      checkpoints.save(step, make_state(step))
    checkpoints.save(20, make_state(0))
    assert checkpoints.steps == [10, 20]
    assert_same_bits(make_state(20), checkpoints.restore(make_state())[0])


def truncate(file: pathlib.Path):
  file.write_bytes(file.read_bytes()[:9])


def flip_a_bit(file: pathlib.Path):
  data = bytearray(file.read_bytes())
  data[len(data) // 2] ^= 1
  file.write_bytes(data)


@pytest.mark.parametrize("damage", [truncate, flip_a_bit, pathlib.Path.unlink])
def test_damaged_newest_is_set_aside_and_the_older_taken(tmp_path, capfd, damage):
  with Checkpoints(tmp_path) as checkpoints:
    checkpoints.save(1, make_state(1))
    checkpoints.save(2, make_state(2))
  damage(max((tmp_path / "2").rglob("d/*"), key=lambda file: file.stat().st_size))
  with Checkpoints(tmp_path) as checkpoints:
    restored, step = checkpoints.restore(make_state())
    assert step == 1 and checkpoints.steps == [1]
    assert_same_bits(make_state(1), restored)
    checkpoints.save(2, make_state(7))  # the run goes on past the damaged step
    assert_same_bits(make_state(7), checkpoints.restore(make_state())[0])
  assert "Traceback" not in capfd.readouterr().err


def test_checkpoint_killed_before_its_checksums_is_used(tmp_path):
  with Checkpoints(tmp_path) as checkpoints:
    checkpoints.save(1, make_state(1))
    (tmp_path / "1" / "checksums.json").unlink()
    assert_same_bits(make_state(1), checkpoints.restore(make_state())[0])


def test_nothing_usable_names_the_folder_and_the_mend(tmp_path):
  with Checkpoints(tmp_path) as checkpoints:
    checkpoints.save(1, make_state(1))
  (tmp_path / "1" / "default" / "manifest.ocdbt").unlink()
  with Checkpoints(tmp_path) as checkpoints, pytest.raises(InputError) as caught:
    checkpoints.restore(make_state())
  message = str(caught.value)
  assert str(tmp_path) in message and "delete" in message and "\n" not in message
  assert (tmp_path / "1").exists()


def full_device(*unused, **ignored):
  raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes")


def another_version(*unused, **ignored):
  raise ValueError("a checkpoint of this version cannot be read")


@pytest.mark.parametrize("trouble", [full_device, another_version])
def test_trouble_that_is_not_the_files_leaves_a_good_checkpoint_be(
    tmp_path, monkeypatch, trouble):
  with Checkpoints(tmp_path) as checkpoints:
    checkpoints.save(1, make_state(1))
    checkpoints.save(2, make_state(2))
    flip_a_bit(max((tmp_path / "2").rglob("d/*"), key=lambda file: file.stat().st_size))
    with monkeypatch.context() as patch, pytest.raises(
        (jax.errors.JaxRuntimeError, ValueError), match="memory|version"):
      patch.setattr(ocp.CheckpointManager, "restore", trouble)
      checkpoints.restore(make_state())
    assert checkpoints.steps == [1, 2]
    assert_same_bits(make_state(1), checkpoints.restore(make_state())[0])


def test_a_full_device_is_no_damage_without_checksums_either(tmp_path, monkeypatch):
  with Checkpoints(tmp_path) as checkpoints:
    checkpoints.save(1, make_state(1))
    (tmp_path / "1" / "checksums.json").unlink()
    monkeypatch.setattr(ocp.CheckpointManager, "restore", full_device)
    with pytest.raises(jax.errors.JaxRuntimeError):
      checkpoints.restore(make_state())
    assert checkpoints.steps == [1]


def forbidden(*unused, **ignored):
  raise PermissionError(13, "Permission denied")


def forbidden_below(*unused, **ignored):
  try:
    raise ValueError("PERMISSION_DENIED: Error opening a file")
  except ValueError as error:
    raise Exception("Encountered error while reading array") from error


@pytest.mark.parametrize("name, trouble", [
    ("pathlib.Path.read_bytes", forbidden),
    ("orbax.checkpoint.CheckpointManager.restore", forbidden_below)])
def test_a_file_that_may_not_be_read_is_an_input_error(
    tmp_path, monkeypatch, name, trouble):
  with Checkpoints(tmp_path) as checkpoints:
    checkpoints.save(1, make_state(1))
    monkeypatch.setattr(name, trouble)
    with pytest.raises(InputError, match="right to read") as caught:
      checkpoints.restore(make_state())
    assert f"{tmp_path}/1" in str(caught.value) and "\n" not in str(caught.value)
    assert checkpoints.steps == [1]


def truncate_metadata(folder):
  truncate(folder / "default" / "_METADATA")


def remove_metadata(folder):
  (folder / "default" / "_METADATA").unlink()


def truncate_arrays(folder):
  for file in folder.rglob("d/*"):
    truncate(file)


# Orbax leaves the reads that it had begun beside the one that failed to themselves.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("damage", [truncate_metadata, remove_metadata, truncate_arrays])
def test_unreadable_content_is_damage_without_checksums_too(tmp_path, damage):
  with Checkpoints(tmp_path) as checkpoints:
    checkpoints.save(1, make_state(1))
    checkpoints.save(2, make_state(2))
    (tmp_path / "2" / "checksums.json").unlink()
    damage(tmp_path / "2")
    assert checkpoints.restore(make_state())[1] == 1
    assert checkpoints.steps == [1] and (tmp_path / "2.damaged").is_dir()


@pytest.mark.parametrize("change, named", [
    (lambda s: make_state(width=6), "kernel is float32[5, 3]"),
    (lambda s: {**s, "count": s["count"].astype(np.int32)}, "count is int64"),
    (lambda s: {**s, "new": jnp.zeros(2)}, "new is not in"),
    (lambda s: {k: v for k, v in s.items() if k != "odd"}, "odd is in the checkpoint"),
])
def test_another_shape_is_an_input_error_not_damage(tmp_path, change, named):
  with Checkpoints(tmp_path) as checkpoints:
    checkpoints.save(1, make_state())
    with pytest.raises(InputError) as caught:
      checkpoints.restore(change(make_state()))
    assert named in str(caught.value).replace("opt_state.0.mu.field.rgb.", "")
    assert checkpoints.steps == [1]


def test_unwritable_folder_is_an_input_error(tmp_path):
  (tmp_path / "file").touch()
  with Checkpoints(tmp_path / "file" / "fit") as checkpoints, pytest.raises(InputError):
    checkpoints.save(1, make_state())


_SAVER = """
import sys
import numpy as np
from jnerf.training.checkpoints import Checkpoints
with Checkpoints(sys.argv[1]) as checkpoints:
  for step in range(1, 1000):
    state = {f"a{i}": np.full((1 << 20,), step, np.float32) for i in range(4)}
    for leaf in state.values():
      leaf[1::2] = np.random.default_rng(step).random(1 << 19)
    checkpoints.save(step, state)
"""


def test_kill_in_the_middle_of_a_save_leaves_the_former_one(tmp_path, repository):
  process = subprocess.Popen([sys.executable, "-c", _SAVER, str(tmp_path)],
                             cwd=repository, env={**os.environ, "JAX_PLATFORMS": "cpu"})
  try:
    _wait_for_half_a_save(process, tmp_path)
  finally:
    process.send_signal(signal.SIGKILL)
    process.wait()
  assert list(tmp_path.glob("*orbax-checkpoint-tmp*"))  # it was in the middle
  template = {f"a{i}": np.zeros((1 << 20,), np.float32) for i in range(4)}
  with Checkpoints(tmp_path) as checkpoints:
    newest = checkpoints.steps[-1]
    state, step = checkpoints.restore(template)
    assert step == newest >= 2
    for leaf in state.values():
      np.testing.assert_array_equal(leaf[::2], np.float32(step))
      np.testing.assert_array_equal(
          leaf[1::2], np.random.default_rng(step).random(1 << 19).astype(np.float32))
    checkpoints.save(step + 1, state)
    assert checkpoints.steps[-1] == step + 1
  assert not list(tmp_path.glob("*orbax-checkpoint-tmp*"))


def _wait_for_half_a_save(process: subprocess.Popen, folder: pathlib.Path) -> None:
  """Returns while the third save or a later one is being written."""
  deadline = time.monotonic() + 60
  while time.monotonic() < deadline and process.poll() is None:
    names = os.listdir(folder)
    if (sum(name.isdecimal() for name in names) >= 2
        and any("orbax-checkpoint-tmp" in name for name in names)):
      process.send_signal(signal.SIGSTOP)  # it may end the save before the kill
      if list(folder.glob("*orbax-checkpoint-tmp*")):
        return
      process.send_signal(signal.SIGCONT)
    time.sleep(0.001)
  raise AssertionError("the saving process did not save")
