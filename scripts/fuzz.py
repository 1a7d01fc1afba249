"""Feed damaged and hostile files to every reader: each has to read them or say what is wrong.

    python scripts/fuzz.py [READER ...] [--seconds 3600] [--state out/fuzz.json]

Files that are right are spoiled: bytes flipped, cut off, repeated, numbers made extreme, pieces of
other files put in. A reader may return, or raise one of `marionext.errors`; anything else
is a finding, and so is more than a few seconds or gigabytes. Findings are kept beside the state as
files that repeat them. The counts go on where the last run stopped; Ctrl-C ends a run at any time.

`tests/fuzz` runs a few hundred of the same inputs for each reader.
"""

import argparse
import base64
import contextlib
import io
import json
import random
import re
import resource
import signal
import struct
import sys
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from types import FrameType
from unittest import mock

import numpy as np
from av.error import FFmpegError
from PIL import Image
from safetensors.numpy import save

from marionext import bundles, presets
from marionext.backends.svd.state import read_latents, read_state
from marionext.batch import list_shots, refused
from marionext.character import read_character
from marionext.cli.queue import row
from marionext.codec import decode
from marionext.errors import EngineError, SettingsError
from marionext.files import write_bytes, write_json
from marionext.footage import probe, read_frames
from marionext.frames import FrameRate
from marionext.hosts import ProcessId
from marionext.jobs import LivePose, MotionSource, PoseSettings, read_job
from marionext.motion import load, map_rig, write_animation
from marionext.output import Pictures, encode_video
from marionext.pose import PoseTrack
from marionext.pose.formats import write_track
from marionext.posemap import draw, read_maps
from marionext.posing import Poser
from marionext.protocol import Pose, read_command
from marionext.queueing import NewJob, Store, rescue
from marionext.queueing.store import FILE
from marionext.record import Record
from marionext.reporting import Reporter
from marionext.sources import open_motion
from marionext.training.finetune.clip_list import CLIP_LIST, find_clips
from marionext.training.lora.picture_list import LISTS as PICTURE_LISTS
from marionext.training.lora.picture_list import find_pictures

SECONDS = 10
"""The longest that one input may take."""
MEMORY = 6 << 30
"""Bytes of address space that a run may have."""

EXTREME = (
    b"0", b"-1", b"1e308", b"-1e308", b"1e-300", b"1e-999999999", b"1e999", b"nan", b"inf", b"-inf",
    b"99999999999999999999", b"9" * 5000, b"2147483648", b"4294967295", b"0x0", b"1e15", b"-0",
    b"null", b"true", b'""', b"[]", b"{}", b"1/0", b"3e8",
)  # fmt: skip
NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")


@dataclass(frozen=True)
class Reader:
    """One boundary between the world and us."""

    name: str
    suffix: str
    seeds: Callable[[], list[bytes]]
    """Makes files that are right."""
    read: Callable[[Path], object]


def readers() -> dict[str, Reader]:
    """Return every reader by its name."""
    found = (
        Reader("bvh", ".bvh", _bvh, _read_motion),
        Reader("gltf", ".gltf", _gltf, _read_motion),
        Reader("glb", ".glb", _glb, _read_motion),
        Reader("animation", ".npz", _animation, _read_motion),
        Reader("track", ".npz", _track, _read_poses),
        Reader("arrays of an animation", ".npz", _animation, _unchecked(_read_motion)),
        Reader("arrays of a track", ".npz", _stored_track, _unchecked(_read_poses)),
        Reader("openpose", ".json", _openpose, _read_poses),
        Reader("comfyui", ".json", _comfyui, _read_poses),
        Reader("coco", ".coco.json", _coco, _read_poses),
        Reader("video", ".mp4", _video, _read_video),
        Reader("animated picture", ".png", _animated, _read_animated),
        Reader("pose maps", ".png", _map, _read_maps),
        Reader("picture", ".png", _picture, _read_picture),
        Reader("job", ".json", _job, _read_job),
        Reader("table", ".csv", _table, _read_list),
        Reader("matrix", ".toml", _matrix, _read_list),
        Reader("protocol", ".txt", _protocol, _read_line),
        Reader("live pose", ".json", _live_pose, _draw_live_pose),
        Reader("record", ".json", _record, _read_record),
        Reader("rig preset", ".toml", _rig_preset, _read_preset),
        Reader("bundle record", ".json", _bundle_record, _read_bundle_record),
        Reader("own settings", ".toml", _own_settings, _read_own_settings),
        Reader("clip list", ".json", _clip_list, _read_clip_list),
        Reader("picture list", ".jsonl", _picture_list, _read_picture_list),
        Reader("latents", ".safetensors", _latents, _read_latents),
        Reader("queue", ".sqlite", _queue, _use_queue),
        Reader("damaged queue", ".sqlite", _queue, _rescue_queue),
    )
    return {reader.name: reader for reader in found}


