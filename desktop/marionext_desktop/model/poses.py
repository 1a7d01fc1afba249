"""Keypoints of the document: derived from captured tracks and the clips' edits, never stored in it.

A track is read from the cache once, on a thread. What an edit changes is worked out at once where
that is quick, and in a process beside the window where it takes seconds; until that answers, the
clip shows the edits before it. `Poses.changed` tells which frames to paint again.
"""

import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from marionext.edits import PoseEdit
from marionext.errors import EngineError
from marionext.frames import FrameRange
from marionext.pose import PoseTrack
from marionext.pose.formats import read_native
from marionext.pose.measure import number_scenes, person_sizes
from marionext.skeleton import POINT_COUNT
from marionext_desktop.model.document import Document
from marionext_desktop.model.edit_stack import Block, Copied, EditStack, Keypoints
from marionext_desktop.model.places import cache_folder, track_name
from marionext_desktop.model.project import Clip, Project, Source
from marionext_desktop.model.side_process import SideProcess

__all__ = ["STACK_BYTES", "Placement", "Pose", "Poses", "placement"]

logger = logging.getLogger(__name__)

_Kind = TypeVar("_Kind", bound=np.generic)
STACK_BYTES = 512 << 20
"""What the keypoints of all clips may take; those not looked at for longest go first."""


