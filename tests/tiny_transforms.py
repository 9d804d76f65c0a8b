"""Writes a tiny capture with a transforms.json, for tests to read and to damage."""

from collections.abc import Callable
import json
import pathlib

from damage import complaint_of
import numpy as np
from PIL import Image

from jnerf.geometry.poses import look_at
from jnerf.scenes.formats import transforms

WIDTH, HEIGHT = 12, 8
LENS = {"k1": 0.05, "k2": -0.02, "p1": 1e-3, "p2": -2e-3}
CAMERA = {"fl_x": 10.0, "fl_y": 11.0, "cx": 6.5, "cy": 3.5, "w": WIDTH, "h": HEIGHT}


def poses(num: int) -> np.ndarray:
  """`[num, 4, 4]` OpenCV poses on a ring around the origin, looking inward."""
  angles = 2 * np.pi * np.arange(num) / num
  return np.stack([look_at((3 * np.cos(a), 3 * np.sin(a), 1 + 0.1 * i), (0, 0, 0))
                   for i, a in enumerate(angles)])


def opengl(pose: np.ndarray) -> list[list[float]]:
  """The same pose as a transform_matrix: the camera's y up, z backward."""
  turned = pose.copy()
  turned[:3, 1:3] *= -1
  return turned.tolist()


def photo(seed: int, mode: str = "RGB") -> Image.Image:
  channels = len(mode)
  values = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, channels))
  return Image.fromarray(values.astype(np.uint8), mode)


def write(root: pathlib.Path, num: int = 6, camera: dict | None = None, mode="RGB",
          **extra) -> pathlib.Path:
  """Writes images/00.png, ... and transforms.json below `root`, and returns it."""
  (root / "images").mkdir(parents=True)
  frames = []
  for i, pose in enumerate(poses(num)):
    photo(i, mode).save(root / "images" / f"{i:02}.png")
    frames.append({"file_path": f"images/{i:02}.png", "transform_matrix": opengl(pose)})
  store(root, {**(CAMERA if camera is None else camera), **extra, "frames": frames})
  return root


def write_blender(root: pathlib.Path, splits: dict[str, int], distance: float = 4.0,
                  ) -> pathlib.Path:
  """Writes transforms_<split>.json and its RGBA images for every split.

  distance: of all cameras from the origin, at which they look.
  """
  for seed, (split, num) in enumerate(splits.items()):
    (root / split).mkdir(parents=True)
    frames = []
    for i, pose in enumerate(poses(num)):
      pose[:3, 3] *= distance / np.linalg.norm(pose[:3, 3])
      photo(10 * seed + i, "RGBA").save(root / split / f"r_{i}.png")
      frames.append({"file_path": f"./{split}/r_{i}", "transform_matrix": opengl(pose)})
    store(root, {"camera_angle_x": 1.0, "frames": frames}, f"transforms_{split}.json")
  return root


def store(root: pathlib.Path, raw: dict, name: str = "transforms.json") -> None:
  (root / name).write_text(json.dumps(raw))


def stored(root: pathlib.Path, name: str = "transforms.json") -> dict:
  return json.loads((root / name).read_text())


def edit(root: pathlib.Path, change: Callable[[dict], object],
         name: str = "transforms.json") -> None:
  """Changes the stored description in place."""
  raw = stored(root, name)
  change(raw)
  store(root, raw, name)


def frames(change: Callable[[dict, int], dict]) -> Callable[[dict], object]:
  """For `edit`: updates every frame with what `change` of it and its number gives."""
  return lambda raw: [frame.update(change(frame, i))
                      for i, frame in enumerate(raw["frames"])]


def complaint(root: pathlib.Path) -> str:
  """The line that the capture is refused with."""
  return complaint_of(lambda: transforms.load_transforms(root))
