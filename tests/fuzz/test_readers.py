"""Damaged and hostile files: every reader reads them or says what is wrong, within time and memory.

`scripts/fuzz.py` makes the inputs; here are two hundred of each reader, and the cases that chance
does not find.
"""

import importlib.util
import io
import json
import random
import signal
import struct
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest
from PIL import Image

from marionext.character import read_character
from marionext.errors import CharacterError, EngineError, JobCancelled, MotionError
from marionext.files import reading
from marionext.footage import probe, read_frames
from marionext.frames import FrameRate
from marionext.motion import load
from marionext.output import Pictures, encode_video
from marionext.pose.formats import read_track
from marionext.posemap import read_maps

INPUTS = 200
SECONDS = 10
MEMORY = 1 << 30


def _fuzz() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "scripts/fuzz.py"
    spec = importlib.util.spec_from_file_location("fuzz", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz"] = module
    spec.loader.exec_module(module)
    return module


if not hasattr(signal, "SIGALRM"):
    pytest.skip("the clock of an input is an alarm of Unix", allow_module_level=True)
fuzz = _fuzz()


@pytest.mark.slow
@pytest.mark.parametrize("name", fuzz.readers())
def test_spoiled_files_are_read_or_refused(name: str, tmp_path: Path) -> None:
    reader = fuzz.readers()[name]
    seeds = reader.seeds()
    found = {}
    for number in range(INPUTS):
        content = fuzz.spoiled(random.Random(f"{name} {number}"), seeds)
        # Twelve times what the night run gives: machines that test are busy.
        found[number] = fuzz.verdict(reader, content, tmp_path, 120)
    wrong = {number: said for number, said in found.items() if said not in {"read", "refused"}}
    assert wrong == {}


@pytest.mark.parametrize("name", fuzz.readers())
def test_files_that_are_right_are_read(name: str, tmp_path: Path) -> None:
    reader = fuzz.readers()[name]
    for content in reader.seeds():
        assert fuzz.verdict(reader, content, tmp_path, 120) == "read"


# -------------------------------------------------------------------------------- the boundary


@pytest.mark.parametrize(
    "error",
    [
        ValueError("odd"),
        KeyError("nodes"),
        IndexError(),
        OverflowError("too large"),
        RecursionError(),
        MemoryError(),
        NotImplementedError("strong encryption"),
        struct.error("short"),
        zlib.error("header"),
        zipfile.BadZipFile("no directory"),
        UnicodeDecodeError("utf-8", b"\xe9", 0, 1, "odd"),
        OSError(5, "Input/output error"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_library_raises_is_said_in_words(error: Exception) -> None:
    with (
        pytest.raises(MotionError, match=r"dance\.bvh") as raised,
        reading(Path("dance.bvh"), MotionError, "a BVH file"),
    ):
        raise error
    assert raised.value.hint
    assert raised.value.__cause__ is error


@pytest.mark.parametrize("error", [JobCancelled("stop"), KeyboardInterrupt(), CharacterError("no")])
def test_what_is_ours_and_what_ends_the_program_passes(error: BaseException) -> None:
    with (
        pytest.raises(type(error)) as raised,
        reading(Path("dance.bvh"), MotionError, "a BVH file"),
    ):
        raise error
    assert raised.value is error


# ------------------------------------------------------------------------------ time and memory


@contextmanager
def bounded(seconds: float = SECONDS) -> Iterator[None]:
    """Let the block take so much memory, and so much of the processor's time."""
    resource = pytest.importorskip("resource")
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:
        pytest.skip("the memory of a process is told by /proc")
    before = resource.getrlimit(resource.RLIMIT_AS)
    most = pages * resource.getpagesize() + MEMORY
    start = time.process_time()
    resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    assert time.process_time() - start < seconds


def refused(read: Callable[[], object], *words: str) -> EngineError:
    """Return the error of a reader that says those words, having taken hardly any memory."""
    with bounded(), pytest.raises(EngineError) as raised:
        read()
    assert not isinstance(raised.value.__cause__, MemoryError)
    assert raised.value.hint
    for word in words:
        assert word in str(raised.value)
    return raised.value


def npz(path: Path, **arrays: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in arrays.items():
            archive.writestr(f"{name}.npy", content)
    return path


def npy(array: object, claimed: tuple[int, ...] | None = None) -> bytes:
    """Return an array as a file; with another shape than it has, where one is claimed."""
    values = np.asarray(array)
    content = io.BytesIO()
    head = np.lib.format.header_data_from_array_1_0(values)
    np.lib.format.write_array_header_1_0(content, head | {"shape": claimed or values.shape})
    return content.getvalue() + values.tobytes()


@pytest.mark.parametrize("first", ["heads", "points"])
def test_arrays_that_claim_gigabytes_are_refused(first: str, tmp_path: Path) -> None:
    claims = npy(np.zeros(3, np.float32), claimed=(1_000_000, 64, 134, 2))
    path = npz(tmp_path / "a.npz", **{first: claims})
    refused(lambda: (load if first == "heads" else read_track)(path), "a.npz", "of memory")


def test_arrays_that_unpack_to_gigabytes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("points.npy", "w", force_zip64=True) as entry,
    ):
        entry.write(npy(np.zeros(0, np.float32), claimed=(4000, 64, 134, 2)))
        for _ in range(4000):
            entry.write(bytes(64 * 134 * 8))
    assert path.stat().st_size < 10_000_000
    refused(lambda: read_track(path), "a.npz", "of memory")


def test_an_array_that_claims_more_than_there_is_is_refused(tmp_path: Path) -> None:
    path = npz(tmp_path / "a.npz", points=npy(np.zeros(3, np.float32), claimed=(30, 1, 134, 2)))
    refused(lambda: read_track(path), "a.npz", "cut off")


def _gltf(tmp_path: Path, change: Callable[[dict], None]) -> Path:
    document = json.loads(fuzz.readers()["gltf"].seeds()[0])
    change(document)
    path = tmp_path / "dance.gltf"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_an_accessor_of_a_billion_is_refused(tmp_path: Path) -> None:
    def change(document: dict) -> None:
        del document["accessors"][1]["bufferView"]
        document["accessors"][1]["count"] = 1_000_000_000

    refused(lambda: load(_gltf(tmp_path, change)), "accessor 1", "1,000,000,000", "of memory")


def test_a_sparse_accessor_of_a_billion_is_refused(tmp_path: Path) -> None:
    def change(document: dict) -> None:
        accessor = document["accessors"][1]
        place = {"bufferView": 0, "componentType": 5125}
        accessor["sparse"] = {"count": 1, "indices": place, "values": {"bufferView": 1}}
        accessor["count"] = 1_000_000_000
        del accessor["bufferView"]

    refused(lambda: load(_gltf(tmp_path, change)), "accessor 1", "of memory")


@pytest.mark.parametrize(("rate", "words"), [(1000, "30,000,000 frames"), (30, "of memory")])
def test_keys_hours_apart_are_refused(rate: int, words: str, tmp_path: Path) -> None:
    def change(document: dict) -> None:
        keys = np.array([0, 15_000, 30_000], "<f4").tobytes()
        head, _, data = document["buffers"][0]["uri"].partition(",")
        whole = keys + fuzz.base64.b64decode(data)[len(keys) :]
        document["buffers"][0]["uri"] = f"{head},{fuzz.base64.b64encode(whole).decode()}"

    path = _gltf(tmp_path, change)
    refused(lambda: load(path, rate=FrameRate(Fraction(rate))), "dance.gltf", words)


def test_the_same_keys_in_a_hundred_thousand_channels_are_refused(tmp_path: Path) -> None:
    def change(document: dict) -> None:
        for accessor, kind in enumerate(("SCALAR", "VEC3")):
            claim = {"componentType": 5126, "count": 100_000, "type": kind}
            document["accessors"][accessor] = claim
        clip = document["animations"][0]
        clip["channels"] *= 50_000

    refused(lambda: load(_gltf(tmp_path, change)), "the keys of its animation")


def test_a_deep_chain_of_nodes_is_refused(tmp_path: Path) -> None:
    def change(document: dict) -> None:
        start = len(document["nodes"])
        document["nodes"] += [{"children": [start + i + 1]} for i in range(8000)] + [{}]

    with bounded(), pytest.raises(MotionError, match="at most 500 deep"):
        load(_gltf(tmp_path, change))


def test_frames_without_channels_are_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "still.bvh"
    path.write_text(
        "HIERARCHY\nROOT a\n{\nOFFSET 0 1 0\n}\nMOTION\nFrames: 300000000\nFrame Time: 0.04\n",
        encoding="utf-8",
    )
    refused(lambda: load(path), "300,000,000 frames", "of memory")


def test_frames_that_are_not_there_are_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "dance.bvh"
    whole = fuzz.readers()["bvh"].seeds()[0]
    path.write_bytes(whole.replace(b"Frames: 3\n", b"Frames: 300000000\n"))
    refused(lambda: load(path), "dance.bvh", "cut off")


def test_too_many_joints_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "crowd.bvh"
    roots = "".join(f"ROOT a{i}\n{{\nOFFSET 0 0 0\n}}\n" for i in range(50_000))
    path.write_text(f"HIERARCHY\n{roots}MOTION\nFrames: 1\nFrame Time: 1\n", encoding="utf-8")
    refused(lambda: load(path), "10,000 joints", "50,000")


def test_a_rate_that_makes_billions_of_frames_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "dance.bvh"
    path.write_bytes(fuzz.readers()["bvh"].seeds()[0])
    slow = FrameRate(Fraction(1, 1000))
    refused(lambda: load(path, source_rate=slow, rate=FrameRate(Fraction(1000))), "frames")


@pytest.mark.parametrize("gap", [1000, 2_000_000_000])
def test_coco_ids_with_gaps_take_no_memory(gap: int, tmp_path: Path) -> None:
    data = json.loads(fuzz.readers()["coco"].seeds()[0])
    image, person = data["images"][0], data["annotations"][0]
    data["images"] = [image | {"id": i * gap, "file_name": f"{i * gap}.png"} for i in range(3000)]
    data["annotations"] = [person | {"image_id": i * gap} for i in range(0, 3000, 100)]
    path = tmp_path / "a.coco.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    with bounded():
        assert len(read_track(path)) == 3000  # in order, not by their numbers


def test_openpose_numbers_with_gaps_are_refused(tmp_path: Path) -> None:
    frame = fuzz.readers()["openpose"].seeds()[0]
    for number in (1, 999_999_999_999):
        (tmp_path / f"a_{number}_keypoints.json").write_bytes(frame)
    with bounded(), pytest.raises(MotionError, match="consecutive"):
        read_track(tmp_path)


@pytest.mark.parametrize("kind", ["openpose", "comfyui", "coco"])
def test_millions_of_people_are_refused(kind: str, tmp_path: Path) -> None:
    crowd: object = [{}] * 1_000_000
    if kind == "coco":
        crowd = {"annotations": [{"image_id": 1}] * 300_000}
    elif kind == "openpose":
        crowd = {"people": crowd}
    else:
        crowd = [{"people": [{}] * 500_000}, {"people": [{}] * 500_000}]
    path = tmp_path / "crowd.json"
    path.write_text(json.dumps(crowd, separators=(",", ":")), encoding="utf-8")
    assert path.stat().st_size < 10_000_000
    refused(lambda: read_track(path, size=(64, 64)), "crowd.json", "of memory")


def _vast_png(path: Path, side: int = 60_000) -> Path:
    """Write a picture that is said to be vast, of which there are a few bytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(bytes(100_000)))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + rows + chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize("side", [7_000, 12_000, 60_000])
def test_vast_pictures_are_refused_by_their_header(side: int, tmp_path: Path) -> None:
    path = _vast_png(tmp_path / "000001.png", side)
    refused(lambda: read_maps(tmp_path), "000001.png", "at most 36 megapixels")
    if side > 10_000:
        refused(lambda: read_character(path), "000001.png")
    movie = path.rename(tmp_path / "vast.mp4")
    with bounded(), pytest.raises(MotionError, match=r"vast\.mp4"):
        probe(movie)


def test_a_vast_video_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vast.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("rawvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "rgb24"
        frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    content = path.read_bytes()
    for sign in (1, -1):  # rows from the bottom to the top have a positive height
        said, vast = (struct.pack("<ii", side, sign * side) for side in (64, 60_000))
        content = content.replace(said, vast)
    path.write_bytes(content)
    refused(lambda: probe(path), "vast.avi", "36 megapixels")


def test_pictures_missing_between_numbers_far_apart_are_counted_at_once(tmp_path: Path) -> None:
    for number in (1, 900_000_000):
        Image.new("RGB", (64, 64)).save(tmp_path / f"{number}.png")
    with bounded(), pytest.raises(MotionError, match="899999998 are missing"):
        read_maps(tmp_path)
    Image.new("RGB", (64, 64)).save(tmp_path / f"{'9' * 200}.png")
    refused(lambda: read_maps(tmp_path), "999,999,999")


def test_a_title_that_is_no_utf_8_is_no_reason_to_refuse_a_video(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    pictures = Pictures(6, lambda index: np.full((32, 32, 3), 40 * index, np.uint8))
    encode_video(pictures, FrameRate(Fraction(25)), path)
    titled = tmp_path / "titled.mp4"
    with av.open(str(path)) as source, av.open(str(titled), "w") as target:
        target.metadata["title"] = "Tanz der Kobolde XY"
        copy = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = copy
                target.mux(packet)
    content = titled.read_bytes()
    assert content.count(b"XY") == 1
    titled.write_bytes(content.replace(b"XY", "é\xfc".encode("latin-1")))
    assert probe(titled).frames == 6
    assert len(list(read_frames(titled))) == 6
