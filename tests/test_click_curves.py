"""mIoU against clicks: which numbers are drawn, and that a picture comes of them."""

from PIL import Image

from jnerf.viewing.click_curves import click_curves, write_click_curves

GROUPS = [
    {"method": "regions", "field": "shaped", "protocol": protocol, "dimension": dimension,
     "miou": (mean, spread)}
    for protocol, dimension, mean, spread in (
        ("clicks-10", "2d", 0.6, 0.02), ("clicks-1", "2d", 0.3, None),
        ("clicks-3", "2d", 0.5, 0.05), ("clicks-3", "3d", 0.9, 0.05),
        ("sparse", "2d", 0.2, 0.05))]


def test_points_are_ordered_and_of_one_dimension():
  assert click_curves(GROUPS, "2d") == {("regions", "shaped"): [
      (1, 0.3, 0.0), (3, 0.5, 0.05), (10, 0.6, 0.02)]}
  assert click_curves(GROUPS, "3d") == {("regions", "shaped"): [(3, 0.9, 0.05)]}


def test_a_picture_is_written(tmp_path):
  write_click_curves(tmp_path / "curves.png", GROUPS)
  with Image.open(tmp_path / "curves.png") as picture:
    assert picture.width > 600 and len(picture.convert("RGB").getcolors(1 << 20)) > 50