# ------------------------------------------------------------------------------ what is right


def _queue() -> list[bytes]:
    found = []
    for count in (1, 30):
        with tempfile.TemporaryDirectory() as folder:
            queue = Path(folder) / "queue"
            with Store(queue) as store:
                store.add(
                    [
                        NewJob(job=json.loads(_job()[0]), results=(queue / str(index),))
                        for index in range(count)
                    ]
                )
                worker = store.enter(ProcessId(pid=1, born="once", host="here"))
                if (claim := store.claim(worker)) is not None:
                    store.write_log(claim, ["begun", "going on"])
            found.append((queue / FILE).read_bytes())
    return found


def _dance(frames: int = 3) -> bytes:
    text = (presets.folder("motions") / "dance.bvh").read_text(encoding="utf-8")
    head, _, motion = text.partition("MOTION")
    lines = motion.strip().splitlines()
    rows = "\n".join(lines[2 : 2 + frames])
    return f"{head}MOTION\nFrames: {frames}\n{lines[1]}\n{rows}\n".encode()


def _bvh() -> list[bytes]:
    return [_dance(), _dance(1)]


def _document() -> tuple[dict[str, object], bytes]:
    """Return a glTF document of the bundled dance's skeleton, and its buffer."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "dance.bvh"
        path.write_bytes(_dance())
        dance = load(path)
    joints = len(dance.names)
    nodes: list[dict[str, object]] = []
    for bone, (name, parent) in enumerate(zip(dance.names, dance.parents, strict=True)):
        at = dance.rest_heads[bone] - (dance.rest_heads[parent] if parent >= 0 else 0)
        children = [int(child) for child in np.flatnonzero(dance.parents == bone)]
        nodes.append({"name": name, "translation": [float(v) for v in at], "children": children})
        if not children:
            del nodes[-1]["children"]
    binds = np.tile(np.eye(4), (joints, 1, 1))
    binds[:, 3, :3] = -dance.rest_heads
    parts = [
        np.array([0, 0.5, 1], "<f4").tobytes(),
        np.tile(dance.rest_heads[0], (3, 1)).astype("<f4").tobytes(),
        binds.astype("<f4").tobytes(),
    ]
    kinds = (("SCALAR", 3), ("VEC3", 3), ("MAT4", joints))
    starts = np.cumsum([0, *map(len, parts)]).tolist()
    document: dict[str, object] = {
        "asset": {"version": "2.0"},
        "scenes": [{"nodes": [0]}],
        "nodes": nodes,
        "skins": [{"joints": list(range(joints)), "inverseBindMatrices": 2}],
        "animations": [
            {
                "channels": [{"sampler": 0, "target": {"node": 0, "path": "translation"}}],
                "samplers": [{"input": 0, "output": 1, "interpolation": "LINEAR"}],
            }
        ],
        "accessors": [
            {"bufferView": view, "componentType": 5126, "count": count, "type": kind}
            for view, (kind, count) in enumerate(kinds)
        ],
        "bufferViews": [
            {"buffer": 0, "byteOffset": start, "byteLength": len(part)}
            for start, part in zip(starts, parts, strict=False)
        ],
    }
    return document, b"".join(parts)


def _gltf() -> list[bytes]:
    document, data = _document()
    uri = "data:application/octet-stream;base64," + base64.b64encode(data).decode()
    document["buffers"] = [{"byteLength": len(data), "uri": uri}]
    return [json.dumps(document).encode()]


def _glb() -> list[bytes]:
    document, data = _document()
    document["buffers"] = [{"byteLength": len(data)}]
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    size = 12 + 8 + len(text) + 8 + len(data)
    head = struct.pack("<4sIIII", b"glTF", 2, size, len(text), 0x4E4F534A)
    return [head + text + struct.pack("<II", len(data), 0x004E4942) + data]


def _small_track() -> PoseTrack:

    rng = np.random.default_rng(1)
    return PoseTrack(
        points=rng.uniform(0, 90, (3, 1, 134, 2)).astype(np.float32),
        scores=np.full((3, 1, 134), 0.9, np.float32),
        size=(96, 128),
        rate=FrameRate(Fraction(24)),
    )


def _written(name: str) -> bytes:

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        write_track(_small_track(), path)
        return path.read_bytes()


def _track() -> list[bytes]:
    return [_written("track.npz")]


def _comfyui() -> list[bytes]:
    return [_written("track.json")]


def _coco() -> list[bytes]:
    return [_written("track.coco.json")]


def _openpose() -> list[bytes]:
    return [json.dumps(json.loads(_comfyui()[0])[0]).encode()]


def _animation() -> list[bytes]:

    with tempfile.TemporaryDirectory() as folder:
        source, path = Path(folder) / "dance.bvh", Path(folder) / "dance.npz"
        source.write_bytes(_dance())
        write_animation(load(source), path)
        return [path.read_bytes()]


def _stored_track() -> list[bytes]:
    """Return a track whose arrays are not compressed, so that faults reach them."""
    content = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(_track()[0])) as packed,
        zipfile.ZipFile(content, "w") as stored,
    ):
        for name in packed.namelist():
            stored.writestr(name, packed.read(name))
    return [content.getvalue()]


def _animated() -> list[bytes]:
    pictures = [Image.new("RGB", (40, 30), (60 * index, 30, 60)) for index in range(3)]
    made = []
    for form in ("GIF", "PNG", "WEBP"):
        content = io.BytesIO()
        pictures[0].save(content, form, save_all=True, append_images=pictures[1:], duration=40)
        made.append(content.getvalue())
    return made


def _map() -> list[bytes]:
    track = _small_track()
    picture = Image.fromarray(draw(track.points[0], track.scores[0], track.size, track.size))
    made = []
    for form in ("PNG", "JPEG", "WEBP", "BMP"):
        content = io.BytesIO()
        picture.save(content, form)
        made.append(content.getvalue())
    return made


def _bundle_record() -> list[bytes]:
    file = {"bytes": 3, "sha256": "0" * 64}
    return [json.dumps({"version": 1, "card": "svd", "files": {"unet/a.bin": file}}).encode()]


def _own_settings() -> list[bytes]:
    return [b'card = "svd"\n\n[settings]\nsteps = 12\nguidance = 3.0\n']


def _clip_list() -> list[bytes]:
    clips = [{"video": "a.mp4", "control": "a.control"}, {"video": "b.mp4"}]
    return [json.dumps({"version": 1, "clips": clips}).encode()]


def _picture_list() -> list[bytes]:
    rows = [
        {"file_name": "a.png", "text": "a red coat", "repeats": 2, "held_out": True},
        {"file_name": "b.png", "caption": "a hat"},
    ]
    return ["\n".join(map(json.dumps, rows)).encode()]


def _video() -> list[bytes]:

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        pictures = Pictures(6, lambda index: np.full((32, 32, 3), 90 + 20 * index, np.uint8))
        encode_video(pictures, FrameRate(Fraction(25)), path)
        return [path.read_bytes()]


def _picture() -> list[bytes]:

    made = []
    for form in ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP"):
        content = io.BytesIO()
        Image.new("RGB", (80, 90), (200, 30, 60)).save(content, form)
        made.append(content.getvalue())
    return made


def _job() -> list[bytes]:
    job = {
        "motion": {"path": "dance.mp4", "rate": "30000/1001", "first": 3, "camera": {"yaw": 20}},
        "character": "hero.png",
        "frames": "1-20:2,30",
        "pose": {"edits": [{"kind": "offset", "frames": "3-6", "joints": ["nose"], "by": [1, 2]}]},
        "settings": {"width": 256, "height": 384, "seed": 7, "steps": 3},
        "output": {"directory": "out", "videos": ["mp4"]},
    }
    return [json.dumps(job).encode()]


def _table() -> list[bytes]:
    plain = "shot,motion,character,out,frames,seed,model\na,here.bvh,b.png,{shot},1-5,7,puppet\n"
    head = "motion;character;out;motion.camera.yaw"
    spread = f'sep=;\r\n{head}\r\na.bvh;"b;c.png";r/{{character}};-3,5\r\n'
    return [plain.encode(), spread.encode("utf-8-sig"), plain.replace(",", "\t").encode("utf-16")]


def _matrix() -> list[bytes]:
    text = """out = "r/{shot}/{character}_{seed}"
