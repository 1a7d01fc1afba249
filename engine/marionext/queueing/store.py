"""The queue's file: SQLite, shared by every worker and every command on this machine.

A job is worked on by whoever has its *lease*: its row names the worker and the turn. Every change
of a turn names both, so that a worker which was believed dead, and is not, changes nothing. Workers
show that they live by counting (`Store.beat`); whether a count stands still is for others to see on
their own clocks (`marionext.queueing.watch`). The times in the file are for people to read: a clock
that jumps ends no lease.

What was promised (a job is queued, done, removed) is on the disk before the promise is made; who
works on what may be forgotten in a power cut, for then nobody works on it any more.
"""

import contextlib
import json
import os
import shutil
import sqlite3
import stat
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from types import NoneType, TracebackType
from typing import Any, Self

from marionext import presets
from marionext.errors import OutputError, SettingsError
from marionext.files import PART, explain, refuse_link, sync_folder
from marionext.frames import format_frames
from marionext.hosts import ProcessId
from marionext.limits import quoted
from marionext.queueing.entries import STATES, Claim, Entry, Line, NewJob, State

__all__ = ["FILE", "LOSSES", "REST_SECONDS", "DamagedQueueError", "Store", "queue_folder"]

FILE = "queue.sqlite"
"""Name of the file in the queue's folder."""
LOSSES = 10
"""A job is given up when this many workers have died of it, and none got any further with it."""
REST_SECONDS = 10.0
"""A job that failed by no fault of its own rests for this long, the second time twice as long."""
_LONGEST_REST = 600.0
_ROOM = 1 << 20
"""A disk with fewer free bytes is full."""
_LINES = 1000
"""Lines of a log that are kept, the newest ones."""
_LINE_CHARACTERS = 2000
_SECONDS_FOR_OTHERS = 30.0
"""That a change waits for the changes of others, each of which takes a few milliseconds."""

_APPLICATION = 0x4D6E7871
"""Marks the file as a queue of ours ("Mnxq")."""
_VERSION = 1
_TABLES = f"""
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
CREATE TABLE jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    state TEXT NOT NULL CHECK (state IN ('working', 'waiting', 'paused', 'failed', 'done')),
    asked TEXT NOT NULL DEFAULT '' CHECK (asked IN ('', 'pause', 'remove')),
    priority INTEGER NOT NULL,
    model TEXT NOT NULL,
    output TEXT NOT NULL,
    retries INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    losses INTEGER NOT NULL DEFAULT 0,
    worker INTEGER,
    fraction REAL NOT NULL DEFAULT 0,
    furthest REAL NOT NULL DEFAULT 0,
    message TEXT NOT NULL DEFAULT '',
    rests_until REAL NOT NULL DEFAULT 0,
    added REAL NOT NULL,
    begun REAL,
    ended REAL,
    CHECK ((state = 'working') = (worker IS NOT NULL))
);
CREATE INDEX next_jobs ON jobs (state, priority DESC, model, number);
CREATE TABLE contents (number INTEGER PRIMARY KEY REFERENCES jobs ON DELETE CASCADE,
                       job TEXT NOT NULL);
CREATE TABLE results (path BLOB PRIMARY KEY,
                      number INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE) WITHOUT ROWID;
CREATE INDEX results_of ON results (number);
CREATE TABLE lines (place INTEGER PRIMARY KEY,
                    number INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
                    at REAL NOT NULL, text TEXT NOT NULL);
CREATE INDEX lines_of ON lines (number, place);
CREATE TABLE workers (worker INTEGER PRIMARY KEY AUTOINCREMENT, pid INTEGER NOT NULL,
                      born TEXT NOT NULL, host TEXT NOT NULL, beats INTEGER NOT NULL DEFAULT 0);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_SHOWN = (
    "number, state, asked, priority, model, output, attempts, fraction, message, added, begun, "
    "ended"
)
_NUMBERS = 1 << 63
"""SQLite takes smaller numbers only."""
_PRIORITY = 1_000_000
"""The highest priority; the lowest is as far below 0."""
_NAMES = _SHOWN.split(", ")
_LAST_TIME = 1e11
"""Seconds since 1970 that calendars can name."""
_KINDS = (
    int, str, str, int, str, str, int, float, str, float, (float, NoneType), (float, NoneType),
)  # fmt: skip
_RESTED = "NOT (rests_until > :now AND rests_until <= :now + :longest)"
"""A rest that is too long to be one comes from a clock that was wrong: it is over."""


def queue_folder() -> Path:
    """Return the folder of the user's own queue; it is not made here."""
    return presets.home() / "queue"


