"""Real engines: one after another job, killed, replaced, let go; renders that outlive a host."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from marionext.codec import encode
from marionext.hosts import (
    DetachedRender,
    FolderFollower,
    JobEvent,
    JobQueue,
    ProcessId,
    SharedEngine,
    Started,
    Work,
    read_state,
)
from marionext.hosts.detached import PROCESS_FILE
from marionext.protocol import (
    Event,
    Failed,
    Finished,
    FrameWritten,
    Planned,
    Progress,
    write_line,
)

JobMaker = Callable[..., dict[str, Any]]
Leave = Callable[[Path, dict[str, Any]], DetachedRender]
Wanted = Callable[[JobEvent], bool]
CALM = {"OMP_NUM_THREADS": "1"}
MARIONEXT = [sys.executable, "-m", "marionext"]
LONG = {"steps": 40}

pytestmark = pytest.mark.slow


def until(poll: Callable[[], list[Any]], wanted: Wanted, seconds: float = 300) -> list[Any]:
    events: list[Any] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for event in poll():
            events.append(event)
            if wanted(event):
                return events
        time.sleep(0.005)
    raise AssertionError(f"not seen within {seconds} s; the last events: {events[-3:]}")


def ends(event: JobEvent) -> bool:
    return isinstance(event, Finished | Failed)


def denoises(event: JobEvent) -> bool:
    return isinstance(event, Progress) and event.stage == "denoise"


def begin(engine: SharedEngine, job: dict[str, Any]) -> Callable[[], Callable[[], Work]]:
    return lambda: lambda: engine.begin(job, {}, environment=CALM)


@pytest.fixture
def leave() -> Iterator[Leave]:
    """Return a starter of renders that outlive their host; in the end none is left."""
    started: list[DetachedRender] = []

    def start(folder: Path, job: dict[str, Any]) -> DetachedRender:
        folder.mkdir()
        job = {**job, "output": {"directory": str(folder)}}
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        render = DetachedRender.start(
            folder, folder / "job.json", command=MARIONEXT, device="cpu", environment=CALM
        )
        started.append(render)
        return render

    yield start
    for render in started:
        deadline = time.monotonic() + 30
        while render.process_id.alive and time.monotonic() < deadline:
            time.sleep(0.01)
        render.process_id.end()
        render.poll()


def test_a_killed_engine_fails_its_job_alone_and_the_next_one_has_another(
    make_job: JobMaker, tmp_path: Path
) -> None:
    engine, queue = SharedEngine(), JobQueue()
    first = make_job(settings=LONG, output={"directory": str(tmp_path / "first")})
    second = make_job(output={"directory": str(tmp_path / "second")})
    assert engine.pid is None
    queue.add("first", begin(engine, first))
    queue.add("second", begin(engine, second))
    until(queue.poll, denoises)
    killed = engine.pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    (*_, failed) = until(queue.poll, ends)
    assert (failed.job_id, failed.code) == ("first", "protocol")
    assert queue.running in ((), ("second",))
    events = until(queue.poll, ends)
    assert isinstance(events[-1], Finished), events[-1]
    assert {event.job_id for event in events} == {"second"}
    assert sum(isinstance(event, FrameWritten) for event in events) == 7
    kept = engine.pid
    assert kept not in {killed, None}
    # What was killed is taken up again, in the engine that has its models loaded by now.
    queue.add("first", begin(engine, make_job(output={"directory": str(tmp_path / "again")})))
    assert isinstance(until(queue.poll, ends)[-1], Finished)
    assert engine.pid == kept
    engine.close(timeout=60)
    assert engine.pid is None


def test_cancelling_keeps_the_engine_for_the_next_job(make_job: JobMaker, tmp_path: Path) -> None:
    engine, queue = SharedEngine(), JobQueue()
    for name in ("a", "b", "c"):
        settings = LONG if name == "a" else {}
        job = make_job(settings=settings, output={"directory": str(tmp_path / name)})
        queue.add(name, begin(engine, job))
    until(queue.poll, denoises)
    queue.cancel("b")
    (*_, waiting) = until(queue.poll, ends)
    assert (waiting.job_id, waiting.code) == ("b", "cancelled")
    assert not (tmp_path / "b").exists(), "it never began"
    number = engine.pid
    queue.cancel("a")
    (*_, stopped) = until(queue.poll, ends, 60)
    assert (stopped.job_id, stopped.code) == ("a", "cancelled")
    (*_, done) = until(queue.poll, ends)
    assert isinstance(done, Finished)
    assert done.job_id == "c"
    assert engine.pid == number
    assert engine.rest()
    assert engine.idle_for < 60
    engine.close(timeout=60)


def test_a_plan_is_asked_of_the_engine_that_has_the_jobs(
    make_job: JobMaker, tmp_path: Path
) -> None:
    engine = SharedEngine()
    try:
        work = engine.begin(
            make_job(output={"directory": str(tmp_path / "out")}), {}, environment=CALM
        )
        pid = engine.pid
        question = engine.ask_plan(
            make_job(output={"directory": str(tmp_path / "plan")}), {}, environment=CALM
        )
        answers = until(question.poll, lambda event: isinstance(event, Planned | Failed))
        assert isinstance(answers[-1], Planned), answers[-1]
        assert answers[-1].outline["frames"] == 7
        assert engine.pid == pid
        assert isinstance(until(work.poll, ends)[-1], Finished)
        assert question.poll() == []
    finally:
        engine.close()


def test_jobs_of_every_kind_share_the_queue_and_the_engine(
    make_job: JobMaker, tmp_path: Path
) -> None:
    engine, queue = SharedEngine(), JobQueue()
    motion = make_job()["motion"]
    maps = {"kind": "posemaps", "motion": motion, "output": str(tmp_path / "maps")}
    track = {"kind": "track", "motion": motion, "output": str(tmp_path / "clean.npz")}
    queue.add("maps", begin(engine, maps))
    queue.add("track", begin(engine, track))
    for name in ("maps", "track"):
        (*_, done) = until(queue.poll, ends)
        assert isinstance(done, Finished)
        assert (done.job_id, done.frames) == (name, 7)
    assert len(list((tmp_path / "maps").glob("*.png"))) == 7
    assert (tmp_path / "clean.npz").is_file()
    engine.close(timeout=60)


def test_an_engine_is_let_go_when_idle_and_replaced_when_another_is_wanted(
    make_job: JobMaker, tmp_path: Path
) -> None:
    engine = SharedEngine(idle_seconds=0.2)
    bad = {"settings": {"stepz": 1}}
    work = engine.begin(bad, {}, command=[*MARIONEXT, "worker"], environment=CALM)
    assert isinstance(until(work.poll, ends)[-1], Failed)
    first = engine.pid
    assert first is not None
    process_id = ProcessId.of(first)
    another = engine.begin(bad, {}, command=[sys.executable, "-B", *MARIONEXT[1:], "worker"])
    assert engine.pid != first
    until(lambda: [] if process_id.alive else ["gone"], lambda _: True, 60)
    assert isinstance(until(another.poll, ends)[-1], Failed)
    time.sleep(0.3)
    assert not engine.rest()
    assert engine.pid is None
    engine.close()


def test_a_render_outlives_its_host_and_is_found_followed_and_finished(
    make_job: JobMaker, leave: Leave, tmp_path: Path
) -> None:
    folder = tmp_path / "left"
    render = leave(folder, make_job())
    until(render.poll, lambda event: isinstance(event, Progress))
    found = DetachedRender.find(folder)
    assert found is not None
    assert found.process_id == render.process_id
    follower = FolderFollower(folder)
    frames: list[int] = []

    def poll() -> list[Event]:
        frames.extend(follower.poll().frames)
        return found.poll()

    events = until(poll, ends)
    assert isinstance(events[-1], Finished), events[-1]
    assert [e.frame for e in events if isinstance(e, FrameWritten)] == list(range(101, 108))
    frames.extend(follower.poll().frames)
    assert frames == list(range(101, 108))
    assert follower.state.finished
    assert read_state(folder).frames == tuple(range(101, 108))
    assert found.poll() == []
    assert not (folder / PROCESS_FILE).exists()
    assert DetachedRender.find(folder) is None, "it has ended"
    # The one who started it sees the same.
    assert isinstance(until(render.poll, ends)[-1], Finished)


def test_two_renders_that_were_left_are_followed_at_once(
    make_job: JobMaker, leave: Leave, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        leave(tmp_path / name, make_job())
    queue = JobQueue()
    for name in ("one", "two"):
        found = DetachedRender.find(tmp_path / name)
        assert found is not None
        queue.adopt(name, found)
    engine = SharedEngine()
    queue.add("next", begin(engine, make_job()))
    told = until(queue.poll, lambda event: isinstance(event, Started))
    closing = [event for event in told if ends(event)]
    assert {event.job_id for event in closing} == {"one", "two"}
    assert all(isinstance(event, Finished) for event in closing)
    for name in ("one", "two"):
        mine = [event for event in told if getattr(event, "job_id", "") == name]
        assert sum(isinstance(event, FrameWritten) for event in mine) == 7
    assert isinstance(until(queue.poll, ends)[-1], Finished)
    engine.close(timeout=60)


def test_a_left_render_is_stopped_by_a_later_host(
    make_job: JobMaker, leave: Leave, tmp_path: Path
) -> None:
    render = leave(tmp_path / "left", make_job(settings=LONG))
    until(render.poll, denoises)
    found = DetachedRender.find(tmp_path / "left")
    assert found is not None
    found.cancel()
    (*_, failed) = until(found.poll, ends, 60)
    assert failed.code == "cancelled"


def test_a_left_render_that_was_killed_has_failed_with_its_last_words(
    make_job: JobMaker, leave: Leave, tmp_path: Path
) -> None:
    folder = tmp_path / "left"
    render = leave(folder, make_job(settings=LONG))
    until(render.poll, denoises)
    found = DetachedRender.find(folder)
    assert found is not None
    render.process_id.end()
    for follower in (found, render):
        (*_, failed) = until(follower.poll, ends, 60)
        assert failed.code == "protocol"
        assert "ended unexpectedly" in failed.message
    assert DetachedRender.find(folder) is None


def test_a_number_that_is_another_programs_now_is_left_alone(tmp_path: Path) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        before = ProcessId.of(stranger.pid)
        for note in (
            {**encode(before), "born": "long ago"},
            {**encode(before), "host": "another computer"},
            {"pid": stranger.pid},
            ["no note"],
        ):
            (tmp_path / PROCESS_FILE).write_text(json.dumps(note), encoding="utf-8")
            assert DetachedRender.find(tmp_path) is None
        # A render that ended while the number was its own, and was not followed to its end.
        (tmp_path / PROCESS_FILE).write_text(json.dumps(encode(before)), encoding="utf-8")
        assert DetachedRender.find(tmp_path) is not None
        done = Finished(job_id="", directory="", frames=1, videos=(), seconds=1.0)
        (tmp_path / "events.jsonl").write_text(write_line(done), encoding="utf-8")
        assert DetachedRender.find(tmp_path) is None
        # Followed, and the number goes to another program meanwhile: that one is not stopped.
        (tmp_path / "events.jsonl").write_text("", encoding="utf-8")
        lost = DetachedRender(tmp_path, ProcessId(pid=before.pid, born="before", host=before.host))
        lost.cancel()
        (failed,) = until(lost.poll, ends, 10)
        assert failed.code == "cancelled"
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
