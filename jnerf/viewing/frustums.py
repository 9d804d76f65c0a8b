"""The cameras of a scene from above and from the side, as a picture.

Up is what the cameras hold upright (`camera_path.up_direction`: across their x axes,
on the side of their own up, -y); where a world axis is nearly that, the axis itself.
Both views are orthographic, share their scale and their horizontal axis, and lie
under one another. Shapes are drawn `FINE` times larger and reduced, which smooths
them; words are drawn last, at the size they have.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jnerf.geometry.poses import focus_point
from jnerf.scenes import bounds
from jnerf.structs import Scene
from jnerf.viewing.camera_path import up_direction

FINE = 3
WIDTH, MAX_HEIGHT = 1000, 1100  # pixels: of the picture, and of both views together
MARGIN, HEAD, GAP = 36, 70, 60  # around the views, above them, over each of them
DOT = 2  # pixels a side of a dot of surface
SURFACE_POINTS, SHOWN_CAMERAS, SHOWN_NAMES = 80_000, 250, 12
AXIS_COSINE = 0.97  # a world axis so near to the cameras' up is up
TRAIN, TEST, BOX, FOCUS = (43, 108, 176), (214, 84, 0), (56, 142, 60), (150, 0, 130)
INK, FAINT, GREY = (40, 40, 40), (110, 110, 110), (150, 153, 158)
_CORNERS = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])  # of an image, and of a face


@dataclasses.dataclass(frozen=True)
class Panel:
  """One orthographic view: where it is on the picture, and how it looks at the world.

  title: of the view; axes: `[2, 3]` unit vectors to the right and upwards.
  low: `[2]` smallest coordinates along them; scale: pixels per unit.
  corner: left and bottom pixel; height: in pixels.
  """

  title: str
  axes: np.ndarray
  low: np.ndarray
  scale: float
  corner: tuple[float, float]
  height: float

  def place(self, points: np.ndarray) -> np.ndarray:
    """`[..., 2]` pixels of world `points [..., 3]`."""
    xy = (points @ self.axes.T - self.low) * self.scale
    return np.stack([self.corner[0] + xy[..., 0], self.corner[1] - xy[..., 1]], axis=-1)


def camera_plot(scene: Scene, named: Sequence[str] = ()) -> np.ndarray:
  """`[h, w, 3]` uint8: frustums, the box, measured surfaces, what is looked at.

  named: frames that are named before others; of all names those are shown that find
    room.
  """
  surface, focus = _surface(scene), focus_point(scene.cam_to_world[scene.train])
  frustums = _frustums(scene)
  content = np.concatenate([
      frustums.reshape(-1, 3), _box_corners(scene.bounds), surface,
      *([] if focus is None else [focus[None]])])
  panels, size = _panels(plot_axes(scene.cam_to_world, content), content)
  picture = _density(panels, surface, size).resize(
      (size[0] * FINE, size[1] * FINE), Image.Resampling.BILINEAR)
  draw = ImageDraw.Draw(picture, "RGBA")
  for panel in panels:
    _draw_box(draw, panel, scene.bounds)
    is_test = np.isin(np.arange(len(frustums)), scene.test)
    shown = np.unique(np.linspace(0, len(frustums) - 1, SHOWN_CAMERAS).astype(np.int64))
    for view in sorted(shown, key=is_test.__getitem__):  # test views on top
      _draw_frustum(draw, panel, frustums[view], TEST if is_test[view] else TRAIN)
    if focus is not None:
      _draw_cross(draw, panel.place(focus))
  picture = picture.resize(size, Image.Resampling.BOX)
  draw = ImageDraw.Draw(picture)
  _draw_head(draw, scene, panels[0].scale, len(surface) > 0, focus is not None)
  for panel in panels:
    _draw_axes(draw, panel)
    _draw_names(draw, panel, scene, named, size)
  return np.asarray(picture)


def plot_axes(cam_to_world: np.ndarray, points: np.ndarray) -> np.ndarray:
  """`[3, 3]` rows right, ahead, up: a right-handed frame to look at a scene in.

  points: `[M, 3]` what is to be seen; it is widest to the right.
  """
  up = up_direction(cam_to_world)
  axis = int(np.argmax(np.abs(up)))
  if abs(up[axis]) > AXIS_COSINE:
    up = np.sign(up[axis]) * np.eye(3)[axis]
    right = np.eye(3)[max({0, 1, 2} - {axis}, key=lambda i: np.ptp(points[:, i]))]
  else:
    level = points - points.mean(axis=0)
    level = level - (level @ up)[:, None] * up[None]
    right = np.linalg.eigh(level.T @ level)[1][:, -1]
    right = right * np.sign(right[np.argmax(np.abs(right))])
    right -= right @ up * up
    right /= np.linalg.norm(right)
  return np.stack([right, np.cross(up, right), up])


def _panels(axes: np.ndarray, content: np.ndarray):
  """The two views, sized for `content [M, 3]`, and the picture's `(width, height)`."""
  low, high = (content @ axes.T).min(axis=0), (content @ axes.T).max(axis=0)
  extent = np.maximum(high - low, 1e-3 * np.max(high - low) + 1e-12)
  scale = min((WIDTH - 2 * MARGIN) / extent[0], MAX_HEIGHT / (extent[1] + extent[2]))
  left = (WIDTH - scale * extent[0]) / 2
  bottom, panels = float(HEAD), []
  for title, axis in (("from above", 1), ("from the side", 2)):
    height = scale * extent[axis]
    bottom += GAP + height
    panels.append(Panel(title, axes[[0, axis]], low[[0, axis]], scale, (left, bottom),
                        height))
  height = round(bottom) + MARGIN
  return panels, (WIDTH, height + height % DOT)


