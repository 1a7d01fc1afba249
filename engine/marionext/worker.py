"""The engine's end of the pipe: commands from stdin, events to what was stdout.

Stdout itself is pointed at stderr first, so that nothing a library prints can corrupt the stream.
The end of stdin, however it comes, ends the engine within seconds: no host, no work. A host that
does not read holds nothing up: events wait in a queue, and reading commands never waits for it.
"""

import contextlib
import os
import queue
import sys
import threading
from typing import TextIO

import marionext
from marionext.errors import EngineError, JobCancelled, ProtocolError
from marionext.limits import (
    LINE_CHARACTERS,
    SECONDS_TO_END,
    WAITING_EVENTS,
    WAITING_PICTURES,
)
from marionext.local import LocalEngine
from marionext.protocol import (
    PROTOCOL_VERSION,
    Cancel,
    Event,
    Failed,
    Finished,
    Hello,
    Log,
    Plan,
    Pose,
    Posed,
    Reference,
    Reply,
    Shutdown,
    Submit,
    read_command,
    write_line,
)

__all__ = ["serve", "serve_stdio"]

_CLOSING = Finished | Failed | Reply
_SECONDS_TO_READ = 2.0
"""That a host gets for reading the last events."""


def serve_stdio() -> int:
    """Serve the host at the other end of stdin and stdout until it goes; return the exit status.

    Where the work or the host holds the end up, this ends the process instead of returning: all
    that is kept is whole on the disk at any moment.
    """
    events = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    commands = os.fdopen(os.dup(0), "r", encoding="utf-8", errors="replace", newline="\n")
    # Children (ffmpeg) must not eat the host's commands.
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a device, not a path
        os.dup2(nothing.fileno(), 0)
    if serve(commands, events):
        return 0
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit(0)


def serve(commands: TextIO, events: TextIO, *, patience: float = SECONDS_TO_END) -> bool:
    """Serve one host.

    Args:
        commands: a command a line; its end ends the engine.
        events: takes an event a line, flushed each.
        patience: seconds that the work gets to end in good order when the host is gone.

    Returns:
        Whether all threads have ended; if not, the process has to be ended.
    """
    host = _Host(events)
    host.emit(Hello(protocol=PROTOCOL_VERSION, version=marionext.__version__, pid=os.getpid()))
    engine = LocalEngine(host.emit)
    try:
        _take_commands(commands, engine, host)
    finally:
        for job_id in engine.close(timeout=patience):
            host.end(job_id)
        host.close()
    return engine.ended and host.ended


def _take_commands(commands: TextIO, engine: LocalEngine, host: "_Host") -> None:
    """Do what the host says until it goes."""
    while line := commands.readline(LINE_CHARACTERS + 1):
        if len(line) > LINE_CHARACTERS and not line.endswith("\n"):
            while (rest := commands.readline(LINE_CHARACTERS)) and not rest.endswith("\n"):
                pass
            host.warn(f"ignored a line: it is longer than {LINE_CHARACTERS:,} characters")
            continue
        if not line.strip():
            continue
        try:
            command = read_command(line)
        except ProtocolError as error:
            host.warn(f"ignored a line: {error.message}")
            continue
        match command:
            case Submit():
                try:
                    engine.submit(command.job, command.engine, job_id=command.job_id)
                except EngineError as error:
                    # Not a Failed: that would end the open job of the same name.
                    host.warn(error.message, command.job_id)
            case Cancel():
                engine.cancel(command.job_id)
            case Plan():
                engine.ask_plan(command.job, command.engine, question_id=command.job_id)
            case Pose():
                engine.ask_pose(command.pose, question_id=command.job_id)
            case Reference():
                engine.ask_reference(command.job, question_id=command.job_id)
            case Shutdown():
                return


class _Host:
    """The host as the one who reads events, in a thread of its own: it may take its time."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._cut_short: set[str] = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._write, name="events", daemon=True)
        self._thread.start()

    def emit(self, event: Event) -> None:
        """Send an event, unless it comes too late; pictures only to a host that reads."""
        if isinstance(event, Posed) and self._events.qsize() >= WAITING_PICTURES:
            unread = JobCancelled("The host has not read what came before this picture.")
            event = Failed.of(event.job_id, unread)
        with self._lock:
            if not (isinstance(event, _CLOSING) and event.job_id in self._cut_short):
                self._events.put(event)

    def end(self, job_id: str) -> None:
        """End a job whose work does not come to its end; what ends it later is left out."""
        self.emit(Failed.of(job_id, JobCancelled("The engine was ended. What is done is kept.")))
        with self._lock:
            self._cut_short.add(job_id)

    def warn(self, text: str, job_id: str = "") -> None:
        """Tell the host about a line of its own, unless it has long stopped reading."""
        if self._events.qsize() < WAITING_EVENTS:
            self.emit(Log(job_id=job_id, level="warning", text=text))

    def close(self) -> None:
        """Let the host read what there is, for a while."""
        self._events.put(None)
        self._thread.join(_SECONDS_TO_READ)

    @property
    def ended(self) -> bool:
        """Whether everything is written."""
        return not self._thread.is_alive()

    def _write(self) -> None:
        while (event := self._events.get()) is not None:
            # The host may be gone; the end of stdin will say so as well and end the work.
            with contextlib.suppress(OSError, ValueError):
                self._stream.write(write_line(event))
                self._stream.flush()
