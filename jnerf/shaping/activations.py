"""Per-entity activations `[N, H]`: what feeds the layer `rgb`, as it is rendered.

An entity is a ray or a 3D point, hidden `[N, S, H]` the input of `rgb`. The activation
of a ray is `sum_s weights_s hidden_s`, of a point its own hidden. It is a gradient too,
and the colour-free part of the one that is shaped otherwise:

 - It is the derivative of the ray's rendered logit of any one channel, `sum_s weights_s
   logits_s`, with respect to that channel's column of the `rgb` kernel. So all that is
   said of cosines of gradients holds: under noise on that kernel two rendered logits
   correlate by the cosine of their activations.
 - `jacobians.closed_form`, for the colour's mean, is `sum_s weights_s c_s (1 - c_s) / 3
   (x) hidden_s`. Where one colour holds along the ray, as at a point, that is the
   activation (x) the colour's slope, and its cosine the product of both cosines.

So how bright a pixel is, and in which channel, counts only as far as hidden tells it. A
change of the `rgb` layer, such as a nudge that recolours an entity, leaves activations
as they were; a change of density, or of the layers before, does not. And they are a
third as wide.
"""

from __future__ import annotations

from jnerf.rendering import compositing
from jnerf.structs import Rendering


def of_rays(rendering: Rendering):
  """`[N, H]` of rays; zero for a ray that meets nothing."""
  return compositing.composite(rendering.weights, rendering.hidden)


def of_points(output):
  """`[N, H]` of points, from the `FieldOutput` of N rays with one sample each."""
  return output.hidden[:, 0]
