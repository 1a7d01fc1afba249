"""What can be done to poses by hand: functions that put `PoseEdit` values on a clip.

Frames are those of the clip's source (`editing.source_span` tells which a range of the timeline
means), places are pixels of the source's picture (`poses.placement` brings them there from the
canvas). As in `editing`, a gesture calls one of them again and again with the project as it was.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from marionext.edits import (
    Fill,
    Hide,
    Hold,
    Key,
    Keys,
    Mirror,
    Offset,
    Place,
    PoseEdit,
    SetPoints,
    Smooth,
    Swap,
    Transform,
)
from marionext.frames import FrameRange
from marionext.skeleton import POINT_COUNT, POINT_NAMES, point_names
from marionext_desktop.model.edit_stack import Keypoints
from marionext_desktop.model.project import Clip, Project

__all__ = [
    "CopiedPoses",
    "PoseMark",
    "add_edits",
    "copy_poses",
    "drag",
    "fill",
    "hide",
    "hold",
    "key",
    "marks",
    "mirror",
    "move_marks",
    "offset",
    "paste_poses",
    "remove_edits",
    "remove_marks",
    "scale_marks",
    "smooth",
    "swap",
    "transform",
]

Joints = Collection[int]
"""Numbers of points, 0 to 133; none: all."""


def add_edits(project: Project, name: str, edits: Iterable[PoseEdit]) -> Project:
    """Put edits on top of those of a clip."""
    clip = project.clip(name)
    return project.with_clips({name: replace(clip, edits=(*clip.edits, *edits))})


def remove_edits(project: Project, name: str, places: Collection[int]) -> Project:
    """Take edits away, by their places in the list."""
    clip = project.clip(name)
    left = tuple(edit for place, edit in enumerate(clip.edits) if place not in places)
    if len(left) == len(clip.edits):
        return project
    return project.with_clips({name: replace(clip, edits=left)})


# ---------------------------------------------------------------------------------------- drags


def drag(
    project: Project,
    name: str,
    person: int,
    frame: int,
    moved: Mapping[int, Place],
    now: Keypoints,
    *,
    fade: tuple[int, int] = (0, 0),
) -> Project:
    """Move joints on a frame.

    Args:
        project: as it was when the button went down.
        name: id of the clip.
        person: of the source.
        frame: of the source.
        moved: where points come to be, by their numbers (`limbs.dragged`).
        now: the clip's keypoints at that time.
        fade: frames before and behind over which the motion goes along; (0, 0): this frame alone.

    Returns:
        The project with a key on the frame: of places where it is alone, else of ways, so that the
        motion underneath stays alive.
    """
    if not moved:
        return project
    numbers = sorted(moved)
    joints = tuple(POINT_NAMES[number] for number in numbers)
    known = now.scores[frame, person, numbers] > 0
    clip = project.clip(name)
    if fade == (0, 0) or not known.all():
        # A joint that is not seen has no way to be moved by: it is put there.
        edit: PoseEdit = SetPoints(
            frames=FrameRange(frame, frame + 1),
            joints=joints,
            person=person,
            points=(tuple(_place(moved[number]) for number in numbers),),
        )
        return _put(project, clip, edit)
    ways = tuple(
        (
            round(float(moved[number][0] - now.points[frame, person, number, 0]), 3),
            round(float(moved[number][1] - now.points[frame, person, number, 1]), 3),
        )
        for number in numbers
    )
    before, behind = fade
    still: tuple[Place, ...] = ((0.0, 0.0),)
    keys = [Key(frame=frame, points=ways)]
    if before:
        keys.insert(0, Key(frame=frame - before, points=still))
    if behind:
        keys.append(Key(frame=frame + behind, points=still))
    edit = Keys(
        frames=FrameRange(frame - before, frame + behind + 1),
        joints=joints,
        person=person,
        keys=tuple(keys),
    )
    return _put(project, clip, edit)


def _place(place: Place) -> Place:
    """Return a place to a thousandth of a pixel: files stay short, and nobody sees the rest."""
    return round(float(place[0]), 3), round(float(place[1]), 3)


def _put(project: Project, clip: Clip, edit: PoseEdit) -> Project:
    """Put an edit on top, in place of one of the same points and frame that it covers."""
    edits = clip.edits
    if edits and isinstance(edit, SetPoints) and isinstance(edits[-1], SetPoints):
        last = edits[-1]
        covers = set(last.points_changed) <= set(edit.points_changed)
        if covers and (last.frames, last.person) == (edit.frames, edit.person):
            edits = edits[:-1]
    return project.with_clips({clip.id: replace(clip, edits=(*edits, edit))})


def key(
    project: Project, name: str, person: int, frame: int, joints: Joints, now: Keypoints
) -> Project:
    """Hold joints to where they are on a frame, whatever is done to the motion underneath later."""
    numbers = sorted(joints) if joints else range(POINT_COUNT)
    seen = [number for number in numbers if now.scores[frame, person, number] > 0]
    places = {number: _tuple(now.points[frame, person, number]) for number in seen}
    return drag(project, name, person, frame, places, now)


def _tuple(place: NDArray[np.floating]) -> Place:
    return float(place[0]), float(place[1])


# ------------------------------------------------------------------------------------ over ranges


def hold(
    project: Project, name: str, person: int, span: FrameRange, joints: Joints, at: int | None
) -> Project:
    """Keep joints where they are in one frame, over a range; None: its first."""
    edit = Hold(frames=span, joints=_names(joints), person=person, at=at)
    return add_edits(project, name, [edit])


def hide(project: Project, name: str, person: int, span: FrameRange, joints: Joints) -> Project:
    """Make joints unseen over a range."""
    edit = Hide(frames=span, joints=_names(joints), person=person)
    return add_edits(project, name, [edit])


def fill(
    project: Project,
    name: str,
    person: int,
    span: FrameRange,
    joints: Joints,
    *,
    anew: bool = False,
) -> Project:
    """Fill gaps from what is known around them; ``anew``: forget what is there first."""
    edit = Fill(frames=span, joints=_names(joints), person=person, replace=anew)
    return add_edits(project, name, [edit])


def smooth(
    project: Project, name: str, person: int, span: FrameRange | None, joints: Joints, window: int
) -> Project:
    """Calm joints.

    Args:
        project: with the clip.
        name: id of the clip.
        person: of the source.
        span: None: everywhere.
        joints: none: all.
        window: frames that a parabola is laid through; made odd, and 5 at least.
    """
    window = max(5, window | 1)
    edit = Smooth(frames=span, joints=_names(joints), person=person, window=window)
    return add_edits(project, name, [edit])


def swap(project: Project, name: str, person: int, span: FrameRange, joints: Joints) -> Project:
    """Exchange left and right."""
    edit = Swap(frames=span, joints=_names(joints), person=person)
    return add_edits(project, name, [edit])


def mirror(
    project: Project, name: str, person: int, span: FrameRange | None, joints: Joints
) -> Project:
    """Turn the picture's left into its right."""
    edit = Mirror(frames=span, joints=_names(joints), person=person)
    return add_edits(project, name, [edit])


