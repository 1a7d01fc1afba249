"""The engine as a real process: killed, resumed, misused."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from marionext.client import EngineProcess
from marionext.local import LocalEngine
from marionext.protocol import Event, Failed, Finished, FrameWritten, Hello, Progress
from marionext.record import Record
from marionext.worker import serve

JobMaker = Callable[..., dict[str, Any]]
CALM = {"OMP_NUM_THREADS": "1"}

pytestmark = pytest.mark.slow


def frames_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "frames").glob("*.png"))}


def events_until(
    engine: EngineProcess, wanted: Callable[[Event], bool], seconds: float = 300
) -> list[Event]:
    events: list[Event] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for event in engine.poll():
            events.append(event)
            if wanted(event):
                return events
        time.sleep(0.005)
    raise AssertionError(f"not seen within {seconds} s; the last events: {events[-3:]}")


def test_a_render_killed_at_any_moment_goes_on_to_the_same_bytes(
    make_job: JobMaker, tmp_path: Path
) -> None:
    whole = make_job(output={"directory": str(tmp_path / "whole")})
    killed = make_job(output={"directory": str(tmp_path / "killed")})
    moments: list[Callable[[Event], bool]] = [
        lambda event: isinstance(event, Progress) and event.stage == "models",
        lambda event: isinstance(event, Progress) and event.stage == "denoise" and event.done >= 4,
        lambda event: isinstance(event, FrameWritten) and event.frame >= 103,
    ]
    # Whatever the threads of those who go on: those of the one who began count.
    for threads, moment in zip(("1", "2", "3"), moments, strict=True):
        engine = EngineProcess(environment={"OMP_NUM_THREADS": threads})
        job_id = engine.submit(killed)
        events_until(engine, moment)
        os.kill(engine.pid, signal.SIGKILL)
        last = engine.wait(job_id, timeout=30)[-1]
        assert isinstance(last, Failed)
        assert last.code == "protocol"
        engine.close()
    assert frames_in(tmp_path / "killed"), "the last kill came after frames were written"
    assert Record.read(tmp_path / "killed" / "render.json").computed["threads"] == "1"
    with EngineProcess(environment=CALM) as engine:
        job_id = engine.submit(killed)
        events = engine.wait(job_id, timeout=300)
        assert isinstance(events[-1], Finished), events[-1]
        stages = {event.stage for event in events if isinstance(event, Progress)}
        assert "denoise" not in stages, "all steps were done before the last kill"
        assert isinstance(engine.wait(engine.submit(whole), timeout=300)[-1], Finished)
    assert frames_in(tmp_path / "killed") == frames_in(tmp_path / "whole")
    assert not (tmp_path / "killed" / "state").exists()


def test_two_runs_into_one_folder_the_second_refuses(make_job: JobMaker) -> None:
    job = make_job(settings={"steps": 40})
    with EngineProcess(environment=CALM) as first, EngineProcess(environment=CALM) as second:
        running = first.submit(job)
        events_until(first, lambda e: isinstance(e, Progress) and e.stage == "denoise")
        refused = second.wait(second.submit(job), timeout=300)[-1]
        assert isinstance(refused, Failed)
        assert refused.code == "output"
        first.cancel(running)
        stopped = first.wait(running, timeout=60)[-1]
        assert isinstance(stopped, Failed)
        assert stopped.code == "cancelled"


def talk(lines: str | bytes, *, until: int = 0) -> tuple[list[dict[str, Any]], int]:
    """Send lines to a worker and return its events and exit status.

    Its stdin is closed at once, or when so many jobs have ended.
    """
    worker = subprocess.Popen(
        [sys.executable, "-m", "marionext", "worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **CALM},
    )
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(lines.encode() if isinstance(lines, str) else lines)
    worker.stdin.flush()
    events: list[dict[str, Any]] = []
    while until:
        events.append(json.loads(worker.stdout.readline()))
        until -= events[-1]["type"] in ("failed", "finished")
    worker.stdin.close()
    with worker.stdout as stream:
        events += map(json.loads, stream.read().decode("ascii").splitlines())
    return events, worker.wait(120)


def test_a_malformed_line_is_answered_and_the_end_of_input_ends_the_engine() -> None:
    events, status = talk('{"type": "dance"}\nnot json\n{"type": "cancel", "job_id": "x"}\n\n')
    assert [event["type"] for event in events] == ["hello", "log", "log"]
    assert "expected a type among" in events[1]["text"]
    assert status == 0


def test_a_broken_job_ends_in_one_failed_and_the_next_one_is_taken(make_job: JobMaker) -> None:
    bad = {"settings": {"stepz": 1}}
    gone = make_job(motion={"path": "/nowhere.mp4"})
    with EngineProcess(environment=CALM) as engine:
        first = engine.wait(engine.submit(bad), timeout=120)[-1]
        assert isinstance(first, Failed)
        assert first.code == "settings"
        second = engine.wait(engine.submit(gone), timeout=120)[-1]
        assert isinstance(second, Failed)
        assert second.code == "motion"
        assert isinstance(engine.hello, Hello)


def test_closing_the_host_ends_the_engine(make_job: JobMaker) -> None:
    engine = EngineProcess(environment=CALM)
    engine.submit(make_job(settings={"steps": 40}))
    events_until(engine, lambda event: isinstance(event, Progress) and event.stage == "denoise")
    engine.close(timeout=60)
    assert not engine.alive


@pytest.mark.parametrize(
    "line",
    [
        b'{"type": "submit", "job_id": "1", "job": {"seed": ' + b"9" * 5000 + b'}, "engine": {}}',
        b"[" * 1_000_000,
        b'{"a":' * 1_000_000,
        b"\0" * 1000,
        b"\xff\xfe\x80 not utf-8",
        b"x" * (100 << 20),
        b'{"type": "cancel", "job_id": "' + b"x" * (100 << 20) + b'"}',
    ],
    ids=["digits", "deep list", "deep object", "nul", "not utf-8", "100 MB", "100 MB of JSON"],
)
def test_a_line_of_any_kind_is_answered_and_the_next_one_done(line: bytes) -> None:
    plan = b'{"type": "plan", "job_id": "q", "job": {"motion": {"path": "/no"}}, "engine": {}}'
    events, status = talk(line + b"\n" + plan + b"\n")
    assert [event["type"] for event in events] == ["hello", "log", "failed"]
    assert len(events[1]["text"]) < 700
    assert status == 0


def test_every_job_ends_once_whatever_is_in_it() -> None:
    jobs = [
        {"seed": 1},
        {"motion": {"path": "a\0b"}, "character": "c", "output": {"directory": "o"}},
        {"motion": {"path": "\ud800"}, "character": "c", "output": {"directory": "o"}},
        {"motion": {"path": "~nosuchuser/a"}, "character": "c", "output": {"directory": "o"}},
        {"motion": {"path": "a", "first": 10**400}, "character": "c", "output": {"directory": "o"}},
        {"motion": {"path": "a", "rate": "1e-999999999"}, "character": "c", "output": {}},
        {"motion": {"path": "/dev/zero"}, "character": "/dev/zero", "output": {"directory": "o"}},
        {"kind": "take", "directory": "/dev/null"},
        {"kind": "track", "motion": {"path": "."}, "output": "x.npz", "width": 10**300},
    ]
    lines = [
        json.dumps({"type": "submit", "job_id": str(n), "job": job, "engine": {}})
        for n, job in enumerate([*jobs, {}])
    ]
    # The last one has an id that counts as nothing.
    lines[-1] = lines[-1].replace(f'"{len(jobs)}"', '""')
    events, status = talk("\n".join(lines) + "\n", until=len(lines))
    ends = [event for event in events if event["type"] in ("failed", "finished")]
    assert [end["job_id"] for end in ends] == [*(str(n) for n in range(len(jobs))), ""]
    assert not [end for end in ends if end["code"] == "failed"]
    assert status == 0


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_a_host_that_neither_reads_nor_writes_keeps_no_worker_alive(make_job: JobMaker) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-m", "marionext", "worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **CALM},
    )
    assert worker.stdin is not None
    job = {"type": "submit", "job_id": "1", "job": make_job(settings={"steps": 900}), "engine": {}}
    worker.stdin.write(json.dumps(job).encode() + b"\n" + b"nonsense\n" * 20_000)
    worker.stdin.flush()
    time.sleep(3)
    worker.stdin.close()
    started = time.monotonic()
    try:
        assert worker.wait(30) == 0
    finally:
        worker.kill()
        if worker.stdout is not None:
            worker.stdout.close()
    assert time.monotonic() - started < 12


def test_work_that_does_not_end_is_left_and_its_job_ends_once() -> None:
    class Slow(io.StringIO):
        def readline(self, size: int | None = -1, /) -> str:
            line = super().readline(-1 if size is None else size)
            if not line:
                assert begun.wait(30)
            return line

    begun, ended = threading.Event(), threading.Event()

    def run(*_: object) -> None:
        begun.set()
        ended.wait(30)

    submit = {"type": "submit", "job_id": "1", "job": {}, "engine": {}}
    told = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalEngine, "_run", run)
        whole = serve(Slow(json.dumps(submit) + "\n"), told, patience=0.2)
        ended.set()
    events = [json.loads(line) for line in told.getvalue().splitlines()]
    assert not whole
    assert [(event["type"], event.get("code")) for event in events] == [
        ("hello", None),
        ("failed", "cancelled"),
    ]
