"""The machine's queue as the window sees it, with real workers."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot
from tests.desktop.conftest import HERO, waving

from marionext.errors import EngineError
from marionext.files import write_json
from marionext.jobs import MotionSource, OutputSettings, PoseSettings, RenderJob, encode_job
from marionext.pose.formats import write_track
from marionext.queueing import Line
from marionext.settings import DollSettings
from marionext_desktop.model.queue import RenderQueue

Wait = Callable[[Callable[[], object]], None]

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="signals")]


@pytest.fixture
def wait(qtbot: QtBot) -> Wait:
    return lambda until: qtbot.waitUntil(lambda: bool(until()), timeout=90_000)


def job_file(folder: Path, name: str, frames: int = 12, *, character: Path = HERO) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    motion = folder / f"{name}.npz"
    write_track(waving(frames), motion)
    job = RenderJob(
        motion=MotionSource(path=str(motion), kind="track"),
        character=str(character),
        output=OutputSettings(directory=str(folder / name), videos=()),
        pose=PoseSettings(fit="limbs", clean=False),
        settings=DollSettings(width=256, height=384, refine="off"),
    )
    path = folder / f"{name}.job.json"
    write_json(path, encode_job(job))
    return path


def queue_of(tmp_path: Path) -> RenderQueue:
    return RenderQueue(folder=tmp_path / "queue", own=tmp_path / "own", engine=["--device", "cpu"])


def state(queue: RenderQueue, number: int) -> str:
    item = queue.state.item(number)
    return "gone" if item is None else item.entry.state


def add(queue: RenderQueue, wait: Wait, *files: Path) -> list[int]:
    numbers: list[int] = []
    queue.add(files, numbers.extend)
    wait(lambda: len(numbers) == len(files))
    return numbers


def test_jobs_are_ordered_paused_cancelled_and_done(tmp_path: Path, wait: Wait) -> None:
    queue = queue_of(tmp_path)
    queue.pause()
    wait(lambda: queue.state.paused)
    files = [job_file(tmp_path / "jobs", name) for name in ("a", "b", "c", "d")]
    a, b, c, d = add(queue, wait, *files)
    queue.order([c, a])
    queue.pause([b])
    queue.remove([d])
    wait(
        lambda: [state(queue, n) for n in (a, b, c, d)] == ["waiting", "paused", "waiting", "gone"]
    )
    waiting = [i.entry.number for i in queue.state.items if i.entry.state == "waiting"]
    assert waiting == [c, a]
    assert not queue.state.working
    queue.resume()
    seen: list[str] = []
    queue.changed.connect(lambda s: seen.extend(i.text for i in s.items if i.text))
    wait(lambda: state(queue, c) == "done" and state(queue, a) == "done")
    assert state(queue, b) == "paused"
    assert any("drawing" in text for text in seen)
    lines: list[Line] = []
    queue.log(c, lines.extend)
    wait(lambda: lines)
    queue.resume([b])
    wait(lambda: state(queue, b) == "done")
    queue.close(keep_working=False)


def test_a_job_that_fails_says_why_and_is_tried_again(tmp_path: Path, wait: Wait) -> None:
    queue = queue_of(tmp_path)
    picture = tmp_path / "someone.png"
    picture.write_bytes(b"no picture")
    (number,) = add(queue, wait, job_file(tmp_path / "jobs", "a", character=picture))
    wait(lambda: state(queue, number) == "failed")
    item = queue.state.item(number)
    assert item is not None
    assert "picture" in item.entry.message
    for name in ("hero.png", "hero.pose.npz"):
        target = picture.with_suffix(name.removeprefix("hero"))
        target.write_bytes((HERO.parent / name).read_bytes())
    queue.retry([number])
    wait(lambda: state(queue, number) == "done")
    queue.close(keep_working=False)


def test_what_cannot_be_queued_is_refused_in_words(tmp_path: Path, wait: Wait) -> None:
    queue = queue_of(tmp_path)
    refused: list[EngineError] = []
    queue.add([job_file(tmp_path, "a", character=tmp_path / "gone.png")], print, refused.append)
    wait(lambda: refused)
    assert "gone.png" in refused[0].message
    queue.close(keep_working=False)


def test_a_worker_that_is_killed_costs_nothing_that_is_done(tmp_path: Path, wait: Wait) -> None:
    queue = queue_of(tmp_path)
    (number,) = add(queue, wait, job_file(tmp_path / "jobs", "a", frames=240))

    def frames() -> tuple[int, ...]:
        item = queue.state.item(number)
        return () if item is None else item.frames

    wait(lambda: len(frames()) > 5)
    worker = queue._worker
    assert worker is not None
    os.kill(worker.pid, signal.SIGKILL)
    wait(lambda: queue._worker is not worker and state(queue, number) == "working")
    wait(lambda: state(queue, number) == "done")
    made = sorted((tmp_path / "jobs" / "a" / "frames").glob("*.png"))
    assert len(made) == 240
    queue.close(keep_working=False)


def test_rendering_goes_on_without_the_window_and_the_next_one_sees_it(
    tmp_path: Path, wait: Wait
) -> None:
    queue = queue_of(tmp_path)
    (number,) = add(queue, wait, job_file(tmp_path / "jobs", "a", frames=150))
    wait(lambda: state(queue, number) == "working")
    worker = queue._worker
    assert worker is not None
    queue.close(keep_working=True)
    assert worker.alive
    again = queue_of(tmp_path)
    wait(lambda: state(again, number) == "done")
    assert again._worker == worker
    again.close(keep_working=False)


RENDER_UNTIL_KILLED = """
import sys
from pathlib import Path
from PySide6.QtCore import QCoreApplication
from marionext_desktop.model.queue import RenderQueue
app = QCoreApplication([])
folder = Path(sys.argv[1])
queue = RenderQueue(folder=folder / "queue", own=folder / "own", engine=["--device", "cpu"])
numbers = []
queue.add([Path(sys.argv[2])], numbers.extend)
while not numbers or not (item := queue.state.item(numbers[0])) or not item.frames:
    app.processEvents()
