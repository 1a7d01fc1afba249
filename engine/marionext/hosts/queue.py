"""The queue of a host: jobs in the order they will run, one at work at a time.

The engine could be sent every job at once; but then a host could neither change the order nor hold
them back, and a dead engine would take all of them with it. So the host keeps the queue, and the
engine only ever knows the job it is working on.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from marionext.errors import EngineError, JobCancelled
from marionext.protocol import (
    Event,
    Failed,
    Finished,
    FrameWritten,
    Hello,
    Log,
    Preview,
    Progress,
    Reply,
)

__all__ = ["Begin", "JobEvent", "JobQueue", "Started", "Starting", "Work"]

logger = logging.getLogger(__name__)


class Work(Protocol):
    """A job at work; nothing of it waits."""

    def poll(self) -> list[Event]:
        """Return what has come since the last call; the last event is a closing one."""

    def cancel(self) -> None:
        """Ask to stop; the closing event still comes."""


Begin = Callable[[], Callable[[], Work]]
"""Called when a job's turn comes, in the thread of `JobQueue.poll`, where the host may look at its
own settings. What it returns is called on a thread of its own: starting a program can take time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A job's turn has come."""

    job_id: str


JobEvent = Started | Progress | Preview | FrameWritten | Log | Finished | Failed
"""What `JobQueue.poll` tells: that a turn has come, and all that the engine says of a job."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    job_id: str
    begin: Begin


class JobQueue:
    """Jobs by the names that the host gives them; each ends with one `Finished` or `Failed`."""

    def __init__(self) -> None:
        """Begin with nothing to do."""
        self._waiting: list[_Waiting] = []
        self._running: dict[str, Work] = {}
        self._told: list[JobEvent] = []
        self._paused = False

    @property
    def waiting(self) -> tuple[str, ...]:
        """The jobs that wait, in the order of their turns."""
        return tuple(job.job_id for job in self._waiting)

    @property
    def running(self) -> tuple[str, ...]:
        """The jobs at work: one of the queue, or those that were found at work."""
        return tuple(self._running)

    @property
    def paused(self) -> bool:
        """Whether the next job is held back."""
        return self._paused

    @property
    def idle(self) -> bool:
        """Whether nothing is at work, nothing can begin and nothing is left to be told."""
        return not self._running and not self._told and (self._paused or not self._waiting)

    def add(self, job_id: str, begin: Begin, *, place: int | None = None) -> None:
        """Put a job in the queue.

        Args:
            job_id: the host's name for it; events carry it.
            begin: what begins it.
            place: in the queue, 0 first; None: last.

        Raises:
            ValueError: a job of that name waits or is at work.
        """
        self._refuse_twice(job_id)
        where = len(self._waiting) if place is None else place
        self._waiting.insert(where, _Waiting(job_id, begin))

    def adopt(self, job_id: str, work: Work) -> None:
        """Follow a job that is at work already, such as one that an earlier host has left.

        Several can be; the queue goes on when all of them have ended.

        Raises:
            ValueError: a job of that name waits or is at work.
        """
        self._refuse_twice(job_id)
        self._running[job_id] = work

    def move(self, job_id: str, place: int) -> None:
        """Give a waiting job another place, 0 first.

        Raises:
            LookupError: it does not wait.
        """
        index = self.waiting.index(job_id) if job_id in self.waiting else -1
        if index < 0:
            raise LookupError(f"no job {job_id!r} waits")
        self._waiting.insert(place, self._waiting.pop(index))

    def remove(self, job_id: str) -> bool:
        """Take a waiting job out of the queue without a word; tell whether it was there."""
        left = [job for job in self._waiting if job.job_id != job_id]
        found = len(left) < len(self._waiting)
        self._waiting = left
        return found

    def cancel(self, job_id: str) -> None:
        """Stop a job, waiting or at work; its `Failed` (code ``cancelled``) comes with `poll`."""
        if self.remove(job_id):
            error = JobCancelled("Cancelled before it began")
            self._told.append(Failed.of(job_id, error))
        elif job_id in self._running:
            self._running[job_id].cancel()

    def pause(self) -> None:
        """Hold the waiting jobs back; what is at work goes on."""
        self._paused = True

    def resume(self) -> None:
        """Let the next job begin."""
        self._paused = False

    def poll(self) -> list[JobEvent]:
        """Return what has happened since the last call, and begin the next job if it is time."""
        told, self._told = self._told, []
        for job_id, work in list(self._running.items()):
            events = [
                replace(event, job_id=job_id)
                for event in work.poll()
                if not isinstance(event, Hello | Reply)
            ]
            told += events
            if any(isinstance(event, Finished | Failed) for event in events):
                del self._running[job_id]
        while self._waiting and not self._running and not self._paused:
            job = self._waiting.pop(0)
            try:
                self._running[job.job_id] = Starting(job.begin())
            except EngineError as error:
                told.append(Failed.of(job.job_id, error))
            else:
                told.append(Started(job_id=job.job_id))
        return told

    def close(self, *, timeout: float = 2.0) -> None:
        """Forget all jobs; what is at work is left to the owner of its process.

        Args:
            timeout: seconds to wait for a program that is just being started.
        """
        for work in self._running.values():
            if isinstance(work, Starting):
                work.join(timeout)
        self._running.clear()
        self._waiting.clear()
        self._told.clear()

    def _refuse_twice(self, job_id: str) -> None:
        if job_id in self._running or job_id in self.waiting:
            raise ValueError(f"a job {job_id!r} is in the queue already")


class Starting:
    """Work that is begun on a thread of its own: starting a program can take time."""

    def __init__(self, begin: Callable[[], Work]) -> None:
        """Start the thread."""
        self._begin = begin
        self._begun: Work | Failed | None = None
        self._cancelled = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def begun(self) -> bool:
        """Whether it has begun, or never will."""
        return self._begun is not None

    def poll(self) -> list[Event]:
        """Return the work's events, or why it did not begin."""
        match self._begun:
            case None:
                return []
            case Failed() as failed:
                return [failed]
            case work:
                if self._cancelled:
                    self._cancelled = False
                    work.cancel()
                return work.poll()

    def cancel(self) -> None:
        """Ask the work to stop, as soon as it has begun."""
        self._cancelled = True

    def join(self, timeout: float) -> None:
        """Wait until it has begun."""
        self._thread.join(timeout)

    def _run(self) -> None:
        try:
            self._begun = self._begin()
        except EngineError as error:
            self._begun = Failed.of("", error)
        except Exception as error:
            # The thread of a program that cannot be started must not leave its job open forever.
            logger.exception("a job could not begin")
            self._begun = Failed(
                job_id="", code="failed", message=f"Unexpected {type(error).__name__}: {error}"
            )
