"""Unsaved work is kept every few seconds, and offered again after a crash.

Each window has a folder of its own for that, with a note of whose it is; its last few states are
kept in turn. When a window ends in good order its folder goes. One that is left by a window that is
no more is offered once: what the user declines is put aside, so that it never stands in the way of
a start again. Nothing that cannot be read stops anybody.
"""

import contextlib
import logging
import os
import queue
import shutil
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from marionext.codec import decode, encode
from marionext.errors import EngineError, OutputError, SettingsError
from marionext.files import read_json, write_json, write_text
from marionext.hosts import ProcessId
from marionext_desktop.model.document import Document
from marionext_desktop.model.files import SUFFIX, as_text, from_bytes
from marionext_desktop.model.places import autosave_folder
from marionext_desktop.model.project import Project

__all__ = ["Autosave", "Recoverable", "decline", "find_recoverable", "recover"]

logger = logging.getLogger(__name__)

KEPT = 8
"""States of a window that are kept."""
_QUIET_MS = 2_000
"""After a change it is waited this long for the next one ..."""
_LATEST_MS = 8_000
"""... but no longer than this."""
_NOTE = "window.json"
_DECLINED = "declined"
_MOST_DECLINED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Note:
    """Whose states a folder holds."""

    process: ProcessId
    project: str | None
    """Path of the project's file; None: it has none yet."""


@dataclass(frozen=True, slots=True)
class Recoverable:
    """Work that a window has left behind."""

    folder: Path
    project_file: Path | None
    """Of the project; None: it was never saved."""
    saved: float
    """When its newest state was kept, in seconds since 1970."""
    states: tuple[Path, ...]
    """The newest first."""


class Autosave(QObject):
    """Keeps the unsaved work of a document."""

    kept = Signal(float)
    """Seconds since 1970, when the newest state was kept."""
    failed = Signal(object)
    """An `OutputError`: the disk is full, say. It is tried again with the next change."""

    def __init__(
        self, document: Document, *, folder: Path | None = None, parent: QObject | None = None
    ) -> None:
        """Keep the work from now on.

        Args:
            document: the document.
            folder: of all windows' work; None: the desktop's.
            parent: owner in Qt.
        """
        super().__init__(parent)
        self._document = document
        self.folder = (folder or autosave_folder()) / f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._project_file: Path | None = None
        self._numbers = 0
        self._work: queue.SimpleQueue[tuple[Project, Path | None] | None] = queue.SimpleQueue()
        self.last_kept: float | None = None
        """When the newest state was kept, in seconds since 1970."""
        self._quiet = QTimer(self, singleShot=True, interval=_QUIET_MS)
        self._latest = QTimer(self, singleShot=True, interval=_LATEST_MS)
        for timer in (self._quiet, self._latest):
            timer.timeout.connect(self.keep)
        document.changed.connect(self._changed)
        self._thread = threading.Thread(target=self._run, name="autosave", daemon=True)
        self._thread.start()

    def follow(self, project_file: Path | None) -> None:
        """Say which file the project has now: it was opened, or saved; its states go."""
        self._project_file = project_file
        self._stop_timers()
        if not self._document.dirty:
            self._forget()

    def keep(self) -> None:
        """Keep the project as it is now."""
        self._stop_timers()
        if self._document.dirty:
            self._work.put((self._document.project, self._project_file))

    def close(self) -> None:
        """End in good order: nothing is left to be recovered."""
        self._stop_timers()
        self._work.put(None)
        self._thread.join(5.0)
        self._forget()

    def _changed(self, _old: Project, _new: Project) -> None:
        self._quiet.start()
        if not self._latest.isActive():
            self._latest.start()

    def _stop_timers(self) -> None:
        self._quiet.stop()
        self._latest.stop()

    def _forget(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self) -> None:
        while (item := self._work.get()) is not None:
            while not self._work.empty():
                newer = self._work.get()
                if newer is None:
                    self._keep(*item)
                    return
                item = newer
            try:
                self._keep(*item)
            except EngineError as error:
                self._emit_failed(error)
            except Exception as error:  # a thread that dies would keep nothing any more
                logger.exception("the work could not be kept")
                self._emit_failed(OutputError(f"Unexpected {type(error).__name__}: {error}"))

    def _emit_failed(self, error: EngineError) -> None:
        with contextlib.suppress(RuntimeError):
            self.failed.emit(error)

    def _keep(self, project: Project, project_file: Path | None) -> None:
        note = _Note(process=ProcessId.of(os.getpid()), project=_text(project_file))
        write_json(self.folder / _NOTE, encode(note))
        self._numbers += 1
        state = self.folder / f"{self._numbers:06d}{SUFFIX}"
        write_text(state, as_text(project, beside=self.folder))
        for old in sorted(self.folder.glob(f"*{SUFFIX}"))[:-KEPT]:
            with contextlib.suppress(OSError):
                old.unlink()
        self.last_kept = time.time()
        with contextlib.suppress(RuntimeError):
            self.kept.emit(self.last_kept)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def find_recoverable(folder: Path | None = None) -> tuple[Recoverable, ...]:
    """Return the work that windows which are no more have left behind, the newest first."""
    folder = folder or autosave_folder()
    found = []
    try:
        places = [place for place in folder.iterdir() if place.name != _DECLINED]
    except OSError:
        return ()
    for place in places:
        try:
            note = decode(_Note, read_json(place / _NOTE))
            if note.process.alive:
                continue
            states = tuple(sorted(place.glob(f"*{SUFFIX}"), reverse=True))
            if not states:
                continue
            project_file = None if note.project is None else Path(note.project)
            found.append(Recoverable(place, project_file, states[0].stat().st_mtime, states))
        except (OSError, ValueError, SettingsError):
            logger.debug("%s holds nothing to recover", place, exc_info=True)
    return tuple(sorted(found, key=lambda each: -each.saved))


def recover(work: Recoverable) -> Project:
    """Read the newest state that can be read.

    Raises:
        OutputError: none can be.
    """
    last: EngineError | None = None
    for state in work.states:
        try:
            return from_bytes(state.read_bytes(), state)
        except OSError as error:
            last = OutputError(f"{state} cannot be read: {error.strerror or error}")
        except EngineError as error:
            last = error
    raise OutputError(
        f"expected a state that can be read in {work.folder}, none can: {last}",
        hint="The project itself is as it was last saved.",
    )


def decline(work: Recoverable) -> None:
    """Put work aside: it is never offered again, and the oldest of its kind goes."""
    aside = work.folder.parent / _DECLINED
    try:
        aside.mkdir(parents=True, exist_ok=True)
        work.folder.rename(aside / work.folder.name)
        old = sorted(aside.iterdir(), key=lambda place: place.stat().st_mtime)
        for place in old[:-_MOST_DECLINED]:
            shutil.rmtree(place, ignore_errors=True)
    except OSError:
        # What cannot be put aside must not be offered for ever.
        with contextlib.suppress(OSError):
            (work.folder / _NOTE).unlink()
