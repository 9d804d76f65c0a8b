"""Visual features of a vision transformer, on a grid of overlapping patches.

The paper's extraction (Amir et al., "Deep ViT Features as Dense Visual Descriptors",
2021) for whatever model of `SUPPORTED` Hugging Face's `transformers` loads: the
photograph is resized by a Lanczos filter, its patches are taken every `stride` pixels
instead of side by side, and one block's keys (or queries, values, tokens) are read,
heads joined, class and register tokens left out. Nothing is computed beyond that.

Position embeddings are stretched over the finer grid by the model's own
interpolation, as the paper's code does; DINOv3's rotary ones take the patches' true
centres. Deviation: that code interpolates to 0.1 cells more than there are.

Notation: n photographs, h x w cells, T tokens, F channels. `torch` and `transformers`
are imported where they are needed: this module loads without them.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import hashlib
import json
import math
import pathlib
import re

import numpy as np
from PIL import Image

from jnerf.errors import InputError
from jnerf.settings import setting

# `model_type` of config.json to what it is called.
SUPPORTED = {"vit": "ViT and DINO", "dinov2": "DINOv2", "dinov2_with_registers":
             "DINOv2 with registers", "dinov3_vit": "DINOv3"}
MAX_CELLS = 2**16  # of a photograph: attention is quadratic in it
_PROJECTIONS = {"query": ("q_proj", "query"), "key": ("k_proj", "key"),
                "value": ("v_proj", "value")}  # by the name in transformers 5 and 4
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet
_KEY = "features.vit"


@dataclasses.dataclass(frozen=True)
class VitSettings:
  """Of a vision transformer; needs the extra `features`."""

  model: str = setting("facebook/dino-vits8", "name on the hub, or a local folder")
  revision: str = setting("", "of a model on the hub: branch, tag or commit; empty: main")
  layer: int = setting(11, "block that is read, from 0; -1: the last", at_least=-1)
  facet: str = setting("key", "what is read of it",
                       choices=("key", "query", "value", "token"))
  stride: int = setting(4, "pixels from patch to patch, which overlap; 0: patch size",
                        at_least=0)
  load_size: int = setting(360, "pixels of the shorter side; 0: the photograph's own",
                           at_least=0)
  pca: int = setting(0, "channels kept of all views' principal ones; 0: every one",
                     at_least=0)
  batch: int = setting(0, "photographs at once; 0: one on a CPU, eight on a GPU",
                       at_least=0)
  device: str = setting("auto", "auto, cpu, cuda, cuda:1 or mps")

  def check(self, section: str) -> None:
    """Raises InputError where no model is named."""
    if not self.model:
      raise InputError(f"{section}.model='': must name a model or its folder, as "
                       "'facebook/dino-vits8' does")


def model_name(model: str) -> str:
  """The short name that table rows carry: `dino-vits8` of `facebook/dino-vits8`."""
  return pathlib.Path(model).name


def model_identity(model: str, revision: str) -> str:
  """What tells a model's results from another's, without loading it.

  A digest of the files of a local folder; name and revision on the hub. Raises
  `InputError` for what can be neither.
  """
  folder = pathlib.Path(model).expanduser()
  if folder.is_dir():
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*")):
      if path.name in ("config.json", "preprocessor_config.json") or path.suffix in (
          ".safetensors", ".bin"):
        digest.update(path.name.encode())
        with open(path, "rb") as file:
          digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
  if not re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", model):
    raise InputError(f"{_KEY}.model={model}: no such folder, nor the name of a model; "
                     "give one like facebook/dino-vits8")
  return f"{model}@{revision or 'main'}"


class VitExtractor:
  """A loaded model that makes features of photographs."""

  def __init__(self, network, *, layer: int, facet: str, stride: int, load_size: int,
               mean: Sequence[float], std: Sequence[float]):
    """network: a model of `SUPPORTED`; the rest as in `load_extractor`."""
    import torch

    config = network.config
    self._patch = config.patch_size
    self._stride = stride or self._patch
    self._load_size = load_size
    if not 1 <= self._stride <= self._patch:
      raise InputError(f"{_KEY}.stride={stride}: must be from 1 to the patch size "
                       f"{self._patch} of the model, or 0 for that")
    num_layers = config.num_hidden_layers
    if layer >= num_layers:
      raise InputError(f"{_KEY}.layer={layer}: the model has {num_layers} blocks, "
                       f"counted from 0; give {num_layers - 1} or less")
    self._network = network.eval()
    self._device = next(network.parameters()).device
    self._mean, self._std = (np.array(v, np.float32) for v in (mean, std))
    self._grid, self._size = (0, 0), (0, 0)
    block = next(m for m in network.modules() if isinstance(m, torch.nn.ModuleList)
                 and len(m) == num_layers)[layer]
    _only(block, lambda name, m: name in _PROJECTIONS[facet] if facet != "token"
          else m is block).register_forward_hook(_stop)
    _only(network.embeddings, lambda name, m: isinstance(m, torch.nn.Conv2d)
          ).stride = (self._stride, self._stride)
    if config.model_type == "dinov3_vit":
      network.rope_embeddings.forward = self._rotations
    else:
      self._interpolate = network.embeddings.interpolate_pos_encoding
      network.embeddings.interpolate_pos_encoding = self._positions
    self._options = (
        {"interpolate_pos_encoding": True} if config.model_type == "vit" else {})

  @property
  def num_channels(self) -> int:
    """F, the length of a feature."""
    return self._network.config.hidden_size

  @property
  def batch(self) -> int:
    """How many photographs at once suit the device."""
    return 1 if self._device.type == "cpu" else 8

  def __call__(self, photos: Sequence[np.ndarray]) -> tuple[np.ndarray, tuple]:
    """`(features [n, h, w, F] float32, extent)` of photographs `[H, W, 3]` in [0, 1].

    extent: as in `FeatureMaps`. Raises `InputError` where they fit no patch, or far
    too many, and where they exceed the device's memory.
    """
    import torch

    pixels = np.stack([self._prepare(photo) for photo in photos])
    height, width = self._size = pixels.shape[2:]
    rows, columns = self._grid = tuple(
        (size - self._patch) // self._stride + 1 for size in self._size)
    if min(self._size) < self._patch or rows * columns > MAX_CELLS:
      raise InputError(
          f"{_KEY}.load_size={self._load_size}: {width}x{height} pixels make "
          f"{max(columns, 0)}x{max(rows, 0)} patches; let it be from 1 to {MAX_CELLS} "
          f"by another load_size or {_KEY}.stride")
    with torch.inference_mode():
      try:
        self._network(torch.from_numpy(pixels).to(self._device), **self._options)
      except _Reached as reached:
        tokens = reached.tokens.float().cpu().numpy()
      except torch.cuda.OutOfMemoryError:
        raise InputError(
            f"{_KEY}.batch: {len(pixels)} photographs of {columns}x{rows} patches exceed "
            "the device's memory; let it be 1, run --mode=features before the others, "
            f"or set {_KEY}.device=cpu") from None
    features = tokens[:, -rows * columns:].reshape(len(pixels), rows, columns, -1)
    margin = (self._patch - self._stride) / 2
    x0, y0 = margin / width, margin / height
    return features, (x0, y0, x0 + columns * self._stride / width,
                      y0 + rows * self._stride / height)

  def _prepare(self, photo: np.ndarray) -> np.ndarray:
    """`[3, H', W']` float32: at the size and with the mean and spread the model takes."""
    image = Image.fromarray(np.rint(np.clip(photo, 0, 1) * 255).astype(np.uint8))
    short = min(image.size)
    if self._load_size and self._load_size != short:
      # Rounded down, as torchvision does; its exact integers avoid 479.99999.
      image = image.resize([side * self._load_size // short for side in image.size],
                           Image.Resampling.LANCZOS)
    values = np.asarray(image).astype(np.float32) / 255
    return ((values - self._mean) / self._std).transpose(2, 0, 1)

  def _positions(self, embeddings, height: int, width: int):
    """Position embeddings for the overlapping grid, instead of the network's own."""
    # The network divides by the patch size; this is the image whose patches, side by
    # side, are as many as ours.
    return self._interpolate(embeddings, *(num * self._patch for num in self._grid))

  def _rotations(self, pixels):
    """`(cos, sin)`, each `[h w, F / heads]`, of DINOv3's rotary embedding."""
    import torch

    centres = [torch.arange(num, device=pixels.device) * self._stride + self._patch / 2
               for num in self._grid]
    y, x = (2 * centre / size - 1 for centre, size in zip(centres, self._size))
    at = torch.stack(torch.meshgrid(y, x, indexing="ij"), dim=-1).flatten(0, 1)
    angles = 2 * math.pi * at[:, :, None] * self._network.rope_embeddings.inv_freq
    angles = angles.flatten(1).tile(2)
    return torch.cos(angles).to(pixels.dtype), torch.sin(angles).to(pixels.dtype)


