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

from jnerf.evaluating.metrics import confusion_matrix, segmentation_scores
from jnerf.labeling import views
from jnerf.labeling.assignment import label_map
from jnerf.labeling.seeds import mean_gradient_seeds
from jnerf.runs.workdir import Workdir
from jnerf.shaping.contrast import Recipe
from jnerf.stages import labels as labels_lib
from jnerf.stages.labels import LabelSet
from jnerf.stages.session import STAGE_OF_FIELD, Session
from jnerf.stages.training import trained_params

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
  workdir = Workdir(_WORKDIR.value)
  session = Session(workdir.read_config(), workdir)
  scene, renderer = session.scene, labels_lib.view_renderer(session)
  params = trained_params(session, STAGE_OF_FIELD[_FIELD.value])
  colours = views.ViewRenderer(session.model, Recipe(), renderer.chunk,
                               renderer.background)  # whose gradients are followed
  sets = [s for s in labels_lib.label_sets(session) if s.protocol == "sparse"]
  rng = np.random.default_rng(0)
  height, width = scene.semantic.shape[1:]
  pixels = np.stack([rng.choice(scene.test, _PIXELS.value),
                     rng.integers(0, height, _PIXELS.value),
                     rng.integers(0, width, _PIXELS.value)], axis=1)
  rays, truth = views.rays_of_pixels(scene, pixels), scene.semantic[tuple(pixels.T)]
  clicks = views.rays_of_pixels(scene, np.concatenate([s.labels.pixels for s in sets]))
  methods = {name: labels_lib.assignment(session, name) for name in _METHODS}

  def rendered(params):
    return renderer.entities(params, clicks), renderer.entities(params, rays)

  before = rendered(params)
  states = fitted(sets, methods, before[0])
  edited = rng.choice(sets[0].labels.classes, _CLASSES.value, replace=False)
  print(f"{session.config.shape.align}, {_FIELD.value} field, nudges of {_STEP.value} "
        f"along each of {len(edited)} classes; mean |change of RGB| of the class, of all "
        "else; mIoU again, kept")
  fields = dict.fromkeys(edited, params)
  for num in range(_AFTER[-1] + 1):
    if num:
      fields = {c: nudged(colours, field, sets, c, clicks) for c, field in fields.items()}
    if num in _AFTER:
      found = []
      for class_id, field in fields.items():
        clicked, now = rendered(field)
        moved = np.abs(now.rgb - before[1].rgb).mean(axis=1)
        found.append([moved[truth == class_id].mean(), moved[truth != class_id].mean(),
                      *miou(sets, methods, fitted(sets, methods, clicked), now, truth),
                      *miou(sets, methods, states, now, truth)])
      inside, outside, *scores = np.mean(found, axis=0)
      again, kept = np.split(np.array(scores), 2)
      print(f"  {num:2d} nudges  {inside:.3f} {outside:.3f}  " + "  ".join(
          f"{name} {a:.3f} {b:.3f}" for name, a, b in zip(_METHODS, again, kept)))


def nudged(colours: views.ViewRenderer, params, sets: list[LabelSet], class_id: int,
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
  """`(set's name, method)` to what the method learns from the set's pixels."""
  states, end = {}, 0
  for label_set in sets:
    start, end = end, end + len(label_set.labels.class_ids)
    part = views.rows_of(clicked, slice(start, end))
    for name, method in methods.items():
      states[label_set.name, name] = method.fit(
          part, label_set.labels.class_ids, np.array(label_set.labels.classes))
  return states


def miou(sets, methods, states, entities, truth) -> list[float]:
  """Of every method, the mean over the sets."""
  entities, means = jax.tree.map(jnp.asarray, entities), []
  for name, method in methods.items():
    scores = []
    for label_set in sets:
      classes = label_set.labels.classes
      found = label_map(method.scores(states[label_set.name, name], entities),
                        np.array(classes))
      confusion = confusion_matrix(np.asarray(found), truth, int(truth.max()) + 1)
      scores.append(segmentation_scores(confusion, classes)["miou"])
    means.append(float(np.mean(scores)))
  return means


if __name__ == "__main__":
  app.run(main)
