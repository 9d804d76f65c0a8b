"""Features of vision transformers: equal to the slow twin, for every family."""

import json
import shutil
import sys

import numpy as np
import pytest

from jnerf.errors import InputError
from jnerf.features import vit_features

torch = pytest.importorskip("torch", reason="needs the extra `features`")
pytest.importorskip("transformers", reason="needs the extra `features`")
import tiny_vits  # noqa: E402 - imports both

RNG = np.random.default_rng(0)
PHOTOS = RNG.random((2, 30, 42, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
  root = tmp_path_factory.mktemp("models")
  return {(family, patch): tiny_vits.save(root / f"{family}-{patch}", family, patch,
                                          image=4 * patch)
          for family in tiny_vits.FAMILIES for patch in (8, 16)}


@pytest.mark.parametrize("family", tiny_vits.FAMILIES)
@pytest.mark.parametrize("patch, stride, layer, facet", [
    (8, 4, 2, "key"), (8, 3, 1, "token"), (16, 8, -1, "query"), (16, 0, 0, "value"),
    (8, 8, -1, "token")])
def test_equals_the_slow_reference(models, family, patch, stride, layer, facet):
  extractor = vit_features.load_extractor(
      str(models[family, patch]), layer=layer, facet=facet, stride=stride, load_size=45,
      device="cpu")
  features, _ = extractor(PHOTOS)
  again, _ = extractor(PHOTOS[1:])  # one at a time, and a second time
  for photo, found in zip(PHOTOS, features, strict=True):
    expected = tiny_vits.extract(
        models[family, patch], photo, layer=layer % tiny_vits.LAYERS, facet=facet,
        stride=stride or patch, size=(63, 45))
    assert np.abs(expected).max() > 0.5
    np.testing.assert_allclose(found, expected, atol=1e-4)
  np.testing.assert_allclose(again[0], features[1], atol=1e-5)
  assert extractor.num_channels == features.shape[-1] == tiny_vits.HIDDEN


def test_grid_of_the_papers_code(models):
  extractor = vit_features.load_extractor(str(models["vit", 8]), layer=0)
  features, extent = extractor([np.zeros((240, 320, 3), np.float32)])
  assert features.shape == (1, 89, 119, tiny_vits.HIDDEN)
  x0, y0, x1, y1 = extent
  # Patch j begins at 4 j, and its centre is 4 pixels on.
  centres = x0 + (np.arange(119) + 0.5) * (x1 - x0) / 119
  np.testing.assert_allclose(centres, (4 * np.arange(119) + 4) / 480)
  centres = y0 + (np.arange(89) + 0.5) * (y1 - y0) / 89
  np.testing.assert_allclose(centres, (4 * np.arange(89) + 4) / 360)


@pytest.mark.parametrize("load_size, size, cells", [
    (0, (42, 30), (6, 9)), (30, (42, 30), (6, 9)), (60, (84, 60), (14, 20)),
    (16, (22, 16), (3, 4))])
def test_load_size_is_the_shorter_side(models, load_size, size, cells):
  extractor = vit_features.load_extractor(
      str(models["dinov2", 8]), layer=0, stride=4, load_size=load_size)
  wide, extent = extractor(PHOTOS[:1])
  tall, turned = extractor(PHOTOS[:1].swapaxes(1, 2))
  assert wide.shape[1:3] == cells and tall.shape[1:3] == cells[::-1]
  assert extent == (*turned[1::-1], *turned[:1:-1])
  assert extent[0] == 2 / size[0] and extent[2] <= 1


def test_the_models_own_mean_or_else_imagenets(models, tmp_path):
  folder = shutil.copytree(models["dinov3_vit", 8], tmp_path / "model")
  scaling = folder / "preprocessor_config.json"

  def features():
    return vit_features.load_extractor(str(folder), layer=0)(PHOTOS[:1])[0]

  own = features()  # equal to the twin's, above
  scaling.write_text(json.dumps({"image_mean": [0.485, 0.456, 0.406],
                                 "image_std": [0.229, 0.224, 0.225]}))
  imagenet = features()
  scaling.unlink()
  np.testing.assert_array_equal(features(), imagenet)
  assert np.abs(own - imagenet).max() > 0.01


def test_no_gradients_and_no_randomness(models):
  extractor = vit_features.load_extractor(str(models["vit", 8]), layer=2)
  first, second = extractor(PHOTOS)[0], extractor(PHOTOS)[0]
  np.testing.assert_array_equal(first, second)
  assert first.dtype == np.float32


@pytest.mark.parametrize("settings, message", [
    ({"layer": 3}, "layer=3: the model has 3 blocks, counted from 0; give 2 or less"),
    ({"stride": 9}, "stride=9: must be from 1 to the patch size 8"),
    ({"device": "cuda:7"}, "device=cuda:7: cannot be used"),
    ({"device": "abacus"}, "device=abacus: cannot be used"),
    ({"load_size": 7}, "make 1x0 patches"),
    ({"load_size": 0, "stride": 1}, "let it be from 1 to 65536")])
def test_settings_that_do_not_fit_the_model(models, settings, message):
  photo = np.zeros((400, 600, 3), np.float32)
  with pytest.raises(InputError, match="features.vit") as error:
    vit_features.load_extractor(
        str(models["vit", 8]), **{"layer": 0, "device": "cpu", **settings})([photo])
  assert message in str(error.value) and "\n" not in str(error.value)


def test_photographs_that_exceed_the_memory(models, monkeypatch):
  extractor = vit_features.load_extractor(str(models["vit", 8]), layer=0, load_size=0)

  def exceed(*unused, **options):
    raise torch.cuda.OutOfMemoryError("CUDA out of memory")

  monkeypatch.setattr(torch.nn.Conv2d, "forward", exceed)
  with pytest.raises(InputError, match="2 photographs of 9x6 patches exceed"):
    extractor(PHOTOS)


def complaint(folder) -> str:
  with pytest.raises(InputError) as error:
    vit_features.load_extractor(str(folder), layer=0, device="cpu")
  assert "\n" not in str(error.value) and str(folder) in str(error.value)
  return str(error.value)


def test_folders_that_are_no_model(models, tmp_path):
  assert "config.json: cannot be read" in complaint(tmp_path)
  folder = shutil.copytree(models["dinov3_vit", 8], tmp_path / "model")
  weights, config = folder / "model.safetensors", folder / "config.json"
  whole = weights.read_bytes()
  for damaged in (whole[:len(whole) // 2], whole[:4], b"", b"\xff" * 100):
    weights.write_bytes(damaged)
    assert "cannot be loaded" in complaint(folder)
  weights.unlink()
  assert "cannot be loaded" in complaint(folder)
  weights.write_bytes(whole)
  settings = json.loads(config.read_text())
  config.write_text(json.dumps({**settings, "num_hidden_layers": 4}))
  assert "its weights lack" in complaint(folder)
  config.write_text(json.dumps({**settings, "hidden_size": 64}))
  assert "cannot be loaded" in complaint(folder)
  config.write_text(json.dumps({**settings, "model_type": "bert"}))
  assert "is a 'bert'; give one of ViT and DINO (vit)" in complaint(folder)
  for text in ("{", "[]", ""):
    config.write_text(text)
    complaint(folder)
  config.write_text(json.dumps(settings))
  (folder / "preprocessor_config.json").write_text('{"image_mean": "grey"}')
  assert "must be three numbers" in complaint(folder)


def test_code_beside_the_weights_is_not_run(models, tmp_path):
  folder = shutil.copytree(models["vit", 8], tmp_path / "model")
  (folder / "model.safetensors").unlink()
  torch.save(Trap(tmp_path / "sprung"), folder / "pytorch_model.bin")
  assert "cannot be loaded" in complaint(folder)
  config = json.loads((folder / "config.json").read_text())
  (folder / "evil.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\n")
  (folder / "config.json").write_text(json.dumps(
      {**config, "auto_map": {"AutoModel": "evil.Model", "AutoConfig": "evil.Config"}}))
  complaint(folder)
  assert not (tmp_path / "sprung").exists()


class Trap:
  """A pickle that makes a file where it is loaded."""

  def __init__(self, path):
    self.path = path

  def __reduce__(self):
    return open, (str(self.path), "w")


def test_without_network_it_says_how_to_bring_the_folder(monkeypatch):
  import huggingface_hub

  def refuse(*args, **kwargs):
    raise OSError("no route to host\nand more")

  monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
  message = complaint("facebook/dino-vits8")
  assert "(no route to host)" in message
  assert "`hf download facebook/dino-vits8 --local-dir DIR`" in message
  assert "--config.features.vit.model=DIR" in message


def test_a_model_on_the_hub_is_a_folder_once_it_is_there(models, monkeypatch):
  import huggingface_hub

  asked = []

  def snapshot(name, revision, allow_patterns):
    asked.append((name, revision, allow_patterns))
    return str(models["vit", 8])

  monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
  extractor = vit_features.load_extractor("some/vit", revision="v2", layer=0)
  assert asked == [("some/vit", "v2", ["*.json", "*.safetensors"])]
  assert extractor.num_channels == tiny_vits.HIDDEN


@pytest.mark.parametrize("library", ["torch", "transformers"])
def test_a_missing_library_is_named(monkeypatch, models, library):
  monkeypatch.setitem(sys.modules, library, None)
  with pytest.raises(InputError, match=r"pip install 'jacobinerf\[features\]'"):
    vit_features.load_extractor(str(models["vit", 8]))


def test_identity_follows_the_contents_of_a_folder(models, tmp_path):
  folder = shutil.copytree(models["vit", 8], tmp_path / "a")
  first = vit_features.model_identity(str(folder), "")
  shutil.copytree(folder, tmp_path / "b")
  assert vit_features.model_identity(str(tmp_path / "b"), "") == first
  (folder / "README.md").write_text("of no matter")
  assert vit_features.model_identity(str(folder), "x") == first
  for name in ("model.safetensors", "config.json", "preprocessor_config.json"):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-1] + b"!")
    assert vit_features.model_identity(str(folder), "") != first
    (folder / name).write_bytes(content)


def test_identity_of_a_name_on_the_hub():
  assert vit_features.model_identity("facebook/dino-vits8", "") == (
      "facebook/dino-vits8@main")
  assert vit_features.model_identity("dino", "abc") == "dino@abc"
  assert vit_features.model_name("facebook/dino-vits8") == "dino-vits8"
  for model in ("./nowhere", "/no/where", "a/b/c", "~/x", "../../no", "a b", "x/"):
    with pytest.raises(InputError, match="no such folder"):
      vit_features.model_identity(model, "")
