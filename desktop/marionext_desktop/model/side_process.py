"""A process beside the window, for what would hold it up.

Smoothing a long track takes seconds, reading a long motion file as well, and a thread of the
window's own process would make it stutter all that time.

The process is started when it is first needed, does one thing after the other and ends with this
one. What goes there and comes back are arrays and values of ours, pickled over its pipes; nothing
from outside is ever unpickled.
"""

import contextlib
import logging
import os
import pickle
import queue
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import IO, Any

import numpy as np

from marionext.errors import EngineError, ProtocolError

__all__ = ["SideProcess", "main"]

logger = logging.getLogger(__name__)

Task = Callable[..., Any]
Done = Callable[[Any], None]
"""Called with the result, or with the `EngineError` that came instead, on a thread of ours."""
_HEAD = struct.Struct("<Q")


class SideProcess:
    """A process that calls functions for us, one after the other."""

    def __init__(self, *, background: bool = False) -> None:
        """Start nothing yet.

        Args:
            background: it stands back behind everything else that wants the processor.
        """
        self._background = background
        self._tasks: queue.SimpleQueue[tuple[Task, tuple[Any, ...], Done] | None] = (
            queue.SimpleQueue()
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Number of the process, or None while there is none."""
        process = self._process
        return None if process is None else process.pid

    def call(self, task: Task, *arguments: Any, done: Done) -> None:
        """Have a function called there; this returns at once.

        Args:
            task: a function of a module of ours.
            arguments: for it.
            done: called with what it returned, on another thread.
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="side process", daemon=True)
            self._thread.start()
        self._tasks.put((task, arguments, done))

    def close(self) -> None:
        """End the process; what it was asked for is not answered any more."""
        self._closed = True
        self._tasks.put(None)
        process = self._process
        if process is not None:
            process.kill()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(2.0)

    def _run(self) -> None:
        while (item := self._tasks.get()) is not None:
            task, arguments, done = item
            try:
                result = self._ask(task, arguments)
            except EngineError as error:
                result = error
            if self._closed:
                break
            try:
                done(result)
            except RuntimeError:  # the window is gone
                logger.debug("nobody wants an answer", exc_info=True)
        process = self._process
        if process is not None:
            _end(process)

    def _ask(self, task: Task, arguments: tuple[Any, ...]) -> Any:
        try:
            process = self._ready()
            assert process.stdin is not None
            assert process.stdout is not None
            _write(process.stdin, (task, arguments))
            answer = _read(process.stdout)
        except (OSError, EOFError, pickle.PickleError) as error:
            process_, self._process = self._process, None
            if process_ is not None:
                _end(process_)
            raise ProtocolError(
                f"the process beside the window has ended ({type(error).__name__})",
                hint="It is started again with the next task.",
            ) from None
        return answer

    def _ready(self) -> "subprocess.Popen[bytes]":
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "marionext_desktop.model.side_process",
                    "15" if self._background else "3",
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        return self._process


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a process and let its pipes go."""
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def _write(stream: IO[bytes], value: object) -> None:
    """Write a value, its arrays beside the rest: copying them would hold Python's lock."""
    arrays: list[pickle.PickleBuffer] = []
    content = pickle.dumps(value, protocol=5, buffer_callback=arrays.append)
    parts = [memoryview(content), *(array.raw() for array in arrays)]
    stream.write(_HEAD.pack(len(parts)))
    stream.write(b"".join(_HEAD.pack(part.nbytes) for part in parts))
    for part in parts:
        stream.write(part)
    stream.flush()


def _read(stream: IO[bytes]) -> Any:
    (count,) = _HEAD.unpack(_exactly(stream, _HEAD.size))
    sizes = struct.unpack(f"<{count}Q", _exactly(stream, count * _HEAD.size))
    content, *arrays = (_exactly(stream, size) for size in sizes)
    return pickle.loads(content, buffers=arrays)


def _exactly(stream: IO[bytes], size: int) -> memoryview:
    """Read that many bytes into memory that can be written to, as arrays want it."""
    # Not a bytearray: filling it with zeros would hold Python's lock.
    content = np.empty(size, np.uint8).data
    view = content
    while view:
        count = stream.readinto(view)  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        view = view[count:]
    return content


def main() -> int:
    """Do what is asked on stdin until it ends."""
    commands = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get among the answers
    if hasattr(os, "nice"):
        with contextlib.suppress(OSError):
            os.nice(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    while True:
        try:
            task, arguments = _read(commands)
        except EOFError:
            return 0
        try:
            answer = task(*arguments)
        except EngineError as error:
            answer = error
        except Exception as error:  # the window is told, whatever it was
            logger.exception("a task failed")
            answer = EngineError(f"Unexpected {type(error).__name__}: {error}")
        with contextlib.suppress(BrokenPipeError):
            _write(answers, answer)


if __name__ == "__main__":
    sys.exit(main())
