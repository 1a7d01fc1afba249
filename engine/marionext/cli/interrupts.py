"""Ctrl-C: once to stop cleanly, twice to stop at once."""

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

from marionext.cli import console

__all__ = ["Interrupts"]


class Interrupts:
    """While open, the first Ctrl-C calls ``cancel``; the second ends the program."""

    def __init__(self, cancel: Callable[[], None]) -> None:
        """Remember what to call."""
        self._cancel = cancel
        self._previous: Any = None

    def __enter__(self) -> None:
        """Take the signal over."""
        self._previous = signal.signal(signal.SIGINT, self._interrupt)

    def __exit__(self, *_: object) -> None:
        """Give it back."""
        signal.signal(signal.SIGINT, self._previous)

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        console.say("Stopping after the current piece of work; press again to stop at once.")
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._cancel()
