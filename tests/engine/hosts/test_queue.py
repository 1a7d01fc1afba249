"""The order of jobs, tried with works that do what the test says."""

import threading
import time
from collections.abc import Callable

import pytest

from marionext.errors import ProtocolError, SettingsError
from marionext.hosts import JobEvent, JobQueue, Started, Work
from marionext.protocol import Event, Failed, Finished, Hello, Progress


class Played:
    """Work whose events the test hands in."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.cancelled = False

    def poll(self) -> list[Event]:
        events, self.events = self.events, []
        return events

    def cancel(self) -> None:
        self.cancelled = True
        self.events.append(Failed(job_id="", code="cancelled", message="stopped"))

    def finish(self) -> None:
        self.events.append(Finished(job_id="own", directory="", frames=1, videos=(), seconds=1.0))


def of(work: Work) -> Callable[[], Callable[[], Work]]:
    return lambda: lambda: work


def poll_until(queue: JobQueue, wanted: Callable[[JobEvent], bool]) -> list[JobEvent]:
    told: list[JobEvent] = []
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for event in queue.poll():
            told.append(event)
            if wanted(event):
                return told
        time.sleep(0.001)
    raise AssertionError(f"only {told}")


def ends(event: JobEvent) -> bool:
    return isinstance(event, Finished | Failed)


def begins(event: JobEvent) -> bool:
    return isinstance(event, Started)


def test_jobs_run_one_after_another_in_their_order_under_the_hosts_names() -> None:
    queue, works = JobQueue(), [Played(), Played()]
    for name, work in zip("ab", works, strict=True):
        queue.add(name, of(work))
    assert (queue.waiting, queue.running, queue.idle) == (("a", "b"), (), False)
    assert poll_until(queue, begins) == [Started(job_id="a")]
    assert (queue.waiting, queue.running) == (("b",), ("a",))
    works[0].events.append(Hello(protocol=1, version="", pid=1))
    works[0].finish()
    told = poll_until(queue, begins)
    assert [type(event) for event in told] == [Finished, Started]
    assert [event.job_id for event in told] == ["a", "b"]
    works[1].finish()
    poll_until(queue, ends)
    assert queue.idle
    assert queue.poll() == []


def test_the_order_can_be_changed_while_jobs_wait() -> None:
    queue = JobQueue()
    for name in "abc":
        queue.add(name, of(Played()))
    queue.add("first", of(Played()), place=0)
    queue.move("c", 1)
    assert queue.waiting == ("first", "c", "a", "b")
    assert queue.remove("a")
    assert not queue.remove("a")
    assert queue.waiting == ("first", "c", "b")
    with pytest.raises(LookupError, match="no job 'a' waits"):
        queue.move("a", 0)
    with pytest.raises(ValueError, match="in the queue already"):
        queue.add("b", of(Played()))
    queue.poll()
    with pytest.raises(ValueError, match="in the queue already"):
        queue.adopt("first", Played())


def test_a_paused_queue_begins_nothing_and_lets_go_on_what_runs() -> None:
    queue, running = JobQueue(), Played()
    queue.add("a", of(running))
    queue.poll()
    queue.pause()
    queue.add("b", of(Played()))
    running.finish()
    poll_until(queue, ends)
    assert queue.poll() == []
    assert (queue.paused, queue.idle, queue.waiting) == (True, True, ("b",))
    queue.resume()
    assert queue.poll() == [Started(job_id="b")]


def test_a_job_that_waits_is_cancelled_without_having_begun() -> None:
    queue, begun = JobQueue(), []
    queue.add("a", of(Played()))
    queue.add("b", lambda: begun.append("b") or Played)
    queue.poll()
    queue.cancel("b")
    (failed,) = queue.poll()
    assert isinstance(failed, Failed)
    assert (failed.job_id, failed.code, failed.exit_status) == ("b", "cancelled", 130)
    assert (queue.waiting, queue.running, begun) == ((), ("a",), [])
    queue.cancel("nobody's")


def test_a_job_at_work_is_asked_to_stop_even_while_it_is_being_started() -> None:
    queue, work, may_begin = JobQueue(), Played(), threading.Event()

    def begin() -> Work:
        may_begin.wait(10)
        return work

    queue.add("a", lambda: begin)
    queue.poll()
    queue.cancel("a")
    assert queue.poll() == []
    may_begin.set()
    (failed,) = poll_until(queue, ends)
    assert isinstance(failed, Failed)
    assert failed.job_id == "a"
    assert work.cancelled


def test_what_cannot_begin_has_failed_and_the_next_job_begins() -> None:
    queue, work = JobQueue(), Played()

    def no_settings() -> Callable[[], Work]:
        raise SettingsError("no engine is chosen", hint="Choose one.")

    def no_program() -> Work:
        raise ProtocolError("there is no such program")

    def broken() -> Work:
        raise RuntimeError("a defect")

    queue.add("a", no_settings)
    queue.add("b", lambda: no_program)
    queue.add("c", lambda: broken)
    queue.add("d", of(work))
    told = poll_until(queue, lambda event: event == Started(job_id="d"))
    failed = {event.job_id: event for event in told if isinstance(event, Failed)}
    assert [failed[name].code for name in "abc"] == ["settings", "protocol", "failed"]
    assert failed["a"].hint == "Choose one."
    assert "RuntimeError: a defect" in failed["c"].message
    work.events.append(
        Progress(job_id="", stage="poses", done=0, total=0, fraction=0, seconds_left=None, text="")
    )
    (progress,) = poll_until(queue, lambda event: isinstance(event, Progress))
    assert isinstance(progress, Progress)
    assert progress.job_id == "d"


def test_renders_that_were_left_are_followed_together_before_the_queue_goes_on() -> None:
    queue, left = JobQueue(), [Played(), Played()]
    queue.adopt("x", left[0])
    queue.adopt("y", left[1])
    queue.add("a", of(Played()))
    assert queue.poll() == []
    assert queue.running == ("x", "y")
    left[1].finish()
    left[0].events.append(
        Progress(job_id="", stage="poses", done=0, total=0, fraction=0, seconds_left=None, text="")
    )
    told = queue.poll()
    assert [(type(event), event.job_id) for event in told] == [
        (Progress, "x"),
        (Finished, "y"),
    ]
    left[0].finish()
    assert [type(event) for event in queue.poll()] == [Finished, Started]


def test_closing_forgets_everything_and_waits_for_what_is_being_started() -> None:
    queue, begun = JobQueue(), threading.Event()

    def begin() -> Work:
        time.sleep(0.05)
        begun.set()
        return Played()

    queue.add("a", lambda: begin)
    queue.add("b", of(Played()))
    queue.poll()
    queue.close(timeout=5)
    assert begun.is_set()
    assert (queue.waiting, queue.running, queue.poll(), queue.idle) == ((), (), [], True)
