"""Nothing leaves the machine: the engine and FFmpeg run where talking to anybody is death.

A system call filter (seccomp) kills a process that connects, listens or sends; all that it starts
inherit the filter. Making a socket alone is allowed: a library of a library (urllib3) makes one
when it is imported, to see whether the machine knows IPv6. Only Linux has such filters; the code is
the same elsewhere.
"""

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from tests.engine.backends.pictures import tiny

from marionext.capture.models import locate_models
from marionext.errors import ModelError
from marionext.frames import FrameRate
from marionext.output import encode_video
from marionext.output.pictures import Pictures

JobMaker = Callable[..., dict[str, Any]]

# Without a name torch asks the system for the user's: a daemon of this machine may be asked for it.
CALM = {**os.environ, "OMP_NUM_THREADS": "1", "LOGNAME": "nobody"}

FILTERED = """
    import ctypes, os, platform, struct, sys

    # seccomp(2), linux/filter.h, linux/seccomp.h. The processor, and its numbers of: connect,
    # accept, sendto, sendmsg, listen, accept4, sendmmsg, io_uring_setup (which could do them all).
    TALKING = {
        "x86_64": (0xC000003E, (42, 43, 44, 46, 50, 288, 307, 425)),
        "aarch64": (0xC00000B7, (203, 202, 206, 211, 201, 242, 269, 425)),
    }
    LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
    ALLOW, KILL = 0x7FFF0000, 0x80000000
    processor, calls = TALKING[platform.machine()]
    steps = [(LOAD, 0, 0, 4), (EQUAL, 1, 0, processor), (RETURN, 0, 0, KILL), (LOAD, 0, 0, 0)]
    steps += [(EQUAL, len(calls) - place, 0, call) for place, call in enumerate(calls)]
    steps += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, KILL)]
    program = b"".join(struct.pack("=HBBI", *step) for step in steps)
    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_char_p)]
    libc = ctypes.CDLL(None, use_errno=True)
    def control(option, *values):
        given = [ctypes.c_ulong(v) if isinstance(v, int) else v for v in (*values, 0, 0, 0)[:4]]
        if libc.prctl(option, *given) != 0:
            sys.exit(99)
    control(38, 1)  # PR_SET_NO_NEW_PRIVS: filters are for everybody then
    control(22, 2, ctypes.byref(Program(len(program) // 8, program)))  # PR_SET_SECCOMP, FILTER
    os.execv(sys.argv[1], sys.argv[1:])
"""