def offset(
    project: Project,
    name: str,
    person: int,
    span: FrameRange | None,
    joints: Joints,
    by: Place,
    ease: int = 0,
) -> Project:
    """Move joints over a range, growing and fading over some frames at its ends."""
    edit = Offset(
        frames=span, joints=_names(joints), person=person, by=_place(by),
        ease_in=ease, ease_out=ease,
    )  # fmt: skip
    return add_edits(project, name, [edit])


def transform(
    project: Project,
    name: str,
    person: int,
    span: FrameRange | None,
    joints: Joints,
    *,
    scale: tuple[float, float] = (1.0, 1.0),
    rotation: float = 0.0,
    pivot: Place | str | None = None,
    ease: int = 0,
) -> Project:
    """Scale and turn joints about a place or (by its name) a joint; None: the picture's middle."""
    edit = Transform(
        frames=span,
        joints=_names(joints),
        person=person,
        scale=scale,
        rotation=rotation,
        pivot=None if isinstance(pivot, str) or pivot is None else _place(pivot),
        pivot_joint=pivot if isinstance(pivot, str) else None,
        ease_in=ease,
        ease_out=ease,
    )
    return add_edits(project, name, [edit])


def _names(joints: Joints) -> tuple[str, ...]:
    return point_names(joints) if joints else ()


