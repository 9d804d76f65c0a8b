"""ScanNet's exported scans: what is read, how depth is registered, what is refused."""

import pathlib
import shutil

from damage import complaint_of, times_refused
import numpy as np
from PIL import Image
import pytest
import real_office
import tiny_replica
import tiny_scannet as tiny

from jnerf import main
from jnerf.errors import InputError
from jnerf.geometry import cameras
from jnerf.scenes import images, load
from jnerf.scenes.formats import registration, scannet
from jnerf.scenes.formats.capture import Wishes
from jnerf.scenes.load import SceneSettings
from jnerf.structs import Scene

HALF = np.array([0, 0, 0.5, 0.5])  # integer pixel centres to the one convention


@pytest.fixture
def root(tmp_path):
  return tiny.write(tmp_path / "scene0000_00")


def test_frames_poses_and_intrinsics(root):
  scene = scannet.load_scannet(root)
  assert scene.frames == tuple("012345") and scene.name == "scene0000_00"
  np.testing.assert_allclose(scene.cam_to_world, tiny_replica.poses(6))
  np.testing.assert_allclose(scene.intrinsics, np.tile(tiny.COLOR + HALF, (6, 1)))
  np.testing.assert_allclose(scene.images[4], images.read_image(root / "color" / "4.jpg"))
  assert scene.test.tolist() == [0] and not scene.unbounded
  half = scannet.load_scannet(root, Wishes(width=12))
  np.testing.assert_allclose(half.intrinsics[0], (tiny.COLOR + HALF) / 2)


def test_a_wall_keeps_its_depth_where_the_sensor_saw_it(root):
  """z = 2 in one camera is z = 2 in the other; what depth's frame leaves out is 0."""
  dx, dy, ux, uy = narrow = 11.0, 12.0, 5.5, 3.5
  tiny.store(root / "intrinsic" / "intrinsic_depth.txt", tiny.matrix(*narrow))
  x, y = np.meshgrid(np.arange(tiny.WIDTH), np.arange(tiny.HEIGHT))
  fx, fy, cx, cy = tiny.COLOR
  x, y = (x - cx) / fx * dx + ux, (y - cy) / fy * dy + uy
  seen = ((x > -0.5) & (x < tiny.WIDTH / 2 - 0.5)
          & (y > -0.5) & (y < tiny.HEIGHT / 2 - 0.5))
  assert 0.5 < seen.mean() < 0.95
  np.testing.assert_array_equal(scannet.load_scannet(root).depth,
                                np.tile(np.where(seen, 2, 0), (6, 1, 1)))


def twin(image, its_camera, camera, size):
  """Every pixel's ray, sent through the other camera by `cameras.project`."""
  picture = np.zeros(size[::-1], image.dtype)
  for row in range(size[1]):
    for column in range(size[0]):
      direction = cameras.pixel_directions(
          np.array([column + 0.5, row + 0.5]), camera, np)
      (x, y), _ = (found[0] for found in cameras.project(
          3 * direction[None], np.eye(4), its_camera, xnp=np))
      if 0 <= x < image.shape[1] and 0 <= y < image.shape[0]:
        picture[row, column] = image[int(y), int(x)]
  return picture


@pytest.mark.parametrize("seed", range(6))
def test_registration_is_its_slow_twin(seed):
  rng = np.random.default_rng(seed)
  its_width, its_height, width, height = rng.integers(5, 30, 4).tolist()
  its_camera, camera = (
      np.array([*rng.uniform(0.7, 1.5, 2) * w, *rng.uniform(0.4, 0.6, 2) * (w, h)])
      for w, h in ((its_width, its_height), (width, height)))
  image = rng.integers(1, 9, (its_height, its_width))
  found = registration.registered(image, its_camera, camera, (width, height))
  np.testing.assert_array_equal(found, twin(image, its_camera, camera, (width, height)))
  assert (found > 0).any()


