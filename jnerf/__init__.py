"""jnerf: label, select and edit a whole 3D scene from a handful of clicks.

`import jnerf` alone is enough: the names below are loaded when they are first used, so
that the import itself takes no time. What each does: `jnerf.api`.
"""

import importlib

__version__ = "0.1.0"

_HOMES = {
    "jnerf.api": (
        "OpenRun", "draw_clicks", "find_regions", "fit", "fit_labeler", "load_features",
        "load_scene", "open_run", "render_view", "respond", "score_labels", "shape"),
    "jnerf.errors": ("InputError",),
    "jnerf.evaluating.metrics": ("psnr",),
    "jnerf.fields.fitted": ("FittedField",),
    "jnerf.fields.kinds": ("GridSettings", "MlpSettings"),
    "jnerf.labeling.labeler": ("LabelMap",),
    "jnerf.labeling.labels": ("LabelSet", "Labels"),
    "jnerf.runs.config": ("default_config",),
    "jnerf.scenes.room.room": ("RoomSettings",),
    "jnerf.shaping.contrast": ("Contrast", "Recipe"),
    "jnerf.shaping.pairs": ("PairRule",),
    "jnerf.shaping.rows": ("RowKind",),
    "jnerf.shaping.scene_regions": ("RegionSettings",),
    "jnerf.structs": ("Click", "Clicks", "Scene"),
    "jnerf.training.state": ("Schedule",),
    "jnerf.viewing.images": ("error_image", "mark_pixel", "response_image", "to_uint8"),
    "jnerf.viewing.palette": ("label_image",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}
__all__ = sorted(_HOME)


def __getattr__(name):
  if name not in _HOME:
    raise AttributeError(f"module 'jnerf' has no attribute {name!r}")
  return getattr(importlib.import_module(_HOME[name]), name)


def __dir__():
  return [*__all__, "__version__"]
