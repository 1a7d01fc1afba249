"""An engine process that serves one job after another and ends when it has been idle too long."""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from marionext.client import EngineProcess
from marionext.hosts.queue import Work
from marionext.protocol import Event, Failed, Hello

__all__ = ["SharedEngine"]

_CLOSING_SECONDS = 2.0


class SharedEngine:
    """The engine of a host; it is there while it is needed.

    Args:
        idle_seconds: an engine without work keeps its models loaded for this long; then their
            memory is given back.
    """

    def __init__(self, *, idle_seconds: float = 300.0) -> None:
        """Start nothing yet."""
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._process: EngineProcess | None = None
        self._command: tuple[str, ...] = ()
        self._idle_since = time.monotonic()

    @property
    def pid(self) -> int | None:
        """Number of the process, or None while there is none."""
        process = self._process
        return None if process is None else process.pid

    def begin(
        self,
        job: Mapping[str, Any],
        settings: Mapping[str, Any],
        *,
        command: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Work:
        """Submit a job, and start the engine first where none runs or another one is wanted.

        Starting a program can take time: call it on a thread, as `JobQueue` does.

        Args:
            job: as `marionext.jobs.encode_job` gives it.
            settings: `marionext.jobs.EngineSettings` as JSON values.
            command: how to start the worker; None: this Python's own.
            environment: variables laid over this process's own.

        Raises:
            ProtocolError: the engine cannot be started.
        """
        wanted = tuple(command or ())
        with self._lock:
            process = self._process
            if process is not None and (not process.alive or wanted != self._command):
                self._let_go()
                process = None
            if process is None:
                process = self._process = EngineProcess(command, environment=environment)
                self._command = wanted
            return _SharedWork(self, process, job, settings)

    def rest(self) -> bool:
        """Let the engine go if it has been idle for too long; tell whether there still is one."""
        if self._process is not None and self.idle_for > self._idle_seconds:
            self.release()
        return self._process is not None

    @property
    def idle_for(self) -> float:
        """Seconds since a job was last at work in it."""
        return time.monotonic() - self._idle_since

    def touch(self) -> None:
        """Note that a job is at work."""
        self._idle_since = time.monotonic()

    def release(self, process: EngineProcess | None = None) -> None:
        """Let the engine end by itself; a thread waits for it.

        Args:
            process: only if it is still this one; None: whichever.
        """
        with self._lock:
            if process is None or process is self._process:
                self._let_go()

    def _let_go(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            threading.Thread(
                target=process.close, kwargs={"timeout": _CLOSING_SECONDS}, daemon=True
            ).start()

    def close(self, *, timeout: float = _CLOSING_SECONDS) -> None:
        """End the engine and wait for it, by force after ``timeout`` seconds."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.close(timeout=timeout)


class _SharedWork:
    """A job of the shared process."""

    def __init__(
        self,
        engine: SharedEngine,
        process: EngineProcess,
        job: Mapping[str, Any],
        settings: Mapping[str, Any],
    ) -> None:
        self._engine = engine
        self._process = process
        self._id = process.submit(job, settings)

    def poll(self) -> list[Event]:
        """Return this job's events."""
        self._engine.touch()
        events: list[Event] = [
            event
            for event in self._process.poll()
            if not isinstance(event, Hello) and event.job_id == self._id
        ]
        if any(isinstance(event, Failed) and event.code == "protocol" for event in events):
            # It is dead or of another version: the next job starts another one.
            self._engine.release(self._process)
        return events

    def cancel(self) -> None:
        """Ask the engine to stop this job."""
        self._process.cancel(self._id)
