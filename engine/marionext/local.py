"""The engine in a thread of this process: the same calls as `marionext.client.EngineProcess`.

The command line and the worker use it; a host with a window should prefer the process, where a
crash costs a job and not the window.
"""

import contextlib
import itertools
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from marionext.codec import decode, encode
from marionext.errors import EngineError, JobCancelled, ProtocolError, SettingsError
from marionext.files import in_words
from marionext.jobs import EngineSettings, LivePose, PictureJob, RenderJob, UpscaleJob, decode_job
from marionext.paths import user_path
from marionext.protocol import Event, Failed, Finished, Planned, Posed, Referenced, Reply
from marionext.reporting import Reporter

if TYPE_CHECKING:
    from marionext.posing import Poser
    from marionext.session import Session

__all__ = ["LocalEngine"]

logger = logging.getLogger(__name__)

_OF_THE_SYSTEM = "Check that it is there, and that you may read and write it."
_Done = TypeVar("_Done", bound=Finished | Reply)
_Question = TypeVar("_Question")


class LocalEngine:
    """Does submitted jobs one after another, the last model kept loaded between them.

    Args:
        on_event: called with each event on the engine's thread; None: `poll` returns them.
    """

    def __init__(self, on_event: Callable[[Event], None] | None = None) -> None:
        """Start the threads; nothing is loaded before the first job."""
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._emit = on_event or self._events.put
        self._jobs: queue.SimpleQueue[tuple[str, Mapping[str, Any], Mapping[str, Any]] | None]
        self._jobs = queue.SimpleQueue()
        self._cancelled: dict[str, threading.Event] = {}
        self._numbers = itertools.count(1)
        self._session: Session | None = None
        self._poser: Poser | None = None
        self._worker = threading.Thread(target=self._work, name="engine", daemon=True)
        self._worker.start()
        self._plans = _Answerer("plans", _planned, self._emit)
        self._poses = _Answerer("poses", self._posed, self._emit)
        self._references = _Answerer("references", self._referenced, self._emit)

    def submit(
        self,
        job: Mapping[str, Any],
        engine: Mapping[str, Any] | None = None,
        *,
        job_id: str | None = None,
    ) -> str:
        """Queue a job (as JSON values, see `marionext.jobs.encode_job`) and return its id.

        Raises:
            ProtocolError: a job of that id is already queued or running.
        """
        job_id = f"{os.getpid()}-{next(self._numbers)}" if job_id is None else job_id
        if job_id in self._cancelled:
            raise ProtocolError(f"a job called {job_id!r} is already open")
        self._cancelled[job_id] = threading.Event()
        self._jobs.put((job_id, job, engine or {}))
        return job_id

    def cancel(self, job_id: str) -> None:
        """Ask to stop a job; it still ends with its `Failed` (code ``cancelled``)."""
        flag = self._cancelled.get(job_id)
        if flag is not None:
            flag.set()

    def ask_plan(
        self,
        job: Mapping[str, Any],
        engine: Mapping[str, Any] | None = None,
        *,
        question_id: str | None = None,
    ) -> str:
        """Ask what a render will take and return the question's id.

        The answer, a `Planned` or a `Failed`, comes while jobs run. Of several questions that wait
        only the newest is answered.
        """
        if question_id is None:
            question_id = f"{os.getpid()}-plan-{next(self._numbers)}"
        self._plans.ask(question_id, (job, engine or {}))
        return question_id

    def ask_pose(
        self, pose: LivePose | Mapping[str, Any], *, question_id: str | None = None
    ) -> str:
        """Ask for a picture of the character in a pose and return the question's id.

        The answer, a `Posed` or a `Failed`, comes while jobs run. Of several questions that wait
        only the newest is answered.

        Args:
            pose: as a value, or as JSON values.
            question_id: None: one is given.
        """
        if question_id is None:
            question_id = f"{os.getpid()}-pose-{next(self._numbers)}"
        self._poses.ask(question_id, pose)
        return question_id

    def ask_reference(self, job: Mapping[str, Any], *, question_id: str | None = None) -> str:
        """Ask what pose a render lays its motion over and return the question's id.

        The answer, a `Referenced` or a `Failed`, comes while jobs run. Of several questions that
        wait only the newest is answered.
        """
        if question_id is None:
            question_id = f"{os.getpid()}-reference-{next(self._numbers)}"
        self._references.ask(question_id, job)
        return question_id

    def poll(self) -> list[Event]:
        """Return the events that have come since the last call, without waiting."""
        events = []
        while True:
            try:
                events.append(self._events.get_nowait())
            except queue.Empty:
                return events

    def next_event(self) -> Event:
        """Return the next event, waiting for it: for programs without a window."""
        while True:
            # In slices, so that Ctrl-C reaches the main thread on every system.
            with contextlib.suppress(queue.Empty):
                return self._events.get(timeout=0.2)

    def wait(self, job_id: str, *, timeout: float | None = None) -> list[Event]:
        """Block until a job has ended and return all events up to then.

        Raises:
            ProtocolError: ``timeout`` seconds are over.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        events: list[Event] = []
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                event = self._events.get(timeout=left)
            except queue.Empty:
                raise ProtocolError(f"{job_id} has not finished within {timeout:g} s") from None
            events.append(event)
            if isinstance(event, Finished | Failed) and event.job_id == job_id:
                return events

    def close(self, *, timeout: float | None = None) -> tuple[str, ...]:
        """Cancel what is open and end the threads.

        Args:
            timeout: seconds to wait for them; None: until they have ended, which takes until the
                current piece of work is done.

        Returns:
            The jobs and questions that are open still: none, unless the time is over.
        """
        for flag in list(self._cancelled.values()):
            flag.set()
        self._jobs.put(None)
        for answerer in self._answerers:
            answerer.end()
        deadline = None if timeout is None else time.monotonic() + timeout
        for thread in self._threads:
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
        if self.ended:
            return ()
        asked = [question for answerer in self._answerers for question in list(answerer.open)]
        return (*list(self._cancelled), *asked)

    @property
    def ended(self) -> bool:
        """Whether the threads have ended."""
        return not any(thread.is_alive() for thread in self._threads)

    @property
    def _threads(self) -> tuple[threading.Thread, ...]:
        return self._worker, *(answerer.thread for answerer in self._answerers)

    @property
    def _answerers(self) -> "tuple[_Answerer[Any], ...]":
        return self._plans, self._poses, self._references

    def __enter__(self) -> Self:
        """Return the engine itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the engine."""
        self.close()

    def _work(self) -> None:
        while (item := self._jobs.get()) is not None:
            job_id, job, engine = item
            event = _closing(job_id, partial(self._run, job_id, job, engine))
            del self._cancelled[job_id]
            self._emit(event)

    def _run(self, job_id: str, job: Mapping[str, Any], engine: Mapping[str, Any]) -> Finished:
        """Do one job."""
        reporter = Reporter(job_id, self._emit, self._cancelled[job_id].is_set)
        reporter.check()
        decoded = decode_job(job, beside=_here())
        settings = decode(EngineSettings, dict(engine), path="$engine")
        if self._session is None:
            from marionext.session import Session  # noqa: PLC0415 - torch, on first use

            self._session = Session()
        result = self._session.run(decoded, settings, reporter)
        return Finished(
            job_id=job_id,
            directory=str(result.directory),
            frames=result.frames,
            videos=tuple(str(path) for path in result.videos),
            seconds=round(reporter.seconds, 2),
        )

    def _posed(self, question_id: str, asked: LivePose | Mapping[str, Any]) -> Posed:
        """Draw one pose; on the thread of poses alone, which keeps the characters."""
        started = time.perf_counter()
        pose = asked if isinstance(asked, LivePose) else decode(LivePose, asked, path="$pose")
        if self._poser is None:
            from marionext.posing import Poser  # noqa: PLC0415 - pictures, on first use

            self._poser = Poser()
        report = Reporter(question_id, self._emit, lambda: False)
        picture = self._poser.draw(pose, report)
        seconds = round(time.perf_counter() - started, 4)
        return Posed.of(question_id, (pose.width, pose.height), picture.data, seconds)

    def _referenced(self, question_id: str, asked: Mapping[str, Any]) -> Referenced:
        """Find the pose of a render's character."""
        job = decode_job(asked, beside=_here())
        if not isinstance(job, RenderJob):
            raise SettingsError(f"expected a render, got a job of the kind {job.kind!r}")
        from marionext.staging import reference_of  # noqa: PLC0415 - pictures, on first use

        report = Reporter(question_id, self._emit, lambda: False)
        track = reference_of(job, report)
        points, scores = (tuple(part[0].tolist()) for part in (track.points, track.scores))
        width, height = track.size
        return Referenced(
            job_id=question_id, width=width, height=height, points=points, scores=scores
        )


