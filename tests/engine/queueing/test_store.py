"""The queue's file: who gets which job, what becomes of it, and what is not lost."""

import os
import random
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from marionext.errors import OutputError, SettingsError
from marionext.hosts import ProcessId
from marionext.queueing import Claim, NewJob, Store
from marionext.queueing.store import FILE, LOSSES, REST_SECONDS
from marionext.queueing.watch import SILENCE, Watch, this_process

STRANGER = ProcessId(pid=1, born="long ago", host="another computer")


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.time = 1_800_000_000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "queue"


@pytest.fixture
def store(folder: Path, clock: Clock) -> Any:
    with Store(folder, now=clock) as opened:
        yield opened


def new(name: str, **changes: Any) -> NewJob:
    return NewJob(**{"job": {"output": name}, "results": (Path("/out") / name,), **changes})


def claimed(store: Store, worker: int, loaded: str = "") -> Claim:
    claim = store.claim(worker, loaded)
    assert claim is not None
    return claim


def test_jobs_are_given_out_by_priority_then_by_model_then_in_order(store: Store) -> None:
    models = ["svd", "doll", "svd", "doll", "puppet"]
    store.add([new(str(i), model=model) for i, model in enumerate(models, start=1)])
    store.add([new("6", model="doll", priority=5)])
    one, two = store.enter(STRANGER), store.enter(STRANGER)
    order = []
    first = claimed(store, one)
    order.append(first.number)
    # The other worker takes a model that the first one does not have at work.
    second = claimed(store, two)
    order.append(second.number)
    while first.number:
        store.finish(first, "done")
        following = store.claim(one, first.model)
        if following is None:
            break
        first = following
        order.append(first.number)
    assert order == [6, 1, 2, 4, 5, 3]


def test_a_job_has_one_worker_and_ends_once(store: Store) -> None:
    (number,) = store.add([new("a")])
    one, two = store.enter(STRANGER), store.enter(STRANGER)
    claim = claimed(store, one)
    assert claim.job == {"output": "a"}
    assert store.claim(two) is None
    # The first worker is believed dead: its turn is over, whatever it says later.
    assert store.take_back(one) == [number]
    again = claimed(store, two)
    assert (again.number, again.attempt) == (number, 2)
    assert store.beat(one, claim) is False
    assert store.finish(claim, "late") is False
    assert store.fail(claim, "late", again=True) is None
    assert store.release(claim) is None
    assert store.claim(one) is None, "a worker that was given up enters again first"
    assert store.entry(number).state == "working"
    assert store.beat(two, again, 0.5) is True
    assert store.entry(number).fraction == 0.5
    assert store.finish(again, "7 frames") is True
    assert store.finish(again, "7 frames") is False
    ended = store.entry(number)
    assert (ended.state, ended.message, ended.attempts) == ("done", "7 frames", 2)
    assert [line.text for line in store.log(number)[0]] == [
        "[1] its worker died (attempt 1)",
        "[2] 7 frames",
    ]


def test_two_open_jobs_never_share_a_result_and_all_get_in_or_none(
    store: Store, tmp_path: Path
) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    store.add([new("a", results=(real / "out",))])
    with pytest.raises(OutputError, match=r"job 1 writes to .*link/out already"):
        store.add([new("b"), new("c", results=(tmp_path / "link" / "out",))])
    with pytest.raises(OutputError, match="already"):
        store.add([new("d"), new("e", results=(Path("/out/other"), Path("/out/d")))])
    assert len(store.entries()) == 1
    store.finish(claimed(store, store.enter(STRANGER)), "done")
    # What is done is done: the same render may be asked for again.
    assert store.add([new("a", results=(real / "out",))])


def test_what_fails_by_its_own_fault_fails_at_once_and_the_rest_is_tried_again(
    store: Store, clock: Clock
) -> None:
    mine, other = store.add([new("mine"), new("other", retries=2)])
    worker = store.enter(STRANGER)
    assert store.fail(claimed(store, worker), "no figure", again=False) == "failed"
    for attempt in (1, 2):
        assert store.fail(claimed(store, worker), "disk full", again=True) == "waiting"
        assert store.claim(worker) is None, "it rests"
        assert store.open_jobs() == 1
        clock.time += REST_SECONDS * attempt + 1
    assert store.fail(claimed(store, worker), "disk full", again=True) == "failed"
    assert store.retry([mine, other]) == 2
    assert {entry.state for entry in store.entries()} == {"waiting"}
    assert claimed(store, worker).number == mine