def test_an_edge_lands_in_the_column_that_sees_it():
  """640 pixels of depth to 1296 of colour, ScanNet's nominal cameras."""
  depth = np.ones((480, 640), np.float32)
  depth[:, 400:] = 3
  its_camera = np.array([577.87, 577.87, 319.5, 239.5]) + HALF
  camera = np.array([1170.188, 1170.188, 647.75, 483.75]) + HALF
  found = registration.registered(depth, its_camera, camera, (1296, 968))
  edge = (400 - its_camera[2]) / its_camera[0] * camera[0] + camera[2]
  first = int(np.ceil(edge - 0.5))  # the first centre beyond the edge
  assert (found[100:-100, first] == 3).all() and (found[100:-100, first - 1] == 1).all()
  same = registration.registered(depth, camera, camera, (640, 480))
  np.testing.assert_array_equal(same, depth)


def test_depth_of_the_same_camera_is_taken_as_it_is(root):
  tiny.store(root / "intrinsic" / "intrinsic_depth.txt", tiny.matrix(*tiny.COLOR))
  values = np.random.default_rng(0).integers(1, 9000, (6, 16, 24)).astype(np.uint16)
  for i in range(6):
    tiny.save(root / "depth" / f"{i}.png", values[i])
  scene = scannet.load_scannet(root)
  np.testing.assert_allclose(scene.depth, values / 1000, rtol=1e-6)
  assert "looked up" not in scene.source


def test_labels_are_mapped_by_the_table(root):
  scene = scannet.load_scannet(root)
  raw = tiny.labels()
  expected = np.select([raw == 3, raw == 1163], [2, 40], 0)
  np.testing.assert_array_equal(scene.semantic, np.tile(expected, (6, 1, 1)))
  np.testing.assert_array_equal(scene.instance[3], raw % 5)
  assert scene.class_names == {0: "void", 2: "floor", 40: "otherprop"}
  assert "1 have no class and became void (77: 6.2% of the pixels)" in scene.source


@pytest.mark.parametrize("place", ["..", "../.."])
def test_the_table_may_lie_above(tmp_path, place):
  root = tiny.write(tmp_path / "scans" / "scene0000_00")
  shutil.move(root / "scannetv2-labels.combined.tsv", root / place)
  assert scannet.load_scannet(root).class_names[40] == "otherprop"


def test_without_the_table_ids_stay_raw(tmp_path):
  scene = scannet.load_scannet(tiny.write(tmp_path / "scan", table=False))
  np.testing.assert_array_equal(scene.semantic[0], tiny.labels())
  assert scene.class_names == {0: "void", 3: "class 3", 77: "class 77",
                               1163: "class 1163"}
  assert "raw label ids, for want of scannetv2-labels.combined.tsv" in scene.source


@pytest.mark.parametrize("place", [
    "scene0000_00_2d-{}-filt/{}-filt", "{}", "other_2d-{}/{}"])
def test_labels_where_archives_unpack(root, place):
  for name in ("label", "instance"):
    target = root / place.format(name, name)
    target.parent.mkdir(exist_ok=True)
    shutil.move(root / f"{name}-filt", target)
  scene = scannet.load_scannet(root)
  assert set(np.unique(scene.semantic)) == {0, 2, 40} and scene.instance.any()


def test_lost_poses_are_left_out_and_counted(root):
  tiny.store(root / "pose" / "1.txt", tiny.LOST)
  (root / "pose" / "4.txt").write_text("-1.#INF -1.#INF -1.#INF -1.#INF\n" * 4)
  scene = scannet.load_scannet(root, Wishes(strict=True))
  assert scene.frames == tuple("0235")
  np.testing.assert_allclose(scene.cam_to_world, tiny_replica.poses(6)[[0, 2, 3, 5]])
  assert "2 frames with a lost pose (-inf) left out" in scene.source
  for i in range(6):
    tiny.store(root / "pose" / f"{i}.txt", tiny.LOST)
  assert "all 6 poses are lost" in complaint(root)


