"""The poses of characters in their pictures, found by the engine; and what is worth a word."""

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
from PySide6.QtCore import QObject, Signal

from marionext.errors import EngineError, JobCancelled
from marionext.jobs import MotionSource, PoseSettings, TrackJob
from marionext.pose import PoseTrack
from marionext.pose.formats import read_native
from marionext.protocol import Failed
from marionext_desktop.engine.process import Engine
from marionext_desktop.model.document import Document
from marionext_desktop.model.library import FoundPose, Warned, warnings_of
from marionext_desktop.model.places import cache_folder, stamp_of
from marionext_desktop.model.poses import Poses
from marionext_desktop.model.project import Character, Project
from marionext_desktop.model.rendering import settings_of

__all__ = ["CharacterPoses"]


class CharacterPoses(QObject):
    """Knows the pose of each character of a document."""

    changed = Signal(str)
    """Id of a character whose pose or warnings are others."""
    _read = Signal(str, object)

    def __init__(
        self, document: Document, poses: Poses, engine: Engine, parent: QObject | None = None
    ) -> None:
        """Find the poses of the document's characters from now on."""
        super().__init__(parent)
        self._document, self._poses, self._engine = document, poses, engine
        self._found: dict[str, FoundPose | None] = {}
        """By the paths of pictures; None: nobody is in it."""
        self._asked: set[str] = set()
        self._threads: list[threading.Thread] = []
        self._read.connect(self._take)
        document.changed.connect(self._follow)
        self._follow(Project(), document.project)

    def pose(self, character: Character) -> FoundPose | None:
        """Return the pose of a character: by hand, or as found; None: not known (yet)."""
        if character.points is not None:
            values = np.array(character.points, np.float32)
            return FoundPose(values[:, :2].copy(), values[:, 2].copy())
        return self._found.get(character.path)

    def is_looking(self, character: Character) -> bool:
        """Tell whether its pose is being looked for."""
        return character.path in self._asked and character.path not in self._found

    def warnings(self, character: Character) -> tuple[Warned, ...]:
        """Return what is worth a word about a character; nothing while its pose is looked for."""
        if character.points is None and character.path not in self._found:
            return ()
        project = self._document.project
        try:
            settings = settings_of(project.render)
            size, drawn = settings.size, settings.kind == "doll"
        except EngineError:
            size, drawn = project.size, False
        return warnings_of(
            character, self.pose(character),
            render_size=size, first=self._first_pose(), drawn=drawn,
        )  # fmt: skip

    def find(self, character: Character) -> None:
        """Look for the pose of a character, unless it is known."""
        path = character.path
        if path in self._asked or path in self._found:
            return
        self._asked.add(path)
        self._look_again(path)

    def close(self) -> None:
        """Look for nothing any more."""
        for thread in self._threads:
            thread.join(5.0)

    # ------------------------------------------------------------------------------------ inside

    def _first_pose(self) -> FoundPose | None:
        span = self._document.project.span
        pose = None if span is None else self._poses.pose_at(span.start)
        if pose is None or not len(pose.points):
            return None
        return FoundPose(pose.points[0], pose.scores[0])

    def _look(self, path: str) -> None:
        """Look beside the picture and in the cache, on a thread."""
        result: object
        try:
            beside = Path(path).with_suffix(".pose.npz")
            if Path(path).is_dir():
                result = None  # a layered doll knows its own pose
            elif beside.is_file():
                result = read_native(beside)
            else:
                file = _cache_file(path)
                result = read_native(file) if file.is_file() else file
        except EngineError as error:
            result = error
        except OSError as error:
            result = EngineError(f"{path} cannot be read: {error.strerror or error}")
        try:
            self._read.emit(path, result)
        except RuntimeError:
            return

    def _take(self, path: str, result: object) -> None:
        if isinstance(result, Path):
            self._detect(path, result)
            return
        if isinstance(result, PoseTrack) and result.people:
            self._found[path] = self._scaled(path, result)
        elif not isinstance(result, EngineError):
            self._found[path] = None
        self._tell(path)

    def _detect(self, path: str, output: Path) -> None:
        job = TrackJob(
            motion=MotionSource(path=path, kind="picture", first=0),
            output=str(output),
            pose=PoseSettings(fit="none", clean=False),
        )
        task = self._engine.run(job, Path(path).name, overwrite=True, first=True)
        task.finished.connect(lambda _event: self._look_again(path))
        task.failed.connect(lambda event: self._failed(path, event))

    def _look_again(self, path: str) -> None:
        thread = threading.Thread(target=self._look, args=(path,), daemon=True)
        self._threads = [*filter(threading.Thread.is_alive, self._threads), thread]
        thread.start()

    def _failed(self, path: str, event: Failed) -> None:
        if event.code in {JobCancelled.code, "protocol", "model", "device"}:
            self._asked.discard(path)  # nothing was learnt about the picture
            return
        self._found[path] = None
        self._tell(path)

    def _scaled(self, path: str, track: PoseTrack) -> FoundPose:
        """Return the pose in pixels of the picture, whatever size it was found at."""
        points = track.points[0, 0].copy()
        for character in self._document.project.characters:
            if character.path == path and min(character.size) > 0:
                points *= np.array(character.size, np.float32) / np.array(track.size, np.float32)
                break
        return FoundPose(points, track.scores[0, 0].copy())

    def _tell(self, path: str) -> None:
        for character in self._document.project.characters:
            if character.path == path:
                self.changed.emit(character.id)

    def _follow(self, old: Project, new: Project) -> None:
        if old.characters is new.characters:
            return
        before = {each.id: each for each in old.characters}
        for character in new.characters:
            self.find(character)
            was = before.get(character.id)
            if was is not None and was != replace(character, name=was.name):
                self.changed.emit(character.id)


def _cache_file(path: str) -> Path:
    """Return where the pose that was found in a picture is kept.

    Raises:
        OSError: the picture is not there.
    """
    return cache_folder("character-poses") / f"{stamp_of(Path(path)).digest[:32]}.npz"
