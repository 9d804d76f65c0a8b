"""Features of one file per image: the paper code's, and maps of any other network."""

import io
import pathlib
import pickle
import sys
import zipfile

import numpy as np
import pytest
import tiny_replica

from jnerf.errors import InputError
from jnerf.features import feature_folders
from jnerf.features.feature_choice import FeatureChoice, FeatureSettings
from jnerf.scenes import load
from jnerf.scenes.load import SceneSettings

RNG = np.random.default_rng(0)
FRAMES = ("rgb_0", "rgb_7", "rgb_12")
SIZE = (96, 64)  # of the photographs
GRID = RNG.normal(size=(3, 4, 6, 5)).astype(np.float32)


def read(folder, frames=FRAMES, size=SIZE, max_cells=1000, channels="auto"):
  return feature_folders.load_features_folder(
      folder, frames, size, max_cells=max_cells, channels=channels)


def save(folder: pathlib.Path, arrays=GRID, frames=FRAMES) -> pathlib.Path:
  folder.mkdir(exist_ok=True)
  for frame, array in zip(frames, arrays, strict=True):
    np.save(folder / f"{frame}.npy", array)
  return folder


def save_pth(folder: pathlib.Path, values, name="dino_0.pth") -> pathlib.Path:
  torch = pytest.importorskip("torch", reason=".pth files need the extra `features`")
  folder.mkdir(exist_ok=True, parents=True)
  torch.save(torch.from_numpy(values) if isinstance(values, np.ndarray) else values,
             folder / name)
  return folder / name


def complaint(folder, **settings) -> str:
  """The message, which is one line and names the folder or a file in it."""
  with pytest.raises(InputError) as error:
    read(folder, **settings)
  message = str(error.value)
  if not any(part in message for part in ("makes", "not finite")):  # which numbers tell
    frames, channels = settings.get("frames", FRAMES), settings.get("channels", "auto")
    with pytest.raises(InputError) as checked:
      feature_folders.check_features_folder(
          folder, frames, settings.get("size", SIZE), channels=channels)
    assert str(checked.value).partition("(")[0] == message.partition("(")[0]
  assert "\n" not in str(error.value) and str(folder) in str(error.value)
  return str(error.value)


@pytest.mark.parametrize("names", [
    FRAMES, ("0", "7", "12"), ("00000", "00007", "00012"),
    ("dino_0", "dino_7", "dino_12")])
def test_npy_files_fit_by_name(tmp_path, names):
  folder = save(tmp_path / "f", GRID, names)
  np.save(folder / "rgb_99.npy", GRID[0])  # of no frame
  maps = read(folder)
  np.testing.assert_array_equal(maps.grid, GRID.astype(np.float16))
  assert maps.source == "precomputed" and maps.origin == str(folder)
  np.testing.assert_array_equal(read(folder, FRAMES[::-1]).grid, maps.grid[::-1])


@pytest.mark.parametrize("inner", ["", "dino"])
def test_the_papers_files(tmp_path, inner):
  for i, grid in zip((0, 7, 12), GRID, strict=True):
    save_pth(tmp_path / "f" / inner, grid, f"dino_{i}.pth")
  np.testing.assert_array_equal(read(tmp_path / "f").grid, GRID.astype(np.float16))


LAYOUTS = {
    "[h,w,F]": lambda a: a, "[1,h,w,F]": lambda a: a[None],
    "[F,h,w]": lambda a: a.transpose(2, 0, 1),
    "[1,F,h,w]": lambda a: a.transpose(2, 0, 1)[None],
    "[h*w,F]": lambda a: a.reshape(-1, a.shape[-1]),
    "[1,h*w,F]": lambda a: a.reshape(1, -1, a.shape[-1]),
    "[1,1,h*w,F]": lambda a: a.reshape(1, 1, -1, a.shape[-1])}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("cells, size", [
    ((8, 12), SIZE), ((89, 119), (480, 360)), ((12, 8), (64, 96)), ((25, 34), (480, 360)),
    ((42, 75), (1200, 680)), ((32, 32), (100, 100)), ((68, 120), (1920, 1080))])