class _Answerer(Generic[_Question]):
    """Answers one kind of question on a thread of its own: of those that wait, only the newest.

    Args:
        name: of the thread.
        answer: called with a question's id and the question.
        emit: takes the answers, one for each question.
    """

    def __init__(
        self,
        name: str,
        answer: Callable[[str, _Question], Reply],
        emit: Callable[[Event], None],
    ) -> None:
        self._answer, self._emit = answer, emit
        self._questions: queue.Queue[tuple[str, _Question] | None] = queue.Queue()
        self.open: set[str] = set()
        """What is not answered yet."""
        self.thread = threading.Thread(target=self._work, name=name, daemon=True)
        self.thread.start()

    def ask(self, question_id: str, question: _Question) -> None:
        """Ask; whatever waits and is not being answered yet is not answered any more."""
        self.open.add(question_id)
        self._questions.put((question_id, question))

    def end(self) -> None:
        """Have the thread end after the answer in hand."""
        self._questions.put(None)

    def _work(self) -> None:
        while (question := self._questions.get()) is not None:
            while not self._questions.empty():
                newer = self._questions.get()
                if newer is None:
                    self._reply(Failed.of(question[0], JobCancelled("The engine is ending.")))
                    return
                superseded = JobCancelled("A newer question took the place of this one.")
                self._reply(Failed.of(question[0], superseded))
                question = newer
            self._reply(_closing(question[0], partial(self._answer, *question)))

    def _reply(self, event: Reply | Failed) -> None:
        self.open.discard(event.job_id)
        self._emit(event)


