"""Keeps the list of what looks wrong in the clips up to date, beside the window."""

from dataclasses import replace

from PySide6.QtCore import QObject, QTimer, Signal

from marionext.edits import PoseEdit
from marionext.errors import EngineError
from marionext.frames import FrameRange
from marionext_desktop.model.document import Document
from marionext_desktop.model.editing import source_span
from marionext_desktop.model.findings import Finding, find, is_ignored
from marionext_desktop.model.poses import Poses
from marionext_desktop.model.project import Clip, Project
from marionext_desktop.model.side_process import SideProcess

__all__ = ["Findings", "mended"]

_REST_MS = 700
"""After a change it is waited this long for the next one."""


def mended(project: Project, clip: str, findings: list[Finding]) -> Project:
    """Put findings right, in one step."""
    edits = [edit for finding in findings for edit in finding.mend]
    if not edits:
        return project
    found = project.clip(clip)
    return project.with_clips({clip: replace(found, edits=(*found.edits, *edits))})


class Findings(QObject):
    """What looks wrong in the clips of a document."""

    changed = Signal(str)
    """Id of a clip whose findings are others."""
    busy_changed = Signal(bool)
    failed = Signal(object)
    """An `EngineError`."""
    _found = Signal(str, object, object)

    def __init__(self, document: Document, poses: Poses, parent: QObject | None = None) -> None:
        """Look at nothing before `watch` says so."""
        super().__init__(parent)
        self._document, self._poses = document, poses
        self._watched: set[str] = set()
        self._known: dict[str, tuple[tuple[PoseEdit, ...], tuple[Finding, ...]]] = {}
        self._asked: dict[str, tuple[PoseEdit, ...]] = {}
        self._process = SideProcess()
        self._rest = QTimer(self, singleShot=True, interval=_REST_MS)
        self._rest.timeout.connect(self._look)
        self._found.connect(self._take)
        poses.changed.connect(self._stir)
        poses.track_ready.connect(self._stir)
        document.changed.connect(self._stir)

    def watch(self, clip: str, *, wanted: bool = True) -> None:
        """Keep the findings of a clip up to date, or no more."""
        if wanted and clip not in self._watched:
            self._watched.add(clip)
            self._look()
        elif not wanted:
            self._watched.discard(clip)

    def of(self, clip: Clip, *, ignored: bool = False) -> tuple[Finding, ...]:
        """Return what was found in what a clip shows, without what is ignored.

        Args:
            clip: of the document.
            ignored: with what is ignored.
        """
        _, found = self._known.get(clip.id, ((), ()))
        project = self._document.project
        span = source_span(project, clip)
        return tuple(
            each
            for each in found
            if _meets(each.frames, span)
            and (clip.person is None or each.person == clip.person)
            and (ignored or not is_ignored(project, clip.source, each))
        )

    @property
    def busy(self) -> bool:
        """Whether clips are being looked at."""
        return bool(self._asked)

    def close(self) -> None:
        """End the process beside the window."""
        self._rest.stop()
        self._process.close()

    def _stir(self, *_: object) -> None:
        self._rest.start()

    def _look(self) -> None:
        project = self._document.project
        clips = {clip.id: clip for clip in project.clips}
        for name in list(self._known):
            if name not in clips:
                del self._known[name]
        for name in self._watched & clips.keys():
            clip = clips[name]
            known = self._known.get(name)
            if known is not None and known[0] is clip.edits:
                continue
            if self._asked.get(name) is clip.edits:
                continue
            keypoints = self._poses.keypoints(clip)
            if keypoints is None or self._poses.is_pending(clip):
                continue
            self._ask(clip, keypoints.track())

    def _ask(self, clip: Clip, track: object) -> None:
        was_busy = self.busy
        self._asked[clip.id] = clip.edits
        name, edits = clip.id, clip.edits
        self._process.call(find, track, done=lambda result: self._found.emit(name, edits, result))
        if not was_busy:
            self.busy_changed.emit(True)

    def _take(self, name: str, edits: tuple[PoseEdit, ...], result: object) -> None:
        if self._asked.get(name) is edits:
            del self._asked[name]
        if isinstance(result, EngineError):
            self.failed.emit(result)
        else:
            assert isinstance(result, tuple)
            self._known[name] = (edits, result)
            self.changed.emit(name)
        if not self._asked:
            self.busy_changed.emit(False)
        self._rest.start()


def _meets(frames: FrameRange, span: FrameRange | None) -> bool:
    return span is not None and frames.start < span.stop and span.start < frames.stop
