"""Workers as real processes: killed, stopped, orphaned, out of disk."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from marionext.hosts import ProcessId
from marionext.queueing import Store

MapsMaker = Callable[..., Path]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def state_of(queue: Path, number: int) -> str:
    with Store(queue) as store:
        return store.entry(number).state


@pytest.fixture
def long_job(tmp_path: Path, track_file: Path) -> Path:
    """A job that takes a while: many large pose maps."""
    from marionext.pose.formats import read_track, write_track

    seven = read_track(track_file)
    points, scores = np.tile(seven.points, (400, 1, 1, 1)), np.tile(seven.scores, (400, 1, 1))
    track = tmp_path / "long.npz"
    write_track(seven.with_(points=points, scores=scores), track)
    job = {"kind": "posemaps", "motion": {"path": str(track)}, "output": "maps"}
    path = tmp_path / "long.json"
    path.write_text(json.dumps({**job, "width": 512, "height": 768}), encoding="utf-8")
    return path


def test_the_first_interrupt_gives_the_job_back_and_another_worker_goes_on(
    commands: Any, queue: Path, long_job: Path, tmp_path: Path
) -> None:
    assert commands.run("add", long_job, cwd=tmp_path).returncode == 0
    with commands.start("work", stderr=subprocess.PIPE) as worker:
        wait_for((tmp_path / "maps" / "000110.png").exists)
        worker.send_signal(signal.SIGINT)
        assert "Stopping after" in worker.stderr.read()
    assert worker.returncode == 130
    with Store(queue) as store:
        assert (store.entry(1).state, store.entry(1).attempts) == ("waiting", 1)
        assert store.workers() == []
    assert len(list((tmp_path / "maps").glob("*.png"))) >= 10


def test_the_job_of_a_killed_worker_is_taken_back_by_whoever_looks(
    commands: Any, queue: Path, long_job: Path, tmp_path: Path
) -> None:
    assert commands.run("add", long_job, cwd=tmp_path).returncode == 0
    with commands.start("work", stderr=subprocess.PIPE) as worker:
        wait_for((tmp_path / "maps" / "000110.png").exists)
        worker.kill()
    assert state_of(queue, 1) == "working", "nobody has told the queue"
    with commands.start("work", stderr=subprocess.PIPE) as worker:
        assert any("Job 1: its worker died" in line for line in worker.stderr)
        wait_for(lambda: state_of(queue, 1) == "working")
        worker.kill()
    # Whoever looks at the queue sees that nobody is at work.
    (listed,) = json.loads(commands.run("ls", "--json").stdout)
    assert (listed["state"], listed["message"]) == ("waiting", "its worker died (attempt 2)")
    assert commands.run("rm", 1).returncode == 0
    assert commands.run("ls").stdout == ""


def test_a_paused_job_at_work_stops_after_the_piece_in_hand(
    commands: Any, queue: Path, long_job: Path, tmp_path: Path
) -> None:
    assert commands.run("add", long_job, cwd=tmp_path).returncode == 0
    with commands.start("work", stderr=subprocess.DEVNULL) as worker:
        wait_for((tmp_path / "maps" / "000110.png").exists)
        assert commands.run("pause", 1).returncode == 0
        wait_for(lambda: state_of(queue, 1) == "paused", 20)
        worker.send_signal(signal.SIGINT)
    assert worker.returncode == 130


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "at work"])
def test_a_worker_whose_parent_is_killed_ends(
    commands: Any, queue: Path, long_job: Path, make_maps: MapsMaker, tmp_path: Path, busy: bool
) -> None:
    job = long_job if busy else make_maps("small")
    assert commands.run("add", job, cwd=tmp_path).returncode == 0
    program = f"""
        import subprocess, sys, time
        worker = subprocess.Popen({commands.line("work", "--while-stdin")!r}, stdin=subprocess.PIPE)
        print(worker.pid, flush=True)
        time.sleep(600)
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=commands.environment,
    ) as parent:
        assert parent.stdout is not None
        worker = ProcessId.of(int(parent.stdout.readline()))
        if busy:
            wait_for((tmp_path / "maps" / "000110.png").exists)
        else:
            wait_for(lambda: state_of(queue, 1) == "done")
        assert worker.alive
        parent.kill()
        wait_for(lambda: not worker.alive, 20)
    assert state_of(queue, 1) == ("waiting" if busy else "done")


