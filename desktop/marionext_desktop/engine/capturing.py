"""Poses read out of sources by the engine, one after the other, into the cache of tracks."""

from dataclasses import dataclass
from typing import Literal

from PySide6.QtCore import QObject, Signal

from marionext.errors import EngineError, JobCancelled, ModelError
from marionext.jobs import MotionSource, PoseSettings, TrackJob
from marionext.protocol import Failed, Finished, Progress
from marionext_desktop.engine.process import Engine, EngineTask, error_of
from marionext_desktop.model.document import Document
from marionext_desktop.model.poses import Poses
from marionext_desktop.model.project import Project, Source

__all__ = ["CaptureState", "Captures", "track_job"]


@dataclass(frozen=True, slots=True)
class CaptureState:
    """How far the poses of a source are."""

    stage: Literal["none", "waiting", "capturing", "ready", "failed"]
    fraction: float = 0.0
    seconds_left: float | None = None
    message: str = ""
    """Why there are none."""
    lacks_detector: bool = False
    """Whether that is since the detector's networks are not on this computer."""


def track_job(source: Source, output: str, *, size: tuple[int, int]) -> TrackJob:
    """Return the job that reads the poses of a source, as they are and numbered from 0.

    Args:
        source: a video, a motion or a pose file.
        output: the ``.npz`` for them.
        size: width and height that a rig is seen in.
    """
    kinds: dict[str, Literal["video", "rig", "track"]] = {
        "video": "video", "motion": "rig", "poses": "track",
    }  # fmt: skip
    reading = source.reading
    person = reading.person
    if source.kind == "motion" and person == "all":
        person = "largest"  # a rig's file is read a skeleton at a time
    motion = MotionSource(
        path=source.path,
        kind=kinds[source.kind],
        clip=reading.clip,
        rig=reading.rig,
        up=reading.up,
        camera=reading.camera,
        detector=reading.detector,
        person=person,
        first=0,
    )
    return TrackJob(
        motion=motion,
        output=output,
        pose=PoseSettings(fit="none", clean=False),
        width=size[0],
        height=size[1],
    )


class Captures(QObject):
    """Has the engine read poses."""

    changed = Signal(str)
    """Id of a source of which `state` says something else."""
    failed = Signal(str, object)
    """Id of a source, and the `EngineError` that says why its poses cannot be read."""

    def __init__(
        self, document: Document, poses: Poses, engine: Engine, parent: QObject | None = None
    ) -> None:
        """Follow a document: what was asked for and is taken out is stopped."""
        super().__init__(parent)
        self._document, self._poses, self._engine = document, poses, engine
        self._tasks: dict[str, EngineTask] = {}
        self._states: dict[str, CaptureState] = {}
        document.changed.connect(self._follow)
        poses.track_ready.connect(self.changed)

    def state(self, source: Source) -> CaptureState:
        """Return how far the poses of a source are."""
        if source.id in self._states:
            return self._states[source.id]
        if not source.has_poses:
            return CaptureState("none")
        return CaptureState("ready" if self._poses.is_captured(source) else "none")

    def start(self, source: Source, *, anew: bool = False) -> None:
        """Read the poses of a source, unless they are there or on their way.

        Args:
            source: of the document.
            anew: also where they are there.
        """
        if not source.has_poses or source.id in self._tasks:
            return
        if self._poses.is_captured(source) and not anew:
            self._poses.captured_track(source)
            self._forget(source.id)
            return
        size = source.size if min(source.size) >= 16 else (576, 1024)
        job = track_job(source, str(self._poses.file_of(source)), size=size)
        task = self._engine.run(job, source.name, overwrite=True)
        self._tasks[source.id] = task
        name = source.id
        task.begun.connect(lambda: self._set(name, CaptureState("capturing")))
        task.progressed.connect(lambda event: self._progress(name, event))
        task.finished.connect(lambda event: self._finished(name, event))
        task.failed.connect(lambda event: self._failed(name, event))
        self._set(name, CaptureState("waiting"))

    def start_all(self) -> None:
        """Read the poses of all sources that lack them, also where that failed before."""
        for source in self._document.project.sources:
            if source.has_poses and not self._poses.is_captured(source):
                self.start(source)

    def cancel(self, name: str) -> None:
        """Stop reading the poses of a source."""
        task = self._tasks.get(name)
        if task is not None:
            task.cancel()

    def _progress(self, name: str, event: Progress) -> None:
        self._set(name, CaptureState("capturing", event.fraction, event.seconds_left))

    def _finished(self, name: str, _event: Finished) -> None:
        del self._tasks[name]
        source = self._document.project.by_id.get(name)
        self._states.pop(name, None)
        if source is not None:
            self._poses.reload(source)
            self.changed.emit(name)

    def _failed(self, name: str, event: Failed) -> None:
        del self._tasks[name]
        if event.code == JobCancelled.code:
            self._forget(name)
            return
        lacking = event.code == ModelError.code
        self._set(name, CaptureState("failed", message=event.message, lacks_detector=lacking))
        error: EngineError = error_of(event)
        self.failed.emit(name, error)

    def _set(self, name: str, state: CaptureState) -> None:
        self._states[name] = state
        self.changed.emit(name)

    def _forget(self, name: str) -> None:
        if self._states.pop(name, None) is not None:
            self.changed.emit(name)

    def _follow(self, old: Project, new: Project) -> None:
        if old.sources is new.sources:
            return
        left = new.by_id
        for name in list(self._tasks):
            if name not in left:
                self.cancel(name)
        before = old.by_id
        for source in new.sources:
            was = before.get(source.id)
            if was is not None and (was.reading, was.path) != (source.reading, source.path):
                self.cancel(source.id)
                self._forget(source.id)