# ------------------------------------------------------------------------------------------ paste


@dataclass(frozen=True, slots=True)
class CopiedPoses:
    """Poses that were copied: of some joints, in one frame or several that follow each other."""

    joints: tuple[int, ...]
    points: tuple[tuple[Place | None, ...], ...]
    """For each frame a place for each joint, None: unseen; as shares of ``size``."""
    size: tuple[int, int]


def copy_poses(now: Keypoints, person: int, span: FrameRange, joints: Joints) -> CopiedPoses:
    """Copy joints over a range of frames of the source."""
    numbers = tuple(sorted(joints)) if joints else tuple(range(POINT_COUNT))
    rows = range(max(span.start, 0), min(span.stop, len(now)))
    points = tuple(
        tuple(
            _place(_tuple(now.points[row, person, number]))
            if now.scores[row, person, number] > 0
            else None
            for number in numbers
        )
        for row in rows
    )
    return CopiedPoses(numbers, points, now.size)


def paste_poses(
    project: Project,
    name: str,
    person: int,
    frame: int,
    copied: CopiedPoses,
    *,
    count: int | None = None,
    about: Literal["place", "joint"] = "place",
    now: Keypoints | None = None,
) -> Project:
    """Put copied poses on a clip from a frame on.

    Args:
        project: with the clip.
        name: id of the clip.
        person: of the source.
        frame: of the source.
        copied: what was copied; of another picture's size it is brought to this one's.
        count: frames that a single copied pose is held for; None: one.
        about: ``place``: where it was; ``joint``: moved so that its first joint is where that joint
            is now.
        now: the clip's keypoints, for ``joint`` and for the picture's size.
    """
    if not copied.points:
        return project
    source = project.source(project.clip(name).source)
    size = source.size if now is None else now.size
    scale = min(size[0] / copied.size[0], size[1] / copied.size[1]) if min(size) > 0 else 1.0
    rows = list(copied.points)
    if len(rows) > 1 and count is not None:
        rows = rows[:count]
    ways = [(0.0, 0.0)] * len(rows)
    if about == "joint" and now is not None:
        ways = [
            _way(row, scale, now, person, frame + k, copied.joints) for k, row in enumerate(rows)
        ]
    points = tuple(
        tuple(
            None
            if place is None
            else _place((place[0] * scale + way[0], place[1] * scale + way[1]))
            for place in row
        )
        for row, way in zip(rows, ways, strict=True)
    )
    frames = len(points) if len(points) > 1 else (count or 1)
    edit = SetPoints(
        frames=FrameRange(frame, frame + frames),
        joints=tuple(POINT_NAMES[number] for number in copied.joints),
        person=person,
        points=points,
    )
    return _put(project, project.clip(name), edit)


def _way(
    row: Sequence[Place | None],
    scale: float,
    now: Keypoints,
    person: int,
    frame: int,
    joints: Sequence[int],
) -> Place:
    at = min(max(frame, 0), len(now) - 1)
    for place, joint in zip(row, joints, strict=True):
        if place is not None and now.scores[at, person, joint] > 0:
            there = now.points[at, person, joint]
            return float(there[0]) - place[0] * scale, float(there[1]) - place[1] * scale
    return 0.0, 0.0


# ------------------------------------------------------------------------------------------ marks

MarkKind = Literal["key", "hold", "hide", "change"]


@dataclass(frozen=True, slots=True)
class PoseMark:
    """What the timeline shows of an edit: a key, or a bar."""

    kind: MarkKind
    """``key``: joints are put or moved on one frame; ``hold`` and ``hide``: bars; ``change``: any
    other edit of a range."""
    frames: FrameRange
    """Of the source."""
    points: frozenset[int]
    person: int
    edit: int
    """Its place among the clip's edits."""


