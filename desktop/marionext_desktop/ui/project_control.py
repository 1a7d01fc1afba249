"""Opening, saving, recovering: the project's file as the window handles it."""

import time
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, Qt, QTimer, Signal
from PySide6.QtWidgets import QFileDialog, QMessageBox, QWidget

from marionext.errors import EngineError
from marionext_desktop.model import relinking
from marionext_desktop.model.files import SUFFIX, OpenedProject
from marionext_desktop.model.project import Project
from marionext_desktop.model.recovery import (
    Autosave,
    Recoverable,
    decline,
    find_recoverable,
    recover,
)
from marionext_desktop.model.saving import Saver
from marionext_desktop.model.words import say
from marionext_desktop.ui.session import Session

__all__ = ["ProjectControl"]


class ProjectControl(QObject):
    """The project's file.

    Args:
        window: that asks the user.
        session: with the document.
    """

    named = Signal()
    """Name, file or the age of what was kept is another."""
    opened = Signal(object)
    """Path of a project that was opened or saved, for the list of recent ones."""
    missing_changed = Signal(object)
    """A tuple of `relinking.Missing`."""
    _searched = Signal(object)

    def __init__(self, window: QWidget, session: Session) -> None:
        super().__init__(window)
        self._window, self._session = window, session
        self._file: OpenedProject | None = None
        self._saver = Saver(self)
        self.autosave = Autosave(session.document, parent=self)
        self._after: Callable[[], object] | None = None
        self.missing: tuple[relinking.Missing, ...] = ()
        self._saver.saved.connect(self._take_saved)
        self._saver.opened.connect(self._take_opened)
        self._saver.failed.connect(self._failed)
        self.autosave.kept.connect(lambda _at: self.named.emit())
        self.autosave.failed.connect(self._not_kept)
        self._searched.connect(self._take_found)
        self._age = QTimer(self, interval=5000)
        self._age.timeout.connect(self.named)
        self._age.start()
        self._look_later = QTimer(self, singleShot=True, interval=400)
        self._look_later.timeout.connect(self._look_for_missing)
        session.document.changed.connect(self._document_changed)

    # ---------------------------------------------------------------- what is shown

    @property
    def path(self) -> Path | None:
        """Return the project's file; None: it has none yet."""
        return None if self._file is None else self._file.path

    @property
    def name(self) -> str:
        """Return the project's name, for people."""
        return say("Untitled") if self.path is None else self.path.stem

    @property
    def words(self) -> str:
        """Say how safe the work is."""
        if self._file is not None and self._file.read_only:
            return say("open elsewhere: read only")
        kept = self.autosave.last_kept
        if not self._session.document.dirty:
            return say("saved") if self.path is not None else ""
        if kept is None:
            return ""
        age = max(round(time.time() - kept), 0)
        if age < 60:
            return say("autosaved {n} s ago", n=age)
        return say("autosaved {n} min ago", n=age // 60)

    # ---------------------------------------------------------------- commands

    def new(self) -> None:
        """Begin an empty project."""
        self.when_safe(lambda: self._reset(Project(), None))

    def reset_to_empty(self) -> None:
        """Begin an empty project, whatever is open."""
        self._reset(Project(), None)

    def open(self, path: Path | None = None) -> None:
        """Open a project; None: ask which."""

        def do() -> None:
            chosen = path
            if chosen is None:
                text, _ = QFileDialog.getOpenFileName(
                    self._window, say("Open"), self._folder(), f"Marionext (*{SUFFIX})"
                )
                chosen = Path(text) if text else None
            if chosen is not None:
                self._saver.open(chosen)

        self.when_safe(do)

    def save(self, after: Callable[[], object] | None = None) -> None:
        """Save the project, under a new name where it has none.

        Args:
            after: done once it is saved, and not if it could not be.
        """
        self._after = after
        if self._file is None or self._file.read_only:
            self.save_as(after=after)
        else:
            self._saver.save(self._session.project, self._file)

    def save_as(
        self, path: Path | None = None, *, after: Callable[[], object] | None = None
    ) -> None:
        """Save the project under another name; None: ask which."""
        asked = path is None
        if path is None:
            start = str(Path(self._folder()) / f"{self.name}{SUFFIX}")
            text, _ = QFileDialog.getSaveFileName(
                self._window, say("Save as"), start, f"Marionext (*{SUFFIX})"
            )
            if not text:
                return
            path = Path(text)
            if path.suffix != SUFFIX:
                path = path.with_name(path.name + SUFFIX)
        self._after = after
        overwrite = asked and path.exists() and path != self.path
        if path == self.path and self._file is not None and not self._file.read_only:
            self._saver.save(self._session.project, self._file)
        else:
            self._saver.save_as(self._session.project, path, overwrite=overwrite)

    def when_safe(self, do: Callable[[], object]) -> None:
        """Do something that closes the project; ask first where work would be lost."""
        if not self._session.document.dirty:
            do()
            return
        box = QMessageBox(self._window)
        box.setIcon(QMessageBox.Icon.NoIcon)
        box.setWindowTitle("Marionext")
        box.setText(say("Save the changes of “{name}”?", name=self.name))
        box.setInformativeText(say("They are lost if you do not."))
        save = box.addButton(say("Save"), QMessageBox.ButtonRole.AcceptRole)
        leave = box.addButton(say("Do not save"), QMessageBox.ButtonRole.DestructiveRole)
        box.addButton(say("Cancel"), QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(save)
        box.exec()
        if box.clickedButton() is save:
            self.save(after=do)
        elif box.clickedButton() is leave:
            do()

    def relink(self) -> None:
        """Look for missing media in a folder that the user chooses."""
        if not self.missing:
            self._session.told.emit("good", say("All media are there."))
            return
        folder = QFileDialog.getExistingDirectory(
            self._window,
            say("Look for {n} missing files in …", n=len(self.missing)),
            self._folder(),
        )
        if folder:
            self._session.side.call(
                relinking.search, self.missing, Path(folder),
                done=self._searched.emit,
            )  # fmt: skip

    def offer_recovery(self) -> None:
        """Offer what a window that crashed has left behind; it can be declined for good."""
        for work in find_recoverable():
            if self._offer(work):
                return

    def _offer(self, work: Recoverable) -> bool:
        name = say("Untitled") if work.project_file is None else work.project_file.stem
        at = time.strftime("%H:%M", time.localtime(work.saved))
        day = time.strftime("%Y-%m-%d", time.localtime(work.saved))
        box = QMessageBox(self._window)
        box.setIcon(QMessageBox.Icon.NoIcon)
        box.setWindowTitle("Marionext")
        box.setText(say("“{name}” was not closed in good order.", name=name))
        box.setInformativeText(
            say("Its work of {day}, {at} was kept. Go on with it?", day=day, at=at)
        )
        yes = box.addButton(say("Go on with it"), QMessageBox.ButtonRole.AcceptRole)
        no = box.addButton(say("Put it aside"), QMessageBox.ButtonRole.DestructiveRole)
        box.addButton(say("Ask me later"), QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(yes)
        box.exec()
        if box.clickedButton() is no:
            decline(work)
        if box.clickedButton() is not yes:
            return False
        self.take_recovered(work)
        return True

    def take_recovered(self, work: Recoverable) -> None:
        """Go on with work that was left behind."""
        try:
            project = recover(work)
        except EngineError as error:
            self._failed(error)
            return
        self._reset(project, None, dirty=True)
        self.autosave.keep()
        decline(work)
        self._session.told.emit("good", say("Recovered. Save it under a name of its own."))

    # ---------------------------------------------------------------- inside

    def _folder(self) -> str:
        return str(Path.home() if self.path is None else self.path.parent)

    def _reset(self, project: Project, file: OpenedProject | None, *, dirty: bool = False) -> None:
        if self._file is not None and self._file is not file:
            self._file.close()
        self._file = file
        self._session.file = self.path
        self._session.document.reset(project, dirty=dirty)
        self.autosave.follow(self.path)
        self._session.captures.start_all()
        self._look_for_missing()
        self.named.emit()

    def _take_opened(self, project: Project, file: OpenedProject) -> None:
        self._reset(project, file)
        self.opened.emit(file.path)
        if file.read_only:
            self._session.told.emit("warn", f"{file.holder} " + say("Save it under another name."))

    def _take_saved(self, project: Project, file: OpenedProject) -> None:
        if self._file is not None and self._file is not file:
            self._file.close()
        self._file = file
        self._session.file = self.path
        self._session.document.saved(project)
        self.autosave.follow(self.path)
        self.opened.emit(file.path)
        self.named.emit()
        after, self._after = self._after, None
        if after is not None:
            after()
        else:
            self._session.told.emit("good", say("Saved as {name}", name=file.path.name))

    def _failed(self, error: EngineError) -> None:
        self._after = None
        box = QMessageBox(self._window)
        box.setIcon(QMessageBox.Icon.NoIcon)
        box.setWindowTitle("Marionext")
        # Names of files may look like markup.
        box.setTextFormat(Qt.TextFormat.PlainText)
        box.setText(error.message)
        box.setInformativeText(error.hint or "")
        box.setStandardButtons(QMessageBox.StandardButton.Ok)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.open()
        self._session.told.emit("bad", error.message)

    def _not_kept(self, error: EngineError) -> None:
        self._session.told.emit("bad", say("Autosave failed: {why}", why=error.message))

    def _document_changed(self, old: Project, new: Project) -> None:
        if old.sources is not new.sources or old.characters is not new.characters:
            self._look_later.start()

    def _look_for_missing(self) -> None:
        missing = relinking.missing_media(self._session.project)
        if missing != self.missing:
            self.missing = missing
            self.missing_changed.emit(missing)
            if missing:
                words = say("{n} files are missing: File, Find missing media", n=len(missing))
                self._session.told.emit("bad", words)

    def _take_found(self, found: object) -> None:
        if isinstance(found, EngineError):
            self._failed(found)
        elif isinstance(found, dict) and found:
            self._session.document.amend(lambda project: relinking.relinked(project, found))
            self._look_for_missing()
            self._session.captures.start_all()
            self._session.told.emit("good", say("{n} files found", n=len(found)))
        else:
            self._session.told.emit("warn", say("None of them is in that folder."))

    def close(self) -> None:
        """Let the file go, in good order."""
        self._age.stop()
        self._saver.close()
        self.autosave.close()
        if self._file is not None:
            self._file.close()