def test_layouts_that_the_proportions_tell(tmp_path, layout, cells, size):
  grid = RNG.normal(size=(*cells, 50)).astype(np.float16)
  folder = save(tmp_path / "f", [LAYOUTS[layout](grid)], ["rgb_0"])
  found = read(folder, ["rgb_0"], size, max_cells=10**6).grid[0]
  np.testing.assert_array_equal(found, grid)


def test_layouts_that_must_be_said(tmp_path):
  square = RNG.normal(size=(8, 8, 8)).astype(np.float16)  # fits either way
  folder = save(tmp_path / "f", [square], ["rgb_0"])
  assert "[8, 8, 8] can be read in 2 ways" in complaint(
      folder, frames=["rgb_0"], size=(80, 80))
  first = read(folder, ["rgb_0"], (80, 80), channels="first").grid[0]
  np.testing.assert_array_equal(first, square.transpose(1, 2, 0))
  last = read(folder, ["rgb_0"], (80, 80), channels="last").grid[0]
  np.testing.assert_array_equal(last, square)
  # Of a network that squeezes every image to a square.
  assert "in 0 ways" in (text := complaint(folder, frames=["rgb_0"], size=(160, 80)))
  assert "features.channels=first or last" in text
  squeezed = read(folder, ["rgb_0"], (160, 80), channels="last").grid[0]
  np.testing.assert_array_equal(squeezed, square)


@pytest.mark.parametrize("shape", [
    (97, 5), (5,), (), (0, 6, 5), (4, 6, 0), (2, 4, 6, 5), (24, 2, 2, 2), (1, 1), (1, 24),
    (1, 20000, 30000)])
def test_shapes_that_are_no_features_of_the_image(tmp_path, shape):
  """One is a grid with the class token before it, and one is far too large."""
  folder = tmp_path / "f"
  folder.mkdir()
  mapped = np.lib.format.open_memmap(
      folder / "rgb_0.npy", mode="w+", dtype=np.float16, shape=shape) if np.prod(
          shape) else np.save(folder / "rgb_0.npy", np.zeros(shape, np.float16))
  del mapped
  assert "ways as features of an image of 96x64" in complaint(folder, frames=["rgb_0"])


