"""Vision transformers of four families: tiny, random, saved in the hub's format.

Beside them `extract`, the slow obvious twin of the extraction: NumPy in float64, patch
by patch, head by head, straight from the definition. Imports PyTorch: for tests that
have asked `pytest.importorskip` before.
"""

import json
import math
import pathlib
import re

import numpy as np
from PIL import Image
from scipy import special
import torch
import transformers

FAMILIES = ("vit", "dinov2", "dinov2_with_registers", "dinov3_vit")
HIDDEN, HEADS, LAYERS, REGISTERS = 32, 2, 3, 2
MEAN, STD = np.array([0.5, 0.4, 0.3]), np.array([0.2, 0.25, 0.3])


def save(folder: pathlib.Path, family: str = "vit", patch: int = 8, image: int = 32,
         seed: int = 0, **settings) -> pathlib.Path:
  """Writes a model and its mean and spread to `folder`; returns it."""
  torch.manual_seed(seed)
  common = dict(hidden_size=HIDDEN, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
                patch_size=patch, image_size=image, **settings)
  if family in ("vit", "dinov3_vit"):
    common["intermediate_size"] = 2 * HIDDEN
  else:
    common["mlp_ratio"] = 2
  if family in ("dinov2_with_registers", "dinov3_vit"):
    common["num_register_tokens"] = REGISTERS
  config = transformers.AutoConfig.for_model(family, **common)
  network = transformers.AutoModel.from_config(config)
  with torch.no_grad():
    for parameter in network.parameters():  # no zeros, no ones: each has to matter
      parameter.add_(0.15 * torch.randn_like(parameter))
  network.save_pretrained(folder)
  (folder / "preprocessor_config.json").write_text(json.dumps(
      {"image_mean": MEAN.tolist(), "image_std": STD.tolist()}))
  return folder


def extract(folder: pathlib.Path, photo, *, layer: int, facet: str, stride: int,
            size: tuple[int, int]) -> np.ndarray:
  """`[h, w, F]`; photo: `[H, W, 3]` in [0, 1]; size: `(width, height)` it is taken at."""
  network = transformers.AutoModel.from_pretrained(folder)
  config = network.config
  weights = {key: value.double().numpy() for key, value in network.state_dict().items()}
  image = Image.fromarray((photo * 255).round().astype(np.uint8))
  image = image.resize(size, Image.Resampling.LANCZOS)
  image = (np.asarray(image) / 255 - MEAN) / STD
  patch, kernel = config.patch_size, one(weights, r"embeddings\.patch.*weight")
  bias = one(weights, r"embeddings\.patch.*bias")
  rows = range(0, size[1] - patch + 1, stride)
  columns = range(0, size[0] - patch + 1, stride)
  tokens = [[(kernel * image[y:y + patch, x:x + patch].transpose(2, 0, 1)).sum((1, 2, 3))
             + bias for x in columns] for y in rows]
  tokens = np.array(tokens)
  prefix = one(weights, r"cls_token")[0]
  rotations = None
  if config.model_type == "dinov3_vit":
    rotations = [rotation((y + patch / 2) / size[1] * 2 - 1,
                          (x + patch / 2) / size[0] * 2 - 1, config)
                 for y in rows for x in columns]
  else:
    known = one(weights, r"position_embeddings")[0]
    side = math.isqrt(len(known) - 1)
    smooth = config.model_type == "dinov2_with_registers"
    tokens = tokens + np.einsum(
        "yi,xj,ijc->yxc", bicubic(side, len(rows), smooth),
        bicubic(side, len(columns), smooth), known[1:].reshape(side, side, -1))
    prefix = prefix + known[:1]
  if "register" in config.model_type or rotations:
    prefix = np.concatenate([prefix, one(weights, r"register_tokens")[0]])
  tokens = np.concatenate([prefix, tokens.reshape(-1, HIDDEN)])
  for index in range(layer + 1):
    own = {key: value for key, value in weights.items()
           if re.search(rf"layers?\.{index}\.", key)}
    tokens, found = block(tokens, own, config, rotations)
  return {**found, "token": tokens}[facet][len(prefix):].reshape(
      len(rows), len(columns), -1)