[matrix]
motion = "a.bvh"
character = ["*", "b.png"]
seed = [1, 2]
quality = ["draft", "fast"]
[job]
model = "puppet"
frames = "1-8"
[job.settings]
steps = 3
[job.motion]
rate = "24"
"""
    return [text.encode(), text.replace('["*", "b.png"]', '"c.png"').encode()]


def _protocol() -> list[bytes]:
    submit = {"type": "submit", "job_id": "1", "job": json.loads(_job()[0]), "engine": {}}
    return [json.dumps(submit).encode(), b'{"type": "cancel", "job_id": "1"}']


def _live_pose() -> list[bytes]:
    track = _standing()
    pose = {
        "character": "hero.png",
        "width": 48,
        "height": 64,
        "points": track.points[0].tolist(),
        "scores": track.scores[0].tolist(),
        "depths": np.zeros((1, 134)).tolist(),
        "fit": "linear",
        "refine": False,
    }
    return [json.dumps(pose).encode()]


def _standing() -> PoseTrack:
    """Return one pose of somebody who stands in a picture of 48x64 pixels."""
    body = [
        (24, 12), (24, 18), (19, 18), (16, 25), (14, 31), (29, 18), (32, 25), (33, 32), (21, 35),
        (20, 46), (20, 57), (27, 35), (27, 46), (27, 57), (23, 11), (25, 11), (21, 12), (26, 12),
    ]  # fmt: skip
    points = np.zeros((1, 1, 134, 2), np.float32)
    scores = np.zeros((1, 1, 134), np.float32)
    points[0, 0, :18], scores[0, 0, :18] = body, 0.9
    return PoseTrack(points=points, scores=scores, size=(48, 64), rate=FrameRate.parse("24"))


def _record() -> list[bytes]:
    path = Path(__file__).resolve().parents[1] / "tests/data/version-1/finished/render.json"
    return [path.read_bytes()]


def _rig_preset() -> list[bytes]:
    return [(presets.folder("rigs") / "mixamo.toml").read_bytes()]


def _latents() -> list[bytes]:

    tensors = {
        "frames": np.zeros((2, 4, 8, 8), np.float16),
        "slot": np.zeros((4, 8, 8), np.float16),
    }
    return [save(tensors, {"numbers": "1-2"})]


# ------------------------------------------------------------------------------------- readers


def _read_poses(path: Path) -> None:

    report = Reporter("", lambda _event: None, lambda: False)
    motion = open_motion(MotionSource(path=str(path), source_size=(96, 128)))
    motion.poses(PoseSettings(fit="none"), (96, 128), report)


def _read_motion(path: Path) -> None:

    report = Reporter("", lambda _event: None, lambda: False)
    open_motion(MotionSource(path=str(path))).poses(PoseSettings(fit="none"), (96, 128), report)


def _read_video(path: Path) -> None:

    open_motion(MotionSource(path=str(path)))
    for _ in read_frames(path):
        pass


def _unchecked(read: Callable[[Path], object]) -> Callable[[Path], object]:
    """Let what is in a zip reach its reader although its checksum is wrong."""

    def unchecked(path: Path) -> object:
        with mock.patch.object(zipfile.ZipExtFile, "_update_crc", return_value=None):
            return read(path)

    return unchecked


def _read_animated(path: Path) -> None:

    probe(path)
    for _ in read_frames(path):
        pass


def _alone(path: Path, name: str) -> Path:
    """Put a file into a folder of its own, under the name that it has there."""
    folder = path.with_name(f"{name} alone")
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(path.read_bytes())
    return folder


def _read_maps(path: Path) -> None:

    maps = read_maps(_alone(path, "000001.png"), palette="controlnext")
    maps.frame(1)


def _read_bundle_record(path: Path) -> None:

    _read_bundle(_alone(path, bundles.RECORD_NAME))


def _read_own_settings(path: Path) -> None:

    _read_bundle(_alone(path, "marionext.toml"))


def _read_bundle(folder: Path) -> None:
    bundle = bundles.find(str(folder))
    bundles.read_record(folder)
    bundles.settings_of(bundle)
    bundles.layers(folder)


def _read_clip_list(path: Path) -> None:

    find_clips(_alone(path, CLIP_LIST))


def _read_picture_list(path: Path) -> None:

    find_pictures(_alone(path, PICTURE_LISTS[0]))


def _read_picture(path: Path) -> None:

    read_character(path)


def _read_job(path: Path) -> None:

    read_job(path)


def _read_list(path: Path) -> None:
    character = path.with_name("any.png")
    character.touch()
    listing = list_shots([path])
    refused(listing.shots)
    if listing.problems:
        raise listing.problems[0].error


def _read_line(path: Path) -> None:

    read_command(path.read_bytes().decode("utf-8", "replace"))


def _draw_live_pose(path: Path) -> None:
    hero = path.with_name("hero.png")
    if not hero.exists():
        track = _standing()
        pixels = np.full((64, 48, 3), (200, 210, 230), np.uint8)
        pixels[7:58, 18:30] = (180, 40, 40)
        # Twice the size: a character's picture has at least 64 pixels a side.
        Image.fromarray(pixels.repeat(2, 0).repeat(2, 1)).save(hero)
        write_track(
            track.with_(points=2 * track.points, size=(96, 128)), hero.with_suffix(".pose.npz")
        )
    line = path.read_bytes().decode("utf-8", "replace").replace("\n", " ")
    command = read_command(f'{{"type": "pose", "job_id": "q", "pose": {line}}}')
    assert isinstance(command, Pose)
    asked = decode(LivePose, command.pose)
    if asked.character == "hero.png":
        asked = replace(asked, character=str(hero))
    _poser().draw(asked, Reporter("q", lambda _event: None, lambda: False))


@cache
def _poser() -> Poser:
    return Poser()


def _read_record(path: Path) -> None:

    Record.read(path)


def _read_preset(path: Path) -> None:

    dance = path.with_name("dance.bvh")
    if not dance.exists():
        dance.write_bytes(_dance())
    map_rig(load(dance), str(path))


def _read_latents(path: Path) -> None:

    with contextlib.suppress(EngineError):
        read_state(path)
    read_latents(path)


@contextlib.contextmanager
def _queue_of(path: Path) -> Iterator[Path]:
    """Give a queue's folder that holds a file."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        (Path(folder) / FILE).write_bytes(path.read_bytes())
        yield Path(folder)