def _frustums(scene: Scene) -> np.ndarray:
  """`[V, 5, 3]`: every camera's centre and the corners of its image, at one depth.

  A lens's distortion is left out.
  """
  centres = scene.cam_to_world[:, :3, 3]
  extent = np.max(np.ptp(np.concatenate([centres, _box_corners(scene.bounds)]), axis=0))
  gaps = np.linalg.norm(np.diff(centres, axis=0), axis=1)
  spacing = float(np.median(gaps)) if len(gaps) else 0.0
  depth = np.clip(0.7 * spacing, 0.022 * extent, 0.05 * extent)
  corners = (_CORNERS[None] * np.array(scene.size) - scene.intrinsics[:, None, 2:4])
  corners = np.clip(corners / scene.intrinsics[:, None, :2], -1.5, 1.5)
  corners = depth * np.concatenate([corners, np.ones_like(corners[..., :1])], axis=-1)
  turned = np.einsum("vij,vcj->vci", scene.cam_to_world[:, :3, :3], corners)
  return np.concatenate([centres[:, None], turned + centres[:, None]], axis=1)


def _surface(scene: Scene) -> np.ndarray:
  """`[M, 3]` measured surface points of the training views without the far ends."""
  if scene.depth is None:
    return np.zeros((0, 3))
  points, _ = bounds.surface_points(
      scene.depth[scene.train], scene.cam_to_world[scene.train],
      scene.intrinsics[scene.train], SURFACE_POINTS)
  if not len(points):
    return points
  low, high = np.percentile(points, [0.5, 99.5], axis=0)
  return points[((points >= low) & (points <= high)).all(axis=1)]


