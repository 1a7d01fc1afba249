"""``marionext queue`` as people type it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from marionext.cli import main
from marionext.queueing import Store

MapsMaker = Callable[..., Path]


def entries(queue: Path) -> dict[int, str]:
    with Store(queue) as store:
        return {entry.number: entry.state for entry in store.entries()}


@pytest.fixture
def call(queue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    monkeypatch.chdir(tmp_path)

    def call(action: str, *arguments: object) -> int:
        return main(["queue", action, "--queue", str(queue), *map(str, arguments)])

    return call


def test_jobs_are_queued_done_and_listed(
    call: Any, queue: Path, make_maps: MapsMaker, tmp_path: Path, capsys: Any
) -> None:
    assert call("add", make_maps("a"), make_maps("b"), "--json") == 0
    assert json.loads(capsys.readouterr().out) == [1, 2]
    assert call("work", "--drain") == 0
    assert entries(queue) == {1: "done", 2: "done"}
    assert len(list((tmp_path / "a").glob("*.png"))) == 7
    capsys.readouterr()
    assert call("ls", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert [(job["number"], job["state"], job["fraction"]) for job in listed] == [
        (1, "done", 1.0),
        (2, "done", 1.0),
    ]
    assert listed[0]["output"] == str(tmp_path / "a")
    assert call("ls", "done") == 0
    told = capsys.readouterr()
    assert "7 frames in" in told.out
    assert "2 done" in told.err
    assert call("log", 1) == 0
    assert "7 pose maps written" in capsys.readouterr().out


def test_a_job_that_cannot_be_is_refused_before_anything_is_queued(
    call: Any, queue: Path, make_maps: MapsMaker, tmp_path: Path, capsys: Any
) -> None:
    good = make_maps("good")
    lost = make_maps("lost", motion={"path": "nothing.npz"})
    unknown = make_maps("unknown", widht=5)
    assert call("add", good, lost, unknown, tmp_path / "none.json") == 3
    told = capsys.readouterr().err
    assert "expected the motion, there is no" in told
    assert "Did you mean 'width'?" in told
    assert "none.json: no such job file" in told
    assert "Nothing was queued" in told
    assert not queue.exists()
    twin = make_maps("twin", output="good")
    assert call("add", good, twin) == 1
    assert "job 1 writes to" in capsys.readouterr().err
    assert entries(queue) == {}


def test_a_job_writes_in_the_root_or_beside_its_file_unless_allowed(
    call: Any, queue: Path, make_maps: MapsMaker, tmp_path: Path, capsys: Any
) -> None:
    outside = make_maps("outside", output=str(tmp_path.parent / "elsewhere"))
    climbing = make_maps("climbing", output="../elsewhere")
    (tmp_path / "link").symlink_to(tmp_path.parent)
    linked = make_maps("linked", output="link/elsewhere")
    for job in (outside, climbing, linked):
        assert call("add", job) == 1
        assert "--allow-outside" in capsys.readouterr().err
    assert not queue.exists()
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    moved = climbing.rename(jobs / "moved.json")
    assert call("add", moved) == 1, "the folder that the command is called in is no root"
    assert call("add", outside, "--root", tmp_path.parent) == 0
    assert call("rm", "all") == 0
    assert call("add", outside, "--allow-outside") == 0
    assert entries(queue) == {2: "waiting"}


def test_the_list_holds_nothing_that_a_terminal_obeys(
    call: Any, make_maps: MapsMaker, capsys: Any
) -> None:
    assert call("add", make_maps("a", output="red\x1b[31m\x07")) == 0
    assert call("ls") == 0
    told = capsys.readouterr().out
    assert told.count("red\\x1b[31m\\x07") == 2
    assert not {"\x1b", "\x07"} & set(told)


def test_jobs_are_paused_hurried_and_taken_off(
    call: Any, queue: Path, make_maps: MapsMaker, tmp_path: Path, capsys: Any
) -> None:
    assert call("add", *[make_maps(name) for name in "abcd"]) == 0
    assert call("pause", "2-3") == 0
    assert call("priority", "4", "-5") == 0
    assert call("rm", "1") == 0
    assert entries(queue) == {2: "paused", 3: "paused", 4: "waiting"}
    assert call("pause") == 0
    assert call("work", "--drain") == 0, "nothing of a paused queue is left to do"
    assert not (tmp_path / "d").exists()
    assert call("resume") == 0
    assert call("resume", "3") == 0
    assert call("work", "--drain") == 0
    assert entries(queue) == {2: "paused", 3: "done", 4: "done"}
    capsys.readouterr()
    assert call("rm", "done", "paused") == 0
    assert call("ls") == 0
    assert "no jobs" in capsys.readouterr().err
    assert call("pause", "7") == 2
    assert call("log", 10**30) == 2
    assert call("priority", "all", 10**30) == 2
    assert call("add", tmp_path / "a.json", "--priority", 10**30) == 2
    assert call("pause", "yesterday") == 2


def test_what_failed_by_its_own_fault_is_not_tried_again_until_somebody_says_so(
    call: Any, queue: Path, make_maps: MapsMaker, tmp_path: Path, capsys: Any
) -> None:
    broken = tmp_path / "broken.npz"
    broken.write_bytes(b"no track")
    assert call("add", make_maps("bad", motion={"path": str(broken)}), make_maps("good")) == 0
    assert call("work", "--drain") == 6
    assert entries(queue) == {1: "failed", 2: "done"}
    capsys.readouterr()
    assert call("ls", "failed") == 0
    assert "broken.npz" in capsys.readouterr().out
    broken.write_bytes((tmp_path / "wave.npz").read_bytes())
    assert call("retry") == 0
    assert call("work", "--drain") == 0
    assert entries(queue) == {2: "done", 1: "done"}


def test_a_folder_that_is_in_use_makes_the_job_wait(
    call: Any, queue: Path, make_job: Any, tmp_path: Path
) -> None:
    from marionext.output.lock import FolderLock

    job = tmp_path / "job.json"
    job.write_text(json.dumps(make_job(model="doll", settings={"width": 48, "height": 64})))
    settings = json.loads(job.read_text())
    settings["settings"] = {"width": 48, "height": 64, "refine": "off"}
    job.write_text(json.dumps(settings))
    assert call("add", job, "--retry", "0") == 0
    with FolderLock(tmp_path / "out"):
        assert call("work", "--drain") == 1
    with Store(queue) as store:
        assert "in use by another run" in store.entry(1).message
    assert call("retry", "1") == 0
    assert call("work", "--drain") == 0
    assert entries(queue) == {1: "done"}


def test_a_damaged_queue_is_kept_and_what_can_be_read_of_it_goes_on(
    call: Any, queue: Path, make_maps: MapsMaker, tmp_path: Path, capsys: Any
) -> None:
    names = [f"maps-{index:03}" for index in range(120)]
    assert call("add", *[make_maps(name) for name in names]) == 0
    assert call("rescue") == 2, "it is not damaged"
    assert call("pause", "3") == 0
    file = queue / "queue.sqlite"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) * 3 // 4])
    capsys.readouterr()
    assert call("ls") == 1
    assert "queue rescue" in capsys.readouterr().err
    assert call("rescue") == 0
    assert "damaged-1.sqlite" in capsys.readouterr().err
    assert (queue / "queue.damaged-1.sqlite").read_bytes() == whole[: len(whole) * 3 // 4]
    states = entries(queue)
    assert 20 < len(states) <= 120
    assert call("rm", "6-" + str(len(states))) == 0
    assert call("resume", "all") == 0
    assert call("work", "--drain") == 0
    assert set(entries(queue).values()) == {"done"}
    file.write_bytes(b"")
    assert call("rescue") == 0
    assert entries(queue) == {}
    assert len(list(queue.glob("queue.damaged-*.sqlite"))) == 2
