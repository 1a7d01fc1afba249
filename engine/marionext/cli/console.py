"""What the command line says: text for people on stderr, results and JSON on stdout.

How far the work is shows in one live line at the bottom of the terminal; all else is written above
it. Where stderr is no terminal a plain line comes now and then, as suits a log file.
"""

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from marionext.errors import EngineError
from marionext.protocol import Event, Failed, Finished, Log, Progress, write_line

if TYPE_CHECKING:
    from marionext.cli.live import LiveLine, LiveTable
    from marionext.intake import PullProgress

__all__ = [
    "EventPrinter",
    "LogLines",
    "close",
    "duration",
    "say",
    "show_error",
    "show_json",
    "show_progress",
    "show_result",
    "show_table",
    "show_transfer",
]

_MIB = 1 << 20


def say(text: str) -> None:
    """Tell the user something (stderr)."""
    _screen.write("stderr", f"{text}\n")


def show_result(text: str) -> None:
    """Print what was asked for (stdout)."""
    _screen.write("stdout", f"{text}\n")


def show_json(value: Any) -> None:
    """Print what was asked for as one JSON document (stdout)."""
    try:
        text = json.dumps(value, indent=2, ensure_ascii=False)
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2)
    show_result(text)


def show_error(error: EngineError) -> None:
    """Tell what went wrong and what to do about it."""
    say(f"error: {error.message}")
    if error.hint:
        say(f"       {error.hint}")


def show_progress(
    text: str,
    fraction: float | None = None,
    seconds_left: float | None = None,
    *,
    stage: str = "",
) -> None:
    """Show how far the work is: a live line, or a plain one now and then.

    Args:
        text: what is going on, in a line.
        fraction: how much is done, 0 to 1; None if unknown.
        seconds_left: None if unknown.
        stage: part of the work; plain lines tell when another one begins.
    """
    _screen.progress(text, fraction, seconds_left, stage)


def show_table(
    rows: Sequence[tuple[str, str, str, float | None]], summary: str, *, stage: str
) -> None:
    """Show how far a batch is: a live table, or a plain line now and then.

    Args:
        rows: name, state, what is going on and how much is done (0 to 1) of each, in their order.
        summary: all in a line.
        stage: what is at work; plain lines tell when it changes.
    """
    _screen.table(rows, summary, stage)


def show_transfer(progress: "PullProgress") -> None:
    """Show how far a fetch is."""
    rate = progress.bytes_per_second
    show_progress(
        f"{progress.done // _MIB:,} of {progress.total // _MIB:,} MiB, "
        f"{rate / _MIB:.1f} MiB/s  {progress.file}",
        progress.done / progress.total if progress.total else 1.0,
        (progress.total - progress.done) / rate if rate >= 1 else None,
    )


def close() -> None:
    """Take the live line away, if there is one."""
    _screen.close()


class _Screen:
    """Keeps lines of text and the live line out of each other's way."""

    _SECONDS_BETWEEN_LINES = 5.0

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._line: LiveLine | None = None
        self._table: LiveTable | None = None
        self._busy = False
        self._waiting: list[tuple[Literal["stdout", "stderr"], str]] = []
        self._stage: str | None = None
        self._last = 0.0

    def write(self, stream: Literal["stdout", "stderr"], text: str) -> None:
        """Write lines; the live line comes back with the next progress."""
        with self._lock:
            self._waiting.append((stream, text))
            # Busy: a signal handler, in the midst of a drawing of this very thread.
            if not self._busy:
                self._flush()

    def progress(
        self, text: str, fraction: float | None, seconds_left: float | None, stage: str
    ) -> None:
        """Draw the live line, or write a plain one if it is time."""
        with self._lock:
            if self._busy:
                return
            if not _is_terminal():
                now = time.monotonic()
                if stage != self._stage or now - self._last > self._SECONDS_BETWEEN_LINES:
                    share = "" if fraction is None else f"{fraction:4.0%}  "
                    left = "" if seconds_left is None else f", {duration(seconds_left)} left"
                    self.write("stderr", f"{share}{text}{left}\n")
                    self._last = now
                self._stage = stage
                return
            self._busy = True
            try:
                if self._line is None:
                    from marionext.cli.live import LiveLine  # noqa: PLC0415 - imports rich

                    self._line = LiveLine(duration)
                self._line.show(text, fraction, seconds_left)
            finally:
                self._busy = False
            if self._waiting:
                self._flush()

    def table(
        self, rows: Sequence[tuple[str, str, str, float | None]], summary: str, stage: str
    ) -> None:
        """Draw the live table, or write a plain line if it is time."""
        if not _is_terminal():
            at = next((row for row in rows if row[1] == "working"), None)
            if at is not None:
                self.progress(f"{at[0]}: {at[2]}  ({summary})", at[3], None, stage)
            return
        with self._lock:
            if self._busy:
                return
            self._busy = True
            try:
                if self._table is None:
                    from marionext.cli.live import LiveTable  # noqa: PLC0415 - imports rich

                    self._table = LiveTable()
                self._table.show(rows, summary)
            finally:
                self._busy = False
            if self._waiting:
                self._flush()

    def close(self) -> None:
        """Take the live line away, for good."""
        with self._lock:
            self._stage = None
            if not self._busy:
                self._flush()

    def _flush(self) -> None:
        """Write what is waiting where the live line was."""
        self._busy = True
        try:
            line, self._line = self._line, None
            table, self._table = self._table, None
            for shown in (line, table):
                if shown is not None:
                    shown.close()
            while self._waiting:
                name, text = self._waiting.pop(0)
                # Looked up now: while there is a live line, stderr is rich's.
                stream = sys.stdout if name == "stdout" else sys.stderr
                try:
                    stream.write(text)
                except UnicodeEncodeError:
                    stream.write(text.encode(stream.encoding, "replace").decode(stream.encoding))
                stream.flush()
        finally:
            self._busy = False


_screen = _Screen()


def _is_terminal() -> bool:
    """Tell whether stderr is a terminal that can draw over a line."""
    return sys.stderr.isatty() and os.environ.get("TERM") not in {"dumb", "unknown"}


class LogLines(logging.Handler):
    """Writes log records above the live line."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        say(self.format(record))


class EventPrinter:
    """Shows a job's events: as text on stderr, or as JSON lines on stdout.

    Args:
        as_json: print the events themselves.
        results: print where the results are, on stdout.
        unit: what is made, one of them.
    """

    def __init__(self, *, as_json: bool, results: bool = True, unit: str = "frame") -> None:
        """Begin with nothing shown."""
        self._as_json = as_json
        self._results = results
        self._unit = unit

    def show(self, event: Event) -> None:
        """Show one event."""
        if self._as_json:
            sys.stdout.write(write_line(event))
            sys.stdout.flush()
            return
        match event:
            case Progress():
                show_progress(event.text, event.fraction, event.seconds_left, stage=event.stage)
            case Log():
                say(("warning: " if event.level == "warning" else "") + event.text)
            case Finished():
                made_of = f"{event.frames} {self._unit}{'s' * (event.frames != 1)}"
                say(f"{made_of} in {event.seconds:.1f} s: {event.directory}")
                for made in (event.videos or (event.directory,)) if self._results else ():
                    show_result(made)
            case Failed():
                say(f"error: {event.message}")
                if event.hint:
                    say(f"       {event.hint}")


def duration(seconds: float) -> str:
    """Say a time as people read it."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02} h"