@pytest.mark.parametrize("jump", [-1e9, -3600.0, 3600.0, 1e9])
def test_a_clock_that_jumps_ends_no_lease_and_holds_no_job_back(
    store: Store, clock: Clock, jump: float
) -> None:
    resting, running = store.add([new("resting"), new("running")])
    worker = store.enter(this_process())
    assert store.fail(claimed(store, worker), "disk full", again=True) == "waiting"
    claim = claimed(store, worker)
    assert claim.number == running
    clock.time += jump
    seconds = Clock()
    watch = Watch(clock=seconds)
    assert watch.look(store, me=None) == []
    seconds.time += jump  # the machine slept, or its other clock is no good either
    assert watch.look(store, me=None) == []
    assert store.beat(worker, claim)
    assert store.finish(claim, "done")
    assert claimed(store, worker).number == resting


def test_a_worker_that_does_not_count_is_given_up_after_a_while_of_looking(store: Store) -> None:
    (number,) = store.add([new("a")])
    worker = store.enter(STRANGER)
    claim = claimed(store, worker)
    seconds = Clock()
    watch = Watch(clock=seconds)
    for _ in range(int(SILENCE) - 1):
        assert watch.look(store, me=None) == []
        seconds.time += 1
    store.beat(worker, claim)
    for _ in range(int(SILENCE)):
        assert watch.look(store, me=None) == []
        seconds.time += 1
    assert watch.look(store, me=None) == [number]


def test_a_job_that_many_workers_died_of_is_given_up(store: Store) -> None:
    (number,) = store.add([new("a")])
    for turn in range(1, 2 * LOSSES):
        worker = store.enter(STRANGER)
        claim = claimed(store, worker)
        # The first ten get on, each a little further than the one before; then none does.
        store.beat(worker, claim, min(turn, LOSSES) / 100)
        store.take_back(worker)
        assert store.entry(number).state == ("waiting" if turn < 2 * LOSSES - 1 else "failed")
    assert "workers died" in store.entry(number).message
    assert store.retry([number]) == 1


def test_what_people_ask_of_a_job_at_work_happens_when_its_worker_lets_go(store: Store) -> None:
    numbers = store.add([new("a"), new("b"), new("c")])
    worker = store.enter(STRANGER)
    claims = [claimed(store, worker) for _ in numbers]
    assert store.pause_jobs(numbers[:1]) == 1
    assert store.remove(numbers[1:]) == 2
    assert [store.beat(worker, claim) for claim in claims] == [False] * 3
    assert store.release(claims[0]) == "paused"
    assert store.release(claims[1]) is None
    # One that was done before it could stop is done, and gone as it was to be.
    assert store.finish(claims[2], "done")
    assert [entry.number for entry in store.entries()] == numbers[:1]
    assert store.claim(worker) is None
    assert store.resume_jobs(numbers[:1]) == 1
    assert claimed(store, worker).number == numbers[0]


def test_numbers_that_no_job_has_change_nothing(store: Store) -> None:
    (number,) = store.add([new("a")])
    with pytest.raises(SettingsError, match="numbers 7-8"):
        store.remove([number, 7, 8])
    assert store.entry(number).state == "waiting"
    with pytest.raises(SettingsError, match="number 9"):
        store.log(9)


def test_a_removed_jobs_number_is_never_given_again(store: Store) -> None:
    store.remove(store.add([new("a"), new("b")]))
    assert store.add([new("a")]) == [3]


def test_a_log_keeps_its_newest_lines(store: Store) -> None:
    (number,) = store.add([new("a")])
    claim = claimed(store, store.enter(STRANGER))
    store.write_log(claim, [f"line {index}" for index in range(1500)])
    lines, place = store.log(number)
    assert len(lines) == 1000
    assert lines[-1].text.endswith("line 1499")
    store.write_log(claim, ["x" * 100_000, "bad \udcff name"])
    newer, _ = store.log(number, after=place)
    assert [len(line.text) < 3000 for line in newer] == [True, True]
    assert newer[1].text.endswith("bad \\udcff name")