def test_frames_that_lack_a_file(root):
  (root / "color" / "1.jpg").unlink()
  (root / "pose" / "3.txt").unlink()
  (root / "depth" / "5.png").unlink()
  (root / "label-filt" / "0.png").unlink()
  scene = scannet.load_scannet(root)
  assert scene.frames == tuple("0245")
  assert not scene.depth[3].any() and scene.depth[:3].all()
  assert not scene.semantic[0].any() and scene.semantic[1:].any()
  for note in ("1 frames without color left out (1)",
               "1 frames without pose left out (3)", "1 frames without depth (5)",
               "semantic of 3 frames in label-filt"):
    assert note in scene.source
  with pytest.raises(InputError, match=r"color: has no file of frame 1 \(1 of 6"):
    scannet.load_scannet(root, Wishes(strict=True))


def test_numbers_have_gaps_and_are_in_numeric_order(root):
  for folder, suffix in (("color", "jpg"), ("depth", "png"), ("pose", "txt")):
    (root / folder / f"2.{suffix}").rename(root / folder / f"100.{suffix}")
    (root / folder / f"3.{suffix}").rename(root / folder / f"20.{suffix}")
  scene = scannet.load_scannet(root)
  assert scene.frames == ("0", "1", "4", "5", "20", "100")
  np.testing.assert_allclose(scene.cam_to_world[:, 0, 3], [0, 0.1, 0.4, 0.5, 0.3, 0.2])


def test_of_a_long_scan_only_the_views_in_use_are_read(root):
  """As many frames as the paper's rule is for; most of their images are damaged."""
  whole = (root / "color" / "0.jpg").read_bytes()
  for i in range(900):
    tiny.store(root / "pose" / f"{i}.txt", tiny_replica.poses(1)[0])
    (root / "color" / f"{i}.jpg").write_bytes(whole if i % 5 in (0, 2) else b"")
  scene = scannet.load_scannet(root)
  assert len(scene.train) == len(scene.test) == 180 and "the paper's rule" in scene.source


def test_the_layout_is_recognised_and_inspected(root, tmp_path, capsys):
  source = load.load_scene(SceneSettings(path=str(root))).source
  assert source.startswith("ScanNet layout in") and (
      "found color/, pose/, intrinsic/, so the scannet layout" in source)
  assert "12x8 looked up along colour's rays" in source
  experiment = f"{pathlib.Path(__file__).parent}/tiny_experiment.py:{root}"
  main.main(["jnerf", f"--config={experiment}", f"--workdir={tmp_path / 'run'}",
             "--mode=inspect", "--config.scene.format=auto"])
  assert "ScanNet layout" in capsys.readouterr().out


def text(name, content):
  return lambda root: (root / name).write_text(content)


def values(name, array):
  return lambda root: tiny.store(root / name, np.array(array))


def pose(change):
  changed = np.eye(4)
  change(changed)
  return values("pose/2.txt", changed)


def intrinsics(kind, *row):
  return values(f"intrinsic/intrinsic_{kind}.txt", tiny.matrix(*row))


def rows(*lines):
  return lambda root: tiny.store_table(root, *lines)


def picture(name, array):
  return lambda root: tiny.save(root / name, np.array(array))


def moved(part, step=0.05):
  changed = np.eye(4)
  changed[part] += step
  return values("intrinsic/extrinsic_color.txt", changed)


def emptied(*folders):
  return lambda root: [path.unlink() for folder in folders
                       for path in (root / folder).iterdir()]