def filtered(*command: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run a command that dies when it, or what it starts, talks to anybody."""
    program = [sys.executable, "-c", textwrap.dedent(FILTERED), *command]
    return subprocess.run(
        program, capture_output=True, text=True, check=False, timeout=300, **options
    )


def engine(*arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run the command line where talking is death."""
    return filtered(sys.executable, "-m", "marionext", *arguments, env=CALM, **options)


@pytest.fixture(scope="module", autouse=True)
def _the_filter_bites() -> None:
    """Skip where there is no such filter; where there is one, see that it does what it should."""
    if sys.platform != "linux":
        pytest.skip("system call filters are Linux's")
    made = "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); print('made')\n"
    for talk in ("s.sendto(b'x', ('127.0.0.1', 9))", "s.connect(('127.0.0.1', 9))"):
        ask = made + talk
        done = filtered(sys.executable, "-c", ask)
        if done.returncode == 99:
            pytest.skip("this system lets nobody filter system calls")
        assert (done.returncode, done.stdout) == (-signal.SIGSYS, "made\n")
        call = f"import subprocess, sys; print(subprocess.call([sys.executable, '-c', {ask!r}]))"
        assert filtered(sys.executable, "-c", call).stdout.split()[-1] == str(-signal.SIGSYS)


@pytest.fixture
def dance(tmp_path: Path) -> Path:
    """A video of 8 frames with sound."""
    frames = np.random.default_rng(0).integers(0, 256, (8, 96, 96, 3), np.uint8)
    path = tmp_path / "dance.mov"
    encode_video(Pictures(8, lambda i: frames[i]), FrameRate.parse("8"), path, kind="prores")
    with av.open(str(tmp_path / "with sound.mov"), "w") as out, av.open(str(path)) as silent:
        video = out.add_stream_from_template(silent.streams.video[0])
        sound = out.add_stream("aac", rate=16_000, layout="mono")
        for packet in silent.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                out.mux(packet)
        tone = np.sin(np.arange(16_000) / 20).astype(np.float32)
        for start in range(0, 16_000, 1000):
            frame = av.AudioFrame.from_ndarray(tone[None, start : start + 1000], "fltp", "mono")
            frame.rate, frame.pts = 16_000, start
            out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    return tmp_path / "with sound.mov"


@pytest.mark.slow
def test_rendering_talks_to_nobody_in_any_process(make_job: JobMaker, tmp_path: Path) -> None:
    job = make_job(
        output={"videos": ["mp4", "webm", "gif", "prores"], "side_by_side": True, "pose_maps": True}
    )
    (tmp_path / "job.json").write_text(json.dumps(job), encoding="utf-8")
    done = engine("batch", str(tmp_path / "job.json"))
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == 8
    again = engine("render", "--again", str(tmp_path / "out"), "--frames", "103-104")
    assert again.returncode == 0, again.stderr


@pytest.mark.slow
def test_rendering_with_the_sound_of_a_video_talks_to_nobody(
    dance: Path, make_job: JobMaker, tmp_path: Path
) -> None:
    """Ready-made pose maps with sound: FFmpeg reads the video itself."""
    job = make_job(motion={"path": str(dance), "kind": "posemaps", "palette": "any"}, pose={})
    (tmp_path / "job.json").write_text(json.dumps(job), encoding="utf-8")
    done = engine("batch", str(tmp_path / "job.json"))
    assert done.returncode == 0, done.stderr
    with av.open(done.stdout.strip()) as made:
        assert made.streams.audio


def test_planning_and_asking_talk_to_nobody(track_file: Path, tmp_path: Path) -> None:
    plan = engine("plan", "--motion", str(track_file), "--size", "64x64")
    assert plan.returncode == 0, plan.stderr
    assert engine("models", "list").returncode == 0
    maps = engine("posemap", str(track_file), "-o", str(tmp_path / "maps"))
    assert maps.returncode == 0, maps.stderr


@pytest.mark.slow
def test_making_pictures_talks_to_nobody(track_file: Path, tmp_path: Path) -> None:
    """From a folder, and from one file with a LoRA, for which the libraries would ask a hub."""
    base = tiny.make_sd15(tmp_path / "base", width=768)
    tiny.make_control(tmp_path / "pose", "sd15")
    tiny.make_lora(tmp_path / "lora.safetensors", base)
    tiny.make_checkpoint(tmp_path / "all.safetensors", base)
    usual = ["image", "--prompt", "red", "--steps", "1", "--size", "64x64", "--control"]
    usual += [f"pose={track_file},weights={tmp_path / 'pose'}", "--base"]
    lora = ["--lora", str(tmp_path / "lora.safetensors"), "--config", str(base)]
    for name, options in (("base", []), ("all.safetensors", lora)):
        done = engine(*usual, str(tmp_path / name), *options, "--out", str(tmp_path / f"to {name}"))
        assert done.returncode == 0, done.stderr
        assert (tmp_path / f"to {name}" / "pictures" / "000001.png").is_file()


@pytest.mark.slow
def test_capturing_talks_to_nobody(dance: Path, tmp_path: Path) -> None:
    try:
        locate_models()
    except ModelError:
        pytest.skip("the detector's networks are not here")
    done = engine("track", str(dance), "-o", str(tmp_path / "poses.npz"))
    assert done.returncode == 3, done.stderr  # noise: nobody is in it, but all of it was looked at
    assert "nobody" in done.stderr or "no person" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["-out", "concat:x", "http:", "a|b", "%d %%", "pipe:1", "-"])
def test_a_folder_is_a_folder_whatever_its_name_looks_like(
    name: str, make_job: JobMaker, tmp_path: Path
) -> None:
    """Through the worker, relative: names that mean something to FFmpeg."""
    videos = ["mp4", "gif"] if name != "http:" else ["mp4", "webm", "prores"]
    folder = f"{name}//127.0.0.1:9/x" if name == "http:" else name
    job = make_job(output={"directory": folder, "videos": videos})
    line = json.dumps({"type": "submit", "job_id": "1", "job": job, "engine": {}})
    command = [sys.executable, "-c", textwrap.dedent(FILTERED)]
    with subprocess.Popen(
        [*command, sys.executable, "-m", "marionext", "worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=CALM,
    ) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(line + "\n")
        worker.stdin.flush()
        events = (json.loads(said) for said in worker.stdout)
        last = next(event for event in events if event["type"] in ("finished", "failed"))
        worker.communicate()
    assert last["type"] == "finished", last
    for video in map(Path, last["videos"]):
        assert video.is_absolute()
        assert video.is_file()
        assert video.is_relative_to(tmp_path / folder)
