"""The values that flow between the parts of jnerf.

Letters used in shapes, here and everywhere: V views, H x W image height and
width (where no hidden width is meant), N rays, S samples along a ray, H hidden
width (of the layer that feeds `rgb`), P selected parameters, K directions
(clicks or classes), F feature channels.

Conventions: lengths in scene units (metres where the capture is metric),
images float32 in [0, 1], poses camera-to-world with OpenCV axes (x right,
y down, z forward), pixel centres at integer + 0.5, class 0 is void.
"""

from __future__ import annotations

from typing import Any

from flax import struct
import numpy as np

Array = Any  # a NumPy or a JAX array; scenes live on the host, batches on devices


@struct.dataclass
class Rays:
  """N rays; a point on one is `origins + t * directions`.

  origins: `[N, 3]` camera centres in world coordinates.
  directions: `[N, 3]` what `t` multiplies; unit length, so `t` is a distance.
  viewdirs: `[N, 3]` unit viewing directions, the field's direction input.
  near, far: `[N, 1]` the interval of `t` that is sampled.
  """

  origins: Array
  directions: Array
  viewdirs: Array
  near: Array
  far: Array


@struct.dataclass
class Batch:
  """All that one training step sees and all that is random in it.

  rays: `N` rays.
  rgb: `[N, 3]` the photographed colour.
  features: `[N, F]` visual features at the rays' pixels, or None.
  labels: `[N]` int32 ground-truth classes (0 = void), only with the oracle.
  distance: `[N]` measured distance along the ray (0 = none), or None.
  normals: `[N, 3]` directions that the surfaces face, or None.
  segments: `[N]` int32 segments that hint what belongs together, each of one view
    (0 = none), or None.
  jitter: `[N, 2]` in [-0.5, 0.5), moves the two rounds of samples on a ray; None
    for deterministic sampling.
  background: `[N, 3]` what is seen behind the field, or None for black.
  """

  rays: Rays
  rgb: Array
  features: Array | None = None
  labels: Array | None = None
  distance: Array | None = None
  normals: Array | None = None
  segments: Array | None = None
  jitter: Array | None = None
  background: Array | None = None


@struct.dataclass
class Proposal:
  """What one round of sampling believed of N rays, differentiable in its parameters.

  t: `[N, S' + 1]` edges of its intervals; weights: `[N, S']`.
  rgb: `[N, 3]` colour that it rendered by itself, to be held against the photographs; or
    None. In `Samples` before the background, in a `Rendering` over it.
  """

  t: Array
  weights: Array
  rgb: Array | None = None


@struct.dataclass
class Samples:
  """Where a sampler put its S intervals on each ray.

  t: `[N, S + 1]` edges of the intervals, ascending, gradients stopped.
  proposals: what the rounds before believed, coarsest first.
  """

  t: Array
  proposals: tuple[Proposal, ...] = ()


@struct.dataclass
class Rendering:
  """N rendered rays with what was computed at their samples.

  rgb: `[N, 3]` colour over the background.
  acc: `[N]` accumulated opacity, the sum of `weights`.
  distance: `[N]` weight-averaged distance along the ray.
  distance_median: `[N]` distance at which half of `acc` is reached.
  t: `[N, S + 1]` interval edges.
  weights: `[N, S]` compositing weights, `trans * alpha`.
  sigma: `[N, S]` density.
  hidden: `[N, S, H]` input of the layer named `rgb`.
  logits: `[N, S, 3]` its output; the colour is `sigmoid(logits)`.
  proposals: as in `Samples`, for the sampler's own losses.
  """

  rgb: Array
  acc: Array
  distance: Array
  distance_median: Array
  t: Array
  weights: Array
  sigma: Array
  hidden: Array
  logits: Array
  proposals: tuple[Proposal, ...] = ()


@struct.dataclass
class Entities:
  """N pixels, or 3D points, as labelling sees them. What a method does not ask for
  may be None.

  J: `[N, P]` gradients, or activations where those are what is shaped.
  points: `[N, 3]` where they lie: a pixel where its ray meets half of its opacity.
  rgb: `[N, 3]` colour, as the field renders it.
  distance: `[N]` of the points along the rays.
  features: `[N, F]` visual features of the photograph there.
  rays: the N rays through them.
  rendering: of the rays, with what was computed at their samples; a point is a ray
    with one opaque sample.
  """

  J: Array | None = None
  points: Array | None = None
  rgb: Array | None = None
  distance: Array | None = None
  features: Array | None = None
  rays: Rays | None = None
  rendering: Rendering | None = None