def _use_queue(path: Path) -> None:
    with _queue_of(path) as folder, Store(folder) as store:
        for entry in store.entries():
            store.log(entry.number)
            row(entry)
        for number, _, _ in store.workers():
            store.take_back(number)
        worker = store.enter(ProcessId(pid=1, born="once", host="here"))
        while (claim := store.claim(worker)) is not None:
            store.fail(claim, "no figure", again=True)
        store.remove([entry.number for entry in store.entries()])


def _rescue_queue(path: Path) -> None:
    with _queue_of(path) as folder:
        with contextlib.suppress(SettingsError):  # it is whole
            rescue(folder)
        with Store(folder) as store:
            store.check()
            store.entries()


# ------------------------------------------------------------------------------------ spoiling


def spoiled(rng: random.Random, seeds: list[bytes]) -> bytes:
    """Return one of some right files with a few faults."""
    content = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        content = bytearray(rng.choice(_FAULTS)(rng, bytes(content), seeds))
    return bytes(content)


def _flip(rng: random.Random, content: bytes, _seeds: list[bytes]) -> bytes:
    if not content:
        return content
    spoilt = bytearray(content)
    for _ in range(rng.choice((1, 1, 4, 32))):
        spoilt[rng.randrange(len(spoilt))] = rng.randrange(256)
    return bytes(spoilt)