def _density(panels: Sequence[Panel], surface: np.ndarray, size) -> Image.Image:
  """White, and darker where more surface points lie behind one another.

  One pixel of it is to cover `DOT` pixels of the picture, whose size is `size`.
  """
  size = tuple(-(-side // DOT) for side in size)
  shade = np.zeros(size[::-1])
  for panel in panels if len(surface) else ():
    spots = panel.place(surface) / DOT
    column, row = np.clip(spots, 0, np.array(size) - 1).astype(int).T
    counts = np.bincount(row * size[0] + column, minlength=shade.size)
    shade += counts.reshape(shade.shape) / np.percentile(counts[counts > 0], 80)
  paper = 255 - (255 - np.array(GREY)) * (1 - np.exp(-shade))[..., None]
  return Image.fromarray(paper.astype(np.uint8))


def _box_corners(box: np.ndarray) -> np.ndarray:
  """`[8, 3]`: four of the lowest face in turn, and those above them."""
  return np.array([[box[x, 0], box[y, 1], box[z, 2]]
                   for z in (0, 1) for x, y in _CORNERS])


def _draw_box(draw, panel: Panel, box: np.ndarray) -> None:
  corners = panel.place(_box_corners(box)) * FINE
  for i in range(4):
    for a, b in ((i, (i + 1) % 4), (i + 4, (i + 1) % 4 + 4), (i, i + 4)):
      draw.line([tuple(corners[a]), tuple(corners[b])], fill=(*BOX, 200),
                width=round(1.3 * FINE))


def _draw_frustum(draw, panel: Panel, frustum: np.ndarray, colour) -> None:
  apex, *corners = (tuple(p) for p in panel.place(frustum) * FINE)
  line = FINE  # one pixel of the finished picture
  draw.polygon(corners, fill=(*colour, 28))
  for a, b in zip(corners, [*corners[1:], corners[0]], strict=True):
    draw.polygon([apex, a, b], fill=(*colour, 14))
    draw.line([a, b], fill=(*colour, 230), width=line)
    draw.line([apex, a], fill=(*colour, 230), width=line)
  _draw_dot(draw, apex, 1.8 * FINE, colour)


def _draw_dot(draw, centre, radius: float, colour) -> None:
  x, y = centre
  draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)


def _draw_cross(draw, centre, arm: float = 6) -> None:
  x, y = centre * FINE
  arm *= FINE
  for ends in ([(x - arm, y), (x + arm, y)], [(x, y - arm), (x, y + arm)]):
    draw.line(ends, fill=FOCUS, width=round(1.6 * FINE))


def _draw_head(draw, scene: Scene, scale: float, has_surface: bool,
               has_focus: bool) -> None:
  """Title, legend and scale."""
  draw.text((MARGIN, 14), f"{scene.name}: {len(scene.frames)} cameras", fill=INK,
            font=_font(20))
  if len(scene.frames) > SHOWN_CAMERAS:
    draw.text((MARGIN + 320, 20), f"{SHOWN_CAMERAS} of them drawn", fill=FAINT,
              font=_font(13))
  x = MARGIN
  entries = [(TRAIN, f"{len(scene.train)} training"), (TEST, f"{len(scene.test)} test"),
             (BOX, "bounds, all of space beyond" if scene.unbounded else "bounds"),
             *([(FOCUS, "what the cameras look at")] if has_focus else []),
             *([(GREY, "measured surface")] if has_surface else [])]
  for colour, text in entries:
    draw.rectangle([x, 50, x + 12, 62], fill=colour)
    draw.text((x + 18, 48), text, fill=INK, font=_font(14))
    x += 18 + draw.textlength(text, font=_font(14)) + 22
  length = _round_length(0.16 * WIDTH / scale)
  right, left = WIDTH - MARGIN, WIDTH - MARGIN - length * scale
  draw.line([left, 30, right, 30], fill=INK, width=2)
  for end in (left, right):
    draw.line([end, 25, end, 35], fill=INK, width=2)
  unit = "scene unit" if length == 1 else "scene units"
  draw.text(((left + right) / 2, 21), f"{length:g} {unit}", fill=INK, font=_font(13),
            anchor="mb")


def _draw_axes(draw, panel: Panel) -> None:
  """The view's title, and which way the world's axes point in it."""
  middle = panel.corner[1] - panel.height - GAP / 2 - 4
  draw.text((MARGIN, middle), panel.title, fill=FAINT, font=_font(14), anchor="lm")
  arrows = panel.axes.T * [1, -1]
  x = MARGIN + draw.textlength(panel.title, font=_font(14)) + 40
  origin = np.array([x, middle]) - 9 * arrows.sum(axis=0)
  letters = []
  for name, arrow in zip("xyz", arrows, strict=True):
    letter = origin + 25 * arrow
    near = any(np.linalg.norm(letter - other) < 11 for other in letters)
    if np.linalg.norm(arrow) > 0.3 and not near:
      letters.append(letter)
      draw.line([tuple(origin), tuple(origin + 17 * arrow)], fill=FAINT, width=1)
      draw.text(tuple(letter), name, fill=INK, font=_font(13), anchor="mm")


def _draw_names(draw, panel: Panel, scene: Scene, named: Sequence[str], size) -> None:
  """Names beside some cameras: `named`, the ends of the capture, some between."""
  first = [scene.frames.index(frame) for frame in named]
  even = np.linspace(0, len(scene.frames) - 1, SHOWN_NAMES).astype(np.int64).tolist()
  order = dict.fromkeys([*first, 0, len(scene.frames) - 1, *even, *scene.test.tolist()])
  centres = panel.place(scene.cam_to_world[:, :3, 3])
  font, taken = _font(11), []
  for view in order:
    x, y = centres[view]
    name = scene.frames[view][-24:]
    spot = draw.textbbox((x + 6, y - 5), name, font=font, anchor="ls")
    spot = np.array([spot[0] - 2, spot[1] - 2, spot[2] + 2, spot[3] + 2])
    free = all((spot[2:] < other[:2]).any() or (spot[:2] > other[2:]).any()
               for other in taken)
    inside = (spot[:2] >= 0).all() and (spot[2:] <= np.array(size)).all()
    if free and inside and len(taken) < max(SHOWN_NAMES, len(first)):
      taken.append(spot)
      colour = TEST if view in scene.test else TRAIN
      draw.text((x + 6, y - 5), name, fill=tuple(int(0.7 * c) for c in colour), font=font,
                anchor="ls", stroke_width=2, stroke_fill="white")


def _round_length(length: float) -> float:
  """The longest of 1, 2 or 5 times a power of ten that is not above `length`."""
  power = 10.0 ** np.floor(np.log10(length))
  return float(power * max(m for m in (1, 2, 5) if m * power <= length * (1 + 1e-9)))


def _font(size: int) -> ImageFont.FreeTypeFont:
  return ImageFont.load_default(size)