@struct.dataclass
class Scene:
  """A capture on the host, in NumPy, at the resolution it is worked at.

  name: short name, for tables and titles.
  frames: V frame names, e.g. `rgb_12`; clicks and label files use them.
  images: `[V, H, W, 3]` float32 in [0, 1].
  cam_to_world: `[V, 4, 4]` float64 rigid poses, OpenCV axes.
  intrinsics: `[V, 4, 8 or 9]` float64 `fx, fy, cx, cy` in pixels of `images`, with
    pixel centres at integer + 0.5 (an image's exact middle is `W / 2, H / 2`);
    a lens's coefficients after them (`geometry.lenses`).
  full_size: `(width, height)` of the files; clicks are given in its pixels. Files of
    several sizes lie at the top left of it, each, and `mask` leaves out the rest.
  near, far: distances along a ray between which everything visible lies.
  bounds: `[2, 3]` corners of the axis-aligned box that the field covers.
  mask: `[V, H, W]` bool, False where there is no picture, or people or hands that the
    scene is not to hold; such pixels are neither trained on nor scored. None: all are.
  unbounded: whether the field covers all of space, the box in most detail.
  train, test: int64 indices into the views; disjoint.
  depth: `[V, H, W]` float32 along the camera's z, 0 = none; or None.
  semantic: `[V, H, W]` int32 class ids, 0 = void; or None.
  instance: `[V, H, W]` int32 instance ids, 0 = void; or None.
  class_names: class id to name, for every class in `semantic`, and 0.
  alpha: `[V, H, W]` float32 opacity of the photographs, whose `images` are then
    over black; or None where all are opaque.
  files: the photographs' files, in the order of `frames`; empty where there are none.
  folder: of the capture, where features may lie beside the photographs; or "".
  source: where it came from and by which conventions it was read (one line).
  """

  name: str = struct.field(pytree_node=False)
  frames: tuple[str, ...] = struct.field(pytree_node=False)
  images: np.ndarray
  cam_to_world: np.ndarray
  intrinsics: np.ndarray
  full_size: tuple[int, int] = struct.field(pytree_node=False)
  near: float = struct.field(pytree_node=False)
  far: float = struct.field(pytree_node=False)
  bounds: np.ndarray
  train: np.ndarray
  test: np.ndarray
  depth: np.ndarray | None = None
  semantic: np.ndarray | None = None
  instance: np.ndarray | None = None
  class_names: dict[int, str] = struct.field(
      pytree_node=False, default_factory=dict)
  alpha: np.ndarray | None = None
  mask: np.ndarray | None = None
  unbounded: bool = struct.field(pytree_node=False, default=False)
  files: tuple[str, ...] = struct.field(pytree_node=False, default=())
  folder: str = struct.field(pytree_node=False, default="")
  source: str = struct.field(pytree_node=False, default="")

  def __repr__(self) -> str:
    width, height = self.size
    return (f"Scene({self.name!r}, {len(self.train)} training and {len(self.test)} test "
            f"views of {width}x{height})")

  @property
  def has_test_depth(self) -> bool:
    """Whether depth of any test view is known."""
    return self.depth is not None and bool(self.depth[self.test].any())

  def photos(self, views, background: float) -> np.ndarray:
    """`[n, H, W, 3]` images of `views`, over a grey level where they are transparent."""
    if self.alpha is None:
      return self.images[views]
    behind = np.float32(background) * (1 - self.alpha[views][..., None])
    return self.images[views] + behind

  @property
  def size(self) -> tuple[int, int]:
    """Working `(width, height)`."""
    return self.images.shape[2], self.images.shape[1]


@struct.dataclass
class FeatureMaps:
  """Visual features of every view on their own patch grid.

  grid: `[V, h, w, F]` float16 or float32.
  source: what made them: `local`, `precomputed`, `dino-vits8`, ... (names table rows).
  extent: `(x0, y0, x1, y1)`, the part of the image that the cells tile evenly, in
    fractions of its width and height; cell `(i, j)` describes the patch centred at
    `(x0 + (j + 0.5) (x1 - x0) / w, y0 + (i + 0.5) (y1 - y0) / h)`.
  origin: where they are kept and what they took, for people (one line).
  """

  grid: Array
  source: str = struct.field(pytree_node=False, default="")
  extent: tuple[float, float, float, float] = struct.field(
      pytree_node=False, default=(0.0, 0.0, 1.0, 1.0))
  origin: str = struct.field(pytree_node=False, default="")

  def __repr__(self) -> str:
    views, height, width, channels = np.shape(self.grid)
    return (f"FeatureMaps({self.source!r}, {views} views of {width}x{height} cells, "
            f"{channels} channels)")


@struct.dataclass
class Click:
  """One labelled pixel.

  frame: frame name, as in `Scene.frames`.
  x, y: column and row in pixels of the full-resolution image, origin top left.
  class_id: the class it is given.
  """

  frame: str = struct.field(pytree_node=False)
  x: int = struct.field(pytree_node=False)
  y: int = struct.field(pytree_node=False)
  class_id: int = struct.field(pytree_node=False)


@struct.dataclass
class Scribble:
  """A line of labelled pixels.

  points: `(x, y)` that it runs through, as of a `Click`; width: in those pixels.
  """

  frame: str = struct.field(pytree_node=False)
  points: tuple[tuple[int, int], ...] = struct.field(pytree_node=False)
  class_id: int = struct.field(pytree_node=False)
  width: int = struct.field(pytree_node=False, default=1)


@struct.dataclass
class Mask:
  """A picture of labelled pixels.

  file: its name, below the folder of the clicks file.
  ids: `[h, w]` integers, of the shape of the photograph and of any size.
  class_id: of all pixels that are not 0; None: `ids` are classes.
  """

  frame: str = struct.field(pytree_node=False)
  file: str = struct.field(pytree_node=False)
  ids: np.ndarray = struct.field(pytree_node=False, compare=False)
  class_id: int | None = struct.field(pytree_node=False, default=None)


@struct.dataclass
class Clicks:
  """A clicks file in memory.

  classes: class id to name.
  positive: clicks that say "this is that class".
  negative: clicks that say "this is not that class".
  scribbles, masks: that say the same as positive clicks on all their pixels.
  """

  classes: dict[int, str] = struct.field(pytree_node=False)
  positive: tuple[Click, ...] = struct.field(pytree_node=False)
  negative: tuple[Click, ...] = struct.field(pytree_node=False, default=())
  scribbles: tuple[Scribble, ...] = struct.field(pytree_node=False, default=())
  masks: tuple[Mask, ...] = struct.field(pytree_node=False, default=())
