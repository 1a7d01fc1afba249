"""What lives at the bottom of a terminal: a line with bar and time left, or a table of a batch.

Only this module imports rich, and only `marionext.cli.console` imports this one, when there is
something to show: ``--help`` must not wait for it.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TaskProgressColumn,
    TextColumn,
)
from rich.table import Column, Table
from rich.text import Text

__all__ = ["LiveLine", "LiveTable"]

_PER_SECOND = 4
"""How often the line is drawn again, so that the time left runs down between two events."""

_SECONDS_BETWEEN = 0.1
"""Between two drawings for events, which may come more often than anybody reads."""

_BARS = ((80, 24), (50, 10))
"""Columns a terminal has at least, and the columns of a bar in it; narrower ones have none."""


class LiveLine:
    """The line, from when it is made until it is closed.

    What others write to stderr meanwhile appears above it. Its own caller closes it before writing.

    Args:
        words: says a time in seconds, as people read it.
    """

    def __init__(self, words: Callable[[float], str]) -> None:
        """Look at the terminal."""
        # force_terminal: the caller has looked, and FORCE_COLOR would say yes for a file, too.
        self._console = Console(
            stderr=True, force_terminal=True, highlight=False, markup=False, emoji=False
        )
        # Bars and dots of Unicode are escaped, and so too long, where the encoding lacks them.
        self._unicode = self._console.encoding.lower().startswith("utf")
        bars = [columns for least, columns in _BARS if self._console.width >= least]
        self._progress = Progress(
            *(BarColumn(columns, complete_style="cyan") for columns in bars[:1]),
            TaskProgressColumn(table_column=Column(no_wrap=True, justify="right")),
            TextColumn(
                "{task.description}",
                markup=False,
                table_column=Column(
                    no_wrap=True, ratio=1, overflow="ellipsis" if self._unicode else "crop"
                ),
            ),
            _TimeLeft(words),
            console=self._console,
            transient=True,
            expand=True,
            refresh_per_second=_PER_SECOND,
            redirect_stdout=False,  # results go where stdout goes, not to this console
        )
        self._task: TaskID | None = None
        self._drawn = 0.0

    def show(self, text: str, fraction: float | None, seconds_left: float | None) -> None:
        """Show how far the work is.

        Args:
            text: what is going on, in a line.
            fraction: how much is done, 0 to 1; None if unknown.
            seconds_left: None if unknown.
        """
        text = "".join(letter if letter.isprintable() else " " for letter in text)
        if not self._unicode:
            encoding = self._console.encoding
            text = text.encode(encoding, "replace").decode(encoding)
        state: dict[str, Any] = {
            "description": text,
            "total": None if fraction is None else 1.0,
            "completed": fraction or 0.0,
            "ends": None if seconds_left is None else time.monotonic() + seconds_left,
        }
        now = time.monotonic()
        if self._task is None:
            self._task = self._progress.add_task(**state)
            self._progress.start()
            # rich hides the cursor; a process that is killed or suspended would leave it hidden.
            self._console.show_cursor()
        else:
            due = now - self._drawn >= _SECONDS_BETWEEN
            self._progress.update(self._task, refresh=due, **state)
            if not due:
                return
        self._drawn = now

    def close(self) -> None:
        """Take the line away."""
        self._progress.stop()


_STYLES = {"done": "green", "there": "green", "failed": "red", "stopped": "yellow"}
_AROUND = 4
"""Lines of a terminal that a table leaves free."""
_FINISHED = 3
"""Rows that are shown above the one at work."""


class LiveTable:
    """A table of a batch: the row at work, those before and after it, and all in a line.

    What others write to stderr meanwhile appears above it. Its own caller closes it before writing.
    """

    def __init__(self) -> None:
        """Look at the terminal."""
        # force_terminal: the caller has looked, and FORCE_COLOR would say yes for a file, too.
        self._console = Console(
            stderr=True, force_terminal=True, highlight=False, markup=False, emoji=False
        )
        self._live: Live | None = None
        self._drawn = 0.0

    def show(self, rows: Sequence[tuple[str, str, str, float | None]], summary: str) -> None:
        """Show how far the batch is.

        Args:
            rows: name, state, what is going on and how much is done of each, in their order.
            summary: all in a line.
        """
        now = time.monotonic()
        if self._live is not None and now - self._drawn < _SECONDS_BETWEEN:
            return
        self._drawn = now
        table = self._table(rows, summary)
        if self._live is None:
            self._live = Live(
                table,
                console=self._console,
                transient=True,
                auto_refresh=False,
                redirect_stdout=False,  # results go where stdout goes, not to this console
            )
            self._live.start()
            # rich hides the cursor; a process that is killed or suspended would leave it hidden.
            self._console.show_cursor()
        else:
            self._live.update(table)
        self._live.refresh()

    def _table(self, rows: Sequence[tuple[str, str, str, float | None]], summary: str) -> Table:
        height = max(self._console.height - _AROUND, 1)
        at = next((place for place, row in enumerate(rows) if row[1] == "working"), 0)
        start = max(0, min(at - _FINISHED, len(rows) - height))
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(no_wrap=True, overflow="crop", max_width=self._console.width // 3)
        table.add_column(no_wrap=True, justify="right")
        table.add_column(no_wrap=True, overflow="crop", ratio=1)
        for name, state, text, fraction in rows[start : start + height]:
            share = f"{fraction:.0%}" if state == "working" and fraction is not None else state
            style = _STYLES.get(state, "cyan" if state == "working" else "dim")
            table.add_row(self._plain(name), Text(share, style), self._plain(text))
        table.add_row(Text("all", "bold"), "", self._plain(summary))
        return table

    def _plain(self, text: str) -> Text:
        """Return text without what a terminal would obey, or cannot show."""
        text = "".join(letter if letter.isprintable() else " " for letter in text)
        encoding = self._console.encoding
        return Text(text.encode(encoding, "replace").decode(encoding))

    def close(self) -> None:
        """Take the table away."""
        if self._live is not None:
            self._live.stop()
            self._live = None


class _TimeLeft(ProgressColumn):
    """Time left, running down."""

    def __init__(self, words: Callable[[float], str]) -> None:
        super().__init__(Column(no_wrap=True, justify="right"))
        self._words = words

    def render(self, task: Task) -> Text:
        ends = task.fields["ends"]
        if ends is None:
            return Text()
        return Text(f"{self._words(max(ends - time.monotonic(), 0))} left")
