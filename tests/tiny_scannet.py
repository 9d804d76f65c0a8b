"""Writes a tiny scan as ScanNet's exporter does, for tests to read and to damage.

The cameras stand as in `tiny_replica`, 0.1 m apart, 2 m before a wall. Depth has half
of colour's size and intrinsics of its own.
"""

import pathlib

import numpy as np
from PIL import Image
import tiny_replica

WIDTH, HEIGHT = 24, 16
COLOR = 20.0, 21.0, 11.75, 7.25  # fx, fy, cx, cy with integer pixel centres
DEPTH = 9.0, 9.5, 5.5, 3.5
RAW = 3, 1163, 77  # of the wall's left and right; the table does not map the last
ROWS = ("id\traw_category\tcategory\tcount\tnyu40id\teigen13id\tnyuClass\tnyu40class",
        "1\twall\twall\t8277\t1\t12\twall\twall",
        "3\tfloor\tfloor\t1553\t2\t5\tfloor\tfloor",
        '1163\t27" monitor\tobject\t1\t40\t7\t\totherprop',
        "78\tghost\tghost\t1\t\t\t\t")
LOST = np.full((4, 4), -np.inf)


def matrix(fx, fy, cx, cy) -> np.ndarray:
  """`[4, 4]`, as the exporter writes intrinsics."""
  return np.array([[fx, 0, cx, 0], [0, fy, cy, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


def labels() -> np.ndarray:
  """`[H, W]` raw ids: left, right, and a row of each of void and what is unmapped."""
  picture = np.tile(np.where(np.arange(WIDTH) < WIDTH // 2, *RAW[:2]), (HEIGHT, 1))
  picture[0], picture[1] = 0, RAW[2]
  return picture.astype(np.uint16)


def write(root: pathlib.Path, num: int = 6, table: bool = True) -> pathlib.Path:
  """Writes `num` frames below `root` and returns it."""
  rng = np.random.default_rng(0)
  for folder in ("color", "depth", "pose", "intrinsic", "label-filt", "instance-filt"):
    (root / folder).mkdir(parents=True)
  for i, pose in enumerate(tiny_replica.poses(num)):
    Image.fromarray(rng.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)).save(
        root / "color" / f"{i}.jpg")
    save(root / "depth" / f"{i}.png", np.full((HEIGHT // 2, WIDTH // 2), 2000, np.uint16))
    save(root / "label-filt" / f"{i}.png", labels())
    save(root / "instance-filt" / f"{i}.png", (labels() % 5).astype(np.uint8))
    store(root / "pose" / f"{i}.txt", pose)
  for kind, row in (("color", COLOR), ("depth", DEPTH)):
    store(root / "intrinsic" / f"intrinsic_{kind}.txt", matrix(*row))
    store(root / "intrinsic" / f"extrinsic_{kind}.txt", np.eye(4))
  if table:
    store_table(root, *ROWS)
  return root


def store(path: pathlib.Path, values: np.ndarray) -> None:
  np.savetxt(path, values, fmt="%f")


def store_table(root: pathlib.Path, *rows: str) -> None:
  (root / "scannetv2-labels.combined.tsv").write_text("\n".join(rows) + "\n")


def save(path: pathlib.Path, array: np.ndarray) -> None:
  Image.fromarray(array).save(path)