def _cut(rng: random.Random, content: bytes, _seeds: list[bytes]) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _drop(rng: random.Random, content: bytes, _seeds: list[bytes]) -> bytes:
    start, stop = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    return content[:start] + content[stop:]


def _repeat(rng: random.Random, content: bytes, _seeds: list[bytes]) -> bytes:
    start = rng.randrange(len(content) + 1)
    piece = content[start : start + rng.choice((1, 8, 200))]
    return content[:start] + piece * rng.choice((2, 3, 50)) + content[start:]


def _extreme(rng: random.Random, content: bytes, _seeds: list[bytes]) -> bytes:
    places = list(NUMBER.finditer(content[:200_000]))
    if not places:
        return content
    place = rng.choice(places)
    return content[: place.start()] + rng.choice(EXTREME) + content[place.end() :]


def _splice(rng: random.Random, content: bytes, seeds: list[bytes]) -> bytes:
    other = rng.choice(seeds)
    start = rng.randrange(len(content) + 1)
    piece = rng.randrange(len(other) + 1)
    return content[:start] + other[piece : piece + rng.choice((4, 64, 1000))] + content[start:]


def _nest(rng: random.Random, content: bytes, _seeds: list[bytes]) -> bytes:
    depth = rng.choice((50, 2000, 100_000))
    start = rng.randrange(len(content) + 1)
    return content[:start] + rng.choice((b"[", b'{"a":', b"(", b"{")) * depth + content[start:]


