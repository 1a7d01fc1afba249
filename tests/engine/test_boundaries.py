"""Whatever is put where a file is read: it is read, or refused in words, at once."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from marionext import bundles, presets
from marionext.capture.models import locate_models
from marionext.cli import main
from marionext.errors import EngineError, ModelError, MotionError, SettingsError
from marionext.footage import probe
from marionext.frames import FrameRate
from marionext.jobs import MotionSource
from marionext.motion import load
from marionext.motion.rigs import read_preset
from marionext.output import encode_video
from marionext.output.pictures import Pictures
from marionext.output.sound import find_sound
from marionext.pose.formats import read_track
from marionext.sources import open_motion

JobMaker = Callable[..., dict[str, Any]]

needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")

WRONG = {
    "digits": f'{{"a": {"9" * 5000}}}'.encode(),
    "toml digits": b"a = " + b"9" * 5000,
    "hex digits": b"settings = 0x" + b"f" * 5000,
    "deep": b"[" * 100_000,
    "deep toml": b"a = " + b"[" * 100_000,
    "not utf-8": b"\xff\xfe",
    "nul": b"\0" * 64,
    "number": b"5",
    "list": b"[]",
    "cut off": b'{"card": "svd", "fil',
    "outside": json.dumps({"files": {"../../x": {"size": 1, "sha256": "0"}}}).encode(),
    "kinds": b'{"card": 5, "base": {"model": ["x"]}, "files": {"a": 5}, "version": []}',
    "toml kinds": b"card = 5\nbase = [1]\nsettings = 3\n",
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder of our own."""
    monkeypatch.setenv("MARIONEXT_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "models").mkdir(parents=True)
    return tmp_path / "home"


def exclaim(call: Callable[[], object]) -> EngineError:
    """Return what a call is refused with; it must not take long."""
    started = time.monotonic()
    with pytest.raises(EngineError) as caught:
        call()
    assert time.monotonic() - started < 10
    assert len(caught.value.message) < 1000
    return caught.value


@needs_pipes
@pytest.mark.parametrize(
    "name", ["m.mp4", "m.bvh", "m.glb", "m.gltf", "m.npz", "m.json", "m.png", "m.webp", "m"]
)
@pytest.mark.parametrize("kind", ["auto", "video", "rig", "track", "posemaps"])
def test_a_pipe_is_no_motion_and_is_not_waited_for(name: str, kind: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    exclaim(lambda: open_motion(MotionSource(path=str(tmp_path / name), kind=kind)))


@needs_pipes
def test_a_pipe_in_a_folder_of_frames_is_not_waited_for(tmp_path: Path) -> None:
    for folder, name in (("poses", "a_000000000001_keypoints.json"), ("maps", "000001.png")):
        (tmp_path / folder).mkdir()
        os.mkfifo(tmp_path / folder / name)
        exclaim(lambda at=folder: open_motion(MotionSource(path=str(tmp_path / at))))


@needs_pipes
@pytest.mark.parametrize("what", ["character", "hero.pose.npz", "rig", "model", "job", "sound"])
def test_no_other_file_of_a_job_is_waited_for(
    what: str, make_job: JobMaker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe = tmp_path / "pipe.toml"
    os.mkfifo(pipe)
    job = make_job(settings={"steps": 1})
    status = 1
    match what:
        case "character":
            job["character"], status = str(pipe), 3
        case "hero.pose.npz":  # as if there were none
            (tmp_path / what).unlink()
            pipe.rename(tmp_path / what)
            job["pose"]["fit"], status = "none", 0
        case "rig":
            job["motion"] = {"path": str(presets.folder("motions") / "dance.bvh"), "rig": str(pipe)}
            status = 2
        case "model":
            folder = tmp_path / "model"
            folder.mkdir()
            pipe.rename(folder / "bundle.json")
            job["model"], status = str(folder), 4
        case "sound":  # there is none of it; the video is made
            job["output"]["sound"] = str(pipe)
    (tmp_path / "job.json").write_text(json.dumps(job), encoding="utf-8")
    if what == "job":
        (tmp_path / "job.json").unlink()
        os.mkfifo(tmp_path / "job.json")
        status = 2
    if what == "sound":
        assert main(["batch", str(tmp_path / "job.json")]) in (0, 1, 2, 3)
    else:
        assert main(["batch", str(tmp_path / "job.json")]) == status
    said = capsys.readouterr().err
    assert "Unexpected" not in said


@pytest.mark.parametrize("content", WRONG.values(), ids=WRONG.keys())
@pytest.mark.parametrize("name", ["bundle.json", "marionext.toml", "unet/config.json"])
def test_a_folder_of_a_model_may_hold_anything(
    content: bytes, name: str, home: Path, make_job: JobMaker, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = home / "models" / "mine"
    (folder / "unet").mkdir(parents=True)
    (folder / "bundle.json").write_text("{}", encoding="utf-8")
    (folder / name).write_bytes(content)
    assert main(["models", "list"]) == 0
    assert main(["models", "check", str(folder)]) == 4
    exclaim(lambda: bundles.require(str(folder)))
    for look in (bundles.find, lambda at: bundles.settings_of(bundles.find(at))):
        try:
            look(str(folder))
        except ModelError:
            continue
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("content", WRONG.values(), ids=WRONG.keys())
def test_a_rig_preset_may_hold_anything(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "rig.toml"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"rig\.toml"):
        read_preset(path)


def test_sums_that_are_damaged_vouch_for_nothing(home: Path) -> None:
    folder = home / "models" / "mediapipe"
    folder.mkdir()
    for name in ("pose_landmarker_lite.task", "hand_landmarker.task", "face_landmarker.task"):
        (folder / name).write_bytes(b"network")
    for content in (b"\xff\xfe\0", b"0" * 64, b"a  b  c\n" * 1000):
        (folder / "SHA256SUMS").write_bytes(content)
        with pytest.raises(ModelError):
            locate_models(folder)


def test_what_is_kept_of_speeds_may_be_anything(home: Path, track_file: Path) -> None:
    for content in WRONG.values():
        (home / "speeds.json").write_bytes(content)
        assert main(["plan", "--motion", str(track_file)]) == 0


PLAYLISTS = {
    "a.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.0,\n{}\n#EXT-X-ENDLIST\n",
    "b.ffconcat": "ffconcat version 1.0\nfile '{}'\n",
    "c.mp4": "ffconcat version 1.0\nfile {}\n",
    "d.ts": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.0,\n{}\n#EXT-X-ENDLIST\n",
    "e.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n",
}


@pytest.mark.parametrize("name", PLAYLISTS)
@pytest.mark.parametrize("target", ["plain.mp4", "http://127.0.0.1:9/x.ts", "/dev/zero"])
def test_a_playlist_opens_nothing(name: str, target: str, tmp_path: Path) -> None:
    frames = np.zeros((4, 64, 64, 3), np.uint8)
    encode_video(Pictures(4, lambda i: frames[i]), FrameRate.parse("8"), tmp_path / "plain.mp4")
    assert probe(tmp_path / "plain.mp4").frames == 4
    (tmp_path / name).write_text(PLAYLISTS[name].format(target), encoding="utf-8")
    assert isinstance(exclaim(lambda: probe(tmp_path / name)), MotionError)
    exclaim(lambda: find_sound(tmp_path / name))


def gltf(uri: str) -> str:
    return json.dumps(
        {
            "asset": {"version": "2.0"},
            "buffers": [{"uri": uri, "byteLength": 36}],
            "bufferViews": [{"buffer": 0, "byteLength": 8}, {"buffer": 0, "byteLength": 24}],
            "accessors": [
                {"bufferView": 0, "componentType": 5126, "count": 2, "type": "SCALAR"},
                {"bufferView": 1, "componentType": 5126, "count": 2, "type": "VEC3"},
            ],
            "nodes": [{"name": "Hips"}],
            "scenes": [{"nodes": [0]}],
            "animations": [
                {
                    "samplers": [{"input": 0, "output": 1}],
                    "channels": [{"sampler": 0, "target": {"node": 0, "path": "translation"}}],
                }
            ],
        }
    )


@pytest.mark.parametrize(
    "uri",
    [
        *("../secret.bin", "%2e%2e/secret.bin", "a/../../secret.bin", "..\\secret.bin", "link.bin"),
        *("/dev/zero", "file:///dev/zero", "/etc/passwd", "C:\\secret.bin", "http://127.0.0.1/x"),
    ],
)
def test_a_gltf_reads_nothing_outside_of_its_folder(uri: str, tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(b"secret" * 10)
    folder = tmp_path / "rig"
    folder.mkdir()
    if os.name != "nt":
        (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    (folder / "rig.gltf").write_text(gltf(uri), encoding="utf-8")
    assert "in its own folder" in exclaim(lambda: load(folder / "rig.gltf")).message


@pytest.mark.parametrize("uri", ["part.bin", "./part.bin", "sub/part.bin", "sub/../part.bin"])
def test_a_gltf_reads_the_parts_beside_it(uri: str, tmp_path: Path) -> None:
    numbers = bytes(36)
    (tmp_path / "sub").mkdir()
    for name in ("part.bin", "sub/part.bin"):
        (tmp_path / name).write_bytes(numbers)
    (tmp_path / "rig.gltf").write_text(gltf(uri), encoding="utf-8")
    _, part = load(tmp_path / "rig.gltf").files
    assert part.resolve() == (tmp_path / uri).resolve()


@needs_pipes
def test_a_pipe_as_a_part_of_a_gltf_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "part.bin")
    (tmp_path / "rig.gltf").write_text(gltf("part.bin"), encoding="utf-8")
    assert "pipe" in exclaim(lambda: load(tmp_path / "rig.gltf")).message


OBEYING = """
import ctypes, os, sys
if os.geteuid() == 0:  # root looks into closed folders, too, unless it gives that right up
    for right in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH; 24: PR_CAPBSET_DROP
        ctypes.CDLL(None).prctl(24, right, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-m", "marionext", *sys.argv[1:]])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="rights of Linux")
@pytest.mark.parametrize(
    "closed", ["home", "home/models", "home/models/mine", "home/models/mine/unet", "out", "motions"]
)
def test_closed_folders_are_said(closed: str, home: Path, tmp_path: Path, track_file: Path) -> None:
    (home / "models" / "mine" / "unet").mkdir(parents=True)
    (home / "models" / "mine" / "bundle.json").write_text("{}", encoding="utf-8")
    for name in ("out", "motions"):
        (tmp_path / name).mkdir()
    motion = track_file.rename(tmp_path / "motions" / "wave.npz")
    paths = ["--motion", str(motion), "--out", str(tmp_path / "out" / "new")]
    hero = ["--character", str(tmp_path / "hero.png")]
    (tmp_path / closed).chmod(0)
    try:
        for arguments in (
            ["models", "list"],
            ["models", "check", "mine"],
            ["models", "path", str(home / "models" / "mine")],
            ["plan", *paths],
            ["render", *paths, *hero],
            ["track", str(motion), "-o", str(tmp_path / "out" / "new.npz")],
            ["takes", str(tmp_path / "out")],
            ["doctor"],
        ):
            done = subprocess.run(
                [sys.executable, "-c", OBEYING, *arguments],
                capture_output=True,
                text=True,
                check=False,
            )
            assert "Traceback" not in done.stderr, arguments
            assert "Unexpected" not in done.stderr, arguments
            assert done.returncode in range(5), (arguments, done.stderr)
            assert done.returncode == 0 or "error: " in done.stderr or done.stdout, arguments
    finally:
        (tmp_path / closed).chmod(0o755)


def test_a_track_is_read_as_before(track_file: Path) -> None:
    assert len(read_track(track_file)) == 7
