"""A way out of a damaged queue: what can be read of it goes into a new one, and the old is kept."""

import contextlib
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marionext.errors import EngineError, OutputError, SettingsError
from marionext.files import explain
from marionext.job_files import model_of, results_of
from marionext.jobs import decode_job, encode_job
from marionext.queueing.entries import NewJob
from marionext.queueing.store import FILE, DamagedQueueError, Store

__all__ = ["Rescue", "rescue"]

_ENDINGS = ("", "-wal", "-shm")
_MOST = 100_000
"""Numbers that are looked for, one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescue:
    """What became of a damaged queue."""

    kept: Path
    """Where the damaged file is now."""
    rescued: int
    """Jobs that are in the new queue, under new numbers."""
    paused: int
    """How many of them are paused: they were, or had failed."""


def rescue(folder: Path) -> Rescue:
    """Put a damaged queue aside and begin a new one with the jobs of it that can still be read.

    Those that were done are left out. Call it when no worker is at work.

    Raises:
        OutputError: the queue is not damaged, is in use, or a file cannot be moved.
    """
    path = folder / FILE
    if not path.is_file():
        raise OutputError(f"there is no queue in {folder}")
    if _is_whole(folder):
        raise SettingsError(f"{path} is not damaged", hint="See: marionext queue ls")
    try:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            copy = Path(place) / FILE
            for ending in _ENDINGS:
                with contextlib.suppress(FileNotFoundError):
                    shutil.copyfile(f"{path}{ending}", f"{copy}{ending}")
            found = list(_readable(copy))
        kept = _put_aside(path)
    except OSError as error:
        raise explain(error, path) from error
    paused = []
    with Store(folder) as store:
        for new, held in found:
            # Two that write to one place: the damage has made them so, and the first one stays.
            with contextlib.suppress(OutputError):
                (number,) = store.add([new])
                paused += [number] if held else []
        store.pause_jobs(paused)
        return Rescue(kept=kept, rescued=len(store.entries()), paused=len(paused))


def _is_whole(folder: Path) -> bool:
    """Tell whether a queue can be used as it is.

    Raises:
        OutputError: that cannot be told: it is in use, or may not be opened.
    """
    try:
        with Store(folder) as store:
            store.check()
    except DamagedQueueError:
        return False
    return True


def _put_aside(path: Path) -> Path:
    number = 1
    while (kept := path.with_name(f"queue.damaged-{number}.sqlite")).exists():
        number += 1
    for ending in reversed(_ENDINGS):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{ending}").rename(f"{kept}{ending}")
    return kept


def _readable(copy: Path) -> Iterator[tuple[NewJob, bool]]:
    """Return the jobs of a damaged file that are whole, and whether each is to be paused."""
    db = sqlite3.connect(copy, isolation_level=None)
    try:
        with contextlib.suppress(sqlite3.Error):
            # So it is read although pages are missing.
            db.execute("PRAGMA writable_schema = ON")
            db.execute("PRAGMA trusted_schema = OFF")
        if _first(db, "SELECT 1 FROM sqlite_master WHERE name = 'contents'") is None:
            return
        last = _first(db, "SELECT seq FROM sqlite_sequence WHERE name = 'jobs'") or (_MOST,)
        for number in range(1, min(int(last[0]), _MOST) + 1):
            content = _first(db, f"SELECT job FROM contents WHERE number = {number}")
            if content is None:
                continue
            row = _first(
                db,
                f"SELECT state, priority, retries FROM jobs WHERE number = {number}",
            )
            state, priority, retries = row or ("paused", 0, 2)
            if state == "done":
                continue
            with contextlib.suppress(EngineError, ValueError, TypeError, RecursionError):
                job = decode_job(json.loads(content[0]))
                new = NewJob(
                    job=encode_job(job),
                    results=results_of(job),
                    model=model_of(job),
                    priority=int(priority),
                    retries=int(retries),
                )
                yield new, state in {"paused", "failed"}
    finally:
        db.close()


def _first(db: sqlite3.Connection, question: str) -> tuple[Any, ...] | None:
    """Return the first row of an answer; None, too, where the page that holds it is damaged."""
    try:
        found = db.execute(question).fetchone()
    except (sqlite3.Error, UnicodeDecodeError):
        return None
    return None if found is None else tuple(found)