print(numbers[0], queue._worker.pid, flush=True)
app.exec()
"""


def test_a_window_that_is_killed_while_it_renders_costs_nothing(tmp_path: Path, wait: Wait) -> None:
    job = job_file(tmp_path / "jobs", "a", frames=80)
    window = subprocess.Popen(
        [sys.executable, "-c", RENDER_UNTIL_KILLED, str(tmp_path), str(job)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert window.stdout is not None
    number, worker = map(int, window.stdout.readline().split())
    window.kill()
    window.communicate()
    again = queue_of(tmp_path)
    wait(lambda: state(again, number) == "done")
    assert again._worker is None or again._worker.pid == worker
    assert len(list((tmp_path / "jobs" / "a" / "frames").glob("*.png"))) == 80
    again.close(keep_working=False)


def test_a_window_that_does_not_want_it_stops_the_worker_and_loses_nothing(
    tmp_path: Path, wait: Wait
) -> None:
    queue = queue_of(tmp_path)
    (number,) = add(queue, wait, job_file(tmp_path / "jobs", "a", frames=600))
    wait(lambda: queue.state.item(number) and len(queue.state.item(number).frames) > 3)  # type: ignore[union-attr]
    worker = queue._worker
    assert worker is not None
    queue.close(keep_working=False)
    wait(lambda: not worker.alive)
    again = queue_of(tmp_path)
    wait(lambda: state(again, number) == "waiting")
    again.remove([number])
    wait(lambda: state(again, number) == "gone")
    again.close(keep_working=False)


def test_a_damaged_queue_is_told_and_stops_nobody(tmp_path: Path, wait: Wait) -> None:
    (tmp_path / "queue").mkdir(mode=0o700)
    (tmp_path / "queue" / "queue.db").write_bytes(b"no queue at all" * 100)
    for name in ("queue.sqlite", "queue.sqlite3"):
        (tmp_path / "queue" / name).write_bytes(b"no queue at all" * 100)
    queue = queue_of(tmp_path)
    wait(lambda: queue.state.problem is not None)
    queue.close(keep_working=False)
