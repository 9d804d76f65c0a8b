"""Whether the binary files of a COLMAP model are as long as their counts say.

pycolmap believes every count. Measured with version 4.2 on damaged files: a count in
points3D.bin makes it allocate all memory there is, one in frames.bin loop for hours,
and what a file cut short lacks is filled with whatever memory holds. Once the counts
fit the files, what else is wrong ends in an exception. So files are walked here before
it sees them; that needs no second process, limits nothing and says what is wrong.
Text models hold no counts.

The formats are those of COLMAP's documentation: little endian, without padding.
"""

from __future__ import annotations

from collections.abc import Callable
import mmap
import pathlib
import struct

from jnerf.errors import InputError

# Numbers of parameters of COLMAP's camera models, by their ids in cameras.bin.
NUM_PARAMS = (3, 4, 4, 5, 8, 8, 12, 5, 4, 5, 12, 16, 4, 5, 3, 4, 6, 2)


def model_suffix(folder: pathlib.Path) -> str | None:
  """`.bin` or `.txt`, what a COLMAP model in `folder` is written as; None without one.

  A model may lack its points, but one that has them goes before.
  """
  for names in (("cameras", "images", "points3D"), ("cameras", "images")):
    for suffix in (".bin", ".txt"):
      if all((folder / f"{name}{suffix}").is_file() for name in names):
        return suffix
  return None


def check_counts(folder: pathlib.Path) -> None:
  """Raises `InputError` for a binary model with a file longer or shorter than it says."""
  if model_suffix(folder) != ".bin":
    return
  for name, walk in _WALKS.items():
    path = folder / f"{name}.bin"
    if path.is_file():  # COLMAP before 3.12 has no rigs and frames
      _check(path, walk)


class _Cursor:
  """A place in a file that is walked from its beginning to its end."""

  def __init__(self, path: pathlib.Path, data: mmap.mmap):
    self.path, self.data, self.place = path, data, 0

  def skip(self, num_bytes: int) -> None:
    """Goes on by `num_bytes`, which the file must have."""
    self.place += num_bytes
    if self.place > len(self.data):
      raise InputError(f"{self.path}: ends before all that it counts; it is damaged or "
                       "was cut short: copy it again, or write the model anew")

  def read(self, form: str) -> tuple:
    """The values of `form` (as `struct` has it), of which the place is now the end."""
    start = self.place
    self.skip(struct.calcsize(form))
    return struct.unpack_from(form, self.data, start)

  def count(self, form: str = "<Q") -> range:
    """A count, as what to loop over."""
    return range(self.read(form)[0])

  def skip_text(self) -> None:
    """Goes on behind the zero byte that ends a text."""
    end = self.data.find(b"\0", self.place)
    self.skip((end if end >= 0 else len(self.data)) + 1 - self.place)


def _check(path: pathlib.Path, walk: Callable[[_Cursor], None]) -> None:
  try:
    with (open(path, "rb") as file,
          mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data):
      cursor = _Cursor(path, data)
      walk(cursor)
      rest = len(data) - cursor.place
  except (OSError, ValueError) as error:
    if isinstance(error, InputError):
      raise
    raise InputError(f"{path}: cannot be read ({error}); copy it again") from None
  if rest:
    raise InputError(f"{path}: holds {rest} bytes more than it counts; it is damaged: "
                     "copy it again, or write the model anew")


def _cameras(cursor: _Cursor) -> None:
  for _ in cursor.count():
    camera, model, _, _ = cursor.read("<IiQQ")  # width, height
    if not 0 <= model < len(NUM_PARAMS):
      raise InputError(f"{cursor.path}: camera {camera} has the model number {model}, "
                       f"known are 0 to {len(NUM_PARAMS) - 1}; it is damaged, or give "
                       "undistorted images (colmap image_undistorter)")
    cursor.skip(8 * NUM_PARAMS[model])


def _images(cursor: _Cursor) -> None:
  for _ in cursor.count():
    cursor.skip(4 + 7 * 8 + 4)  # id, pose, camera
    cursor.skip_text()
    num_points, = cursor.read("<Q")
    cursor.skip((2 * 8 + 8) * num_points)  # place in the image, point


def _points(cursor: _Cursor) -> None:
  for _ in cursor.count():
    cursor.skip(8 + 3 * 8 + 3 + 8)  # id, place, colour, error
    length, = cursor.read("<Q")
    cursor.skip(8 * length)  # image, number of the point in it


def _rigs(cursor: _Cursor) -> None:
  for _ in cursor.count():
    cursor.skip(4)  # id
    num_sensors, = cursor.read("<I")
    if num_sensors:
      cursor.skip(4 + 4)  # type and id of the one that the others relate to
    for _ in range(num_sensors - 1):
      has_pose = cursor.read("<IIB")[2]  # type, id
      cursor.skip(7 * 8 if has_pose else 0)


def _frames(cursor: _Cursor) -> None:
  for _ in cursor.count():
    cursor.skip(4 + 4 + 7 * 8)  # id, rig, pose
    num_images, = cursor.read("<I")
    cursor.skip((4 + 4 + 8) * num_images)  # type and id of the sensor, image


_WALKS = {"cameras": _cameras, "images": _images, "points3D": _points, "rigs": _rigs,
          "frames": _frames}