def load_extractor(model: str, *, revision: str = "", layer: int = 11,
                   facet: str = "key", stride: int = 4, load_size: int = 360,
                   device: str = "auto") -> VitExtractor:
  """Loads a model; raises `InputError` where it, or what it needs, is not to be had.

  Args:
    model: name on the hub, or a folder in its format. No code that lies beside the
      weights is run, and no pickled code in them.
    revision: of a model on the hub.
    layer: block that is read, from 0; -1 is the last.
    facet: `key`, `query` or `value` (before any rotation), or `token`, the block's
      output.
    stride: pixels from patch to patch; 0 is the patch size.
    load_size: pixels of a photograph's shorter side; 0 leaves it.
    device: of PyTorch; `auto` takes a GPU where there is one.
  """
  try:
    import torch
    import transformers
  except ImportError as error:
    raise InputError(
        f"features.kind=vit needs PyTorch and transformers ({error}): pip install "
        "'jacobinerf[features]', or make the features in an environment that has them "
        "by --mode=features with the same --workdir") from None
  if device == "auto":
    device = "cuda" if torch.cuda.is_available() else (
        "mps" if torch.backends.mps.is_available() else "cpu")
  folder = pathlib.Path(model).expanduser()
  if not folder.is_dir():
    folder = _download(model, revision)
  kind = _read_json(folder / "config.json").get("model_type")
  if kind not in SUPPORTED:
    raise InputError(f"{_KEY}.model={model}: is a {kind!r}; give one of "
                     f"{', '.join(f'{name} ({key})' for key, name in SUPPORTED.items())}")
  network = _load_network(transformers, folder)
  try:
    network = network.float().to(device)
  except (RuntimeError, AssertionError) as error:
    raise InputError(f"{_KEY}.device={device}: cannot be used ({_first_line(error)}); "
                     "set it to cpu") from None
  mean, std = _scaling(folder / "preprocessor_config.json")
  return VitExtractor(network, layer=layer, facet=facet, stride=stride,
                      load_size=load_size, mean=mean, std=std)


