"""Settings: what is refused before any data is read, and how it says so."""

import pytest

from jnerf.errors import InputError
from jnerf.fields.spaces import Box
from jnerf.runs import parts
from jnerf.runs.config import default_config, validate


def test_defaults_are_valid():
  config = default_config()
  validate(config)
  assert config == default_config()  # and left as they were


@pytest.mark.parametrize("changes", [
    {"field.kind": "cube"},
    {"fit.steps": 0},
    {"fit.learning_rate": 0.0},
    {"fit.learning_rate": float("nan")},
    {"shape.contrast_weight": -1.0},
    {"shape.norm_weight": float("inf")},
    {"scene.hfov": 180.0},
    {"scene.near": 2.0, "scene.far": 1.0},
    {"scene.test_offset": 8, "scene.test_every": 8},
    {"scene.bounds": (0.0, 0.0, 0.0, 1.0, 1.0)},
    {"scene.bounds": (0.0, 0.0, 0.0, 1.0, 1.0, 0.0)},
    {"fit.steps": 1511},
    {"fit.final_learning_rate": 1.0},
    {"field.grid.finest": 8},
    {"shape.contrast_rays": 1},
    {"shape.contrast_rays": 2048},
    {"shape.max_positives": 0.01},
    {"shape.threshold": 1.5},
    {"shape.params": ""},
    {"features.local.scales": ()},
    {"label.protocols": ("sparse", "clicks-0")},
    {"label.methods": ("cosine", "magic")},
    {"label.methods": ()},
    {"label.primary": "bayes", "label.methods": ("cosine",)},
    {"label.dimensions": ("4d",)},
    {"label.protocols": ("merged-",)},
    {"label.directions": "median_gradient"},
    {"label.directions": "k_means", "label.position_scale": 0.1,
     "label.methods": ("regions", "paper")},
    {"label.response": "4d"},
    {"label.response": "3d", "label.methods": ("regions", "paper"),
     "shape.params": "field/trunk/.*"},
    {"shape.align": "colours"},
    {"shape.params": "field/density/.*", "shape.align": "activations"},
    {"shape.jacobian": "sketch", "shape.align": "activations"},
    {"shape.value_channel": "random", "shape.align": "activations"},
    {"label.methods": ("regions", "paper"), "shape.align": "activations"},
    {"label.position_scale": -1.0},
    {"label.num_centres": 0},
    {"label.mlp.width": 0},
    {"label.mlp.learning_rate": 0.0},
    {"label.min_confidence": 1.5},
    {"label.proposals": -1},
    {"label.edge_passes": -1},
    {"label.edge_passes": 40},
    {"label.edge_color_scale": 0.0},
    {"label.edge_depth_scale": 0.0},
    {"label.session": "s.json", "label.clicks": "c.json"},
    {"runtime.steps_per_call": 0},
])
def test_one_line_names_the_key(changes):
  config = default_config()
  config.update_from_flattened_dict(changes)
  with pytest.raises(InputError) as caught:
    validate(config)
  message = str(caught.value)
  assert message.startswith(next(iter(changes))) and "must" in message
  assert "\n" not in message


def test_activations_go_with_all_else_that_is_shaped_and_labelled():
  config = default_config()
  config.shape.update(align="activations", entities="points", similarity="dot",
                      norm_weight=0.1, position_scale=0.5)
  config.label.methods = ("regions", "cosine", "bayes", "mlp")
  validate(config)


def test_unknown_keys_and_other_types_fail_at_once():
  config = default_config()
  with pytest.raises(AttributeError):
    config.fit.step = 3
  with pytest.raises(TypeError):
    config.fit.steps = "3"


def test_a_quick_try_needs_no_setting_but_its_steps():
  config = default_config()
  config.update_from_flattened_dict({"fit.steps": 20, "shape.steps": 10})
  validate(config)
  model = parts.model_of(config, Box(((0.0,) * 3, (1.0,) * 3)))
  for stage, steps in (("fit", 20), ("shape", 10)):
    training = parts.training_of(config, model, stage)
    assert training.num_steps == training.steps_per_call == steps
  assert parts.schedule_of(config, "fit").warmup == 10  # of 50
  config.fit.steps = 1510
  validate(config)
  assert parts.training_of(config, model, "fit").steps_per_call == 10
  config.fit.steps, config.fit.warmup_steps = 60, 50
  assert parts.schedule_of(config, "fit").warmup == 50
