"""What the command line says: text for people on stderr, results and JSON on stdout."""

import json
import shutil
import sys
import time
from typing import Any

from marionext.errors import EngineError
from marionext.intake import PullProgress
from marionext.protocol import Event, Failed, Finished, Log, Progress, write_line

__all__ = ["EventPrinter", "progress_line", "say", "show_error", "show_json", "show_result"]


_MIB = 1 << 20


def say(text: str) -> None:
    """Tell the user something (stderr)."""
    _clear_line()
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def show_result(text: str) -> None:
    """Print what was asked for (stdout)."""
    _clear_line()
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def show_json(value: Any) -> None:
    """Print what was asked for as one JSON document (stdout)."""
    show_result(json.dumps(value, indent=2, ensure_ascii=False))


def show_error(error: EngineError) -> None:
    """Tell what went wrong and what to do about it."""
    say(f"error: {error.message}")
    if error.hint:
        say(f"       {error.hint}")


def progress_line(text: str) -> None:
    """Show a line that the next one replaces; nothing where stderr is no terminal."""
    if sys.stderr.isatty():
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write(f"\r\x1b[K{text[:width]}")
        sys.stderr.flush()


def show_transfer(progress: PullProgress) -> None:
    """Show how far a fetch is."""
    share = progress.done / progress.total if progress.total else 1.0
    progress_line(
        f"{share:4.0%}  {progress.done // _MIB:,} of {progress.total // _MIB:,} MiB, "
        f"{progress.bytes_per_second / _MIB:.1f} MiB/s  {progress.file}"
    )


def _clear_line() -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")


class EventPrinter:
    """Shows a job's events: as text on stderr, or as JSON lines on stdout.

    Args:
        as_json: print the events themselves.
    """

    _SECONDS_BETWEEN_LINES = 5.0

    def __init__(self, *, as_json: bool) -> None:
        """Begin with nothing shown."""
        self._as_json = as_json
        self._stage = ""
        self._last = 0.0

    def show(self, event: Event) -> None:
        """Show one event."""
        if self._as_json:
            sys.stdout.write(write_line(event))
            sys.stdout.flush()
            return
        match event:
            case Progress():
                self._show_progress(event)
            case Log():
                say(("warning: " if event.level == "warning" else "") + event.text)
            case Finished():
                say(f"{event.frames} frames in {event.seconds:.1f} s: {event.directory}")
                for video in event.videos:
                    show_result(video)
            case Failed():
                say(f"error: {event.message}")
                if event.hint:
                    say(f"       {event.hint}")

    def _show_progress(self, event: Progress) -> None:
        left = "" if event.seconds_left is None else f", {_duration(event.seconds_left)} left"
        text = f"{event.fraction:4.0%}  {event.text}{left}"
        now = time.monotonic()
        if sys.stderr.isatty():
            progress_line(text)
        elif event.stage != self._stage or now - self._last > self._SECONDS_BETWEEN_LINES:
            # A log file wants a line now and then, not one a step.
            say(text)
            self._last = now
        self._stage = event.stage


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02} h"
