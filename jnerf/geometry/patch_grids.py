"""Looking up what is kept on a coarse grid over an image, such as visual features.

Functions take `xnp=jnp` or `xnp=np`.
"""

from __future__ import annotations

import jax.numpy as jnp


def sample_features(grid, view, xy, xnp=jnp, extent=(0.0, 0.0, 1.0, 1.0)):
  """`[N, F]` float32 features, bilinear between the centres of their patches.

  grid: `[V, h, w, F]`; view: `[N]` integers; xy: `[N, 2]` in [0, 1], the whole
  image from its top left corner; extent: `FeatureMaps.extent`. Beyond the outermost
  centres the outermost patch holds.
  """
  height, width = grid.shape[1:3]
  x0, y0, x1, y1 = extent
  column, right, right_share = _neighbours((xy[:, 0] - x0) / (x1 - x0), width, xnp)
  row, below, below_share = _neighbours((xy[:, 1] - y0) / (y1 - y0), height, xnp)

  def corner(i, j):
    return grid[view, i, j].astype(xnp.float32)

  above = corner(row, column) * (1 - right_share) + corner(row, right) * right_share
  under = corner(below, column) * (1 - right_share) + corner(below, right) * right_share
  return above * (1 - below_share) + under * below_share


def _neighbours(position, num: int, xnp):
  """Cells beside `position [N]` in [0, 1]: `(low [N], high [N], high's share [N, 1])`."""
  centre = xnp.clip(position.astype(xnp.float32) * num - 0.5, 0, num - 1)
  low = xnp.floor(centre).astype(xnp.int32)
  return low, xnp.minimum(low + 1, num - 1), (centre - low)[:, None].astype(xnp.float32)
