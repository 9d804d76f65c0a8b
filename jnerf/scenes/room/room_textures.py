"""Procedural materials of the room: smooth solid textures in linear colour.

A material maps points `[N, 3]` in a solid's own frame (metres, origin at its
centre) to reflectances `[N, 3]`, float32. Colours are written as sRGB, 0 to 255,
and used as linear light. Nothing varies faster than a few centimetres: a 160-pixel image
resolves about 2 cm at arm's length, and finer patterns would alias.
"""

from __future__ import annotations

from collections.abc import Callable
import dataclasses

import numpy as np

from jnerf.colors import linear_from_srgb

Texture = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Material:
  """How a surface looks.

  texture: points `[N, 3]` to reflectance `[N, 3]`.
  emission: light that the surface sends out, in units of its reflectance.
  """

  texture: Texture
  emission: float = 0.0


def linear(*srgb: int) -> np.ndarray:
  """`[3]` linear reflectance of an sRGB colour given as 0..255."""
  return linear_from_srgb(np.array(srgb, np.float32) / 255.0)


def smooth_noise(generator: np.random.Generator, wavelength: float,
                 num_waves: int = 8) -> Callable[[np.ndarray], np.ndarray]:
  """A smooth random function of space: `[N, 3]` to `[N]`, unit variance.

  The sum of plane waves around `wavelength` metres, half an octave to each side.
  """
  directions = generator.normal(size=(num_waves, 3))
  directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
  octaves = generator.uniform(-0.5, 0.5, size=(num_waves, 1))
  waves = (2 * np.pi / wavelength * directions * 2.0**octaves).T.astype(np.float32)
  phases = generator.uniform(0.0, 2 * np.pi, size=num_waves).astype(np.float32)
  unit = float(np.sqrt(2.0 / num_waves))

  def noise(points):
    return np.cos(points @ waves + phases).sum(-1) * unit

  return noise


def _mix(first, second, share):
  return first + (second - first) * share[:, None]


def _square_wave(phase, sharpness=4.0):
  """0..1, one period per unit of phase, with edges that can be resolved."""
  return 0.5 + 0.5 * np.tanh(sharpness * np.sin(2 * np.pi * phase))


def plaster(generator, color, strength=0.06, wavelength=0.7) -> Texture:
  """One paint, mottled by a few per cent."""
  noise = smooth_noise(generator, wavelength)
  return lambda points: color * (1.0 + strength * noise(points))[:, None]


def wood(generator, light, dark, axis=0, rings=0.11) -> Texture:
  """Wavy grain that runs along `axis`; `rings` metres from line to line."""
  noise = smooth_noise(generator, 0.5)
  stretch = np.ones(3, np.float32)
  stretch[axis] = 0.25
  across = np.delete(np.arange(3), axis)

  def texture(points):
    phase = points[:, across].sum(-1) / rings + 0.35 * noise(points * stretch)
    return _mix(light, dark, 0.5 + 0.5 * np.sin(2 * np.pi * phase))

  return texture


def planks(generator, light, dark, width=0.22, length=1.1) -> Texture:
  """Floor boards along x; each has its own tone, with a darker joint."""
  tones = generator.uniform(0.0, 1.0, size=(64, 64)).astype(np.float32)
  grain = smooth_noise(generator, 0.3)

  def texture(points):
    row = points[:, 1] / width
    shift = 0.37 * np.floor(row)
    column = points[:, 0] / length + shift
    tone = tones[np.floor(row).astype(int) % 64, np.floor(column).astype(int) % 64]
    streaks = 0.12 * grain(points * np.array([0.3, 1.5, 1.0], np.float32))
    joint = np.exp(-((np.abs(row - np.round(row)) * width / 0.012) ** 2))
    color = _mix(light, dark, np.clip(0.75 * tone + streaks, 0.0, 1.0))
    return color * (1.0 - 0.45 * joint)[:, None]

  return texture


def stripes(generator, first, second, period, axis=0, sharpness=2.0) -> Texture:
  """Bands across `axis`, `period` metres from one to the next like it."""
  noise = smooth_noise(generator, 0.4)

  def texture(points):
    share = _square_wave(points[:, axis] / period, sharpness)
    return _mix(first, second, share) * (1.0 + 0.05 * noise(points))[:, None]

  return texture


def checks(first, second, period, axes=(0, 2), sharpness=2.5) -> Texture:
  """A chequered pattern in the plane of two axes."""

  def texture(points):
    waves = np.sin(2 * np.pi * points[:, list(axes)] / period)
    return _mix(first, second, 0.5 + 0.5 * np.tanh(sharpness * waves.prod(-1)))

  return texture


def woven_rug(half, ground, figure, border) -> Texture:
  """A rug with a plain border and diamonds in the field; `half` its half size."""

  def texture(points):
    along = points[:, :2] / 0.42
    diamonds = np.cos(2 * np.pi * along).sum(-1)
    color = _mix(ground, figure, 0.5 + 0.5 * np.tanh(3.0 * (diamonds - 0.4)))
    inset = (np.asarray(half[:2], np.float32) - np.abs(points[:, :2])).min(-1)
    edge = 0.5 - 0.5 * np.tanh((inset - 0.13) / 0.015)
    return _mix(color, border, edge)

  return texture


def painting(generator, half, palette, frame) -> Texture:
  """Soft patches of a palette `[4, 3]` in a frame, in the plane of x and z."""
  noises = [smooth_noise(generator, 0.45) for _ in palette]

  def texture(points):
    scores = np.stack([noise(points) for noise in noises], axis=-1)
    shares = np.exp(3.0 * scores)
    color = shares / shares.sum(-1, keepdims=True) @ palette
    inset = np.minimum(half[0] - np.abs(points[:, 0]), half[2] - np.abs(points[:, 2]))
    return _mix(color, frame, 0.5 - 0.5 * np.tanh((inset - 0.035) / 0.006))

  return texture


def window_view(half, sky_low, sky_high, garden, frame) -> Texture:
  """Sky over a hedge behind a cross of bars, in the plane of x and z."""

  def texture(points):
    height = points[:, 2] / half[2]
    color = _mix(sky_low, sky_high, np.clip(height, 0.0, 1.0))
    hedge = -0.45 + 0.12 * np.sin(9.0 * points[:, 0]) - height
    color = _mix(color, garden, 0.5 + 0.5 * np.tanh(hedge / 0.08))
    inset = np.minimum(half[0] - np.abs(points[:, 0]), half[2] - np.abs(points[:, 2]))
    bars = np.minimum(np.minimum(np.abs(points[:, 0]), np.abs(points[:, 2])), inset)
    return _mix(color, frame, 0.5 - 0.5 * np.tanh((bars - 0.035) / 0.008))

  return texture


def banded_ball(first, second, radius, num_bands=3) -> Texture:
  """A ball with soft bands along z."""

  def texture(points):
    return _mix(first, second, _square_wave(
        num_bands * points[:, 2] / (2 * radius) + 0.25, 2.0))

  return texture
