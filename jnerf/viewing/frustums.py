"""The cameras of a scene from above and from the side, as a picture.

Up is what the cameras hold upright (`camera_path.up_direction`: across their x axes,
on the side of their own up, -y); where a world axis is nearly that, the axis itself.
Both views are orthographic, share their scale and their horizontal axis, and lie
under one another; their ticks are the scene's own coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence
import itertools
import warnings

import numpy as np

from jnerf.geometry.poses import focus_point
from jnerf.scenes import bounds
from jnerf.structs import Scene
from jnerf.viewing.camera_path import up_direction

DPI = 100
WIDTH, HEIGHT = 9.2, 10.5  # inches: the most that the views take, both together in height
BESIDE, AROUND = 0.8, 2.0  # inches beside the views; over, between and under them
SURFACE_POINTS, SHOWN_CAMERAS, SHOWN_NAMES = 80_000, 250, 12
AXIS_COSINE = 0.97  # a world axis so near to the cameras' up is up
TRAIN, TEST, BOX, FOCUS = "#2b6cb0", "#d65400", "#388e3c", "#960082"
SURFACE, INK, FAINT = "#96999e", "#282828", "#6e6e6e"
_IMAGE = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])  # corners, of its width and height
# Faces of a frustum: 0 is the camera's centre, 1 to 4 are the corners of its image.
_FACES = ((1, 2, 3, 4), (0, 1, 2), (0, 2, 3), (0, 3, 4), (0, 4, 1))
# A box's corners by their ends in x, y and z; an edge joins two that differ in one.
_ENDS = np.array(list(itertools.product((0, 1), repeat=3)))
_EDGES = [list(pair) for pair in itertools.combinations(range(8), 2)
          if np.abs(_ENDS[pair[0]] - _ENDS[pair[1]]).sum() == 1]


def camera_plot(scene: Scene, named: Sequence[str] = ()) -> np.ndarray:
  """`[h, w, 3]` uint8: frustums, the box, measured surfaces, what is looked at.

  named: frames that are named before others; of all names those are shown that find
    room.
  """
  with warnings.catch_warnings():  # letters that the font lacks are boxes, no more
    warnings.filterwarnings("ignore", "Glyph .* missing from font")
    canvas = camera_figure(scene, named).canvas
    canvas.draw()
  return np.array(canvas.buffer_rgba())[..., :3]


def camera_figure(scene: Scene, named: Sequence[str] = ()):
  """The same as a matplotlib `Figure` of two axes, from above and from the side."""
  from matplotlib.backends.backend_agg import FigureCanvasAgg  # here: they take a second
  from matplotlib.colors import LinearSegmentedColormap
  from matplotlib.figure import Figure

  surface, focus = _surface(scene), focus_point(scene.cam_to_world[scene.train])
  content = np.concatenate([_frustums(scene).reshape(-1, 3), _box_corners(scene.bounds),
                            surface, *([] if focus is None else [focus[None]])])
  axes = plot_axes(scene.cam_to_world, content)
  low, high = (content @ axes.T).min(axis=0), (content @ axes.T).max(axis=0)
  longest = np.max(high - low) + 1e-9
  extent = np.maximum(high - low + 0.04 * longest, 0.1 * longest)  # none is a mere line
  low = (low + high - extent) / 2
  scale = min(WIDTH / extent[0], HEIGHT / (extent[1] + extent[2]))  # inches per unit
  figure = Figure((WIDTH + BESIDE, scale * (extent[1] + extent[2]) + AROUND), DPI,
                  layout="constrained")
  FigureCanvasAgg(figure)
  shades = LinearSegmentedColormap.from_list("surface", ["#e4e5e7", SURFACE])
  views = figure.subplots(2, sharex=True, height_ratios=extent[1:])
  for view, title, rows in zip(views, ("from above", "from the side"), ([0, 1], [0, 2])):
    across = axes[rows]
    view.set(aspect="equal", xlim=low[0] + np.array([0, extent[0]]),
             ylim=low[rows[1]] + np.array([0, extent[rows[1]]]))
    _draw_frame(view, title, across)
    if len(surface):
      spots = np.ceil(DPI / 2 * scale * extent[rows]).astype(int)  # of two pixels
      view.hist2d(*(surface @ across.T).T, bins=spots, cmap=shades, cmin=1, norm="log",
                  range=[view.get_xlim(), view.get_ylim()])
    _draw_cameras(view, scene, across)
    if focus is not None:
      view.plot(*(across @ focus), "+", color=FOCUS, markersize=11, markeredgewidth=1.6)
  _draw_head(figure, scene, focus is not None, len(surface) > 0)
  figure.draw_without_rendering()  # lays out: names are given the room that is left
  figure.set_layout_engine("none")
  for view, rows in zip(views, ([0, 1], [0, 2])):
    _draw_names(view, scene, axes[rows], named)
  return figure


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


def _frustums(scene: Scene) -> np.ndarray:
  """`[V, 5, 3]`: every camera's centre and the corners of its image, at one depth.

  A lens's distortion is left out.
  """
  centres = scene.cam_to_world[:, :3, 3]
  extent = np.max(np.ptp(np.concatenate([centres, scene.bounds]), axis=0))
  gaps = np.linalg.norm(np.diff(centres, axis=0), axis=1)
  spacing = float(np.median(gaps)) if len(gaps) else 0.0
  depth = np.clip(0.7 * spacing, 0.022 * extent, 0.05 * extent)
  corners = (_IMAGE[None] * np.array(scene.size) - scene.intrinsics[:, None, 2:4])
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


def _box_corners(box: np.ndarray) -> np.ndarray:
  """`[8, 3]` corners of `box [2, 3]`, in the order of `_ENDS`."""
  return box[_ENDS, np.arange(3)]


def _draw_frame(view, title: str, across: np.ndarray) -> None:
  """Title, and what the view's axes `across [2, 3]` are in the scene's coordinates."""
  view.set_title(title, loc="left", color=FAINT, fontsize=10)
  view.tick_params(labelbottom=True, labelsize=8, colors=FAINT, length=0)
  view.spines[:].set_visible(False)
  view.grid(color="0.93")
  view.set_axisbelow(True)
  for axis, row in zip((view.xaxis, view.yaxis), across, strict=True):
    sign = -1 if row.min() < -1 + 1e-9 else 1  # along -x, ticks of x go down
    axis.set_label_text(_combination(sign * row), color=INK)
    axis.set_major_formatter(lambda value, _, sign=sign: f"{sign * value + 0:.6g}")


def _combination(row: np.ndarray) -> str:
  """`x` for that axis of the world, `0.60 y − 0.80 z` for another direction `[3]`."""
  terms = [f"{'−' if value < 0 else '+'} "
           + (name if abs(value) > 0.995 else f"{abs(value):.2f} {name}")
           for name, value in zip("xyz", row) if abs(value) >= 0.005]
  return " ".join(terms).removeprefix("+ ")


def _draw_cameras(view, scene: Scene, across: np.ndarray) -> None:
  """The box, and frustums over it, those of test views on top."""
  from matplotlib.collections import LineCollection, PolyCollection

  view.add_collection(LineCollection((_box_corners(scene.bounds) @ across.T)[_EDGES],
                                     colors=BOX, linewidths=1.2), autolim=False)
  frustums = _frustums(scene) @ across.T
  sample = np.unique(np.linspace(0, len(frustums) - 1, SHOWN_CAMERAS).astype(np.int64))
  for views, colour in ((np.setdiff1d(sample, scene.test), TRAIN),
                        (np.intersect1d(sample, scene.test), TEST)):
    faces = [frustum[list(face)] for frustum in frustums[views] for face in _FACES]
    for options in ({"facecolors": colour, "alpha": 0.06},
                    {"facecolors": "none", "edgecolors": colour, "linewidths": 0.7}):
      view.add_collection(PolyCollection(faces, **options), autolim=False)
    view.scatter(*frustums[views, 0].T, s=8, color=colour, linewidths=0)


def _draw_head(figure, scene: Scene, has_focus: bool, has_surface: bool) -> None:
  """Title and legend."""
  from matplotlib.patches import Patch

  num = len(scene.frames)
  some = f", {SHOWN_CAMERAS} of them drawn" if num > SHOWN_CAMERAS else ""
  entries = [(TRAIN, f"{len(scene.train)} training"), (TEST, f"{len(scene.test)} test"),
             (BOX, "bounds, all of space beyond" if scene.unbounded else "bounds"),
             *([(FOCUS, "what the cameras look at")] if has_focus else []),
             *([(SURFACE, "measured surface")] if has_surface else [])]
  legend = figure.legend(
      handles=[Patch(color=colour, label=text) for colour, text in entries],
      title=f"{scene.name}: {num} cameras{some}", title_fontsize=14, alignment="left",
      loc="outside upper left", ncols=len(entries), frameon=False, handlelength=1,
      handleheight=1)
  legend.get_title().set_parse_math(False)  # a name may hold a $


def _draw_names(view, scene: Scene, across: np.ndarray, named: Sequence[str]) -> None:
  """Names beside some cameras: `named`, the ends of the capture, some between."""
  from matplotlib.patheffects import withStroke

  first = [scene.frames.index(frame) for frame in named]
  even = np.linspace(0, len(scene.frames) - 1, SHOWN_NAMES).astype(np.int64).tolist()
  order = dict.fromkeys([*first, 0, len(scene.frames) - 1, *even, *scene.test.tolist()])
  spots = []
  for index in order:
    if len(spots) == max(SHOWN_NAMES, len(first)):
      return
    text = view.annotate(
        scene.frames[index][-24:], across @ scene.cam_to_world[index, :3, 3], (4, 3),
        textcoords="offset points", fontsize=8, parse_math=False,
        color=TEST if index in scene.test else TRAIN,
        path_effects=[withStroke(linewidth=2, foreground="white")])
    spot = text.get_window_extent().padded(2)
    inside = view.figure.bbox.containsx(spot.x1) and view.figure.bbox.containsy(spot.y1)
    if spot.count_overlaps(spots) or not inside:
      text.remove()
    else:
      spots.append(spot)