DAMAGE = {
    "no frames": (emptied("color", "pose", "depth"), "no frame has both"),
    "no images": (emptied("color"), "no frame has both"),
    "no poses": (emptied("pose"), "no frame has both"),
    "a number twice": (text("color/01.jpg", ""), "same number"),
    "a pose twice": (text("pose/002.txt", ""), "same number"),
    "pose empty": (text("pose/2.txt", ""), "2.txt: holds no 4x4"),
    "pose of 12 numbers": (values("pose/2.txt", np.eye(4)[:3]), "2.txt: holds no 4x4"),
    "pose of words": (text("pose/2.txt", "a b c d\n" * 4), "2.txt: holds no 4x4"),
    "pose of bytes": (lambda root: (root / "pose/2.txt").write_bytes(b"\xff\xfe" * 9),
                      "2.txt: cannot be read"),
    "pose a folder": (lambda root: ((root / "pose/2.txt").unlink(),
                                    (root / "pose/2.txt").mkdir()), "cannot be read"),
    "pose nan": (pose(lambda p: p.put(3, np.nan)), "2.txt: the pose holds a number that"),
    "pose inf": (pose(lambda p: p.put(3, np.inf)), "2.txt: the pose holds a number that"),
    "pose scaled": (values("pose/2.txt", np.diag([2, 2, 2, 1])), "not orthonormal"),
    "pose mirrors": (values("pose/2.txt", np.diag([-1, 1, 1, 1])), "mirrors"),
    "pose last row": (pose(lambda p: p.put(14, 1)), "last row"),
    "no camera": (lambda root: (root / "intrinsic/intrinsic_color.txt").unlink(),
                  "intrinsic_color.txt: cannot be read"),
    "no depth camera": (lambda root: (root / "intrinsic/intrinsic_depth.txt").unlink(),
                        "intrinsic_depth.txt: cannot be read"),
    "camera 3x3": (values("intrinsic/intrinsic_color.txt", np.eye(3)), "no 4x4"),
    "focal length zero": (intrinsics("color", 0, 20, 12, 8), "focal lengths above 0"),
    "focal length nan": (intrinsics("color", 20, np.nan, 12, 8), "is no camera"),
    "focal length negative": (intrinsics("depth", -9, 9, 6, 4), "_depth.*above 0"),
    "centre inf": (intrinsics("color", 20, 20, np.inf, 8), "is no camera"),
    "skew": (values("intrinsic/intrinsic_color.txt", tiny.matrix(*tiny.COLOR)
                    + np.eye(4, k=1)), "is no camera"),
    "images resized": (intrinsics("color", 40, 40, 23.5, 15.5), "images resized"),
    "depth resized": (intrinsics("depth", 18, 18, 11.5, 7.5), "images resized"),
    "colour from aside": (moved((0, 3)), "extrinsic_color.txt: is not the identity"),
    "colour turned": (moved((0, 1)), "extrinsic_color.txt: is not the identity"),
    "extrinsics nan": (moved((0, 1), np.nan), "extrinsic_color.txt: is not the identity"),
    "extrinsics of words": (text("intrinsic/extrinsic_depth.txt", "identity"), "no 4x4"),
    "image of another size": (picture("color/3.jpg", np.zeros((8, 12, 3), np.uint8)),
                              "3.jpg: is 12x8 pixels, but the camera's images are 24x16"),
    "image cut short": (lambda root: (root / "color/3.jpg").write_bytes(
        (root / "color/3.jpg").read_bytes()[:200]), "3.jpg: cannot be read"),
    "first image empty": (text("color/0.jpg", ""), "0.jpg: cannot be read"),
    "depth of another size": (picture("depth/3.png", np.ones((16, 24), np.uint16)),
                              "3.png: is 24x16 pixels, but the first depth"),
    "depth of 8 bits": (picture("depth/3.png", np.ones((8, 12), np.uint8)), "16-bit"),
    "depth cut short": (lambda root: (root / "depth/3.png").write_bytes(
        (root / "depth/3.png").read_bytes()[:50]), "3.png: cannot be read"),
    "labels of colour": (picture("label-filt/3.png", np.zeros((16, 24, 3), np.uint8)),
                         "one channel of ids"),
    "labels empty": (text("instance-filt/3.png", ""), "3.png: cannot be read"),
    "table empty": (text("scannetv2-labels.combined.tsv", ""), "lacks rows"),
    "table of bytes": (lambda root: (root / "scannetv2-labels.combined.tsv").write_bytes(
        b"\xff\xfe"), "tsv: cannot be read"),
    "table without rows": (rows(tiny.ROWS[0]), "lacks rows"),
    "table of commas": (rows(*(row.replace("\t", ",") for row in tiny.ROWS)),
                        "lacks rows"),
    "table's id a word": (rows(*tiny.ROWS, "x\t\t\t\t3"), "line 6: maps id 'x'"),
    "table's class a word": (rows(*tiny.ROWS, "9\t\t\t\twall"), "line 6.*'wall'"),
    "table's class 41": (rows(*tiny.ROWS, "9\t\t\t\t41"), "line 6: maps id '9'.*to 40"),
    "table's id 65536": (rows(*tiny.ROWS, "65536\t\t\t\t4"), "line 6: maps id '65536'"),
    "table's id twice": (rows(*tiny.ROWS, "3\t\t\t\t7"), "line 6: maps id '3'"),
    "table's field endless": (rows(*tiny.ROWS, "3\t" + "a" * 200_000), "cannot be read"),
}