# ---------------------------------------------------------------------------------- the file


@pytest.mark.skipif(os.name == "nt", reason="no modes of Unix")
def test_the_folder_is_the_users_alone(folder: Path, tmp_path: Path) -> None:
    with Store(folder) as store:
        store.add([new("a")])
        assert folder.stat().st_mode & 0o777 == 0o700
        assert {path.stat().st_mode & 0o077 for path in folder.iterdir()} == {0}
    folder.chmod(0o755)
    with pytest.raises(OutputError, match="yours alone") as refused:
        Store(folder)
    assert "chmod 700" in (refused.value.hint or "")
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(OutputError, match="is a link"):
        Store(tmp_path / "link")


def _use_all(folder: Path) -> None:
    with Store(folder) as store:
        store.entries()
        worker = store.enter(STRANGER)
        while store.claim(worker) is not None:
            pass


@pytest.mark.parametrize("kept", [0, 1, 100, 4096, 5000, 20_000])
def test_a_truncated_file_is_told_and_nothing_is_deleted(folder: Path, kept: int) -> None:
    with Store(folder) as store:
        store.add([new(str(index), job={"text": "x" * 3000}) for index in range(200)])
    path = folder / FILE
    content = path.read_bytes()
    path.write_bytes(content[:kept])
    with pytest.raises(OutputError, match="is damaged") as told:
        _use_all(folder)
    assert "queue rescue" in (told.value.hint or "")
    assert path.read_bytes()[:kept][100:] == content[100:kept]


def test_a_newer_file_and_a_strangers_are_refused(folder: Path) -> None:
    Store(folder).close()
    with sqlite3.connect(folder / FILE) as db:
        db.execute("PRAGMA user_version = 9")
    db.close()
    with pytest.raises(OutputError, match="version 9") as refused:
        Store(folder)
    assert refused.value.hint == "Update Marionext."
    (folder / FILE).unlink()
    with sqlite3.connect(folder / FILE) as db:
        db.execute("CREATE TABLE somebodys (x)")
    db.close()
    with pytest.raises(OutputError, match="it is no queue"):
        Store(folder)


def test_a_full_disk_is_told_and_the_queue_is_as_it_was(folder: Path) -> None:
    with Store(folder) as store:
        store.add([new("a")])
        # As many pages as there are: what SQLite says of a full disk.
        (pages,) = store._db.execute("PRAGMA page_count").fetchone()
        store._db.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(OutputError, match="disk is full"):
            store.add([new(str(index), job={"text": "x" * 10_000}) for index in range(50)])
        assert len(store.entries()) == 1
        assert claimed(store, store.enter(STRANGER)).number == 1


# ----------------------------------------------------------------------- whatever comes to pass