def test_maps_of_the_images_size_are_averaged(tmp_path):
  """Means over areas: exact for whole blocks, else shares of the pixels."""
  y, x = np.indices((64, 96))
  full = np.stack([x, y, (x // 8) % 2], axis=-1).astype(np.float32)
  folder = save(tmp_path / "f", [full], ["rgb_0"])
  grid = read(folder, ["rgb_0"], max_cells=8 * 12).grid[0]
  blocks = full.reshape(8, 8, 12, 8, 3).mean((1, 3))
  np.testing.assert_array_equal(grid, blocks.astype(np.float16))
  odd = read(folder, ["rgb_0"], max_cells=1000).grid[0]
  assert odd.shape == (25, 38, 3)
  np.testing.assert_allclose(odd[3, :, 0], (np.arange(38) + 0.5) * 96 / 38 - 0.5,
                             atol=0.06)
  assert read(folder, ["rgb_0"], max_cells=1).grid.shape == (1, 1, 1, 3)
  assert read(folder, ["rgb_0"], max_cells=64 * 96).grid.shape == (1, 64, 96, 3)


def test_many_channels_are_averaged_too(tmp_path):
  full = RNG.normal(size=(20, 30, 40)).astype(np.float32)
  folder = save(tmp_path / "f", [full.transpose(2, 0, 1)], ["rgb_0"])
  grid = read(folder, ["rgb_0"], max_cells=150).grid[0]
  np.testing.assert_allclose(
      grid, full.reshape(10, 2, 15, 2, 40).mean((1, 3)), atol=2e-3)


def header(shape: str, dtype="<f4") -> bytes:
  text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
  text = text.ljust(117) + "\n"
  return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def npy(array, **settings) -> bytes:
  buffer = io.BytesIO()
  np.save(buffer, array, **settings)
  return buffer.getvalue()


def npz() -> bytes:
  buffer = io.BytesIO()
  np.savez(buffer, GRID[0])
  return buffer.getvalue()


class Trap:
  """A pickle that makes the file `sprung` where it is loaded."""

  def __reduce__(self):
    return exec, ("open('sprung', 'w').close()",)


WHOLE = npy(GRID[0])
NAN, HUGE = GRID[0].copy(), GRID[0] * 1e9
NAN[1, 2, 3] = np.nan
DAMAGED_NPY = {
    "empty": b"", "text": b"no array", "half": WHOLE[:len(WHOLE) // 2],
    "one byte short": WHOLE[:-1], "header only": WHOLE[:128], "in the header": WHOLE[:40],
    "magic only": WHOLE[:6], "version": WHOLE[:6] + b"\x09\x00" + WHOLE[8:],
    "npz": npz(), "pickle": pickle.dumps(Trap()),
    "objects": npy(np.array([Trap()], object), allow_pickle=True),
    "strings": npy(np.array(["a", "b"])), "whole numbers": npy(np.ones((4, 6, 5), int)),
    "booleans": npy(np.ones((4, 6, 5), bool)), "complex": npy(GRID[0] * 1j),
    "records": npy(np.zeros((4, 6), [("x", "f4")])), "nan": npy(NAN), "huge": npy(HUGE),
    "infinite": npy(np.full_like(NAN, np.inf)),
    "absurd shape": header("(4, 6, 1000000000000)") + bytes(480),
    "beyond 64 bits": header("(4, 6, 10**40)") + bytes(480),
    "negative shape": header("(-4, 6, -5)") + bytes(480),
    "shape of text": header("'abc'") + bytes(480),
    "code in the header": header("__import__('os')") + bytes(480),
    "unknown type": header("(4, 6, 5)", "<q9") + bytes(480),
    "nested header": header("(" * 60 + ")" * 60) + bytes(480)}


@pytest.mark.parametrize("content", DAMAGED_NPY.values(), ids=DAMAGED_NPY)
def test_damaged_npy_files(tmp_path, monkeypatch, content):
  monkeypatch.chdir(tmp_path)
  folder = save(tmp_path / "f")
  (folder / "rgb_7.npy").write_bytes(content)
  assert "rgb_7.npy" in complaint(folder)
  assert not (tmp_path / "sprung").exists()


def rezipped(path: pathlib.Path, change) -> None:
  """Writes the parts of a .pth again, as `change(name, data)` has them, compressed."""
  with zipfile.ZipFile(path) as archive:
    parts = {name: archive.read(name) for name in archive.namelist()}
  with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
    for name, data in parts.items():
      archive.writestr(name, change(name, data))


DAMAGED_PTH = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_bytes(b"no tensor"),
    "half": lambda path: path.write_bytes(path.read_bytes()[:700]),
    "few bytes": lambda path: path.write_bytes(path.read_bytes()[:20]),
    "pickle": lambda path: path.write_bytes(pickle.dumps(Trap())),
    "other zip": lambda path: path.write_bytes(npz()),
    "compressed": lambda path: rezipped(path, lambda name, data: data),
    "code": lambda path: save_pth(path.parent, Trap(), path.name),
    "code in a dict": lambda path: save_pth(path.parent, {"a": Trap()}, path.name),
    "a dict": lambda path: save_pth(path.parent, {"a": 1}, path.name),
    "a number": lambda path: save_pth(path.parent, 3, path.name),
    "nan": lambda path: save_pth(path.parent, NAN, path.name),
    "whole numbers": lambda path: save_pth(
        path.parent, np.ones((4, 6, 5), int), path.name),
    "other shape": lambda path: save_pth(path.parent, GRID[0, :, :, :3], path.name)}


@pytest.mark.parametrize("damage", DAMAGED_PTH.values(), ids=DAMAGED_PTH)
def test_damaged_pth_files(tmp_path, monkeypatch, damage):
  monkeypatch.chdir(tmp_path)
  files = [save_pth(tmp_path / "f", grid, f"dino_{i}.pth")
           for i, grid in zip((0, 7, 12), GRID, strict=True)]
  damage(files[0])  # the one that a check reads
  assert "dino_0.pth" in complaint(tmp_path / "f")
  assert not (tmp_path / "sprung").exists()


def test_a_later_damaged_pth_file_is_found_when_it_is_read(tmp_path):
  files = [save_pth(tmp_path / "f", grid, f"dino_{i}.pth")
           for i, grid in zip((0, 7, 12), GRID, strict=True)]
  files[2].write_bytes(b"no tensor")
  with pytest.raises(InputError, match="dino_12.pth: cannot be read"):
    read(tmp_path / "f")


def test_a_tensor_that_repeats_few_numbers_without_end(tmp_path):
  torch = pytest.importorskip("torch", reason=".pth files need the extra `features`")
  save_pth(tmp_path / "f", torch.zeros(1).expand(40000, 60000, 384))
  assert "exceeds the file" in complaint(
      tmp_path / "f", frames=["rgb_0"], size=(600, 400))


def test_kinds_of_tensors(tmp_path):
  torch = pytest.importorskip("torch", reason=".pth files need the extra `features`")
  plain = torch.from_numpy(GRID[0])
  for tensor in (plain.bfloat16(), plain.requires_grad_(), plain.detach().double()):
    save_pth(tmp_path / "f", tensor)
    np.testing.assert_allclose(read(tmp_path / "f", ["rgb_0"]).grid[0], GRID[0],
                               rtol=1e-2)
  save_pth(tmp_path / "f", plain.detach().to_sparse())
  assert "no plain tensor" in complaint(tmp_path / "f", frames=["rgb_0"])


def test_folders_that_do_not_fit(tmp_path):
  assert "holds no dino_<i>.pth" in complaint(tmp_path)
  folder = save(tmp_path / "f", GRID[:2], FRAMES[:2])
  assert "no features for 1 of 3 frames (rgb_12;" in complaint(folder)
  np.save(folder / "rgb_12.npy", GRID[2, :3])
  assert "rgb_12.npy: makes [3, 6, 5] features, but rgb_0.npy [4, 6, 5]" in complaint(
      folder, channels="last")
  np.save(folder / "12.npy", GRID[2])
  assert "mean the same frame" in complaint(folder)
  (folder / "dino_0.pth").touch()
  assert "holds .pth and .npy files" in complaint(folder)


def test_pth_files_without_pytorch(tmp_path, monkeypatch):
  (tmp_path / "f").mkdir()
  (tmp_path / "f" / "dino_0.pth").touch()
  monkeypatch.setitem(sys.modules, "torch", None)
  assert "pip install 'jacobinerf[features]'" in complaint(
      tmp_path / "f", frames=["rgb_0"])


def test_auto_takes_the_folder_dino(tmp_path, monkeypatch):
  root = tiny_replica.write(tmp_path / "capture")
  scene = load.load_scene(SceneSettings(path=str(root)))

  def load_features(**settings):
    choice = FeatureChoice(FeatureSettings(**settings), capture=str(root))
    return choice.source.load(scene)

  grid = RNG.normal(size=(6, 4, 6, 3)).astype(np.float16)
  save(root / "dino", grid, [f"dino_{i}" for i in range(6)])
  maps = load_features()
  np.testing.assert_array_equal(maps.grid, grid)
  assert maps.source == "precomputed" and maps.origin == str(root / "dino")
  with monkeypatch.context() as patch:
    patch.delattr(feature_folders, "_averaged")
    FeatureChoice(capture=str(root)).source.check(scene)
  assert load_features(max_cells=6).grid.shape == (6, 2, 3, 3)
  np.savez(root / "mine.npz", features=grid, names=scene.frames)
  with pytest.raises(InputError, match="mine.npz and dino/ in .* both hold features"):
    load_features()
  # A folder: its dino/, not the .npz.
  assert load_features(path=str(root)).origin == str(root)
