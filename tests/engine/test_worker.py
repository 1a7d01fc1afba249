"""The engine as a real process: killed, resumed, misused."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from marionext.client import EngineProcess
from marionext.protocol import Event, Failed, Finished, FrameWritten, Hello, Progress

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
    for moment in moments:
        engine = EngineProcess(environment=CALM)
        job_id = engine.submit(killed)
        events_until(engine, moment)
        os.kill(engine.pid, signal.SIGKILL)
        last = engine.wait(job_id, timeout=30)[-1]
        assert isinstance(last, Failed)
        assert last.code == "protocol"
        engine.close()
    assert frames_in(tmp_path / "killed"), "the last kill came after frames were written"
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


def talk(lines: str) -> tuple[list[dict[str, Any]], int]:
    """Send lines to a worker, close its stdin, and return its events and exit status."""
    done = subprocess.run(
        [sys.executable, "-m", "marionext", "worker"],
        input=lines,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **CALM},
    )
    return [json.loads(line) for line in done.stdout.splitlines()], done.returncode


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
