"""Exporting: asks what and where, has it made beside the window, tells how it went."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from marionext.errors import EngineError
from marionext.frames import FrameRange
from marionext.jobs import Pictures
from marionext.protocol import Failed, Finished
from marionext_desktop.model import exporting
from marionext_desktop.model.exporting import FORMS
from marionext_desktop.model.project import Project, Take
from marionext_desktop.model.rendering import Prepared
from marionext_desktop.model.words import say
from marionext_desktop.ui.dialogs import ExportDialog
from marionext_desktop.ui.session import Session

__all__ = ["ExportControl"]


class ExportControl(QObject):
    """Exports what the user asks for."""

    finished = Signal(object)
    """Path of what was made."""
    _done = Signal(object, object)
    _looked = Signal(object, object)

    def __init__(self, window: QWidget, session: Session) -> None:
        super().__init__(window)
        self._window, self._session = window, session
        self._folder: Path | None = None
        self._done.connect(self._tell)
        self._looked.connect(lambda do, result: do(result))
        self.mix: Callable[[Project, FrameRange, Callable[[object], None]], None] | None = None
        """Writes the sound of a range of the timeline to a file, and calls back with its path."""

    def ask(self) -> None:
        """Ask what is to be exported, and do it."""
        project = self._session.project
        file = self._session.file
        folder = self._folder or (Path.home() if file is None else file.parent)
        name = say("dance") if file is None else file.stem
        dialog = ExportDialog(self._window, project, folder, name)
        if not dialog.exec():
            return
        span = dialog.span()
        if span is None:
            return
        take = next((each for each in project.takes if each.id == dialog.take.key), None)
        self._folder = dialog.path().parent
        self.export(
            dialog.kind.key, dialog.path(), span, take=take,
            quality=dialog.quality.key, sound=dialog.sound.isChecked(),
        )  # fmt: skip

    def export(
        self,
        kind: str,
        path: Path,
        span: FrameRange,
        *,
        take: Take | None = None,
        quality: str = "high",
        sound: bool = True,
    ) -> None:
        """Export a range.

        Args:
            kind: of `ExportDialog.KINDS`.
            path: file or folder; nothing may be there.
            span: frames of the sequence.
            take: one version alone; None: what the timeline shows.
            quality: ``high``, ``good`` or ``small``.
            sound: whether a video has the sound of the timeline.
        """
        project = self._session.project
        self._session.told.emit("good", say("{name} is being made …", name=path.name))
        if kind in FORMS:
            self._export_pictures(project, kind, path, span, take, quality, sound=sound)
        elif kind == "otio":
            self._beside(exporting.export_otio, project, path, path=path)
        elif kind == "job":
            self._export_job_file(project, path, span)
        else:
            track = self._session.poses.sequence_track(span)
            if track is None:
                self._session.told.emit(
                    "warn", say("The poses of this range are still being found.")
                )
                return
            self._beside(exporting.export_poses, track, path, path=path)

    def _export_pictures(
        self, project: Project, kind: str, path: Path, span: FrameRange, take: Take | None,
        quality: str, *, sound: bool,
    ) -> None:  # fmt: skip
        def looked(pictures: object) -> None:
            if not isinstance(pictures, tuple):
                self._tell(path, pictures)
            elif sound and kind in {"mp4", "prores", "webm"} and self.mix is not None:
                self.mix(project, span, lambda mix: make(pictures, mix))
            else:
                make(pictures, None)

        def make(pictures: tuple[Pictures, ...], mix: object) -> None:
            if isinstance(mix, EngineError):
                self._tell(path, mix)
                return
            job = exporting.export_job(
                project, pictures, path, kind,  # type: ignore[arg-type]
                sound=mix if isinstance(mix, Path) else None, quality=quality,  # type: ignore[arg-type]
            )  # fmt: skip
            task = self._session.engine.run(job, path.name)
            task.finished.connect(lambda event: self._made(path, mix, event))
            task.failed.connect(lambda event: self._made(path, mix, event))

        # Beside the window: each of ten thousand frames is looked for on the disk.
        self._session.side.call(
            _free_and_pictures, path, project, span, take,
            done=lambda result: self._looked.emit(looked, result),
        )  # fmt: skip

    def _made(self, path: Path, mix: object, event: Finished | Failed) -> None:
        if isinstance(mix, Path):
            mix.unlink(missing_ok=True)
        self._tell(path, event)

    def _export_job_file(self, project: Project, path: Path, span: FrameRange) -> None:
        takes = [each for each in project.takes if each.span.start <= span.start < each.span.stop]
        if not takes:
            words = say("Render this range once: the job file is that of its newest version.")
            self._session.told.emit("warn", words)
            return
        take = takes[-1]
        prepared = Prepared(take, Path(take.folder) / "job.json")
        self._beside(exporting.export_job_file, prepared, project, path, path=path)

    def _beside(self, task: Callable[..., object], *arguments: object, path: Path) -> None:
        self._session.side.call(task, *arguments, done=lambda result: self._done.emit(path, result))

    def _tell(self, path: Path, result: object) -> None:
        if isinstance(result, EngineError):
            hint = f"\n{result.hint}" if result.hint else ""
            self._session.told.emit("bad", f"{result.message}{hint}")
        elif isinstance(result, Failed):
            self._session.told.emit("bad", f"{path.name}: {result.message}")
        elif isinstance(result, Finished) or result is None or result:
            self._session.told.emit("good", say("{name} is there", name=path.name))
            self.finished.emit(path)


def _free_and_pictures(
    path: Path, project: Project, span: FrameRange, take: Take | None
) -> tuple[Pictures, ...]:
    """Return the pictures of a range, after a look whether their place is free."""
    exporting.check_free(path)
    return exporting.exported_pictures(project, span, take)