def complaint(root) -> str:
  return complaint_of(lambda: scannet.load_scannet(root))


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_scans_end_in_one_line(root, damage):
  change, expected = DAMAGE[damage]
  change(root)
  with pytest.raises(InputError, match=expected):
    scannet.load_scannet(root)
  assert str(root) in complaint(root)


@pytest.mark.parametrize("name", [
    "pose/2.txt", "intrinsic/intrinsic_color.txt", "intrinsic/intrinsic_depth.txt",
    "intrinsic/extrinsic_depth.txt", "scannetv2-labels.combined.tsv"])
def test_random_bytes_are_read_or_refused(tmp_path, name):
  root = tiny.write(tmp_path / "scan", num=3)
  assert times_refused(root / name, lambda: scannet.load_scannet(root), 60) > 10


def as_scannet(scene: Scene, root: pathlib.Path) -> None:
  """Writes a Replica scene as a scan: full-size colour, depth at half size."""
  for folder in ("color", "depth", "pose", "intrinsic", "label-filt"):
    (root / folder).mkdir(parents=True)
  classes = sorted(scene.class_names)[1:]
  for view, file in enumerate(map(pathlib.Path, scene.files)):
    Image.open(file).save(root / "color" / f"{view}.jpg", quality=95, subsampling=0)
    depth = np.round(1000 * scene.depth[view, 1::2, 1::2]).astype(np.uint16)
    tiny.save(root / "depth" / f"{view}.png", depth)
    raw = np.searchsorted([0, *classes], scene.semantic[view]) * 50
    tiny.save(root / "label-filt" / f"{view}.png", raw.astype(np.uint16))
    np.savetxt(root / "pose" / f"{view}.txt", scene.cam_to_world[view], fmt="%.9f")
  camera = scene.intrinsics[0] - HALF
  tiny.store(root / "intrinsic" / "intrinsic_color.txt", tiny.matrix(*camera))
  # Depth's pixel k is colour's pixel 2k + 1, so their centres agree.
  tiny.store(root / "intrinsic" / "intrinsic_depth.txt",
             tiny.matrix(*camera[:2] / 2, *(camera[2:] - 1) / 2))
  tiny.store_table(root, "id\tnyu40id\tnyu40class", *(
      f"{50 * (i + 1)}\t{i + 1}\t{scene.class_names[c]}" for i, c in enumerate(classes)))


def test_a_real_room_as_a_scan_is_the_same_room(tmp_path):
  room = real_office.every_8th_view()
  as_scannet(room, tmp_path / "scan")
  scan = scannet.load_scannet(tmp_path / "scan")
  assert len(scan.frames) == 11 and scan.full_size == (600, 340)
  np.testing.assert_allclose(scan.cam_to_world, room.cam_to_world, atol=1e-8)
  np.testing.assert_allclose(scan.intrinsics, room.intrinsics, atol=1e-5)
  assert np.abs(scan.images - room.images).mean() < 0.02  # JPEG's loss
  found, expected = (np.array([scene.class_names.get(i, "") for i in range(104)])[
      scene.semantic] for scene in (scan, room))
  np.testing.assert_array_equal(found, expected)
  # Exact at the pixels that depth kept; elsewhere a neighbour's, off at edges only.
  np.testing.assert_allclose(scan.depth[:, 1::2, 1::2], room.depth[:, 1::2, 1::2],
                             atol=6e-4)
  both = (scan.depth > 0) & (room.depth > 0)
  assert both.mean() > 0.95 * (room.depth > 0).mean()
  error = np.abs(scan.depth - room.depth)[both]
  assert np.median(error) < 5e-3 and (error > 0.05).mean() < 0.03