@pytest.mark.slow
def test_renders_whose_workers_are_killed_end_in_the_same_bytes(
    kill_workers: ModuleType, tmp_path: Path
) -> None:
    """A few kills; `scripts/kill_workers.py` does a hundred."""
    chance = random.Random(7)
    calm, wild = tmp_path / "calm", tmp_path / "wild"
    for folder, most in ((calm, 0), (wild, 4)):
        names = [f"{index:02}" for index in range(2)]
        jobs = {
            folder / f"{name}.json": kill_workers.dance(folder / name, int(name)) for name in names
        }
        came = kill_workers.run(folder, jobs, workers=2, pause=(0.7, 1.8), chance=chance, most=most)
        assert came.faults == []
    for name in names:
        assert kill_workers.content_of(wild / name) == kill_workers.content_of(calm / name)
        assert len(kill_workers.content_of(wild / name)) == 13


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_five_hundred_jobs_are_each_done_once_while_workers_are_killed(
    kill_workers: ModuleType, tmp_path: Path, track_file: Path
) -> None:
    folder = tmp_path / "all"
    job = {"kind": "posemaps", "motion": {"path": str(track_file)}, "width": 48, "height": 64}
    outputs = [folder / f"maps-{index:03}" for index in range(500)]
    jobs = {
        folder / f"{output.name}.json": {**job, "output": str(output), "frames": "101-102"}
        for output in outputs
    }
    came = kill_workers.run(
        folder, jobs, workers=3, pause=(1.5, 3.0), chance=random.Random(3), most=1000
    )
    assert came.faults == []
    assert came.kills >= 2
    first = {path.name: path.read_bytes() for path in outputs[0].glob("*.png")}
    assert set(first) == {"000101.png", "000102.png"}
    for output in outputs:
        assert {path.name: path.read_bytes() for path in output.glob("*.png")} == first


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        made = subprocess.run(mount, check=False, capture_output=True).returncode == 0
    except OSError:
        made = False
    if not made:
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_loses_nothing_of_the_queue_and_its_jobs_go_on_later(
    commands: Any, make_maps: MapsMaker, small_disk: Path, tmp_path: Path
) -> None:
    commands.queue = small_disk / "queue"
    names = [f"maps-{index}" for index in range(4)]
    jobs = [make_maps(name, output=str(small_disk / name)) for name in names]
    assert commands.run("add", *jobs, "--root", small_disk, "--retry", 0).returncode == 0
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    worked = commands.run("work", "--drain")
    assert worked.returncode not in (0, 130)
    assert "disk is full" in worked.stderr
    ballast.unlink()
    assert len(json.loads(commands.run("ls", "--json").stdout)) == 4
    commands.run("retry", "failed")
    assert commands.run("work", "--drain").returncode == 0
    assert {len(list((small_disk / name).glob("*.png"))) for name in names} == {7}
    assert {job["state"] for job in json.loads(commands.run("ls", "--json").stdout)} == {"done"}


def test_a_worker_that_cannot_use_the_queue_says_so(commands: Any, queue: Path) -> None:
    queue.mkdir(mode=0o700)
    (queue / "queue.sqlite").write_bytes(os.urandom(10_000))
    worked = commands.run("work", "--drain")
    assert worked.returncode == 1
    assert "is damaged" in worked.stderr
    assert "Traceback" not in worked.stderr
    assert (queue / "queue.sqlite").stat().st_size == 10_000
