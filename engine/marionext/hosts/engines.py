"""An engine process that serves one job after another and ends when it has been idle too long."""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from marionext.client import EngineProcess
from marionext.hosts.queue import Work
from marionext.jobs import LivePose
from marionext.protocol import Event, Failed, Finished, Hello, Reply

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
        self._process: _Process | None = None
        self._command: tuple[str, ...] = ()
        self._idle_since = time.monotonic()

    @property
    def pid(self) -> int | None:
        """Number of the process, or None while there is none."""
        process = self._process
        return None if process is None else process.engine.pid

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
        with self._lock:
            process = self._ready(command, environment)
            return _SharedWork(self, process, process.engine.submit(job, settings))

    def ask_pose(
        self,
        pose: LivePose,
        *,
        command: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Work:
        """Ask for a picture of a pose, and start the engine first as `begin` does.

        Returns:
            What is told about the question: its last event is a `Posed` or a `Failed`.

        Raises:
            ProtocolError: the engine cannot be started.
        """
        with self._lock:
            process = self._ready(command, environment)
            return _SharedWork(self, process, process.engine.ask_pose(pose))

    def ask_plan(
        self,
        job: Mapping[str, Any],
        settings: Mapping[str, Any],
        *,
        command: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Work:
        """Ask what a render will take, and start the engine first as `begin` does.

        Returns:
            What is told about the question: its last event is a `Planned` or a `Failed`.

        Raises:
            ProtocolError: the engine cannot be started.
        """
        with self._lock:
            process = self._ready(command, environment)
            return _SharedWork(self, process, process.engine.ask_plan(job, settings))

    def ask_reference(
        self,
        job: Mapping[str, Any],
        *,
        command: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Work:
        """Ask what pose a render lays its motion over, and start the engine first as `begin` does.

        Returns:
            What is told about the question: its last event is a `Referenced` or a `Failed`.

        Raises:
            ProtocolError: the engine cannot be started.
        """
        with self._lock:
            process = self._ready(command, environment)
            return _SharedWork(self, process, process.engine.ask_reference(job))

    def _ready(
        self, command: Sequence[str] | None, environment: Mapping[str, str] | None
    ) -> "_Process":
        """Return the process, started where it has to be; the lock is held."""
        wanted = tuple(command or ())
        process = self._process
        if process is not None and (not process.engine.alive or wanted != self._command):
            self._let_go()
            process = None
        if process is None:
            engine = EngineProcess(command, environment=environment)
            process, self._command = _Process(engine), wanted
            self._process = process
        return process

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

    def release(self, process: "_Process | None" = None) -> None:
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
                target=process.engine.close, kwargs={"timeout": _CLOSING_SECONDS}, daemon=True
            ).start()

    def close(self, *, timeout: float = _CLOSING_SECONDS) -> None:
        """End the engine and wait for it, by force after ``timeout`` seconds."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.engine.close(timeout=timeout)


class _Process:
    """The process, and what it has said to each of those who share it."""

    def __init__(self, engine: EngineProcess) -> None:
        self.engine = engine
        self._unread: dict[str, list[Event]] = {}
        self._lock = threading.Lock()

    def expect(self, name: str) -> None:
        """Keep the events of a job or question until they are asked for."""
        with self._lock:
            self._unread[name] = []

    def poll(self, name: str) -> list[Event]:
        """Return what was said about a job or question since the last call."""
        with self._lock:
            for event in self.engine.poll():
                if not isinstance(event, Hello) and event.job_id in self._unread:
                    self._unread[event.job_id].append(event)
            events = self._unread.get(name, [])
            if any(isinstance(event, Finished | Failed | Reply) for event in events):
                del self._unread[name]
            elif events:
                self._unread[name] = []
            return events


class _SharedWork:
    """A job of the shared process, or a question to it."""

    def __init__(self, engine: SharedEngine, process: _Process, name: str) -> None:
        self._engine = engine
        self._process = process
        self._name = name
        process.expect(name)

    def poll(self) -> list[Event]:
        """Return the events of this job or question."""
        self._engine.touch()
        events = self._process.poll(self._name)
        if any(isinstance(event, Failed) and event.code == "protocol" for event in events):
            # It is dead or of another version: the next job starts another one.
            self._engine.release(self._process)
        return events

    def cancel(self) -> None:
        """Ask the engine to stop this job."""
        self._process.engine.cancel(self._name)
