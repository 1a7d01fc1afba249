"""Saving beside the window: a disk may take its time, and the window must not wait for it."""

import queue
import threading
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from marionext.errors import EngineError, OutputError
from marionext_desktop.model.files import OpenedProject, open_project, save_as
from marionext_desktop.model.project import Project

__all__ = ["Saver"]


class Saver(QObject):
    """Opens and saves on a thread, one after the other."""

    saved = Signal(object, object)
    """The `Project` that was saved, and the `OpenedProject` that it is in now."""
    opened = Signal(object, object)
    """The `Project` that was read, and its `OpenedProject`."""
    failed = Signal(object)
    """Why it could not be done, an `OutputError`; nothing has changed on the disk."""

    def __init__(self, parent: QObject | None = None) -> None:
        """Do nothing yet."""
        super().__init__(parent)
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="saving", daemon=True)
        self._thread.start()

    def save(self, project: Project, file: OpenedProject) -> None:
        """Save a project into the file that it is open in."""

        def do() -> None:
            file.save(project)
            self.saved.emit(project, file)

        self._work.put(do)

    def save_as(self, project: Project, path: Path, *, overwrite: bool = False) -> None:
        """Save a project under a name; see `marionext_desktop.model.files.save_as`."""
        self._work.put(
            lambda: self.saved.emit(project, save_as(project, path, overwrite=overwrite))
        )

    def open(self, path: Path) -> None:
        """Open a project."""
        self._work.put(lambda: self.opened.emit(*open_project(path)))

    def close(self) -> None:
        """Finish what was asked for."""
        self._work.put(None)
        self._thread.join(30.0)

    def _run(self) -> None:
        while (do := self._work.get()) is not None:
            try:
                do()
            except EngineError as error:
                self._tell(error)
            except RuntimeError:
                return  # the window is gone
            except Exception as error:  # the next save must find somebody at work
                self._tell(OutputError(f"Unexpected {type(error).__name__}: {error}"))

    def _tell(self, error: EngineError) -> None:
        self.failed.emit(error)
