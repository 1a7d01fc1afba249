"""Garbage is collected on the window's thread alone.

Python looks for unreachable cycles on whatever thread happens to make the object that is one too
many. A widget or timer in such a cycle would then be taken down on a thread that is not its own,
which Qt answers with a crash, now and then and far from the cause. So the automatic search is off
while the window lives, and a timer of its thread does it instead.
"""

import gc
from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer

__all__ = ["GarbageCollector"]

_MS = 250
_OLDEST_EVERY = 240
"""Rounds between two searches through everything: a minute. Such a one takes a tenth of a second of
a long clip's window, or three of its frames: it waits until nobody would notice."""


class GarbageCollector(QObject):
    """Collects garbage on the thread that makes it."""

    def __init__(self, parent: QObject | None = None) -> None:
        """Switch the automatic search off."""
        super().__init__(parent)
        gc.disable()
        self.keep()
        self._rounds = 0
        self._busy: Callable[[], bool] = lambda: False
        self._timer = QTimer(self, interval=_MS)
        self._timer.timeout.connect(self.check)
        self._timer.start()

    def keep(self) -> None:
        """Say that what there is now stays: it is never looked through again.

        Called when the window has been made, since looking through all of it takes longer than the
        window may stand still.
        """
        gc.collect()
        gc.freeze()

    def spare(self, busy: Callable[[], bool]) -> None:
        """Look through everything only while something is not so: playing, or dragging."""
        self._busy = busy

    def check(self) -> None:
        """Look for garbage among what is new; now and then, and not while busy, among all."""
        self._rounds += 1
        counts, limits = gc.get_count(), gc.get_threshold()
        if self._rounds >= _OLDEST_EVERY and not self._busy():
            self._rounds = 0
            gc.collect(2)
        elif counts[1] > limits[1]:
            gc.collect(1)
        elif counts[0] > limits[0]:
            gc.collect(0)

    def close(self) -> None:
        """Let Python do it again."""
        self._timer.stop()
        gc.enable()
        gc.unfreeze()