def _planned(question_id: str, asked: tuple[Mapping[str, Any], Mapping[str, Any]]) -> Planned:
    from marionext.planning import plan  # noqa: PLC0415 - reads media files
    from marionext.runs.outlines import outline  # noqa: PLC0415

    job, engine = asked
    decoded = decode_job(job, beside=_here())
    settings = decode(EngineSettings, dict(engine), path="$engine")
    if isinstance(decoded, PictureJob | UpscaleJob):
        return Planned(job_id=question_id, outline=encode(outline(decoded, settings)))
    return Planned(job_id=question_id, outline=encode(plan(decoded, settings)))


def _here() -> Path:
    """Return the folder that relative paths in a job start from.

    Raises:
        SettingsError: it has been removed.
    """
    return user_path(".")


def _closing(name: str, work: Callable[[], _Done]) -> _Done | Failed:
    """Return the one event that ends a job or answers a question, whatever happens."""
    try:
        return work()
    except (JobCancelled, SettingsError) as error:
        return Failed.of(name, error)
    except EngineError as error:
        logger.info("%s failed", name, exc_info=True)
        return Failed.of(name, error)
    except OSError as error:
        # Anything of the system that nobody has put into words: a folder that is closed, say.
        logger.info("%s failed", name, exc_info=True)
        return Failed.of(name, EngineError(in_words(error), hint=_OF_THE_SYSTEM))
    except (Exception, SystemExit) as error:
        # The one net under everything: a defect of ours must not take the host's queue along, nor
        # a library that wants to end the process.
        logger.exception("%s failed unexpectedly", name)
        return Failed(
            job_id=name,
            code="failed",
            message=f"Unexpected {type(error).__name__}: {error}",
            hint="This is a defect of Marionext: please report it with the log above.",
        )