class Queue(RuleBasedStateMachine):
    """The store beside what it should hold, as the simplest of models."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp()) / "queue"
        self.clock = Clock()
        self.stores = [Store(self.folder, now=self.clock) for _ in range(2)]
        self.states: dict[int, str] = {}
        self.priorities: dict[int, int] = {}
        self.asked: dict[int, str] = {}
        self.claims: dict[int, Claim] = {}
        """By worker."""
        self.over: list[Claim] = []
        self.finished: list[int] = []
        self.workers: list[int] = []
        self.paused = False

    @property
    def store(self) -> Store:
        """Either of two connections: what one writes, the other reads."""
        self.stores.reverse()
        return self.stores[0]

    def teardown(self) -> None:
        for store in self.stores:
            store.close()
        shutil.rmtree(self.folder.parent)

    @rule(priority=st.integers(-1, 1), model=st.sampled_from(["", "doll", "svd"]))
    def add(self, priority: int, model: str) -> None:
        name = f"{len(self.states)}-{random.random()}"
        (number,) = self.store.add([new(name, priority=priority, model=model)])
        assert number not in self.states
        self.states[number], self.priorities[number] = "waiting", priority

    @rule()
    def enter(self) -> None:
        if len(self.workers) < 3:
            self.workers.append(self.store.enter(STRANGER))

    @precondition(lambda self: self.workers)
    @rule(data=st.data())
    def claim(self, data: st.DataObject) -> None:
        free = [worker for worker in self.workers if worker not in self.claims]
        if not free:
            return
        worker = data.draw(st.sampled_from(free))
        self.clock.time += 10_000  # no job rests any more
        claim = self.store.claim(worker)
        waiting = [number for number, state in self.states.items() if state == "waiting"]
        if self.paused or not waiting:
            assert claim is None
            return
        assert claim is not None
        assert claim.number in waiting
        assert self.priorities[claim.number] == max(self.priorities[n] for n in waiting)
        self.states[claim.number] = "working"
        self.claims[worker] = claim

    def _end(self, data: st.DataObject) -> Claim:
        worker = data.draw(st.sampled_from(sorted(self.claims)))
        claim = self.claims.pop(worker)
        self.over.append(claim)
        return claim

    def _become(self, number: int, state: str) -> str | None:
        asked = self.asked.pop(number, "")
        if asked == "remove":
            del self.states[number]
            return None
        self.states[number] = "paused" if asked == "pause" and state == "waiting" else state
        return self.states[number]

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        claim = self._end(data)
        assert self.store.finish(claim, "done")
        self.finished.append(claim.number)
        self._become(claim.number, "done")

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        claim = self._end(data)
        assert self.store.fail(claim, "bad", again=False) == self._become(claim.number, "failed")

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        claim = self._end(data)
        assert self.store.release(claim) == self._become(claim.number, "waiting")

    @precondition(lambda self: self.workers)
    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        worker = data.draw(st.sampled_from(self.workers))
        self.workers.remove(worker)
        claim = self.claims.pop(worker, None)
        before = {entry.number: entry for entry in self.store.entries()}
        freed = self.store.take_back(worker)
        assert freed == ([] if claim is None else [claim.number])
        if claim is not None:
            self.over.append(claim)
            assert before[claim.number].state == "working"
            self._become(claim.number, "waiting")
            if claim.number in self.states:
                state = self.store.entry(claim.number).state
                assert state == self.states[claim.number] or state == "failed"
                self.states[claim.number] = state

    @precondition(lambda self: self.over)
    @rule(data=st.data())
    def speak_late(self, data: st.DataObject) -> None:
        claim = data.draw(st.sampled_from(self.over))
        assert not self.store.finish(claim, "late")
        assert self.store.fail(claim, "late", again=True) is None
        assert self.store.release(claim) is None
        assert not self.store.beat(claim.worker, claim)

    @precondition(lambda self: self.states)
    @rule(data=st.data(), what=st.sampled_from(["pause", "resume", "retry", "remove", "priority"]))
    def ask(self, data: st.DataObject, what: str) -> None:
        number = data.draw(st.sampled_from(sorted(self.states)))
        state, asked = self.states[number], self.asked.get(number, "")
        match what:
            case "pause":
                self.store.pause_jobs([number])
                if state == "waiting":
                    self.states[number] = "paused"
                elif state == "working" and not asked:
                    self.asked[number] = "pause"
            case "resume":
                self.store.resume_jobs([number])
                if state == "paused":
                    self.states[number] = "waiting"
                elif asked == "pause":
                    del self.asked[number]
            case "retry":
                self.store.retry([number])
                if state == "failed":
                    self.states[number] = "waiting"
            case "remove":
                self.store.remove([number])
                if state == "working":
                    self.asked[number] = "remove"
                else:
                    del self.states[number]
            case "priority":
                self.store.prioritise([number], 1)
                self.priorities[number] = 1

    @rule()
    def pause_all(self) -> None:
        self.store.pause()
        self.paused = True

    @rule()
    def resume_all(self) -> None:
        self.store.resume()
        self.paused = False

    @invariant()
    def holds_what_it_should(self) -> None:
        entries = {entry.number: entry for entry in self.store.entries()}
        assert {number: entry.state for number, entry in entries.items()} == self.states
        assert {n: entry.asked for n, entry in entries.items() if entry.asked} == self.asked
        assert self.store.paused == self.paused
        assert len(self.finished) == len(set(self.finished)), "a job was done twice"


def test_the_store_is_as_the_model_whatever_comes_to_pass() -> None:
    run_state_machine_as_test(
        Queue,
        settings=settings(
            max_examples=30,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
