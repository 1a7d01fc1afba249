"""The engine's end of the pipe: commands from stdin, events to what was stdout.

Stdout itself is pointed at stderr first, so that nothing a library prints can corrupt the stream.
The end of stdin, however it comes, ends the engine: no host, no work.
"""

import os
import sys
import threading
from typing import TextIO

import marionext
from marionext.errors import EngineError, ProtocolError
from marionext.local import LocalEngine
from marionext.protocol import (
    PROTOCOL_VERSION,
    Cancel,
    Event,
    Hello,
    Log,
    Plan,
    Shutdown,
    Submit,
    read_command,
    write_line,
)

__all__ = ["serve", "serve_stdio"]


def serve_stdio() -> int:
    """Serve the host at the other end of stdin and stdout until it goes; return the exit status."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    commands = os.fdopen(os.dup(0), "r", encoding="utf-8", errors="replace")
    # Children (ffmpeg) must not eat the host's commands.
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a device, not a path
        os.dup2(nothing.fileno(), 0)
    return serve(commands, events)


def serve(commands: TextIO, events: TextIO) -> int:
    """Serve one host.

    Args:
        commands: a command a line; its end ends the engine.
        events: takes an event a line, flushed each.
    """
    lock = threading.Lock()

    def emit(event: Event) -> None:
        with lock:
            try:
                events.write(write_line(event))
                events.flush()
            except (OSError, ValueError):
                # The host is gone; the end of stdin will say so as well and end the work.
                pass

    emit(Hello(protocol=PROTOCOL_VERSION, version=marionext.__version__, pid=os.getpid()))
    with LocalEngine(emit) as engine:
        for line in commands:
            if not line.strip():
                continue
            try:
                command = read_command(line)
            except ProtocolError as error:
                emit(Log(job_id="", level="warning", text=f"ignored a line: {error.message}"))
                continue
            match command:
                case Submit():
                    try:
                        engine.submit(command.job, command.engine, job_id=command.job_id)
                    except EngineError as error:
                        # Not a Failed: that would end the open job of the same name.
                        emit(Log(job_id=command.job_id, level="warning", text=error.message))
                case Cancel():
                    engine.cancel(command.job_id)
                case Plan():
                    engine.ask_plan(command.job, command.engine, question_id=command.job_id)
                case Shutdown():
                    break
    return 0