def _nul(rng: random.Random, content: bytes, _seeds: list[bytes]) -> bytes:
    start = rng.randrange(len(content) + 1)
    return (
        content[:start] + rng.choice((b"\0", b"\xff\xfe", b"\r", b"\xef\xbb\xbf")) + content[start:]
    )


_FAULTS = (_flip, _flip, _cut, _drop, _repeat, _extreme, _extreme, _extreme, _splice, _nest, _nul)


# ---------------------------------------------------------------------------------- one input


class TooLong(BaseException):
    """An input took too long; no reader's own words may stand for it."""


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise `TooLong` in the block after some seconds; main thread of a Unix only."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise TooLong(f"longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def verdict(reader: Reader, content: bytes, folder: Path, seconds: float = SECONDS) -> str:
    """Read an input and return ``read``, ``refused``, or what went wrong."""
    path = folder / f"input{reader.suffix}"
    path.write_bytes(content)
    try:
        with warnings.catch_warnings(), limited(seconds):
            warnings.simplefilter("ignore")
            reader.read(path)
    except EngineError as error:
        # What a size should have refused before.
        cause = error.__cause__
        # FFmpeg calls it a lack of memory, too, when it does not take a size.
        taken = isinstance(cause, MemoryError) and not isinstance(cause, FFmpegError)
        return "MemoryError" if taken else "refused"
    except (Exception, TooLong) as error:
        return f"{type(error).__name__}: {error}"[:300]
    return "read"


def main() -> int:
    """Run until the time is over, and print the counts."""
    known = readers()
    parser = argparse.ArgumentParser(description="Feed damaged files to every reader.")
    parser.add_argument("readers", nargs="*", metavar="READER", help=", ".join(known))
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--state", type=Path, default=Path("out/fuzz.json"))
    options = parser.parse_args()
    if unknown := set(options.readers) - set(known):
        parser.error(f"no such reader: {', '.join(sorted(unknown))}")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    chosen = [known[name] for name in options.readers or known]
    seeds = {reader.name: reader.seeds() for reader in chosen}
    state = _state(options.state)
    ends = time.monotonic() + options.seconds
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(KeyboardInterrupt):
        while time.monotonic() < ends:
            for reader in chosen:
                counts = state.setdefault(reader.name, {})
                number = sum(counts.values())
                content = spoiled(random.Random(f"{reader.name} {number}"), seeds[reader.name])
                found = verdict(reader, content, Path(folder))
                counts[found] = counts.get(found, 0) + 1
                if found not in {"read", "refused"} and counts[found] == 1:
                    kept = options.state.with_name(f"{reader.name}-{number}{reader.suffix}")
                    write_bytes(kept, content)
                    print(f"{reader.name}: {found}\n    {kept}", flush=True)
            if sum(map(sum, (counts.values() for counts in state.values()))) % 1000 < len(chosen):
                write_json(options.state, state)
    write_json(options.state, state)
    return _print(state)


def _state(path: Path) -> dict[str, dict[str, int]]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _print(state: dict[str, dict[str, int]]) -> int:
    faults = 0
    for name, counts in state.items():
        total = Counter(counts)
        wrong = sum(count for key, count in total.items() if key not in {"read", "refused"})
        faults += wrong
        print(f"{name:22} {sum(total.values()):8} inputs  {total['read']:8} read  "
              f"{total['refused']:8} refused  {wrong:6} wrong")  # fmt: skip
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
