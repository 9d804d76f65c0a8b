"""What is in a scene: counts, cameras, coverage, classes, and what looks wrong.

`inspect_scene` returns plain values (ready for JSON), `format_inspection` turns
them into text, `contact_sheet` shows the frames. Nothing here changes a scene.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from jnerf.scenes import bounds, cameras
from jnerf.scenes.images import resize_area, resize_nearest
from jnerf.structs import Scene

COVERAGE_POINTS = 4000  # surface points of the test views that are looked for
DEPTH_TOLERANCE = 0.03  # relative; two views see the same surface within it
EQUAL_COLOUR = 0.01  # mean difference of two thumbnails that look the same
EQUAL_ANGLE = 0.5  # degrees between two cameras that look the same way
EQUAL_PLACE = 0.005  # of the cameras' extent, between two cameras in one place


def inspect_scene(scene: Scene) -> dict:
  """Counts, sizes, cameras, coverage, classes and warnings of `scene`."""
  focal = scene.intrinsics[:, 0]
  result = {
      "name": scene.name, "source": scene.source,
      "views": {"all": len(scene.frames), "train": len(scene.train),
                "test": len(scene.test)},
      "size": list(scene.size), "full_size": list(scene.full_size),
      "intrinsics": np.median(scene.intrinsics, axis=0).tolist(),
      "one_camera": bool(np.ptp(scene.intrinsics, axis=0).max() < 1e-6),
      "hfov": float(np.degrees(2 * np.arctan(scene.size[0] / 2 / np.median(focal)))),
      "near": scene.near, "far": scene.far, "bounds": scene.bounds.tolist(),
      "unbounded": scene.unbounded,
      "cameras": _cameras(scene), "equal_frames": equal_frames(scene)}
  if scene.depth is not None:
    result["depth"] = _depth(scene)
    result["coverage"] = coverage(scene)
  if scene.semantic is not None:
    result["classes"] = class_table(scene)
  if scene.instance is not None:
    result["instances"] = int(np.count_nonzero(np.unique(scene.instance)))
  result["warnings"] = _warnings(result)
  return result


def coverage(scene: Scene) -> dict:
  """How much of what the test views see the training views see too; needs depth.

  A surface point of a test view is seen by a training view where it projects
  into the image and the depth there agrees, so that nothing hides it.
  """
  test = scene.test
  if not len(test):
    return {}
  points, _ = bounds.surface_points(
      scene.depth[test], scene.cam_to_world[test], scene.intrinsics[test],
      COVERAGE_POINTS)
  if not len(points):
    return {}
  seen = np.zeros(len(points), np.int64)
  for view in scene.train:
    seen += visible(points, scene.depth[view], scene.cam_to_world[view],
                    scene.intrinsics[view])
  inside = ((points >= scene.bounds[:1]) & (points <= scene.bounds[1:])).all(axis=1)
  return {"seen": float((seen > 0).mean()), "seen_by_three": float((seen > 2).mean()),
          "median_views": float(np.median(seen)), "in_bounds": float(inside.mean())}


def visible(points: np.ndarray, depth: np.ndarray, cam_to_world: np.ndarray,
            intrinsics: np.ndarray) -> np.ndarray:
  """`[M]` bool: which `points [M, 3]` one view with `depth [H, W]` sees.

  cam_to_world: `[4, 4]`; intrinsics: `[4]`.
  """
  height, width = depth.shape
  with np.errstate(divide="ignore", invalid="ignore"):
    xy, z = cameras.project(points, cam_to_world, intrinsics, xnp=np)
  inside = (z > 0) & ((xy >= 0) & (xy < np.array([[width, height]]))).all(axis=1)
  column, row = np.where(inside[:, None], xy, 0).astype(np.int64).T
  return inside & (np.abs(depth[row, column] - z) < DEPTH_TOLERANCE * z)


def class_table(scene: Scene) -> list[dict]:
  """Per class in the labels, void left out: share of pixels, frames, instances."""
  frames: dict[int, list[int]] = {}  # class id to the views that show it
  pixels: dict[int, int] = {}
  instances: dict[int, set[int]] = {}
  for view, labels in enumerate(scene.semantic):
    parts = np.zeros_like(labels) if scene.instance is None else scene.instance[view]
    pairs, counts = np.unique(labels.astype(np.int64) << 32 | parts, return_counts=True)
    for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
      class_id, part = pair >> 32, pair & 0xFFFFFFFF
      frames.setdefault(class_id, []).append(view)
      pixels[class_id] = pixels.get(class_id, 0) + count
      instances.setdefault(class_id, set()).add(part)
  rows = []
  for class_id in sorted(set(frames) - {0}):
    row = {"id": class_id, "name": scene.class_names.get(class_id, str(class_id)),
           "pixels": pixels[class_id] / scene.semantic.size,
           "train_frames": len(np.intersect1d(frames[class_id], scene.train)),
           "test_frames": len(np.intersect1d(frames[class_id], scene.test))}
    if scene.instance is not None:
      row["instances"] = len(instances[class_id] - {0})
    rows.append(row)
  return rows


def equal_frames(scene: Scene) -> list[list[str]]:
  """Pairs of frames with nearly one pose and nearly one picture.

  A test frame that is also a training frame measures memory, not the field.
  """
  thumbnails = np.stack([
      resize_area(i, (min(16, scene.size[0]), min(12, scene.size[1])))
      for i in scene.images]).reshape(len(scene.images), -1)
  centres, forward = scene.cam_to_world[:, :3, 3], scene.cam_to_world[:, :3, 2]
  extent = np.linalg.norm(np.ptp(centres, axis=0))
  pairs = []
  for i in range(len(centres) - 1):
    gaps = np.linalg.norm(centres[i + 1:] - centres[i][None], axis=1)
    near = gaps <= EQUAL_PLACE * extent
    near &= forward[i + 1:] @ forward[i] >= np.cos(np.radians(EQUAL_ANGLE))
    for j in np.flatnonzero(near) + i + 1:
      if np.abs(thumbnails[i] - thumbnails[j]).mean() < EQUAL_COLOUR:
        pairs.append([scene.frames[i], scene.frames[j]])
  return pairs


def format_inspection(result: dict) -> str:
  """The inspection as text for a terminal."""
  views, (low, high) = result["views"], np.array(result["bounds"])
  size, full = ("x".join(map(str, result[key])) for key in ("size", "full_size"))
  fx, fy, cx, cy, *lens = result["intrinsics"]
  lines = [
      f"{result['name']}: {result['source']}", "",
      f"views       {views['all']}: {views['train']} train, {views['test']} test",
      f"size        {size}" + (f" (files {full})" if size != full else ""),
      f"intrinsics  fx {fx:.2f}  fy {fy:.2f}  cx {cx:.2f}  cy {cy:.2f}  "
      f"({result['hfov']:.1f} degrees wide)"
      + ("" if result["one_camera"] else ", median"),
      *([f"lens        k1 {lens[0]:.4g}  k2 {lens[1]:.4g}  p1 {lens[2]:.4g}  "
         f"p2 {lens[3]:.4g}  k3 {lens[4]:.4g}"] if lens else []),
      f"near, far   {result['near']:.3g}, {result['far']:.3g}",
      f"bounds      {_vector(low)} to {_vector(high)}"
      + (", and all of space beyond" if result["unbounded"] else ""),
      f"cameras     within {_vector(result['cameras']['low'])} to "
      f"{_vector(result['cameras']['high'])}, neighbours "
      f"{result['cameras']['spacing']:.3g} apart"]
  if "depth" in result:
    depth = result["depth"]
    lines.append(f"depth       {depth['known']:.1%} of pixels, {depth['low']:.3g} to "
                 f"{depth['high']:.3g}, median {depth['median']:.3g}")
  if result.get("coverage"):
    cover = result["coverage"]
    lines.append(f"coverage    {cover['seen']:.1%} of the test views' surface is seen in "
                 f"training, {cover['seen_by_three']:.1%} by 3 views or more "
                 f"(median {cover['median_views']:.0f}); {cover['in_bounds']:.1%} lies "
                 "in the bounds")
  if "instances" in result:
    lines.append(f"instances   {result['instances']}")
  if "classes" in result:
    lines += ["", *_class_lines(result["classes"])]
  lines += ["", *(f"warning: {w}" for w in result["warnings"])]
  return "\n".join(lines).rstrip() + "\n"


def contact_sheet(scene: Scene, palette: np.ndarray | None = None, columns: int = 6,
                  thumbnail_width: int = 160, max_frames: int = 36) -> np.ndarray:
  """`[h, w, 3]` uint8 overview of (evenly chosen) frames with their names.

  palette: `[ids, 3]` uint8 colour per class id; with it, and where the scene has
    labels, each row of photographs is followed by one with the labels over it.
  Names of test frames are marked.
  """
  num = min(max_frames, len(scene.frames))
  chosen = np.unique(np.linspace(0, len(scene.frames) - 1, num).astype(np.int64))
  width, height = scene.size
  size = (min(thumbnail_width, width), 0)
  size = (size[0], max(1, round(height * size[0] / width)))
  overlay = palette is not None and scene.semantic is not None
  margin, caption = 4, 14
  cell = size[1] * (2 if overlay else 1) + caption + margin
  columns = min(columns, len(chosen))
  rows = -(-len(chosen) // columns)
  sheet = Image.new("RGB", (columns * (size[0] + margin) + margin, rows * cell + margin),
                    "white")
  draw = ImageDraw.Draw(sheet)
  for place, view in enumerate(chosen):
    x = margin + place % columns * (size[0] + margin)
    y = margin + place // columns * cell
    photo = resize_area(scene.images[view], size)
    sheet.paste(_picture(photo), (x, y + caption))
    if overlay:
      labels = resize_nearest(scene.semantic[view], size)
      grey = photo.mean(axis=-1, keepdims=True)
      colour = palette[labels].astype(np.float32) / 255
      sheet.paste(_picture(0.35 * grey + 0.65 * colour), (x, y + caption + size[1]))
    is_test = view in scene.test
    draw.text((x, y), scene.frames[view] + (" (test)" if is_test else ""),
              fill=(200, 60, 0) if is_test else (0, 0, 0))
  return np.asarray(sheet)


def _cameras(scene: Scene) -> dict:
  centres = scene.cam_to_world[:, :3, 3]
  outside = ((centres < scene.bounds[:1]) | (centres > scene.bounds[1:])).any(axis=1)
  gaps = np.linalg.norm(centres[:, None] - centres[None], axis=-1)
  np.fill_diagonal(gaps, np.inf)
  spacing = float(np.median(gaps.min(axis=1))) if len(centres) > 1 else 0.0
  return {"low": centres.min(axis=0).tolist(), "high": centres.max(axis=0).tolist(),
          "spacing": spacing,
          "outside_bounds": [scene.frames[i] for i in np.flatnonzero(outside)]}


def _depth(scene: Scene) -> dict:
  known = scene.depth[scene.depth > 0]
  low, median, high = (
      np.percentile(known, [0, 50, 100]).tolist() if known.size else [0.0] * 3)
  return {"known": known.size / scene.depth.size, "low": low, "median": median,
          "high": high}


def _warnings(result: dict) -> list[str]:
  """What the user should know before waiting for a fit."""
  warnings = []
  if result["views"]["test"] == 0:
    warnings.append("no test views: nothing can be evaluated; set scene.test_every")
  if "depth" not in result:
    warnings.append("no depth: near, far and bounds are guesses from the cameras unless "
                    "set; depth is not evaluated")
  elif result["depth"]["known"] < 0.5:
    warnings.append(f"depth is known for {result['depth']['known']:.0%} of pixels only")
  outside = result["cameras"]["outside_bounds"]
  if 0 < len(outside) < result["views"]["all"] and not result["unbounded"]:
    warnings.append(f"{len(outside)} cameras are outside scene.bounds: {_some(outside)}")
  for a, b in result["equal_frames"][:5]:
    warnings.append(f"frames {a} and {b} are nearly equal")
  if len(result["equal_frames"]) > 5:
    warnings.append(f"{len(result['equal_frames']) - 5} more pairs are nearly equal")
  cover = result.get("coverage")
  if cover and cover["seen"] < 0.9:
    warnings.append(f"training views see only {cover['seen']:.0%} of what test views see")
  if cover and cover["in_bounds"] < 0.98:
    warnings.append(f"{1 - cover['in_bounds']:.0%} of the test views' surface is outside "
                    "scene.bounds")
  if "classes" not in result:
    warnings.append("no labels: clicks must be given, labels are not evaluated")
  for row in result.get("classes", ()):
    if row["train_frames"] == 0:
      warnings.append(f"class {row['id']} ({row['name']}) is seen in test frames only")
    elif row["test_frames"] == 0 and result["views"]["test"]:
      warnings.append(f"class {row['id']} ({row['name']}) is seen in no test frame")
  return warnings


def _class_lines(classes: Sequence[dict]) -> list[str]:
  width = max([len(row["name"]) for row in classes] + [5])
  head = f"{'id':>5}  {'class':<{width}}  {'pixels':>7}  train  test frames"
  lines = [head + ("  instances" if classes and "instances" in classes[0] else "")]
  for row in sorted(classes, key=lambda row: -row["pixels"]):
    lines.append(f"{row['id']:>5}  {row['name']:<{width}}  {row['pixels']:>7.2%}  "
                 f"{row['train_frames']:>5}  {row['test_frames']:>11}"
                 + (f"  {row['instances']:>9}" if "instances" in row else ""))
  return lines


def _picture(image: np.ndarray) -> Image.Image:
  return Image.fromarray((np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8))


def _vector(values: Sequence[float]) -> str:
  return "(" + ", ".join(f"{v:.2f}" for v in values) + ")"


def _some(names: Sequence[str]) -> str:
  return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
