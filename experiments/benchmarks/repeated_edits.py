"""Do labels survive edits of the field? The same clicks, after nudge upon nudge.

What: moves the `rgb` kernel of a finished run's field, again and again, along the mean
gradient of the colours of one class, as an edit that brightens an entity does, and
labels random test pixels after 0, 1, 4 and 16 such nudges: by the clicks as they are seen
then (`again`), and by what was learnt from them before the first nudge (`kept`). Means
over the clicks' seeds and the edited classes. Rows are what the run aligned:

  for align in gradients activations; do
    python -m jnerf.main --config=experiments/room.py --workdir=runs/$align \
        --config.shape.align=$align
    python experiments/benchmarks/repeated_edits.py --workdir=runs/$align
  done

Time: about 2 minutes each on 2 CPU cores beside the runs. Figures:
experiments/results/repeated_edits.md
"""

from absl import app, flags, logging
import jax
import jax.numpy as jnp
import numpy as np

import jnerf
from jnerf.evaluating.metrics import confusion_matrix, segmentation_scores
from jnerf.labeling.labeler import fit_labeler
from jnerf.labeling.labels import LabelSet
from jnerf.labeling.seeds import mean_gradient_seeds
from jnerf.runs import parts
from jnerf.runs.labelling import label_sets
from jnerf.runs.run import STAGE_OF_FIELD
from jnerf.scenes.rays import rays_of_pixels
from jnerf.shaping.renderer import ViewRenderer, take

_WORKDIR = flags.DEFINE_string("workdir", "runs/room", "Folder of a finished run.")
_FIELD = flags.DEFINE_enum("field", "shaped", list(STAGE_OF_FIELD), "Which field.")
_STEP = flags.DEFINE_float("step", 0.5, "Length of a nudge.")
_CLASSES = flags.DEFINE_integer("classes", 4, "How many are edited, one at a time.")
_PIXELS = flags.DEFINE_integer("pixels", 8192, "Test pixels that are labelled.")
_METHODS = ("cosine", "bayes")
_AFTER = (0, 1, 4, 16)


def main(argv) -> None:
  """Prints the table."""
  del argv
  logging.set_verbosity(logging.WARNING)  # Orbax tells all it does
  opened = jnerf.open_run(_WORKDIR.value)
  scene, config = opened.scene, opened.run.config
  field = opened.field(_FIELD.value)
  params = field.params
  renderer = parts.renderer_of(config, field.model, field.background)
  colours = ViewRenderer(field.model, chunk=renderer.chunk)  # its gradients are followed
  sets = [s for s in label_sets(config, scene) if s.protocol == "sparse"]
  rng = np.random.default_rng(0)
  height, width = scene.semantic.shape[1:]
  pixels = np.stack([rng.choice(scene.test, _PIXELS.value),
                     rng.integers(0, height, _PIXELS.value),
                     rng.integers(0, width, _PIXELS.value)], axis=1)
  rays, truth = rays_of_pixels(scene, pixels), scene.semantic[tuple(pixels.T)]
  clicks = rays_of_pixels(scene, np.concatenate([s.labels.pixels for s in sets]))
  methods = {name: parts.method_of(config, name) for name in _METHODS}

  def rendered(params):
    return renderer.entities(params, clicks), renderer.entities(params, rays)

  before = rendered(params)
  labelers = fitted(sets, methods, before[0])
  edited = rng.choice(sets[0].labels.classes, _CLASSES.value, replace=False)
  print(f"{config.shape.align}, {_FIELD.value} field, nudges of {_STEP.value} "
        f"along each of {len(edited)} classes; mean |change of RGB| of the class, of all "
        "else; mIoU again, kept")
  fields = dict.fromkeys(edited, params)
  for num in range(_AFTER[-1] + 1):
    if num:
      fields = {c: nudged(colours, field, sets, c, clicks) for c, field in fields.items()}
    if num in _AFTER:
      rows = []
      for class_id, field in fields.items():
        clicked, now = rendered(field)
        moved = np.abs(now.rgb - before[1].rgb).mean(axis=1)
        rows.append([moved[truth == class_id].mean(), moved[truth != class_id].mean(),
                      *miou(fitted(sets, methods, clicked), now, truth),
                      *miou(labelers, now, truth)])
      inside, outside, *scores = np.mean(rows, axis=0)
      again, kept = np.split(np.array(scores), 2)
      print(f"  {num:2d} nudges  {inside:.3f} {outside:.3f}  " + "  ".join(
          f"{name} {a:.3f} {b:.3f}" for name, a, b in zip(_METHODS, again, kept)))


def nudged(colours: ViewRenderer, params, sets: list[LabelSet], class_id: int,
           clicks):
  """Params whose `rgb` kernel went one step along the class's mean gradient."""
  ids = np.concatenate([s.labels.class_ids for s in sets])
  J = colours.gradients(params, clicks)
  direction = mean_gradient_seeds(jnp.asarray(J), ids, np.array([class_id]))[:, 0]
  kernel = params["field"]["rgb"]["kernel"]
  moved = kernel + _STEP.value * direction.reshape(kernel.shape)
  return {**params, "field": {**params["field"], "rgb": {
      **params["field"]["rgb"], "kernel": moved}}}


def fitted(sets, methods, clicked) -> dict:
  """Method's name to its labelers, one for each set."""
  labelers, end = {name: [] for name in methods}, 0
  for label_set in sets:
    start, end = end, end + len(label_set.labels.class_ids)
    for name, method in methods.items():
      labelers[name].append(fit_labeler(method, take(clicked, slice(start, end)),
                                        label_set))
  return labelers


def miou(labelers, entities, truth) -> list[float]:
  """Of every method, the mean over the sets."""
  entities, means = jax.tree.map(jnp.asarray, entities), []
  for of_method in labelers.values():
    scores = []
    for labeler in of_method:
      best = np.argmax(labeler.scores(entities), axis=-1)
      confusion = confusion_matrix(labeler.class_ids[best], truth, int(truth.max()) + 1)
      scores.append(segmentation_scores(confusion, labeler.class_ids.tolist())["miou"])
    means.append(float(np.mean(scores)))
  return means


if __name__ == "__main__":
  app.run(main)
