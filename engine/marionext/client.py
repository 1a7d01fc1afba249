"""The engine as a process: what Blender and the desktop editor hold.

Nothing here waits: `EngineProcess.submit` writes a line, `EngineProcess.poll` returns the events
that have come, so a window's timer can call both. The reader thread only fills a queue.
Standard library only: this is imported inside Blender, whatever its Python.
"""

import collections
import contextlib
import logging
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import IO, Any, Self

from marionext.codec import encode
from marionext.errors import ProtocolError
from marionext.jobs import LivePose
from marionext.protocol import (
    PROTOCOL_VERSION,
    Cancel,
    Command,
    Event,
    Failed,
    Finished,
    Hello,
    Plan,
    Pose,
    Reference,
    Reply,
    Shutdown,
    Submit,
    read_event,
    write_line,
)

__all__ = ["EngineProcess"]

logger = logging.getLogger(__name__)

_STDERR_LINES = 40
_SECONDS_TO_DIE = 1.0


class EngineProcess:
    """An engine in a process of its own, started at once.

    Args:
        command: how to start the worker; None: this Python's ``-m marionext worker``. An
            ``ssh host marionext worker`` works as well.
        environment: variables laid over this process's own.

    Raises:
        ProtocolError: the command cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str] | None = None,
        *,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start the process; `Hello` comes with a later `poll`."""
        arguments = list(command or (sys.executable, "-m", "marionext", "worker"))
        try:
            self._process = subprocess.Popen(
                arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, **(environment or {})},
                text=True,
                encoding="utf-8",
                errors="replace",
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError as error:
            raise ProtocolError(
                f"the engine cannot be started with {arguments[0]!r}: {error}",
                hint="Check the engine's path in the settings, or run 'marionext doctor'.",
            ) from None
        self.hello: Hello | None = None
        """What the engine said first, or None before it did."""
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._outgoing: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._stderr: collections.deque[str] = collections.deque(maxlen=_STDERR_LINES)
        self._open: set[str] = set()
        self._silent_since: float | None = None
        self._ended = False
        self._reason = ""
        self._numbers = 0
        self._threads = [
            threading.Thread(target=target, args=arguments_, daemon=True)
            for target, arguments_ in (
                (self._read_events, (self._process.stdout,)),
                (self._read_stderr, (self._process.stderr,)),
                (self._write_commands, (self._process.stdin,)),
            )
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, job: Mapping[str, Any], engine: Mapping[str, Any] | None = None) -> str:
        """Queue a job (as JSON values, see `marionext.jobs.encode_job`) and return its id."""
        self._numbers += 1
        job_id = f"{os.getpid()}-{self._numbers}"
        self._open.add(job_id)
        self._send(Submit(job_id=job_id, job=dict(job), engine=dict(engine or {})))
        return job_id

    def ask_plan(self, job: Mapping[str, Any], engine: Mapping[str, Any] | None = None) -> str:
        """Ask what a render will take and return the question's id.

        The answer, a `Planned` or a `Failed` with that id, comes with a later `poll`, also while
        jobs run. Of several questions that wait only the newest is answered.
        """
        self._numbers += 1
        question_id = f"{os.getpid()}-plan-{self._numbers}"
        self._open.add(question_id)
        self._send(Plan(job_id=question_id, job=dict(job), engine=dict(engine or {})))
        return question_id

    def ask_pose(self, pose: LivePose) -> str:
        """Ask for a picture of the character in a pose and return the question's id.

        The answer, a `Posed` or a `Failed` with that id, comes with a later `poll`, also while
        jobs run. Of several questions that wait only the newest is answered.
        """
        self._numbers += 1
        question_id = f"{os.getpid()}-pose-{self._numbers}"
        self._open.add(question_id)
        self._send(Pose(job_id=question_id, pose=encode(pose)))
        return question_id

    def ask_reference(self, job: Mapping[str, Any]) -> str:
        """Ask what pose a render lays its motion over and return the question's id.

        The answer, a `Referenced` or a `Failed` with that id, comes with a later `poll`, also while
        jobs run. Of several questions that wait only the newest is answered.
        """
        self._numbers += 1
        question_id = f"{os.getpid()}-reference-{self._numbers}"
        self._open.add(question_id)
        self._send(Reference(job_id=question_id, job=dict(job)))
        return question_id

    def cancel(self, job_id: str) -> None:
        """Ask to stop a job; it still ends with its `Failed` (code ``cancelled``)."""
        self._send(Cancel(job_id=job_id))

    def poll(self) -> list[Event]:
        """Return the events that have come since the last call, without waiting.

        When the engine dies, each job that was open ends with a `Failed` that tells the engine's
        last words. An engine of another protocol version is closed, its jobs fail likewise.
        """
        events: list[Event] = []
        while not self._ended:
            try:
                line = self._lines.get_nowait()
            except queue.Empty:
                break
            if line is None:
                self._silent_since = time.monotonic()
                break
            try:
                event = read_event(line)
            except ProtocolError as error:
                logger.warning("ignored a line from the engine: %s", error.message)
                continue
            if isinstance(event, Hello):
                self.hello = event
                if event.protocol != PROTOCOL_VERSION:
                    self._process.kill()
                    events += self._end(
                        f"The engine speaks protocol {event.protocol} (Marionext {event.version}), "
                        f"this program speaks {PROTOCOL_VERSION}. Update the older of the two."
                    )
                    break
            if isinstance(event, Finished | Failed | Reply):
                self._open.discard(event.job_id)
            events.append(event)
        if self._silent_since is not None and not self._ended and self._is_over():
            events += self._end(self._last_words())
        return events + (self._failed_since() if self._ended else [])

    def wait(self, job_id: str, *, timeout: float | None = None) -> list[Event]:
        """Block until a job has ended and return all events up to then: for scripts, not windows.

        Args:
            job_id: what `submit` returned.
            timeout: seconds, or None for ever.

        Raises:
            ProtocolError: the time is over.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        events: list[Event] = []
        while True:
            events += self.poll()
            if any(
                isinstance(event, Finished | Failed) and event.job_id == job_id for event in events
            ):
                return events
            if deadline is not None and time.monotonic() > deadline:
                raise ProtocolError(f"the engine has not finished {job_id} within {timeout:g} s")
            time.sleep(0.02)

    @property
    def alive(self) -> bool:
        """Whether the process is running."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def close(self, *, timeout: float = 5.0) -> None:
        """Ask the engine to end, and end it by force after ``timeout`` seconds."""
        self._send(Shutdown())
        self._outgoing.put(None)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            thread.join(timeout=1.0)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def __enter__(self) -> Self:
        """Return the engine itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the engine."""
        self.close()

    def _send(self, command: Command) -> None:
        self._outgoing.put(write_line(command))

    def _failed_since(self) -> list[Event]:
        """Return the ends of what was asked of an engine that had died before."""
        return self._end(self._reason) if self._open else []

    def _end(self, reason: str) -> list[Event]:
        self._ended, self._reason = True, reason
        failed = [
            Failed(job_id=job_id, code="protocol", message=reason, hint="Start it again to resume.")
            for job_id in sorted(self._open)
        ]
        self._open.clear()
        return list(failed)

    def _is_over(self) -> bool:
        """Tell whether a silent engine is dead and its last words are read, without waiting.

        A program that it has started may hold its stderr open a little longer.
        """
        if not self.alive and not self._threads[1].is_alive():
            return True
        return time.monotonic() - (self._silent_since or 0.0) > _SECONDS_TO_DIE

    def _last_words(self) -> str:
        status = self._process.poll()
        words = "\n".join(self._stderr).strip()
        return f"The engine ended unexpectedly (status {status})." + (f"\n{words}" if words else "")

    def _read_events(self, stream: IO[str]) -> None:
        for line in stream:
            self._lines.put(line)
        self._lines.put(None)

    def _read_stderr(self, stream: IO[str]) -> None:
        for line in stream:
            self._stderr.append(line.rstrip())

    def _write_commands(self, stream: IO[str]) -> None:
        while (line := self._outgoing.get()) is not None:
            try:
                stream.write(line)
                stream.flush()
            except (OSError, ValueError):
                return
        with contextlib.suppress(OSError):
            stream.close()
