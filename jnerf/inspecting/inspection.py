"""What is in a scene: counts, cameras, coverage, photographs, classes.

`inspect_scene` returns plain values, ready for JSON; `inspection_warnings` says what
of them looks wrong, `viewing.inspection_text` turns them into text. Nothing here
changes a scene.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from jnerf.errors import InputError
from jnerf.inspecting.baselines import baselines
from jnerf.inspecting.inspection_warnings import warnings_of
from jnerf.inspecting.photo_quality import photo_quality
from jnerf.inspecting.visibility import coverage
from jnerf.scenes import bounds
from jnerf.scenes.images import resize_area
from jnerf.structs import Scene

EQUAL_COLOUR = 0.01  # mean difference of two thumbnails that look the same
EQUAL_ANGLE = 0.5  # degrees between two cameras that look the same way
EQUAL_PLACE = 0.005  # of the cameras' extent, between two cameras in one place


def inspect_scene(scene: Scene) -> dict:
  """Counts, sizes, cameras, coverage, photographs, classes and warnings of `scene`."""
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
      "unbounded": scene.unbounded, "extent_from": extent_origin(scene),
      "masked": None if scene.mask is None else float(1 - scene.mask.mean()),
      "cameras": _cameras(scene), "equal_frames": equal_frames(scene),
      "baselines": baselines(scene), "photos": photo_quality(scene)}
  if scene.depth is not None:
    result["depth"] = _depth(scene)
    result["coverage"] = coverage(scene)
  if scene.semantic is not None:
    result["classes"] = class_table(scene)
  if scene.instance is not None:
    result["instances"] = int(np.count_nonzero(np.unique(scene.instance)))
  result["warnings"] = warnings_of(result)
  return result


def extent_origin(scene: Scene) -> dict[str, str]:
  """What `near`, `far` and `bounds` rest on: `depth`, `cameras`, or else `given`.

  They are guessed again both ways: what neither guess equals came from the config or
  from the capture's own files.
  """
  guesses = {}
  if scene.depth is not None and scene.depth[scene.train].any():
    guesses["depth"] = lambda: bounds.scene_extent(
        scene.cam_to_world, scene.depth, scene.train, scene.intrinsics)
  guess_extent = bounds.unbounded_extent if scene.unbounded else bounds.scene_extent
  guesses["cameras"] = lambda: guess_extent(scene.cam_to_world)
  origin = dict.fromkeys(("near", "far", "bounds"), "given")
  for name, extent in guesses.items():
    try:
      guess = dict(zip(origin, extent(), strict=True))
    except InputError:  # cameras in one place: it must have been given
      continue
    for key, value in guess.items():
      if origin[key] == "given" and np.allclose(getattr(scene, key), value, rtol=1e-6):
        origin[key] = name
  return origin


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


def _cameras(scene: Scene) -> dict:
  centres = scene.cam_to_world[:, :3, 3]
  outside = ((centres < scene.bounds[:1]) | (centres > scene.bounds[1:])).any(axis=1)
  spacing = 0.0
  if len(centres) > 1:
    spacing = float(np.median(cKDTree(centres).query(centres, k=2)[0][:, 1]))
  return {"low": centres.min(axis=0).tolist(), "high": centres.max(axis=0).tolist(),
          "spacing": spacing,
          "outside_bounds": [scene.frames[i] for i in np.flatnonzero(outside)]}


def _depth(scene: Scene) -> dict:
  depths = scene.depth[scene.depth > 0]
  low, median, high = (
      np.percentile(depths, [0, 50, 100]).tolist() if depths.size else [0.0] * 3)
  return {"known": depths.size / scene.depth.size, "low": low, "median": median,
          "high": high}
