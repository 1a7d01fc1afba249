"""Ctrl-C: once to stop cleanly, twice to stop at once; so is SIGTERM, the word of render farms.

A piece of work is up to half a minute long (a step of a large picture), so stopping cleanly takes a
while. Stopping at once is ending the process: what is kept is whole on the disk at any moment.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from marionext.cli import console
from marionext.errors import JobCancelled

__all__ = ["Interrupts"]

_SECONDS_FOR_WORDS = 0.5
_STDERR = 2
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """While open, the first Ctrl-C calls ``cancel``; the second ends the process."""

    def __init__(self, cancel: Callable[[], None]) -> None:
        """Remember what to call."""
        self._cancel = cancel
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> None:
        """Take the signals over."""
        for number in _SIGNALS:
            self._previous[number] = signal.signal(number, self._interrupt)

    def __exit__(self, *_: object) -> None:
        """Give them back."""
        for number, previous in self._previous.items():
            signal.signal(number, previous)

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        # First: who reads the words may press again before they are all said.
        for number in _SIGNALS:
            signal.signal(number, _end)
        console.say("Stopping after the current piece of work; press again to stop at once.")
        self._cancel()


def _end(_number: int, _frame: FrameType | None) -> None:
    """End the process, even where another thread or a reader that does not read holds a stream."""
    for each in _SIGNALS:
        signal.signal(each, lambda *_: os._exit(JobCancelled.exit_status))
    last = threading.Timer(_SECONDS_FOR_WORDS, os._exit, (JobCancelled.exit_status,))
    last.daemon = True
    last.start()
    # RuntimeError: the signal came in the midst of writing to the same stream.
    with contextlib.suppress(OSError, ValueError, RuntimeError):
        console.close()
        # Past the console: what it is told while this very thread writes is written later, and
        # there is no later.
        os.write(_STDERR, b"Stopped. The same command goes on from here.\n")
        sys.stdout.flush()
    os._exit(JobCancelled.exit_status)