def marks(clip: Clip, frames: int) -> tuple[PoseMark, ...]:
    """Return what the timeline shows of a clip's edits, in the order in which they were made.

    Args:
        clip: the clip.
        frames: of its source: what an edit of all frames covers.
    """
    found: list[PoseMark] = []
    for place, edit in enumerate(clip.edits):
        points = frozenset(edit.points_changed)
        whole = FrameRange(0, frames)
        span = edit.frames or whole
        if isinstance(edit, Keys):
            # Keys that only say where a fade begins and ends are no handles of their own.
            shown = [each for each in edit.keys if not edit.relative or any(map(any, each.points))]
            spans = [FrameRange(each.frame, each.frame + 1) for each in shown or edit.keys]
            kind: MarkKind = "key"
        elif isinstance(edit, SetPoints):
            spans = (
                [FrameRange(at, at + 1) for at in range(span.start, span.stop)]
                if (len(span) <= 2)
                else [span]
            )
            kind = "key" if len(span) <= 2 else "hold" if len(edit.points) == 1 else "change"
        else:
            spans = [span]
            kinds: dict[type, MarkKind] = {Hold: "hold", Hide: "hide"}
            kind = kinds.get(type(edit), "change")
        found += [PoseMark(kind, each, points, edit.person, place) for each in spans]
    return tuple(found)


def move_marks(project: Project, name: str, edits: Collection[int], by: int) -> Project:
    """Move edits in time.

    Args:
        project: with the clip.
        name: id of the clip.
        edits: their places in the list.
        by: frames of the source.
    """
    if not by:
        return project
    return _change(project, name, edits, lambda frame: frame + by)


def scale_marks(
    project: Project, name: str, edits: Collection[int], about: int, factor: float
) -> Project:
    """Spread edits in time, or draw them together, about a frame of the source."""
    return _change(project, name, edits, lambda frame: about + round((frame - about) * factor))


def remove_marks(project: Project, name: str, wanted: Iterable[PoseMark]) -> Project:
    """Take marks away: their edits, or of an edit of several keys those keys."""
    clip = project.clip(name)
    by_edit: dict[int, set[int]] = {}
    for mark in wanted:
        by_edit.setdefault(mark.edit, set()).add(mark.frames.start)
    edits: list[PoseEdit] = []
    for place, edit in enumerate(clip.edits):
        gone = by_edit.get(place)
        if gone is None:
            edits.append(edit)
        elif isinstance(edit, Keys):
            left = tuple(each for each in edit.keys if each.frame not in gone)
            if any(any(map(any, each.points)) for each in left) or (left and not edit.relative):
                edits.append(replace(edit, keys=left))
    return project.with_clips({name: replace(clip, edits=tuple(edits))})


def _change(
    project: Project, name: str, places: Collection[int], there: Callable[[int], int]
) -> Project:
    clip = project.clip(name)
    edits = tuple(
        _moved(edit, there) if place in places else edit for place, edit in enumerate(clip.edits)
    )
    return project.with_clips({name: replace(clip, edits=edits)})


def _moved(edit: PoseEdit, there: Callable[[int], int]) -> PoseEdit:
    changes: dict[str, object] = {}
    if edit.frames is not None:
        start = there(edit.frames.start)
        length = max(1, there(edit.frames.stop) - start)
        if isinstance(edit, SetPoints) and len(edit.points) > 1:
            length = len(edit.frames)  # a place for each of its frames
        if isinstance(edit, SetPoints) and len(edit.frames) == 1:
            length = 1
        changes["frames"] = FrameRange(start, start + length)
    if isinstance(edit, Keys):
        frames: dict[int, Key] = {}
        for each in edit.keys:
            frames.setdefault(there(each.frame), each)
        changes["keys"] = tuple(
            replace(each, frame=frame) for frame, each in sorted(frames.items())
        )
    if isinstance(edit, Hold) and edit.at is not None:
        changes["at"] = there(edit.at)
    return replace(edit, **changes)  # type: ignore[arg-type]
