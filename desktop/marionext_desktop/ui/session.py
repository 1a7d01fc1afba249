"""Everything behind the window that is no widget: the document, its keypoints, the engine."""

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from marionext.errors import EngineError
from marionext_desktop.engine import Engine
from marionext_desktop.engine.capturing import Captures
from marionext_desktop.engine.characters import CharacterPoses
from marionext_desktop.engine.retargeting import Retargeting
from marionext_desktop.model import editing
from marionext_desktop.model.document import Document
from marionext_desktop.model.importing import Found, look_at
from marionext_desktop.model.looking import Findings
from marionext_desktop.model.models import Models
from marionext_desktop.model.places import takes_folder
from marionext_desktop.model.poses import Poses
from marionext_desktop.model.project import Project
from marionext_desktop.model.queue import RenderQueue
from marionext_desktop.model.side_process import SideProcess
from marionext_desktop.model.words import say

__all__ = ["Session"]

logger = logging.getLogger(__name__)


class Session(QObject):
    """What a window works with.

    Args:
        engine: None: one of its own.
        queue: None: the user's own.
        folder: of the captured tracks; None: the desktop's cache.
    """

    told = Signal(str, str)
    """Something that the user is told: a tone (``good``, ``warn``, ``bad``) and the words."""
    imported = Signal(object)
    """`Found`: something was brought in."""
    _looked = Signal(str, object, object)

    def __init__(
        self,
        *,
        engine: Engine | None = None,
        queue: RenderQueue | None = None,
        folder: Path | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.file: Path | None = None
        """Of the project; None: it has none yet."""
        self.document = Document(parent=self)
        self.poses = Poses(self.document, folder=folder, parent=self)
        self.engine = engine or Engine(parent=self)
        self.captures = Captures(self.document, self.poses, self.engine, parent=self)
        self.findings = Findings(self.document, self.poses, parent=self)
        self.findings.failed.connect(lambda error: self.told.emit("warn", error.message))
        self.queue = queue or RenderQueue(parent=self)
        self.models = Models(parent=self)
        self.characters = CharacterPoses(self.document, self.poses, self.engine, parent=self)
        self.retargeting = Retargeting(self.document, self.poses, self.characters, parent=self)
        self.side = SideProcess()
        self._looked.connect(self._bring_in)
        self.captures.failed.connect(self._capture_failed)

    @property
    def project(self) -> Project:
        """The project as it is."""
        return self.document.project

    def bring_in(
        self, paths: list[str], *, place: Callable[[Project, Found], Project] | None = None
    ) -> None:
        """Bring files in; what they are is found out beside the window.

        Args:
            paths: of files or folders.
            place: puts what was found on the timeline; None: a first motion goes there by itself.
        """
        for path in paths:
            self.side.call(look_at, path, done=partial(self._tell_look, path, place))

    def _tell_look(self, path: str, place: object, result: object) -> None:
        """Carry what was found to the window's thread."""
        self._looked.emit(path, result, place)

    def _bring_in(self, path: str, result: object, place: object) -> None:
        name = Path(path).name
        if isinstance(result, EngineError):
            hint = f"\n{result.hint}" if result.hint else ""
            self.told.emit("bad", f"{name}: {result.message}{hint}")
            return
        if not isinstance(result, Found):
            return
        project = self.project
        if result.source is not None:
            source = result.source
            project = editing.add_source(project, source)
            if callable(place):
                project = place(project, result)
            elif not project.lane(source.lane):
                project = editing.append(project, editing.whole_clip(project, source.id))
        if result.character is not None:
            project = _with_character(project, result)
        self.document.do(say("Import {name}", name=name), project)
        if result.source is not None and result.source.has_poses:
            self.captures.start(result.source)
        for note in result.notes:
            self.told.emit("warn", note if note.startswith(name) else f"{name}: {note}")
        self.imported.emit(result)

    def _capture_failed(self, name: str, error: EngineError) -> None:
        source = self.project.by_id.get(name)
        title = name if source is None else source.name
        hint = f"\n{error.hint}" if error.hint else ""
        self.told.emit("bad", f"{title}: {error.message}{hint}")

    def takes_folder(self) -> Path:
        """Return where renders of the project go."""
        return takes_folder(self.file)

    def close(self, *, keep_rendering: bool = True) -> None:
        """End what runs beside the window.

        Args:
            keep_rendering: whether the queue goes on without it.
        """
        self.queue.close(keep_working=keep_rendering)
        self.findings.close()
        self.models.close()
        self.retargeting.close()
        self.characters.close()
        self.side.close()
        self.poses.close()
        self.engine.close()


def _with_character(project: Project, found: Found) -> Project:
    if found.character is None:
        return project
    render = project.render
    if render.character is None:
        render = replace(render, character=found.character.id)
    return replace(project, characters=(*project.characters, found.character), render=render)
