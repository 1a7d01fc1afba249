import resource
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from marionext.errors import MotionError
from marionext.frames import FrameRate
from marionext.pose.skeleton import BODY, POINT_COUNT
from marionext.posemap import draw, is_pose_map, read_maps, recognise_palette

SIZE = (288, 512)
MEDIA = Path(__file__).resolve().parents[3].parent / "shared" / "media"


def figure(frame: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Return the map of a figure whose arms move."""
    lift = 0.12 * np.sin(frame)
    body = [
        (0, .15), (0, .25),
        (-.1, .25), (-.15, .36 - lift), (-.17, .46 - 2 * lift),
        (.1, .25), (.15, .36 + lift), (.17, .46 + 2 * lift),
        (-.06, .53), (-.07, .72), (-.08, .92), (.06, .53), (.07, .72), (.08, .92),
        (-.02, .13), (.02, .13), (-.04, .14), (.04, .14),
    ]  # fmt: skip
    points = np.zeros((1, POINT_COUNT, 2))
    points[0, BODY] = np.array(body) * size[1] + (size[0] / 2, 0)
    scores = np.zeros((1, POINT_COUNT))
    scores[0, BODY] = 0.9
    return draw(points, scores, size, size)


def save(path: Path, picture: np.ndarray) -> None:
    assert cv2.imwrite(str(path), picture[:, :, ::-1])


def save_video(path: Path, pictures: list[np.ndarray], rate: Fraction = Fraction(25)) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264rgb", rate=rate)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "rgb24"
        stream.options = {"crf": "0", "g": "10"}
        for picture in pictures:
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for frame in range(5):
        save(tmp_path / f"dance_v2_{frame + 101:04d}.png", figure(frame))
    (tmp_path / "readme.txt").write_text("not a map")
    return tmp_path


def test_a_folder_keeps_its_numbers_and_pictures(folder: Path) -> None:
    maps = read_maps(folder)
    assert (maps.frames.start, len(maps), maps.size) == (101, 5, SIZE)
    assert (maps.rate, maps.palette) == (FrameRate(Fraction(30)), "controlnext")
    for frame in range(5):
        assert np.array_equal(maps.frame(101 + frame), figure(frame))
    moved = read_maps(folder, first=-2, rate=FrameRate.parse("29.97"))
    assert np.array_equal(moved.frame(2), figure(4))
    assert moved.rate == FrameRate(Fraction(30000, 1001))


@pytest.mark.parametrize(
    ("names", "first"),
    [
        (("-00001", "000000", "000001"), -1),
        (("walk-0009", "walk-0010", "walk-0011"), 9),
        (("a2_-2", "a2_-1", "a2_0"), -2),
        (("shot 3.0998.map", "shot 3.0999.map", "shot 3.1000.map"), 998),
        (("99", "100", "101"), 99),
    ],
)
def test_frame_numbers_are_read_from_the_names(
    tmp_path: Path, names: tuple[str, ...], first: int
) -> None:
    for frame, name in enumerate(names):
        save(tmp_path / f"{name}.png", figure(frame))
    maps = read_maps(tmp_path)
    assert maps.frames.start == first
    for frame in range(3):
        assert np.array_equal(maps.frame(first + frame), figure(frame))


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_standard_colours_are_recognised_and_converted_however_the_figure_lies(
    tmp_path: Path, turn: int
) -> None:
    trained = [np.ascontiguousarray(np.rot90(figure(frame), turn)) for frame in range(4)]
    for frame, picture in enumerate(trained):
        save(tmp_path / f"{frame}.png", picture[:, :, ::-1])
    maps = read_maps(tmp_path)
    assert maps.palette == "openpose"
    assert np.array_equal(maps.frame(2), trained[2])
    assert recognise_palette(trained) == "controlnext"
    assert np.array_equal(
        read_maps(tmp_path, palette="controlnext").frame(2), trained[2][..., ::-1]
    )


def test_thick_standard_strokes_are_recognised() -> None:
    thick = [cv2.dilate(figure(frame), np.ones((7, 7), np.uint8)) for frame in range(4)]
    assert recognise_palette(thick) == "controlnext"
    assert recognise_palette([picture[:, :, ::-1].copy() for picture in thick]) == "openpose"


def test_a_video_of_maps_gives_every_frame_in_any_order(tmp_path: Path) -> None:
    pictures = [figure(frame) for frame in range(30)]
    save_video(tmp_path / "maps.mkv", pictures)
    maps = read_maps(tmp_path / "maps.mkv")
    assert (len(maps), maps.frames.start, maps.rate) == (30, 1, FrameRate(Fraction(25)))
    for number in [*range(1, 31), 7, 7, 30, 2, 21, 1]:
        assert np.array_equal(maps.frame(number), pictures[number - 1])


def test_a_video_is_brought_to_another_rate_by_the_nearest_frame(tmp_path: Path) -> None:
    pictures = [figure(frame) for frame in range(10)]
    save_video(tmp_path / "maps.mkv", pictures)
    half = read_maps(tmp_path / "maps.mkv", rate=FrameRate(Fraction(25, 2)))
    assert len(half) == 5
    assert np.array_equal(half.frame(3), pictures[4])
    double = read_maps(tmp_path / "maps.mkv", rate=FrameRate(Fraction(50)))
    assert len(double) == 20
    assert np.array_equal(double.frame(20), pictures[9])


def test_another_shape_is_centred_on_black_without_distortion(folder: Path) -> None:
    maps = read_maps(folder)
    wide = maps.frame(102, (1024, 512))
    assert wide.shape == (512, 1024, 3)
    left = (1024 - SIZE[0]) // 2
    assert np.array_equal(wide[:, left : left + SIZE[0]], figure(1))
    assert not wide[:, :left].any()
    assert not wide[:, left + SIZE[0] :].any()
    assert maps.frame(102, (64, 64)).shape == (64, 64, 3)


def test_holes_in_the_numbering_are_named(folder: Path) -> None:
    (folder / "dance_v2_0102.png").unlink()
    (folder / "dance_v2_0104.png").unlink()
    with pytest.raises(MotionError, match=r"101 to 105, but 2 are missing: 102,104"):
        read_maps(folder)


def test_mixed_sizes_are_refused(folder: Path) -> None:
    save(folder / "dance_v2_0106.png", figure(1, (256, 512)))
    with pytest.raises(MotionError, match=r"288x512, dance_v2_0106.png has 256x512"):
        read_maps(folder)


def test_pictures_that_are_no_maps_are_refused(tmp_path: Path) -> None:
    photo = np.random.default_rng(0).integers(40, 255, (128, 128, 3), dtype=np.uint8)
    save(tmp_path / "1.png", photo)
    with pytest.raises(MotionError, match="another kind of picture"):
        read_maps(tmp_path)
    save(tmp_path / "1.png", np.zeros_like(photo))
    with pytest.raises(MotionError, match="nobody"):
        read_maps(tmp_path)
    photo[:] = 0
    photo[60:64] = 255
    save(tmp_path / "1.png", photo)
    with pytest.raises(MotionError, match="which palette") as caught:
        read_maps(tmp_path)
    assert "openpose" in str(caught.value)
    assert len(read_maps(tmp_path, palette="openpose")) == 1


def test_files_that_cannot_be_read_are_named(folder: Path, tmp_path: Path) -> None:
    for name, content in (("notes.mp4", b"no video"), ("empty.mp4", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(MotionError, match=name):
            read_maps(tmp_path / name)
    with pytest.raises(MotionError, match="no such"):
        read_maps(tmp_path / "absent")
    broken = folder / "dance_v2_0103.png"
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(MotionError, match="0103"):
        read_maps(folder).frame(103)
    (folder / "cover.png").write_bytes(b"")
    with pytest.raises(MotionError, match=r"cover\.png"):
        read_maps(folder)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MotionError, match="found none"):
        read_maps(tmp_path)


@pytest.mark.media
def test_the_authors_own_maps_are_recognised_in_a_compressed_video() -> None:
    path = MEDIA / "reference_demo_03_posemap_and_result.mp4"
    if not path.exists():
        pytest.skip("the authors' clip is not beside the repository")
    with av.open(str(path)) as container:
        frames = [
            frame.to_ndarray(format="rgb24")
            for index, frame in enumerate(container.decode(video=0))
            if index % 20 == 0
        ]
    half = frames[0].shape[1] // 2
    assert recognise_palette([np.ascontiguousarray(frame[:, :half]) for frame in frames]) == (
        "controlnext"
    )
    assert all(is_pose_map(frame[:, :half]) for frame in frames)
    assert not any(is_pose_map(frame[:, half:]) for frame in frames)


def test_a_picture_that_promises_gigabytes_takes_no_memory_for_them(tmp_path):
    picture = np.zeros((8, 8, 3), np.uint8)
    content = bytearray(cv2.imencode(".png", picture)[1].tobytes())
    at = content.index(b"IDAT")
    content[at - 4 : at] = (0x7FFFFFFF).to_bytes(4, "big")
    (tmp_path / "000001.png").write_bytes(content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(MotionError, match="damaged or cut off"):
        read_maps(tmp_path, palette="controlnext").frame(1)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000
