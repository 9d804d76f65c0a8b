"""What docs/adding.md shows works as it stands: its examples are run and used here."""

import json
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest
import tiny_models

from jnerf.errors import InputError
from jnerf.fields.field import Field
from jnerf.fields.fitted import FittedField
from jnerf.fields.kinds import FIELDS
from jnerf.geometry.poses import look_at
from jnerf.labeling.labeler import fit_labeler
from jnerf.labeling.labels import Labels, LabelSet
from jnerf.labeling.methods import METHODS, make_method
from jnerf.scenes.load import LAYOUTS, SceneSettings, load_scene
from jnerf.settings import check_settings
from jnerf.shaping.contrast import Recipe
from jnerf.shaping.renderer import ViewRenderer
from jnerf.training import objective as objective_lib
from jnerf.training import state as state_lib
from jnerf.training.loop import Training, train
from jnerf.training.step import train_step

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "adding.md"
TABLES = (objective_lib.TERMS, FIELDS, LAYOUTS, METHODS)


@pytest.fixture(scope="module")
def added():
  """The names that the page's examples define, run one after another as one program."""
  before = [dict(table) for table in TABLES]
  names = {"__name__": "adding"}
  for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
    exec(compile(block, str(PAGE), "exec"), names)
  yield names
  for table, entries in zip(TABLES, before, strict=True):
    table.clear()
    table.update(entries)


def test_a_setting_is_checked(added):
  check_settings(added["BlurSettings"](), "blur")
  with pytest.raises(InputError, match=r"^blur\.radius=-1\.0: must be at least 0$"):
    check_settings(added["BlurSettings"](radius=-1.0), "blur")


def step_logs(model, objective):
  """What one step of training logs."""
  optimizer = state_lib.make_optimizer(state_lib.Schedule())
  state = state_lib.create(model.init(jax.random.key(0)), optimizer, 0.5)
  return tiny_models.quick_jit(lambda state: train_step(
      state, tiny_models.batch(32), jax.random.key(1), model=model, optimizer=optimizer,
      objective=objective))(state)


def test_a_loss_term_counts_by_its_weight(added):
  model = tiny_models.grid()
  _, logs = step_logs(model, added["Objective"](emptiness_weight=0.5))
  _, without = step_logs(model, added["Objective"](emptiness_weight=0.0))
  assert 0 < logs["emptiness"] < 1 and "emptiness" not in without
  expected = without["loss"] + 0.5 * logs["emptiness"]
  assert float(logs["loss"]) == pytest.approx(float(expected), rel=1e-5)


def test_a_field_trains_is_shaped_and_labels(added):
  fog = FIELDS["fog"].make(tiny_models.SPACE, added["FogSettings"](samples=6))
  assert isinstance(fog, Field)
  schedule = state_lib.Schedule(steps=40, num_rays=32, learning_rate=0.05, warmup_steps=1)
  optimizer = state_lib.make_optimizer(schedule)
  objective = added["Objective"](emptiness_weight=0.0, recipe=Recipe())
  training = Training(fog, optimizer, objective, num_steps=40, num_rays=32,
                      steps_per_call=20)
  logs = []
  data = tiny_models.pixel_data()
  data = data.replace(images=np.full_like(data.images, 0.5))
  state = train(
      state_lib.create(fog.init(jax.random.key(0)), optimizer, 0.3), data,
      jax.random.key(0), training, on_call=lambda step, state, log: logs.append(log))
  assert logs[-1]["loss"] < 0.97 * logs[1]["loss"]
  assert {"contrast", "thickness"} <= set(logs[-1])
  field = FittedField(fog, state.params)
  clicked = ViewRenderer(fog, chunk=16).entities(field.params, tiny_models.rays(20))
  assert clicked.J.shape == (20, 9) and np.abs(clicked.J).max() > 0
  labels = LabelSet(Labels(np.zeros((20, 3), np.int64), 1 + np.arange(20) % 2))
  scores = fit_labeler(make_method("bayes"), clicked, labels).scores(clicked)
  assert scores.shape == (20, 2) and np.isfinite(scores).all()


def test_two_sampling_rounds_learn(added):
  model = added["two_rounds"](tiny_models.SPACE)
  params = tiny_models.lively_params(model)
  samples = tiny_models.quick_jit(model.sample)(params, tiny_models.rays(8))
  assert [p.weights.shape for p in samples.proposals] == [(8, 12), (8, 8)]
  assert (jnp.diff(samples.t, axis=1) >= 0).all()

  def interlevel(params):
    rays = tiny_models.rays(64)
    return model.regularizers(model.render(params, rays, model.sample(params, rays), 0.0)
                              )["interlevel"]

  slopes = tiny_models.quick_jit(jax.grad(interlevel))(params)["sampler"]
  assert all(float(jnp.abs(slopes[name]).max()) > 0
             for name in ("density_grid", "density_grid_1"))


def test_a_format_is_recognised_and_read(added, tmp_path):
  entries = []
  for i in range(3):
    Image.fromarray(np.full((16, 16, 3), 60 * i, np.uint8)).save(tmp_path / f"{i}.png")
    entries.append({"file": f"{i}.png", "focal": 20.0,
                    "pose": look_at((2, i, 1), (0, 0, 0)).reshape(-1).tolist()})
  (tmp_path / "cameras.json").write_text(json.dumps(entries))
  scene = load_scene(SceneSettings(path=str(tmp_path), test_every=3))
  assert scene.frames == ("0", "1", "2") and scene.size == (16, 16)
  assert "the pairs layout" in scene.source and scene.test.tolist() == [0]
  np.testing.assert_allclose(scene.images[2], 120 / 255, atol=1e-6)


def test_a_method_labels(added):
  model = tiny_models.grid()
  entities = ViewRenderer(model, rows=None, chunk=16).entities(
      tiny_models.lively_params(model), tiny_models.rays(16))
  labels = LabelSet(Labels(np.zeros((16, 3), np.int64), np.repeat([4, 9], 8)))
  method = make_method("nearest-color", {"sharpness": 2.0})
  scores = np.asarray(fit_labeler(method, entities, labels).scores(entities))
  means = [entities.rgb[:8].mean(axis=0), entities.rgb[8:].mean(axis=0)]
  for k, mean in enumerate(means):
    np.testing.assert_allclose(scores[:, k], -2 * np.sum((entities.rgb - mean) ** 2, 1),
                               atol=1e-6)