def block(tokens, weights, config, rotations):
  """`(tokens, {"key": ...})` after one pre-norm block."""
  def linear(x, name):
    bias = [v for k, v in weights.items() if re.search(rf"({name})\.bias$", k)]
    return x @ one(weights, rf"({name})\.weight$").T + (bias[0] if bias else 0)

  def norm(x, name):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(
        x.var(-1, keepdims=True) + config.layer_norm_eps)
    return x * one(weights, rf"({name})\.weight$") + one(weights, rf"({name})\.bias$")

  def scaled(x, number):
    scale = [v for k, v in weights.items() if f"layer_scale{number}" in k]
    return x * scale[0] if scale else x

  normed = norm(tokens, "norm1|layernorm_before")
  found = {"query": linear(normed, "query|q_proj"), "key": linear(normed, "key|k_proj"),
           "value": linear(normed, "value|v_proj")}
  width, heads = HIDDEN // HEADS, []
  for head in range(HEADS):
    query, key, value = (found[name][:, head * width:(head + 1) * width].copy()
                         for name in ("query", "key", "value"))
    for i, matrix in enumerate(rotations or ()):
      at = len(tokens) - len(rotations) + i
      query[at], key[at] = matrix @ query[at], matrix @ key[at]
    heads.append(special.softmax(query @ key.T / math.sqrt(width), axis=-1) @ value)
  attended = linear(np.concatenate(heads, -1), r"o_proj|attention\.output\.dense")
  tokens = tokens + scaled(attended, 1)
  hidden = linear(norm(tokens, "norm2|layernorm_after"),
                  r"fc1|up_proj|intermediate\.dense")
  hidden = hidden * special.ndtr(hidden)  # GELU
  output = linear(hidden, r"fc2|down_proj|(?<!attention\.)output\.dense")
  return tokens + scaled(output, 2), found


def rotation(y: float, x: float, config) -> np.ndarray:
  """The matrix that turns a head's entries (i, i + half) by angles of y, then of x."""
  width = HIDDEN // HEADS
  theta = getattr(config, "rope_theta", 100.0)
  speeds = [theta ** (-4 * i / width) for i in range(width // 4)]
  angles = [2 * math.pi * y * s for s in speeds] + [2 * math.pi * x * s for s in speeds]
  matrix, half = np.zeros((width, width)), width // 2
  for i, angle in enumerate(angles):
    matrix[i, i] = matrix[i + half, i + half] = math.cos(angle)
    matrix[i, i + half], matrix[i + half, i] = -math.sin(angle), math.sin(angle)
  return matrix


def bicubic(old: int, new: int, smooth: bool) -> np.ndarray:
  """`[new, old]` weights of PyTorch's bicubic resizing; smooth: its antialiased one."""
  a, matrix = (-0.5 if smooth else -0.75), np.zeros((new, old))
  scale = max(old / new, 1) if smooth else 1
  for i in range(new):
    centre = (i + 0.5) * old / new - 0.5
    for tap in range(math.floor(centre - 2 * scale), math.ceil(centre + 2 * scale) + 1):
      d = abs(tap - centre) / scale
      weight = ((a + 2) * d**3 - (a + 3) * d**2 + 1 if d <= 1 else
                a * (d**3 - 5 * d**2 + 8 * d - 4) if d < 2 else 0)
      if 0 <= tap < old or not smooth:  # one repeats the edge, the other leaves it out
        matrix[i, min(max(tap, 0), old - 1)] += weight
  return matrix / matrix.sum(1, keepdims=True)


def one(weights, pattern):
  """The one array whose name has `pattern`."""
  found, = (value for key, value in weights.items() if re.search(pattern, key))
  return found
