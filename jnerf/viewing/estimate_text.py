"""An estimate of memory and time as text."""

from __future__ import annotations

from jnerf.training.progress import duration


def format_estimate(estimate: dict) -> list[tuple[str, str]]:
  """`(subject, text)` of every stage, of rendering and of all.

  estimate: as `runs.estimate.estimate` gives it.
  """
  lines = []
  for name, stage in estimate["stages"].items():
    data = size_text(stage["data_bytes"]) + ("" if stage["on_device"] else " on the host")
    lines.append((name, (
        f"{stage['steps']} steps: {about(stage['seconds'])} "
        f"({1e3 * stage['step_seconds']:.3g} ms a step, measured over "
        f"{stage['measured_steps']}), memory {size_text(stage['memory_bytes'])} "
        f"(data {data}, parameters {size_text(stage['state_bytes'])}, step "
        f"{size_text(stage['temp_bytes'])})")))
  if rendering := estimate.get("rendering"):
    labelled = rendering["labelled_views"]
    lines.append(("rendering", (
        f"{about(rendering['seconds'])} ({rendering['view_seconds']:.2g} s a view) "
        f"for {rendering['test_views']} test views by {rendering['fields']} fields"
        + (f" and {labelled} views to label" if labelled else ""))))
  if estimate["stages"]:
    memory = estimate["device_bytes"] or estimate["host_bytes"]
    lines.append(("in all", (
        f"{about(estimate['seconds'])} on {estimate['num_devices']} x "
        f"{estimate['device']}, {estimate['cores']} cores"
        + (f", {size_text(memory)} of memory" if memory else "")
        + (f", busy with other work too (load {estimate['load']:.1f}), else faster"
           if estimate["load"] > 0.5 else "")
        + f"; this estimate itself took {size_text(estimate['peak_bytes'])} at most, "
        f"{size_text(estimate['scene_bytes'])} of it the scene. Features, labelling and "
        "scores come on top")))
  return lines


def size_text(number: float) -> str:
  """Bytes as MiB or GiB, to two digits or three."""
  if number < 1000 * 2**20:
    return f"{number / 2**20:.0f} MiB"
  return f"{number / 2**30:.{0 if number >= 99 * 2**30 else 1}f} GiB"


def about(seconds: float) -> str:
  """A duration of two digits: no more exact than an estimate is."""
  return f"about {duration(float(f'{max(seconds, 1):.2g}'))}"