class DamagedQueueError(OutputError):
    """The queue's file is damaged."""


class Store:
    """The queue, opened; a context manager. One store belongs to one thread.

    Every method raises `OutputError` where the file is damaged, or cannot be read or written.
    """

    def __init__(self, folder: Path, *, now: Callable[[], float] = time.time) -> None:
        """Open the queue of a folder, and make both where there is none.

        Args:
            folder: of the user alone; a new one is made so (0700).
            now: the clock on the wall, in seconds since 1970; for people, and for rests.

        Raises:
            OutputError: others may use the folder, the file is damaged, or of a newer version.
        """
        self.path = folder / FILE
        self._now = now
        self._durable = True
        _own(folder)
        if not self.path.exists():
            _make(self.path)
        with self._in_words():
            self._db = sqlite3.connect(
                f"{self.path.as_uri()}?mode=rw",
                uri=True,
                timeout=_SECONDS_FOR_OTHERS,
                isolation_level=None,
            )
        try:
            self._check()
        except OutputError:
            self._db.close()
            raise

    def _check(self) -> None:
        with self._in_words():
            self._db.executescript(
                "PRAGMA trusted_schema = OFF; PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL;"
            )
            (application,) = self._db.execute("PRAGMA application_id").fetchone()
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            if application != _APPLICATION:
                raise self._damaged("it is no queue")
            if version > _VERSION:
                raise OutputError(
                    f"{self.path} is a queue of version {version}, this Marionext reads up to "
                    f"{_VERSION}",
                    hint="Update Marionext.",
                )
            self._db.execute("SELECT count(*) FROM workers").fetchone()

    # ------------------------------------------------------------------------- what people ask

    def add(self, jobs: Sequence[NewJob]) -> list[int]:
        """Queue jobs, all of them or none; return their numbers.

        Raises:
            OutputError: two jobs that are not done would write to the same place.
            SettingsError: a priority is out of range.
        """
        numbers = []
        for new in jobs:
            _check_priority(new.priority)
        with self._change(durable=True) as db:
            for new in jobs:
                cursor = db.execute(
                    "INSERT INTO jobs (state, priority, model, output, retries, added) "
                    "VALUES ('waiting', ?, ?, ?, ?, ?)",
                    (
                        new.priority,
                        _text(new.model),
                        _text(str(new.results[0])),
                        new.retries,
                        self._now(),
                    ),
                )
                number = int(cursor.lastrowid or 0)
                content = json.dumps(new.job, allow_nan=False)
                db.execute("INSERT INTO contents VALUES (?, ?)", (number, content))
                for result in new.results:
                    self._take_place(db, number, result)
                numbers.append(number)
        return numbers

    @staticmethod
    def _take_place(db: sqlite3.Connection, number: int, result: Path) -> None:
        place = os.fsencode(os.path.normcase(os.path.realpath(result)))
        taken = db.execute("SELECT number FROM results WHERE path = ?", (place,)).fetchone()
        if taken is not None and taken[0] != number:
            raise OutputError(
                f"expected a place of its own for each job's results, job {taken[0]} writes to "
                f"{result} already",
                hint="Name another output, or remove that job from the queue.",
            )
        db.execute("INSERT OR IGNORE INTO results VALUES (?, ?)", (place, number))

    def entries(self) -> list[Entry]:
        """Return all jobs: at work, waiting in their order, paused, failed, done."""
        with self._in_words():
            rows = self._db.execute(
                f"SELECT {_SHOWN} FROM jobs ORDER BY CASE state WHEN 'working' THEN 0 "
                "WHEN 'waiting' THEN 1 WHEN 'paused' THEN 2 WHEN 'failed' THEN 3 ELSE 4 END, "
                "CASE state WHEN 'waiting' THEN -priority ELSE 0 END, number"
            ).fetchall()
        return [self._entry(row) for row in rows]

    def entry(self, number: int) -> Entry:
        """Return one job.

        Raises:
            SettingsError: there is none of that number.
        """
        with self._in_words():
            row = self._db.execute(
                f"SELECT {_SHOWN} FROM jobs WHERE number = ?",
                (number if 0 < number < _NUMBERS else 0,),
            ).fetchone()
        if row is None:
            raise SettingsError(
                f"no job of the queue has the number {number}", hint="See: marionext queue ls"
            )
        return self._entry(row)

    def _entry(self, row: Sequence[Any]) -> Entry:
        entry = Entry(**dict(zip(_NAMES, self._checked(row, _KINDS), strict=True)))
        if entry.state not in STATES or entry.asked not in {"", "pause", "remove"}:
            raise self._damaged(f"job {entry.number} is in no state")
        return entry

    def _checked(self, row: Sequence[Any], kinds: Sequence[Any]) -> Sequence[Any]:
        """Return a row whose values are what they should be: SQLite would keep anything."""
        for value, kind in zip_longest(row, kinds):
            if not isinstance(value, kind or ()) or (kind is float and abs(value) > _LAST_TIME):
                raise self._damaged("it holds values of the wrong kind")
        return row

    def log(self, number: int, *, after: int = 0) -> tuple[list[Line], int]:
        """Return the lines of a job's log, oldest first, and the place of the last one.

        Args:
            number: of the job.
            after: the place that an earlier call returned: only newer lines.

        Raises:
            SettingsError: there is no such job.
        """
        self.entry(number)
        with self._in_words():
            rows = self._db.execute(
                "SELECT at, text, place FROM lines WHERE number = ? AND place > ? ORDER BY place",
                (number, after),
            ).fetchall()
        checked = [self._checked(row, (float, str, int)) for row in rows]
        return [Line(at=at, text=text) for at, text, _ in checked], rows[-1][2] if rows else after

    @property
    def paused(self) -> bool:
        """Whether no job of the queue is begun."""
        with self._in_words():
            found = self._db.execute("SELECT 1 FROM facts WHERE name = 'paused'").fetchone()
        return found is not None

    def pause(self) -> None:
        """Have no more jobs begun; those at work go on."""
        with self._change(durable=True) as db:
            db.execute("INSERT OR IGNORE INTO facts VALUES ('paused', '')")

    def resume(self) -> None:
        """Have jobs begun again."""
        with self._change(durable=True) as db:
            db.execute("DELETE FROM facts WHERE name = 'paused'")

    def pause_jobs(self, numbers: Iterable[int]) -> int:
        """Keep jobs from being begun; those at work stop after the piece of work in hand.

        Returns:
            How many of them that has changed; others had ended, or were paused.
        """
        return self._each(
            numbers,
            "UPDATE jobs SET state = 'paused' WHERE number = ? AND state = 'waiting'",
            "UPDATE jobs SET asked = 'pause' WHERE number = ? AND state = 'working' AND asked = ''",
        )

    def resume_jobs(self, numbers: Iterable[int]) -> int:
        """Let paused jobs be begun again; return how many were paused."""
        return self._each(
            numbers,
            "UPDATE jobs SET state = 'waiting' WHERE number = ? AND state = 'paused'",
            "UPDATE jobs SET asked = '' WHERE number = ? AND state = 'working' AND asked = 'pause'",
        )

    def retry(self, numbers: Iterable[int]) -> int:
        """Let failed jobs be tried again, from where they stopped; return how many had failed."""
        return self._each(
            numbers,
            "UPDATE jobs SET state = 'waiting', failures = 0, losses = 0, rests_until = 0, "
            "message = '', ended = NULL WHERE number = ? AND state = 'failed'",
        )

    def prioritise(self, numbers: Iterable[int], priority: int) -> int:
        """Give jobs another priority, larger is sooner; return how many there are.

        Raises:
            SettingsError: the priority is out of range, or there is no such job.
        """
        _check_priority(priority)
        return self._each(numbers, f"UPDATE jobs SET priority = {priority:d} WHERE number = ?")

    def remove(self, numbers: Iterable[int]) -> int:
        """Take jobs off the queue; what they have made stays. Return how many there were.

        A job at work goes as soon as its worker has stopped, after the piece of work in hand.
        """
        return self._each(
            numbers,
            "DELETE FROM jobs WHERE number = ? AND state != 'working'",
            "UPDATE jobs SET asked = 'remove' WHERE number = ? AND state = 'working'",
        )

    def _each(self, numbers: Iterable[int], *changes: str) -> int:
        """Make the first change that fits to each job; return to how many one did."""
        changed, unknown = 0, []
        with self._change(durable=True) as db:
            for number in numbers:
                if any(db.execute(change, (number,)).rowcount for change in changes):
                    changed += 1
                elif (
                    db.execute("SELECT 1 FROM jobs WHERE number = ?", (number,)).fetchone() is None
                ):
                    unknown.append(number)
            if unknown:
                raise SettingsError(
                    f"no jobs of the queue have the numbers {format_frames(tuple(unknown))}",
                    hint="Nothing was changed. See: marionext queue ls",
                )
        return changed

    # ------------------------------------------------------------------------ what workers ask

    def enter(self, process: ProcessId) -> int:
        """Begin as a worker; return its number."""
        with self._change() as db:
            cursor = db.execute(
                "INSERT INTO workers (pid, born, host) VALUES (?, ?, ?)",
                (process.pid, process.born, process.host),
            )
            return int(cursor.lastrowid or 0)

    def leave(self, worker: int) -> None:
        """End as a worker that has no job."""
        with self._change() as db:
            db.execute("DELETE FROM workers WHERE worker = ?", (worker,))

    def workers(self) -> list[tuple[int, int, ProcessId]]:
        """Return each worker's number, its count of beats and its process."""
        with self._in_words():
            rows = self._db.execute("SELECT worker, beats, pid, born, host FROM workers").fetchall()
        checked = [self._checked(row, (int, int, int, str, str)) for row in rows]
        return [
            (worker, beats, ProcessId(pid=pid, born=born, host=host))
            for worker, beats, pid, born, host in checked
        ]

    def beat(self, worker: int, claim: Claim | None = None, fraction: float = 0.0) -> bool:
        """Show that a worker lives, and how far its job is.

        Returns:
            Whether it should go on with the job; False: somebody asked for a stop, or has given
            the job to another worker.
        """
        with self._change() as db:
            alive = db.execute("UPDATE workers SET beats = beats + 1 WHERE worker = ?", (worker,))
            if claim is None or not alive.rowcount:
                return bool(alive.rowcount)
            held = db.execute(
                "UPDATE jobs SET fraction = :fraction, furthest = max(furthest, :fraction), "
                "losses = CASE WHEN :fraction > furthest THEN 0 ELSE losses END "
                "WHERE number = :number AND worker = :worker AND attempts = :attempt "
                "AND state = 'working' AND asked = ''",
                {
                    "fraction": fraction,
                    "number": claim.number,
                    "worker": claim.worker,
                    "attempt": claim.attempt,
                },
            )
            return bool(held.rowcount)

    def claim(self, worker: int, loaded: str = "") -> Claim | None:
        """Give a worker the next job: the highest priority; among those, one of its model.

        Where none is of the model it has loaded, one whose model nobody else has at work; among
        those the one that was queued first.

        Args:
            worker: its number.
            loaded: the model that it has loaded; empty: none.

        Returns:
            None: there is none, or the queue is paused, or the worker has been taken for dead.
        """
        times = {"now": self._now(), "longest": _LONGEST_REST}
        with self._change() as db:
            known = db.execute("SELECT 1 FROM workers WHERE worker = ?", (worker,)).fetchone()
            if known is None or db.execute("SELECT 1 FROM facts WHERE name = 'paused'").fetchone():
                return None
            ready = f"FROM jobs WHERE state = 'waiting' AND {_RESTED}"
            top = db.execute(
                f"SELECT priority {ready} ORDER BY priority DESC LIMIT 1",
                times,
            ).fetchone()
            if top is None:
                return None
            wanted = {**times, "priority": top[0], "model": loaded}
            ready = f"SELECT number {ready} AND priority = :priority"
            found = db.execute(
                f"{ready} AND model = :model ORDER BY number LIMIT 1", wanted
            ).fetchone()
            if found is None:
                found = db.execute(
                    f"{ready} ORDER BY model IN (SELECT model FROM jobs WHERE state = 'working'), "
                    "number LIMIT 1",
                    wanted,
                ).fetchone()
            (number,) = found
            db.execute(
                "UPDATE jobs SET state = 'working', worker = ?, attempts = attempts + 1, "
                "begun = ?, ended = NULL, message = '' WHERE number = ?",
                (worker, self._now(), number),
            )
            row = db.execute(
                "SELECT attempts, model, output, job FROM jobs JOIN contents USING (number) "
                "WHERE number = ?",
                (number,),
            ).fetchone()
            attempt, model, output, content = self._checked(row or (), (int, str, str, str))
        return Claim(
            number=number,
            worker=worker,
            attempt=attempt,
            model=model,
            output=output,
            job=self._job_of(content),
        )

    def _job_of(self, content: str) -> dict[str, Any]:
        try:
            job = json.loads(content)
        except (ValueError, RecursionError):
            job = None
        if not isinstance(job, dict):
            raise self._damaged("a job in it is none")
        return job

    def finish(self, claim: Claim, message: str, lines: Sequence[str] = ()) -> bool:
        """End a job well.

        Args:
            claim: the turn that has done it.
            message: what there is now, in a line.
            lines: the last ones of its log.

        Returns:
            Whether the turn was still good; if not, nothing is changed.
        """
        with self._change(durable=True) as db:
            ended = db.execute(
                f"UPDATE jobs SET state = 'done', worker = NULL, fraction = 1, message = ?, "
                f"ended = ? WHERE {_HELD}",
                (_text(message), self._now(), *_turn(claim)),
            )
            if not ended.rowcount:
                return False
            self._write_lines(db, claim, [*lines, message])
            db.execute("DELETE FROM results WHERE number = ?", (claim.number,))
            db.execute("DELETE FROM jobs WHERE number = ? AND asked = 'remove'", (claim.number,))
            db.execute("UPDATE jobs SET asked = '' WHERE number = ?", (claim.number,))
        return True

    def fail(
        self, claim: Claim, message: str, lines: Sequence[str] = (), *, again: bool
    ) -> State | None:
        """End a turn that failed.

        Args:
            claim: the turn.
            message: why, in a line or two.
            lines: the last ones of its log.
            again: another attempt may go better: it is made after a rest, while there are retries.

        Returns:
            What became of the job; None: it is gone, or the turn was good no longer.
        """
        with self._change(durable=True) as db:
            row = db.execute(
                f"SELECT failures, retries FROM jobs WHERE {_HELD}",
                _turn(claim),
            ).fetchone()
            if row is None:
                return None
            failed, retries = self._checked(row, (int, int))
            failures = failed + 1
            rest = min(REST_SECONDS * 2 ** min(failures - 1, 10), _LONGEST_REST)
            state: State = "waiting" if again and failures <= retries else "failed"
            db.execute(
                "UPDATE jobs SET failures = ?, message = ?, rests_until = ? WHERE number = ?",
                (failures, _text(message), self._now() + rest, claim.number),
            )
            self._write_lines(db, claim, [*lines, message])
            return self._let_go(db, claim.number, state)

    def release(self, claim: Claim, lines: Sequence[str] = ()) -> State | None:
        """End a turn that was stopped: the job waits again, or becomes what somebody asked for.

        Returns:
            What became of the job; None: it is gone, or the turn was good no longer.
        """
        with self._change(durable=True) as db:
            held = db.execute(
                f"UPDATE jobs SET losses = 0, begun = NULL WHERE {_HELD}",
                _turn(claim),
            )
            if not held.rowcount:
                return None
            self._write_lines(db, claim, lines)
            return self._let_go(db, claim.number, "waiting")

    def take_back(self, worker: int) -> list[int]:
        """Give the job of a dead worker to the others; return its number, if there was one."""
        numbers = []
        with self._change(durable=True) as db:
            rows = db.execute(
                "SELECT number, losses, attempts FROM jobs WHERE worker = ?", (worker,)
            ).fetchall()
            for row in rows:
                number, losses, attempt = self._checked(row, (int, int, int))
                numbers.append(number)
                state: State = "waiting" if losses + 1 < LOSSES else "failed"
                told = f"its worker died (attempt {attempt})"
                if state == "failed":
                    told = f"given up: {losses + 1} workers died of it and none got any further"
                db.execute(
                    "UPDATE jobs SET losses = losses + 1, message = ? WHERE number = ?",
                    (told, number),
                )
                self._add_lines(db, number, attempt, [told])
                self._let_go(db, number, state)
            db.execute("DELETE FROM workers WHERE worker = ?", (worker,))
        return numbers

    def _let_go(self, db: sqlite3.Connection, number: int, state: State) -> State | None:
        """Take a job from its worker; what somebody has asked for meanwhile comes first."""
        (asked,) = db.execute("SELECT asked FROM jobs WHERE number = ?", (number,)).fetchone()
        if asked == "remove":
            db.execute("DELETE FROM jobs WHERE number = ?", (number,))
            return None
        if asked == "pause" and state == "waiting":
            state = "paused"
        ended = self._now() if state == "failed" else None
        db.execute(
            "UPDATE jobs SET state = ?, worker = NULL, asked = '', ended = ? WHERE number = ?",
            (state, ended, number),
        )
        return state

    def write_log(self, claim: Claim, lines: Sequence[str]) -> None:
        """Add lines to the log of a worker's job."""
        with self._change() as db:
            self._write_lines(db, claim, lines)

    def _write_lines(self, db: sqlite3.Connection, claim: Claim, lines: Sequence[str]) -> None:
        self._add_lines(db, claim.number, claim.attempt, lines)

    def _add_lines(
        self, db: sqlite3.Connection, number: int, attempt: int, lines: Sequence[str]
    ) -> None:
        if not lines or not db.execute("SELECT 1 FROM jobs WHERE number = ?", (number,)).fetchone():
            return
        now = self._now()
        db.executemany(
            "INSERT INTO lines (number, at, text) VALUES (?, ?, ?)",
            [(number, now, _text(f"[{attempt}] {line}")) for line in lines],
        )
        db.execute(
            "DELETE FROM lines WHERE number = :number AND place <= (SELECT place FROM lines "
            "WHERE number = :number ORDER BY place DESC LIMIT 1 OFFSET :kept)",
            {"number": number, "kept": _LINES},
        )

    def open_jobs(self) -> int:
        """Return how many jobs wait or are at work."""
        with self._in_words():
            (count,) = self._db.execute(
                "SELECT count(*) FROM jobs WHERE state = 'working' "
                "OR (state = 'waiting' AND NOT EXISTS (SELECT 1 FROM facts WHERE name = 'paused'))"
            ).fetchone()
        return int(count)

    # ------------------------------------------------------------------------- the file itself

    @contextlib.contextmanager
    def _change(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """Change the file in one transaction, alone; all of it or nothing.

        Args:
            durable: it is on the disk when the block has ended; else it may be forgotten, as a
                whole, in a power cut.
        """
        with self._in_words():
            if durable != self._durable:
                self._db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                self._durable = durable
            # IMMEDIATE: who reads first and writes then would be refused where another one wrote
            # between the two.
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._explain(error) from error
        except UnicodeDecodeError as error:
            # Python cannot even read what SQLite says about damaged text.
            raise self._damaged("it holds text that is none") from error

    def _explain(self, error: sqlite3.Error) -> OutputError:
        """Say in words what SQLite makes of the file."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        # SQLite finds no room for its index of changes, and calls that a fault of the disk.
        no_room = code == sqlite3.SQLITE_IOERR and _free(self.path.parent) < _ROOM
        if code == sqlite3.SQLITE_FULL or no_room:
            return OutputError(
                f"the disk is full: {self.path} cannot be written",
                hint="Free some space and start again: nothing of the queue is lost.",
            )
        if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            return OutputError(
                f"{self.path} has been in use for {_SECONDS_FOR_OTHERS:g} s",
                hint="End the program that holds it, maybe one that shows databases.",
            )
        if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN}:
            return OutputError(
                f"{self.path} cannot be opened and written",
                hint="Check that the folder is there and yours, or name another with --queue.",
            )
        if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}:
            return self._damaged(str(error))
        return OutputError(f"{self.path} cannot be used: {error}")

    def _damaged(self, reason: str) -> OutputError:
        return DamagedQueueError(
            f"{self.path} is damaged: {reason}",
            hint="Nothing was changed. End all workers, then 'marionext queue rescue' puts the "
            "file aside and begins a new one with the jobs of it that can be read. What is "
            "rendered is not rendered again.",
        )

    def check(self) -> None:
        """Read all of the file.

        Raises:
            DamagedQueueError: something of it is damaged.
        """
        with self._in_words():
            (told,) = self._db.execute("PRAGMA integrity_check(1)").fetchone()
        if told != "ok":
            raise self._damaged(str(told))

    def close(self) -> None:
        """Let go of the file."""
        with contextlib.suppress(sqlite3.Error):
            self._db.close()

    def __enter__(self) -> Self:
        """Return the store itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of the file."""
        self.close()


_HELD = "number = ? AND worker = ? AND attempts = ? AND state = 'working'"


def _turn(claim: Claim) -> tuple[int, int, int]:
    return claim.number, claim.worker, claim.attempt


def _check_priority(priority: int) -> None:
    if abs(priority) > _PRIORITY:
        raise SettingsError(
            f"expected a priority from {-_PRIORITY:,} to {_PRIORITY:,}, got {quoted(priority)}"
        )


def _text(text: str) -> str:
    """Return text as SQLite keeps it and a terminal shows it, without anything that it obeys."""
    return "".join(
        letter
        if letter.isprintable() or letter == "\n"
        else letter.encode("unicode_escape").decode("ascii")
        for letter in text[:_LINE_CHARACTERS]
    )


def _free(folder: Path) -> int:
    """Return the free bytes of a folder's disk."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return _ROOM


def _own(folder: Path) -> None:
    """Make the queue's folder, or make sure that nobody else may use it.

    Raises:
        OutputError: it is a link, or others may use it: whoever writes there has jobs done.
    """
    refuse_link(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.stat()
    except OSError as error:
        raise explain(error, folder) from error
    if not stat.S_ISDIR(found.st_mode):
        raise OutputError(f"expected a folder for the queue, {folder} is a file")
    if os.name != "nt" and (found.st_uid != os.geteuid() or found.st_mode & 0o077):
        raise OutputError(
            f"expected a folder that is yours alone, others may use {folder}",
            hint=f"Whoever can write there has jobs done in your name. chmod 700 {folder}, or name "
            "another folder with --queue.",
        )


def _make(path: Path) -> None:
    """Make the file of an empty queue; where two do so at once, one of the two files stays.

    It gets its name when it is whole: an empty file of that name is a damaged queue, not a new one.
    """
    temporary = path.with_name(f".{uuid.uuid4().hex[:12]}{PART}")
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        try:
            db = sqlite3.connect(temporary, isolation_level=None)
            try:
                db.executescript(f"PRAGMA synchronous = FULL; BEGIN; {_TABLES} COMMIT;")
                db.execute("PRAGMA journal_mode = WAL")
            finally:
                db.close()
            with contextlib.suppress(FileExistsError):
                os.link(temporary, path)
            sync_folder(path.parent)
        finally:
            for ending in ("", "-wal", "-shm", "-journal"):
                with contextlib.suppress(OSError):
                    temporary.with_name(temporary.name + ending).unlink(missing_ok=True)
    except OSError as error:
        raise explain(error, path) from error
    except sqlite3.Error as error:
        raise OutputError(
            f"{path} cannot be made: {error}",
            hint="Is the disk full? Free some space, or name another folder with --queue.",
        ) from error