def _load_network(transformers, folder: pathlib.Path):
  log = transformers.logging
  verbosity, bars = log.get_verbosity(), log.is_progress_bar_enabled()
  log.set_verbosity_error()  # unused heads and poolers are no news
  log.disable_progress_bar()
  try:
    network, loading = transformers.AutoModel.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False, weights_only=True,
        output_loading_info=True)
  except Exception as error:  # of many kinds, by the layers below
    raise InputError(f"{_KEY}.model={folder}: cannot be loaded ({_first_line(error)}); "
                     "download it again") from None
  finally:
    log.set_verbosity(verbosity)
    if bars:
      log.enable_progress_bar()
  missing = [key for key in loading["missing_keys"] if not key.startswith("pooler")]
  if missing:
    raise InputError(f"{_KEY}.model={folder}: its weights lack {len(missing)} arrays, "
                     f"such as {min(missing)}; download it again")
  return network


def _download(model: str, revision: str) -> pathlib.Path:
  """The folder of a model on the hub: downloaded, or kept from an earlier download."""
  import huggingface_hub

  try:
    for weights in ("*.safetensors", "*.bin"):
      folder = pathlib.Path(huggingface_hub.snapshot_download(
          model, revision=revision or None, allow_patterns=["*.json", weights]))
      if any(folder.glob(weights)):
        return folder
    reason = "it has no weights"
  except Exception as error:  # of many kinds, by the layers below
    reason = _first_line(error)
  raise InputError(
      f"{_KEY}.model={model}: cannot be downloaded ({reason}); where there is network, "
      f"run `hf download {model} --local-dir DIR`, bring the folder here and give "
      f"--config.{_KEY}.model=DIR")


def _scaling(path: pathlib.Path) -> tuple[Sequence[float], Sequence[float]]:
  """Mean and spread `[3]` of the images that a model takes; ImageNet's by default."""
  preprocessing = _read_json(path) if path.exists() else {}
  mean, std = preprocessing.get("image_mean", _MEAN), preprocessing.get("image_std", _STD)
  for values in (mean, std):
    if not (isinstance(values, (list, tuple)) and len(values) == 3
            and all(isinstance(v, (int, float)) and math.isfinite(v) for v in values)):
      raise InputError(f"{path}: image_mean and image_std must be three numbers each; "
                       "download it again")
  return mean, std


def _read_json(path: pathlib.Path) -> dict:
  try:
    value = json.loads(path.read_text(encoding="utf-8"))
  except (OSError, ValueError) as error:
    raise InputError(f"{path}: cannot be read ({_first_line(error)}); the folder of a "
                     "model in the hub's format is needed, download it again") from None
  return value if isinstance(value, dict) else {}


def _first_line(error: Exception) -> str:
  return (str(error).strip() or type(error).__name__).splitlines()[0]


def _only(module, matches):
  """The one module within that `matches(last part of its name, module)`."""
  part, = (part for name, part in module.named_modules()
            if matches(name.rpartition(".")[2], part))
  return part


class _Reached(Exception):
  """Ends a forward pass where the wanted tokens `[n, T, F]` are."""

  def __init__(self, tokens):
    super().__init__()
    self.tokens = tokens


def _stop(module, inputs, output) -> None:
  raise _Reached(output[0] if isinstance(output, tuple) else output)
