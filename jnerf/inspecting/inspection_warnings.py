"""Warnings: what the user should know about a capture before waiting for a fit.

Everything takes the plain values that `inspection.inspect_scene` gathers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jnerf.inspecting.baselines import NO_PARALLAX, median_of


def warnings_of(result: dict) -> list[str]:
  """One line each: what is wrong, and where there is a mend, the mend."""
  return [*_of_extent(result), *_of_frames(result), *_of_cameras(result),
          *_of_photos(result["photos"]), *_of_classes(result)]


def _of_extent(result: dict) -> Iterator[str]:
  if result["views"]["test"] == 0:
    yield "no test views: nothing can be evaluated; set scene.test_every"
  if "depth" not in result:
    guessed = [f"scene.{key}" for key, origin in result["extent_from"].items()
               if origin == "cameras"]
    yield "no depth: depth is not evaluated" + (
        f", and guesses from the cameras must do: look at cameras.png, and set "
        f"{', '.join(guessed)} where they are wrong" if guessed else "")
  elif result["depth"]["known"] < 0.5:
    yield f"depth is known for {result['depth']['known']:.0%} of pixels only"
  outside = result["cameras"]["outside_bounds"]
  if 0 < len(outside) < result["views"]["all"] and not result["unbounded"]:
    yield f"{len(outside)} cameras are outside scene.bounds: {_some(outside)}"
  cover = result.get("coverage")
  if cover and cover["in_bounds"] < 0.98:
    yield (f"{1 - cover['in_bounds']:.0%} of the test views' surface is outside "
           "scene.bounds")


def _of_frames(result: dict) -> Iterator[str]:
  pairs = result["equal_frames"]
  for a, b in pairs[:5]:
    yield f"frames {a} and {b} are nearly equal"
  if len(pairs) > 5:
    yield f"{len(pairs) - 5} more pairs are nearly equal"


def _of_cameras(result: dict) -> Iterator[str]:
  baselines, cover = result["baselines"], result.get("coverage")
  angle = median_of(baselines["views"], "triangulation")
  if angle is not None and angle < NO_PARALLAX:
    yield (f"the cameras stand nearly in one place (what they share they see at most "
           f"{angle:.2g} degrees apart): no parallax, depth cannot be found; step "
           "sideways between photographs")
  if isolated := baselines["isolated"]:
    yield (f"{_count(isolated, 'looks', 'look')} at nothing that another training frame "
           f"sees: {_some(isolated)}; leave out, or photograph what lies between")
  if cover and cover["seen"] < 0.9:
    yield f"training views see only {cover['seen']:.0%} of what test views see"
  shared = baselines["test_shared"]
  if not cover and shared is not None and shared < 0.9:
    yield (f"training views are turned to only {shared:.0%} of what test views are "
           "turned to")


def _of_photos(photos: dict) -> Iterator[str]:
  if blurred := photos["blurred"]:
    names = [f"{row['frame']} ({row['lost']:.0%} of fine detail lost)" for row in blurred]
    yield (f"{_count(blurred, 'is', 'are')} blurred beside the frames around: "
           f"{_some(names)}; leave out or photograph again")
  if exposed := photos["exposed"]:
    names = [f"{row['frame']} ({abs(row['stops']):.1f} stops "
             f"{'brighter' if row['stops'] > 0 else 'darker'})" for row in exposed]
    yield (f"{_count(exposed, 'is', 'are')} exposed unlike the frames around: "
           f"{_some(names)}; leave out, or lock the camera's exposure")
  clipped = photos["clipped_frames"]
  if 0 < len(clipped) < len(photos["clipped"]) / 2:  # else it is the background's colour
    names = [f"{row['frame']} ({row['share']:.0%})" for row in clipped]
    yield (f"{_count(clipped, 'has', 'have')} large parts that are pure white or black, "
           f"where nothing can be told apart: {_some(names)}")


def _of_classes(result: dict) -> Iterator[str]:
  if "classes" not in result:
    yield "no labels: clicks must be given, labels are not evaluated"
  for row in result.get("classes", ()):
    if row["train_frames"] == 0:
      yield f"class {row['id']} ({row['name']}) is seen in test frames only"
    elif row["test_frames"] == 0 and result["views"]["test"]:
      yield f"class {row['id']} ({row['name']}) is seen in no test frame"


def _count(frames: Sequence, one: str, several: str) -> str:
  return f"1 frame {one}" if len(frames) == 1 else f"{len(frames)} frames {several}"


def _some(names: Sequence[str]) -> str:
  return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
