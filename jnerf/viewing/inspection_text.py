"""An inspection as text for a terminal: one subject a line, its name in front."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import textwrap

from jnerf.inspecting.baselines import median_of

WIDTH, INDENT = 100, 13  # columns of the text, and of what stands in front

# What a lens's coefficients are called, by how many follow fx, fy, cx, cy.
_LENS_NAMES = {4: ("k1", "k2", "k3", "k4"), 5: ("k1", "k2", "p1", "p2", "k3")}
_ORIGINS = {"depth": "from depth", "cameras": "guessed from the cameras",
            "given": "given by the config or the capture"}


def format_inspection(result: dict, needs: Sequence[tuple[str, str]] = (),
                      cost: Sequence[tuple[str, str]] = ()) -> str:
  """The result of `inspect_scene` as text, the class table and warnings included.

  needs, cost: further lines `(subject, text)`: what labelling needs, and how long the
    config takes on this machine and how much memory.
  """
  lines = [_wrapped(f"{result['name']}: {result['source']}", WIDTH), "",
           *_camera_lines(result), *_extent_lines(result), *_baseline_lines(result),
           *_coverage_lines(result), *_photo_lines(result["photos"])]
  if "instances" in result:
    lines.append(line("instances", str(result["instances"])))
  if "classes" in result:
    lines += ["", *_class_lines(result["classes"])]
  for block in (needs, cost):
    lines += ["", *(line(*pair) for pair in block)] if block else []
  lines += ["", *(f"warning: {w}" for w in result["warnings"])]
  return "\n".join(lines).rstrip() + "\n"


def line(subject: str, text: str) -> str:
  """The subject, and the text beside it, wrapped.

  A text without a subject belongs to the line above; it is something to copy, such as a
  command, and is not wrapped.
  """
  if subject:
    text = _wrapped(text, WIDTH - INDENT).replace("\n", "\n" + INDENT * " ")
  return f"{subject:<{INDENT}}{text}"


def _camera_lines(result: dict) -> Iterator[str]:
  views, cameras = result["views"], result["cameras"]
  size, full = ("x".join(map(str, result[key])) for key in ("size", "full_size"))
  fx, fy, cx, cy, *lens = result["intrinsics"]
  yield line("views", f"{views['all']}: {views['train']} train, {views['test']} test")
  yield line("size", size + (f" (files {full})" if size != full else "")
             + (f", {result['masked']:.1%} of pixels masked" if result["masked"] else ""))
  yield line("intrinsics", f"fx {fx:.2f}  fy {fy:.2f}  cx {cx:.2f}  cy {cy:.2f}  "
             f"({result['hfov']:.1f} degrees wide)"
             + ("" if result["one_camera"] else ", median"))
  if lens:
    yield line("lens", "  ".join(f"{name} {value:.4g}" for name, value in zip(
        _LENS_NAMES[len(lens)], lens, strict=True)))
  yield line("cameras", f"within {_vector(cameras['low'])} to "
             f"{_vector(cameras['high'])}, neighbours {cameras['spacing']:.3g} apart")


def _extent_lines(result: dict) -> Iterator[str]:
  origin, (low, high) = result["extent_from"], result["bounds"]
  near, far = (f"{result[key]:.3g}" for key in ("near", "far"))
  if origin["near"] == origin["far"]:
    yield line("near, far", f"{near}, {far} ({_ORIGINS[origin['near']]})")
  else:
    yield line("near, far", f"{near} ({_ORIGINS[origin['near']]}), {far} "
               f"({_ORIGINS[origin['far']]})")
  yield line("bounds", f"{_vector(low)} to {_vector(high)}"
             + (", and all of space beyond" if result["unbounded"] else "")
             + f" ({_ORIGINS[origin['bounds']]})")
  if "depth" in result:
    depth = result["depth"]
    yield line("depth", f"{depth['known']:.1%} of pixels, {depth['low']:.3g} to "
               f"{depth['high']:.3g}, median {depth['median']:.3g}")


def _baseline_lines(result: dict) -> Iterator[str]:
  baselines = result["baselines"]
  rows = baselines["views"]
  typical = {key: median_of(rows, key) for key in (
      "distance", "turn", "baseline", "triangulation", "depth")}
  if typical["distance"] is None:
    return
  what = "what is seen" if baselines["depth"] == "measured" else (
      f"what is seen, taken to be {typical['depth']:.3g} away")
  yield line("baselines", f"nearest training view {typical['distance']:.3g} away and "
             f"turned by {_degrees(typical['turn'])}: {typical['baseline']:.0%} of the "
             f"distance to {what} (medians)")
  if typical["triangulation"] is not None:
    least = min((row for row in rows if row["triangulation"] is not None),
                key=lambda row: row["triangulation"])
    yield line("parallax", "points that views share are seen from up to "
               f"{_degrees(typical['triangulation'])} apart (median; least in "
               f"{least['frame']}, {_degrees(least['triangulation'])})")


def _coverage_lines(result: dict) -> Iterator[str]:
  baselines = result["baselines"]
  if result.get("coverage"):
    cover = result["coverage"]
    yield line("coverage", f"{cover['seen']:.1%} of the test views' surface is seen in "
               f"training, {cover['seen_by_three']:.1%} by 3 views or more "
               f"(median {cover['median_views']:.0f}); {cover['in_bounds']:.1%} lies "
               "in the bounds")
  elif baselines["test_shared"] is not None:
    yield line("coverage", f"{baselines['test_shared']:.0%} of what the test views are "
               "turned to is before a training view too, "
               f"{baselines['test_shared_by_three']:.0%} before 3 or more (whether "
               "something hides it there is not known without depth)")
  tests = [row for row in baselines["views"]
           if row["is_test"] and row["nearest_angle"] is not None]
  if tests:
    worst = max(tests, key=lambda row: row["nearest_angle"])
    yield line("test views", f"{_degrees(median_of(tests, 'nearest_angle'))} from the "
               f"nearest training view that sees the same (median; most in "
               f"{worst['frame']}, {_degrees(worst['nearest_angle'])})")


def _photo_lines(photos: dict) -> Iterator[str]:
  def count(rows):
    return str(len(rows) or "none")

  clipped = [share for share in photos["clipped"] if share is not None]
  mean = sum(clipped) / max(len(clipped), 1)
  yield line("photos", f"compared with the frames around: {count(photos['blurred'])} "
             f"blurred, {count(photos['exposed'])} exposed otherwise; {mean:.1%} of "
             "pixels are pure white or black")


def _class_lines(classes: Sequence[dict]) -> list[str]:
  width = max([len(row["name"]) for row in classes] + [5])
  head = f"{'id':>5}  {'class':<{width}}  {'pixels':>7}  train  test frames"
  lines = [head + ("  instances" if classes and "instances" in classes[0] else "")]
  for row in sorted(classes, key=lambda row: -row["pixels"]):
    lines.append(f"{row['id']:>5}  {row['name']:<{width}}  {row['pixels']:>7.2%}  "
                 f"{row['train_frames']:>5}  {row['test_frames']:>11}"
                 + (f"  {row['instances']:>9}" if "instances" in row else ""))
  return lines


def _wrapped(text: str, width: int) -> str:
  return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)


def _degrees(angle: float) -> str:
  return f"{angle:.{0 if angle >= 9.95 else 1}f} degrees"


def _vector(values: Sequence[float]) -> str:
  return "(" + ", ".join(f"{v:.2f}" for v in values) + ")"
