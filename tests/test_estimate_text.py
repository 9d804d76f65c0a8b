"""An estimate as text: what is said of each stage, and of all."""

import pytest

from jnerf.viewing.estimate_text import about, format_estimate, size_text

ESTIMATE = {
    "stages": {"fit": {
        "steps": 1500, "seconds": 130.4, "step_seconds": 0.0869, "measured_steps": 5,
        "data_bytes": 3 * 2**20, "on_device": False, "memory_bytes": 2**30,
        "state_bytes": 5 * 2**20, "temp_bytes": 7 * 2**20}},
    "rendering": {"seconds": 12.0, "view_seconds": 0.512, "test_views": 4, "fields": 2,
                  "labelled_views": 0},
    "seconds": 142.4, "num_devices": 1, "device": "cpu", "cores": 2, "load": 0.1,
    "device_bytes": None, "host_bytes": 8 * 2**30, "peak_bytes": 100 * 2**20,
    "scene_bytes": 2**20}


def test_every_stage_and_all_together():
  lines = dict(format_estimate(ESTIMATE))
  assert lines["fit"] == (
      "1500 steps: about 2 min 10 s (86.9 ms a step, measured over 5), memory 1.0 GiB "
      "(data 3 MiB on the host, parameters 5 MiB, step 7 MiB)")
  assert lines["rendering"] == (
      "about 12 s (0.51 s a view) for 4 test views by 2 fields")
  assert lines["in all"].startswith(
      "about 2 min 20 s on 1 x cpu, 2 cores, 8.0 GiB of memory; this estimate itself "
      "took 100 MiB at most, 1 MiB of it the scene.")


def test_what_is_not_known_or_not_asked_is_left_out():
  busy = ESTIMATE | {"load": 1.5, "host_bytes": None}
  text = dict(format_estimate(busy))["in all"]
  assert "busy with other work too (load 1.5)" in text and "of memory;" not in text
  labelled = ESTIMATE["rendering"] | {"labelled_views": 9}
  assert dict(format_estimate(ESTIMATE | {"rendering": labelled}))["rendering"].endswith(
      "by 2 fields and 9 views to label")
  assert format_estimate({"stages": {}}) == []


@pytest.mark.parametrize("number, text", [
    (0, "0 MiB"), (999 * 2**20, "999 MiB"), (1000 * 2**20, "1.0 GiB"),
    (98.96 * 2**30, "99.0 GiB"), (128 * 2**30, "128 GiB")])
def test_sizes(number, text):
  assert size_text(number) == text


@pytest.mark.parametrize("seconds, text", [
    (0.1, "about 1.0 s"), (75.4, "about 1 min 15 s"), (240, "about 4 min"),
    (904, "about 15 min"), (7249, "about 2 h")])
def test_estimates_are_not_more_exact_than_they_are(seconds, text):
  assert about(seconds) == text