@dataclass(frozen=True, slots=True)
class Placement:
    """How the picture of a source lies on the project's canvas: whole, in its middle."""

    scale: float
    left: float
    top: float

    def to_canvas(self, points: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return points (..., 2) of the source's picture on the canvas."""
        if (self.scale, self.left, self.top) == (1.0, 0.0, 0.0):
            return np.array(points, np.float32)
        moved = points * self.scale + np.array([self.left, self.top])
        return np.asarray(moved, np.float32)

    def to_source(self, x: float, y: float) -> tuple[float, float]:
        """Return a place of the canvas in pixels of the source's picture."""
        return (x - self.left) / self.scale, (y - self.top) / self.scale


def placement(size: tuple[int, int], canvas: tuple[int, int]) -> Placement:
    """Return how a picture of a size lies on a canvas."""
    if min(size) < 1:
        return Placement(1.0, 0.0, 0.0)
    scale = min(canvas[0] / size[0], canvas[1] / size[1])
    return Placement(scale, (canvas[0] - size[0] * scale) / 2, (canvas[1] - size[1] * scale) / 2)


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """The people of one frame, on the canvas."""

    points: NDArray[np.float32]
    """(people, 134, 2) pixels of the canvas."""
    scores: NDArray[np.float32]
    """(people, 134)."""
    origins: NDArray[np.uint8]
    """(people, 134)."""
    depths: NDArray[np.float32] | None
    """(people, 134), in pixels of the canvas."""


class Poses(QObject):
    """The keypoints of a document's clips."""

    changed = Signal(str, object)
    """Id of a clip, and the `FrameRange` of its source that changed; None: all of it."""
    track_ready = Signal(str)
    """Id of a source whose track can be looked at now."""
    failed = Signal(str, object)
    """Id of a clip or source, and the `EngineError` that tells what is wrong with it."""
    busy_changed = Signal(bool)
    """Whether an edit is being worked out beside the window."""

    _loaded = Signal(str, object)
    _worked_out = Signal(str, object, object)

    def __init__(
        self, document: Document, *, folder: Path | None = None, parent: QObject | None = None
    ) -> None:
        """Follow a document.

        Args:
            document: the document.
            folder: of the captured tracks; None: the desktop's cache.
            parent: owner in Qt.
        """
        super().__init__(parent)
        self._document = document
        self.folder = folder or cache_folder("tracks")
        self._tracks: dict[str, PoseTrack] = {}
        """Tracks by the names of their files."""
        self._loading: set[str] = set()
        self._threads: list[threading.Thread] = []
        self._stacks: dict[str, EditStack] = {}
        """By clip, those looked at last at the end."""
        self._waiting: dict[str, PoseEdit] = {}
        """By clip, the edit that is being worked out elsewhere."""
        self._process = SideProcess()
        self._loaded.connect(self._take_track)
        self._worked_out.connect(self._take_block)
        document.changed.connect(self._follow)

    # ---------------------------------------------------------------------------------- tracks

    def file_of(self, source: Source) -> Path:
        """Return where the captured track of a source is, or is to be, kept."""
        return self.folder / track_name(source)

    def is_captured(self, source: Source) -> bool:
        """Tell whether the poses of a source are there."""
        return track_name(source) in self._tracks or self.file_of(source).is_file()

    def captured_track(self, source: Source) -> PoseTrack | None:
        """Return the poses of a source without any edits.

        Returns:
            None while they are not there; if they are on the disk they are read now, and
            `track_ready` tells when they have come.
        """
        name = track_name(source)
        track = self._tracks.get(name)
        if track is None and name not in self._loading and self.file_of(source).is_file():
            self._loading.add(name)
            thread = threading.Thread(target=self._load, args=(name,), daemon=True)
            self._threads = [*filter(threading.Thread.is_alive, self._threads), thread]
            thread.start()
        return track

    def put_track(self, source: Source, track: PoseTrack) -> None:
        """Take the poses of a source that were just made; they are numbered from 0."""
        self._take_track(track_name(source), track)

    def reload(self, source: Source) -> None:
        """Read the poses of a source again: they were captured anew."""
        self._tracks.pop(track_name(source), None)
        self.captured_track(source)

    def _load(self, name: str) -> None:
        result: object
        try:
            result = read_native(self.folder / name)
        except EngineError as error:
            result = error
        except Exception as error:  # a thread that dies would leave the source waiting for ever
            logger.exception("a track cannot be read")
            result = EngineError(f"Unexpected {type(error).__name__}: {error}")
        try:
            self._loaded.emit(name, result)
        except RuntimeError:  # the window is gone
            logger.debug("nobody wants the track any more")

    def _take_track(self, name: str, result: object) -> None:
        self._loading.discard(name)
        sources = [
            source for source in self._document.project.sources if track_name(source) == name
        ]
        if isinstance(result, EngineError):
            for source in sources:
                self.failed.emit(source.id, result)
            return
        assert isinstance(result, PoseTrack)
        self._tracks[name] = result.with_(first=0) if result.first else result
        for source in sources:
            for clip in self._document.project.clips:
                if clip.source == source.id:
                    self._stacks.pop(clip.id, None)
                    self.changed.emit(clip.id, None)
            self.track_ready.emit(source.id)

    # ------------------------------------------------------------------------------- keypoints

    def keypoints(self, clip: Clip) -> Keypoints | None:
        """Return the poses of a clip's source with the clip's edits, in frames of the source.

        Args:
            clip: as it is in the document, or as it might be.

        Returns:
            None while they are not there. What takes long to work out is missing until `changed`
            tells that it has come.
        """
        source = self._document.project.source(clip.source)
        base = self.captured_track(source)
        if base is None:
            return None
        if not clip.edits and clip.id not in self._stacks:
            return Keypoints(
                base.points, base.scores, base.origins, base.depths, base.size, base.rate
            )
        stack = self._stacks.pop(clip.id, None)
        if stack is None or stack.base is not base:
            stack = self._new_stack(clip, base)
        self._stacks[clip.id] = stack
        self._go_to(clip, stack)
        return stack.keypoints

    def is_pending(self, clip: Clip) -> bool:
        """Tell whether some of a clip's edits are still being worked out."""
        return clip.id in self._waiting

    def _new_stack(self, clip: Clip, base: PoseTrack) -> EditStack:
        # The other half of a clip that was cut begins with the same edits.
        for other in self._stacks.values():
            if other.base is base and other.edits and other.edits == clip.edits[: len(other.edits)]:
                return other.fork()
        stack = EditStack(base)
        self._make_room(stack.nbytes)
        return stack

    def _make_room(self, needed: int) -> None:
        total = needed + sum(stack.nbytes for stack in self._stacks.values())
        for name in list(self._stacks):
            if total <= STACK_BYTES or len(self._stacks) < 2:
                return
            total -= self._stacks.pop(name).nbytes

    def _go_to(self, clip: Clip, stack: EditStack) -> FrameRange | None:
        """Bring a stack to the edits of a clip as far as that is quick; return what changed."""
        wanted = clip.edits
        changed = stack.take_back_to(wanted)
        while len(stack.edits) < len(wanted):
            edit = wanted[len(stack.edits)]
            if not stack.is_quick(edit):
                self._ask(clip.id, stack, edit)
                break
            try:
                changed = _joined(changed, stack.put(edit))
            except EngineError as error:
                self.failed.emit(clip.id, error)
        else:
            self._forget(clip.id)
        return changed

    def _ask(self, name: str, stack: EditStack, edit: PoseEdit) -> None:
        if self._waiting.get(name) is edit:
            return
        rows = stack.rows(edit)
        assert rows is not None
        was_busy = bool(self._waiting)
        self._waiting[name] = edit
        state = (stack, stack.edits, edit)

        def done(result: object) -> None:
            self._worked_out.emit(name, state, result)

        self._process.call(Copied.block, stack.copied_around(edit), edit, rows, done=done)
        if not was_busy:
            self.busy_changed.emit(True)

    def _forget(self, name: str) -> None:
        if self._waiting.pop(name, None) is not None and not self._waiting:
            self.busy_changed.emit(False)

    def _take_block(
        self,
        name: str,
        state: tuple[EditStack, tuple[PoseEdit, ...], PoseEdit],
        result: object,
    ) -> None:
        stack, before, edit = state
        wanted = self._waiting.get(name) is edit
        if wanted:
            self._forget(name)
        clip = next((each for each in self._document.project.clips if each.id == name), None)
        if clip is None or self._stacks.get(name) is not stack or stack.edits != before:
            if clip is not None and wanted:
                self.keypoints(clip)
            return
        place = len(before)
        if place >= len(clip.edits) or clip.edits[place] != edit:
            return
        changed: FrameRange | None = None
        if isinstance(result, Block):
            changed = stack.put_block(edit, result)
        elif isinstance(result, EngineError) and result.code == "protocol":
            self.failed.emit(name, result)  # the next change tries again
            return
        else:
            stack.put_block(edit, None)
            if isinstance(result, EngineError):
                self.failed.emit(name, result)
        changed = _joined(changed, self._go_to(clip, stack))
        if changed is not None:
            self.changed.emit(name, changed)

    def _follow(self, old: Project, new: Project) -> None:
        """Bring the keypoints of changed clips up to date, and tell what has changed in them."""
        if old.clips is new.clips and old.sources is new.sources:
            return
        before = {clip.id: clip for clip in old.clips}
        for clip in new.clips:
            was = before.pop(clip.id, None)
            if was is None:
                continue
            if clip.source != was.source:
                self._stacks.pop(clip.id, None)
                self.changed.emit(clip.id, None)
            elif clip.edits is not was.edits:
                stack = self._stacks.get(clip.id)
                if stack is None:
                    self.keypoints(clip)
                    self.changed.emit(clip.id, None)
                    continue
                changed = self._go_to(clip, stack)
                if changed is not None:
                    self.changed.emit(clip.id, changed)
        for name in before:
            # Undo may bring it back soon; its stack goes when room is needed.
            self._forget(name)

    # --------------------------------------------------------------------------------- sequence

    def pose_at(self, frame: int, project: Project | None = None) -> Pose | None:
        """Return who is seen in a frame of the timeline, on the canvas; None: nobody is known."""
        project = project or self._document.project
        clip = project.clip_at(frame)
        if clip is None:
            return None
        keypoints = self.keypoints(clip)
        if keypoints is None:
            return None
        row = min(project.source_frame(clip, frame), len(keypoints) - 1)
        who = _people_of(clip, keypoints)
        where = placement(keypoints.size, project.size)
        return Pose(
            points=where.to_canvas(keypoints.points[row, who]),
            scores=keypoints.scores[row, who].copy(),
            origins=keypoints.origins[row, who].copy(),
            depths=keypoints.depths[row, who] * np.float32(where.scale)
            if keypoints.depths.size
            else None,
        )

    def sequence_track(self, span: FrameRange, project: Project | None = None) -> PoseTrack | None:
        """Return the poses of a range of the timeline as one track, on the canvas.

        Where a clip is played at another speed, points go evenly from frame to frame of its source.

        Args:
            span: of the timeline; the track is numbered so.
            project: None: the document's.

        Returns:
            None while some of it is still to be captured, read or worked out.
        """
        project = project or self._document.project
        parts: list[tuple[Clip, Keypoints]] = []
        for clip in project.lane("motion"):
            if clip.at < span.stop and span.start < clip.stop:
                keypoints = self.keypoints(clip)
                if keypoints is None or self.is_pending(clip):
                    return None
                parts.append((clip, keypoints))
        people = max((len(_people_of(clip, each)) for clip, each in parts), default=1) or 1
        shape = (len(span), people, POINT_COUNT)
        points, scores = np.zeros((*shape, 2), np.float32), np.zeros(shape, np.float32)
        origins = np.zeros(shape, np.uint8)
        knows_depths = bool(parts) and all(each.depths.size for _, each in parts)
        depths = np.zeros(shape if knows_depths else 0, np.float32)
        for clip, keypoints in parts:
            start, stop = max(clip.at, span.start), min(clip.stop, span.stop)
            rows, share = _places(project, clip, start, stop, len(keypoints))
            who = _people_of(clip, keypoints)
            place = (slice(start - span.start, stop - span.start), slice(0, len(who)))
            where = placement(keypoints.size, project.size)
            found = _between(keypoints, rows, share, who)
            points[place] = where.to_canvas(found[0])
            scores[place], origins[place] = found[1], _of(keypoints.origins, rows, who)
            if knows_depths:
                depths[place] = _of(keypoints.depths, rows, who) * np.float32(where.scale)
        return PoseTrack(
            points=points,
            scores=scores,
            origins=origins,
            depths=depths,
            size=project.size,
            rate=project.rate,
            first=span.start,
            cleaned=True,  # what is seen here is what is meant
        )

    def close(self) -> None:
        """End what works beside the window: nobody tells an object that is gone."""
        self._process.close()
        for thread in self._threads:
            thread.join(5.0)


def _joined(one: FrameRange | None, other: FrameRange | None) -> FrameRange | None:
    if one is None or other is None:
        return one or other
    return FrameRange(min(one.start, other.start), max(one.stop, other.stop))


def _people_of(clip: Clip, keypoints: Keypoints) -> list[int]:
    if clip.person is None:
        return list(range(keypoints.people))
    return [clip.person] if clip.person < keypoints.people else []


def _places(
    project: Project, clip: Clip, start: int, stop: int, frames: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return where in its source a clip is in frames of the timeline.

    Returns:
        The frames of the source, and the share of the way to the one after: (stop - start,) each.
    """
    last = frames - 1
    if clip.hold is not None:
        held = min(max(clip.hold, 0), last)
        return np.full(stop - start, held, np.int64), np.zeros(stop - start, np.float32)
    step = project.step(clip)
    below = clip.first.denominator * step.denominator
    begin = clip.first.numerator * step.denominator
    across = step.numerator * clip.first.denominator
    offsets = range(start - clip.at, stop - clip.at)
    # Whole numbers of Python's own: a clip that was cut at many speeds has long fractions.
    numerators = [begin + offset * across for offset in offsets]
    rows = np.array([number // below for number in numerators], np.int64)
    share = np.array([number % below / below for number in numerators], np.float32)
    share = np.where((rows < 0) | (rows >= last), 0, share).astype(np.float32)
    return np.clip(rows, 0, last), share


def _of(array: NDArray[_Kind], rows: NDArray[np.int64], who: list[int]) -> NDArray[_Kind]:
    """Return the rows of some people: frames that follow each other are not copied."""
    count = len(rows)
    if count and rows[-1] - rows[0] == count - 1 and (np.diff(rows) == 1).all():
        part = array[int(rows[0]) : int(rows[0]) + count]
        if who and who == list(range(who[0], who[0] + len(who))):
            return part[:, who[0] : who[0] + len(who)]
        return part[:, who]
    return array[rows][:, who]


def _between(
    keypoints: Keypoints,
    rows: NDArray[np.int64],
    share: NDArray[np.float32],
    who: list[int],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return points and scores at places between frames, as `marionext.pose.resample` does."""
    points, scores = _of(keypoints.points, rows, who), _of(keypoints.scores, rows, who)
    if not share.any():
        return points, scores
    after = np.minimum(rows + 1, len(keypoints) - 1)
    later, later_scores = keypoints.points[after][:, who], keypoints.scores[after][:, who]
    both = (scores > 0) & (later_scores > 0) & (share > 0)[:, None, None]
    low, high = int(rows.min()), int(after.max()) + 1
    near = keypoints.track(FrameRange(low, high))
    sizes = person_sizes(near)
    for place, person in enumerate(who):
        scene = number_scenes(near.points[:, person], near.scores[:, person], sizes[person])
        both[:, place] &= (scene[rows - low] == scene[after - low])[:, None]
    nearest = (share > 0.5)[:, None, None]
    part = share[:, None, None]
    mixed = points * (1 - part[..., None]) + later * part[..., None]
    alone = np.where(nearest[..., None], later, points)
    mixed_scores = scores * (1 - part) + later_scores * part
    alone_scores = np.where(nearest, later_scores, scores)
    return (
        np.where(both[..., None], mixed, alone).astype(np.float32),
        np.where(both, mixed_scores, alone_scores).astype(np.float32),
    )
