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
from typing import TYPE_CHECKING, Any, Self

from marionext.codec import decode
from marionext.errors import EngineError, JobCancelled, ProtocolError, SettingsError
from marionext.jobs import EngineSettings, decode_job
from marionext.protocol import Event, Failed, Finished
from marionext.reporting import Reporter

if TYPE_CHECKING:
    from marionext.session import Session

__all__ = ["LocalEngine"]

logger = logging.getLogger(__name__)


class LocalEngine:
    """Renders submitted jobs one after another, the models kept loaded between them.

    Args:
        on_event: called with each event on the engine's thread; None: `poll` returns them.
    """

    def __init__(self, on_event: Callable[[Event], None] | None = None) -> None:
        """Start the thread; nothing is loaded before the first job."""
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._emit = on_event or self._events.put
        self._jobs: queue.SimpleQueue[tuple[str, Mapping[str, Any], Mapping[str, Any]] | None]
        self._jobs = queue.SimpleQueue()
        self._cancelled: dict[str, threading.Event] = {}
        self._numbers = itertools.count(1)
        self._session: Session | None = None
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._thread.start()

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
        job_id = job_id or f"{os.getpid()}-{next(self._numbers)}"
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

    def close(self) -> None:
        """Cancel what is open and end the thread."""
        for flag in list(self._cancelled.values()):
            flag.set()
        self._jobs.put(None)
        self._thread.join()

    def __enter__(self) -> Self:
        """Return the engine itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the engine."""
        self.close()

    def _work(self) -> None:
        while (item := self._jobs.get()) is not None:
            job_id, job, engine = item
            event = self._run(job_id, job, engine)
            del self._cancelled[job_id]
            self._emit(event)

    def _run(self, job_id: str, job: Mapping[str, Any], engine: Mapping[str, Any]) -> Event:
        """Render one job; whatever happens, exactly one closing event comes of it."""
        reporter = Reporter(job_id, self._emit, self._cancelled[job_id].is_set)
        try:
            reporter.check()
            decoded = decode_job(job)
            settings = decode(EngineSettings, dict(engine), path="$engine")
            if self._session is None:
                from marionext.session import Session  # noqa: PLC0415 - torch, on first use

                self._session = Session()
            result = self._session.run(decoded, settings, reporter)
        except (JobCancelled, SettingsError) as error:
            return Failed.of(job_id, error)
        except EngineError as error:
            logger.info("job %s failed", job_id, exc_info=True)
            return Failed.of(job_id, error)
        except Exception as error:
            # The one net under everything: a defect of ours must not take the host's queue along.
            logger.exception("job %s failed unexpectedly", job_id)
            return Failed(
                job_id=job_id,
                code="failed",
                message=f"Unexpected {type(error).__name__}: {error}",
                hint="This is a defect of Marionext: please report it with the log above.",
            )
        return Finished(
            job_id=job_id,
            directory=str(result.directory),
            frames=result.frames,
            videos=tuple(str(path) for path in result.videos),
            seconds=round(reporter.seconds, 2),
        )
