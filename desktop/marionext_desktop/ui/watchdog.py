"""Counts how often the window stood still: a clock that ought to tick every few milliseconds."""

import logging
import time

from PySide6.QtCore import QObject, QTimer

__all__ = ["Watchdog"]

logger = logging.getLogger(__name__)

_TICK_MS = 10
STALL_MS = 50.0
"""From here on somebody notices."""


class Watchdog(QObject):
    """Measures how long the window's thread is away from its events."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.stalls = 0
        """How often it was away for longer than `STALL_MS`."""
        self.worst = 0.0
        """Milliseconds of the longest time it was away."""
        self._last = time.monotonic()
        self._timer = QTimer(self, interval=_TICK_MS)
        self._timer.timeout.connect(self._tick)
        self._timer.start()

    def reset(self) -> None:
        """Count from here."""
        self.stalls, self.worst, self._last = 0, 0.0, time.monotonic()

    def _tick(self) -> None:
        now = time.monotonic()
        away = (now - self._last) * 1000 - _TICK_MS
        self._last = now
        if away > STALL_MS:
            self.stalls += 1
            logger.info("the window stood still for %.0f ms", away)
        self.worst = max(self.worst, away)
