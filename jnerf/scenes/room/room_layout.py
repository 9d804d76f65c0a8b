"""What stands where in the procedural room.

The room is 5 x 4 x 2.6 m with its origin in the middle of the floor, z up. A
piece of furniture is a few solids around its own foot point; `_Builder.place`
turns and moves them into the room as one instance of one class. The seed moves
things by a few centimetres and degrees and draws every texture.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses

import numpy as np

from jnerf.scenes.room import raycast
from jnerf.scenes.room import room_textures as textures
from jnerf.scenes.room.room_light import Light

SIZE = (5.0, 4.0, 2.6)  # metres
CLASS_NAMES = dict(enumerate((
    "void", "wall", "floor", "ceiling", "table", "chair", "sofa", "cabinet",
    "lamp", "ball", "rug", "picture", "plant", "window")))
_CLASS_IDS = {name: class_id for class_id, name in CLASS_NAMES.items()}


@dataclasses.dataclass(frozen=True)
class Part:
  """One solid of the room with its looks and labels.

  opaque: whether it throws a shadow; what a light shines out of does not.
  """

  shape: raycast.Shape
  material: textures.Material
  class_id: int
  instance: int
  opaque: bool = True


class _Builder:
  """Collects parts and counts instances."""

  def __init__(self, generator: np.random.Generator):
    self.generator = generator
    self.parts: list[Part] = []
    self._num_instances = 0

  def place(self, class_name: str, solids: Sequence, at=(0.0, 0.0), *,
            turn=0.0, loose=False, opaque=True) -> None:
    """Adds `(shape, texture[, emission])` solids as one instance.

    at: the foot point; turn: degrees about z; loose: the seed may move it.
    """
    at = np.array([*at, 0.0])
    if loose:
      at[:2] += self.generator.uniform(-0.05, 0.05, size=2)
      turn += self.generator.uniform(-6.0, 6.0)
    yaw = np.radians(turn)
    frame = raycast.Sphere((0.0, 0.0, 0.0), 1.0, yaw=yaw).rotation
    self._num_instances += 1
    for shape, texture, *emission in solids:
      moved = dataclasses.replace(
          shape, center=tuple(frame @ np.asarray(shape.center) + at),
          yaw=shape.yaw + yaw)
      self.parts.append(Part(
          moved, textures.Material(texture, *emission), _CLASS_IDS[class_name],
          self._num_instances, opaque))


def furnish(seed: int) -> tuple[list[Part], list[Light]]:
  """The parts of the room and the lights in it, for one seed."""
  builder = _Builder(np.random.default_rng(seed))
  _add_shell(builder)
  _add_seating(builder)
  _add_storage(builder)
  _add_small_things(builder)
  _add_wall_hangings(builder)
  return builder.parts, _lights()


def _box(center, half, texture, *rest):
  return (raycast.Box(center, half), texture, *rest)


def _add_shell(builder: _Builder) -> None:
  """Walls, floor and ceiling as slabs whose inner faces bound the room."""
  generator, color = builder.generator, textures.linear
  x, y, z = SIZE[0] / 2, SIZE[1] / 2, SIZE[2] / 2
  wall = textures.plaster(generator, color(222, 203, 170), strength=0.05)
  floor = textures.planks(generator, color(178, 134, 92), color(142, 98, 62))
  ceiling = textures.plaster(generator, color(236, 238, 240), strength=0.03)
  slabs = [("wall", (-x - 0.1, 0, z), (0.1, y, z), wall),
           ("wall", (x + 0.1, 0, z), (0.1, y, z), wall),
           ("wall", (0, -y - 0.1, z), (x, 0.1, z), wall),
           ("wall", (0, y + 0.1, z), (x, 0.1, z), wall),
           ("floor", (0, 0, -0.1), (x, y, 0.1), floor),
           ("ceiling", (0, 0, 2 * z + 0.1), (x, y, 0.1), ceiling)]
  for name, center, half, texture in slabs:
    builder.place(name, [_box(center, half, texture)], opaque=False)


def _add_seating(builder: _Builder) -> None:
  generator, color = builder.generator, textures.linear
  cloth = textures.stripes(
      generator, color(92, 112, 156), color(76, 94, 136), period=0.24)
  cushion = textures.checks(color(112, 134, 180), color(82, 98, 146), period=0.2)
  sofa = [_box((0, -0.05, 0.22), (0.90, 0.40, 0.18), cloth),
          _box((0, 0.29, 0.55), (0.90, 0.11, 0.30), cloth),
          _box((-0.82, -0.05, 0.34), (0.10, 0.40, 0.26), cloth),
          _box((0.82, -0.05, 0.34), (0.10, 0.40, 0.26), cloth)]
  sofa += [(raycast.Box((dx, 0.10, 0.53), (0.21, 0.08, 0.15), yaw=turn), cushion)
           for dx, turn in ((-0.45, 0.2), (0.40, -0.25))]
  builder.place("sofa", sofa, (-1.0, 1.52))

  paint = textures.wood(generator, color(214, 168, 52), color(190, 142, 34), axis=2)
  seat = textures.checks(color(226, 186, 84), color(196, 148, 40), 0.16, axes=(0, 1))
  chair = [_box((0, 0, 0.45), (0.21, 0.21, 0.025), seat),
           _box((0, 0.195, 0.86), (0.21, 0.02, 0.10), paint),
           _box((0, 0.195, 0.64), (0.19, 0.015, 0.05), paint)]
  for dx in (-0.18, 0.18):
    chair += [_box((dx, -0.18, 0.215), (0.025, 0.025, 0.215), paint),
              _box((dx, 0.195, 0.48), (0.025, 0.025, 0.48), paint)]
  for at, turn in (((0.62, 0.42), 0), ((0.58, -1.12), 180),
                   ((1.52, -0.35), -90), ((-0.32, -0.38), 90)):
    builder.place("chair", chair, at, turn=turn, loose=True)


def _add_storage(builder: _Builder) -> None:
  generator, color = builder.generator, textures.linear
  walnut = textures.wood(generator, color(104, 58, 38), color(70, 36, 24), rings=0.16)

  def table(half_x, half_y, height):
    legs = [_box((sx * (half_x - 0.06), sy * (half_y - 0.06), height / 2 - 0.02),
                 (0.03, 0.03, height / 2 - 0.02), walnut)
            for sx in (-1, 1) for sy in (-1, 1)]
    return [_box((0, 0, height - 0.02), (half_x, half_y, 0.02), walnut), *legs]

  builder.place("table", table(0.68, 0.42, 0.75), (0.6, -0.35), loose=True)
  builder.place("table", table(0.42, 0.24, 0.40), (-1.0, 0.40), loose=True)

  body = textures.plaster(generator, color(62, 128, 124), strength=0.08)
  door = textures.stripes(
      generator, color(84, 152, 146), color(66, 134, 130), period=0.14)
  for width, height, at, turn in ((0.66, 1.05, (2.27, 0.45), -90),
                                  (0.50, 0.80, (-2.27, -0.55), 90)):
    cabinet = [_box((0, 0, height / 2), (width, 0.22, height / 2), body)]
    cabinet += [_box((dx, -0.225, height / 2),
                     (width / 2 - 0.05, 0.012, height / 2 - 0.08), door)
                for dx in (-width / 2, width / 2)]
    builder.place("cabinet", cabinet, at, turn=turn)


def _add_small_things(builder: _Builder) -> None:
  generator, color = builder.generator, textures.linear
  brass = textures.plaster(generator, color(120, 96, 62), 0.1)
  glow = textures.stripes(generator, color(255, 232, 176), color(255, 222, 150), 0.2)
  builder.place("lamp", [
      (raycast.Cylinder((0, 0, 0.015), 0.15, 0.015), brass),
      (raycast.Cylinder((0, 0, 0.70), 0.022, 0.70), brass),
      (raycast.Cylinder((0, 0, 1.48), 0.20, 0.14), glow, 0.75),
  ], (0.42, 1.62), opaque=False)
  builder.place("lamp", [
      (raycast.Cylinder((0, 0, SIZE[2] - 0.05), 0.26, 0.05), glow, 0.75),
  ], (0.2, -0.1), opaque=False)

  for radius, at in ((0.19, (-1.75, -0.10)), (0.24, (1.75, -1.40)),
                     (0.16, (0.10, 0.90))):
    skin = textures.banded_ball(color(216, 84, 30), color(178, 52, 20), radius)
    builder.place("ball", [(raycast.Sphere((0, 0, radius), radius), skin)], at,
                  turn=generator.uniform(0, 360), loose=True)

  half = (1.05, 0.70, 0.006)
  weave = textures.woven_rug(
      half, color(132, 34, 58), color(206, 160, 162), color(98, 22, 44))
  builder.place("rug", [(raycast.Box((0, 0, half[2]), half), weave)], (-1.0, 0.35))

  leaf = textures.plaster(generator, color(68, 122, 44), 0.22, wavelength=0.16)
  clay = textures.plaster(generator, color(96, 92, 60), 0.06)
  for size, at in ((1.0, (2.10, 1.60)), (0.72, (-2.18, 1.66))):
    crown = [(raycast.Sphere((0.10 * size * np.cos(a), 0.10 * size * np.sin(a),
                              size * h), 0.20 * size), leaf)
             for a, h in ((0.3, 0.62), (2.4, 0.72), (4.4, 0.80), (5.6, 0.95))]
    pot = [(raycast.Cylinder((0, 0, 0.16 * size), 0.15 * size, 0.16 * size), clay),
           (raycast.Cylinder((0, 0, 0.42 * size), 0.03, 0.14 * size), leaf)]
    builder.place("plant", pot + crown, at)


def _add_wall_hangings(builder: _Builder) -> None:
  generator, color = builder.generator, textures.linear
  x, y = SIZE[0] / 2, SIZE[1] / 2
  half = (0.50, 0.015, 0.55)
  view = textures.window_view(half, color(226, 240, 252), color(150, 196, 244),
                              color(110, 150, 90), color(244, 246, 248))
  builder.place("window", [_box((0, 0, 1.45), half, view, 0.8)], (1.30, y - 0.01),
                opaque=False)
  palette = np.stack([color(40, 36, 74), color(150, 60, 120),
                      color(92, 70, 150), color(206, 150, 190)])
  frame = color(36, 30, 34)
  for (half_x, half_z), at, turn in (
      ((0.36, 0.28), (-1.50, y - 0.012), 0), ((0.30, 0.36), (-0.45, y - 0.012), 0),
      ((0.48, 0.34), (x - 0.012, 0.35), 90), ((0.46, 0.32), (0.6, 0.012 - y), 180),
      ((0.34, 0.42), (0.012 - x, 0.60), 90)):
    half = (half_x, 0.015, half_z)
    canvas = textures.painting(generator, half, palette, frame)
    builder.place("picture", [_box((0, 0, 1.60), half, canvas)], at, turn=turn)


def _lights() -> list[Light]:
  """Daylight, the two lamps, and what walls and ceiling throw back."""
  sky, bulb = np.array([1.0, 1.06, 1.16]), np.array([1.0, 0.90, 0.72])
  lights = [Light(np.array([1.30 + dx, 1.95, 1.45 + dz]), 0.14 * sky)
            for dx in (-0.36, -0.12, 0.12, 0.36) for dz in (-0.35, 0.35)]
  lights += [Light(np.array([0.2 + 0.2 * np.cos(a), -0.1 + 0.2 * np.sin(a), 2.48]),
                   0.2 * bulb) for a in np.arange(8) * np.pi / 4]
  lights += [Light(np.array([0.42, 1.62, z]), 0.15 * bulb) for z in (1.38, 1.58)]
  x, y, z = SIZE[0] / 2, SIZE[1] / 2, SIZE[2]
  bounces = [(sx * x, dy, dz) for sx in (-1, 1) for dy in (-1, 1) for dz in (0.6, 1.9)]
  bounces += [(dx, sy * y, dz) for sy in (-1, 1) for dx in (-1.4, 1.4)
              for dz in (0.6, 1.9)]
  bounces += [(dx, dy, z) for dx in (-1.5, 0.0, 1.5) for dy in (-1.0, 1.0)]
  bounces += [(dx, dy, 0.9) for dx in (-1.5, 1.5) for dy in (-1.0, 1.0)]
  return lights + [Light(np.array(place), 0.085 * (sky + bulb) / 2, radius=0.9)
                   for place in bounces]
