"""Places that what is dragged on the timeline stays at when it comes near."""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence

from marionext_desktop.model.editing import edit_points
from marionext_desktop.model.project import Project

__all__ = ["snap", "snap_span", "snap_targets"]


def snap_targets(
    project: Project,
    *,
    without: Collection[str] = (),
    playhead: int | None = None,
    others: Iterable[int] = (),
) -> tuple[int, ...]:
    """Return all places to snap to, in order.

    Args:
        project: its cuts, markers and marks.
        without: ids of what is being dragged.
        playhead: where it is; None: not a place to snap to.
        others: such as keys and beats.
    """
    points = edit_points(project, without) | set(others)
    points |= {mark for mark in (project.mark_in, playhead) if mark is not None}
    if project.mark_out is not None:
        points.add(project.mark_out + 1)
    return tuple(sorted(points))


def snap(frame: float, targets: Sequence[int], within: float) -> tuple[int, int | None]:
    """Bring a place to the nearest target, if one is near.

    Args:
        frame: where the pointer is; parts of frames are rounded.
        targets: in order.
        within: frames that a target draws from.

    Returns:
        The frame, and the target that it is at, or None.
    """
    place = bisect_left(targets, frame)
    near = targets[max(place - 1, 0) : place + 1]
    best = min(near, key=lambda target: abs(target - frame), default=None)
    if best is None or abs(best - frame) > within:
        return round(frame), None
    return best, best


def snap_span(
    start: float, length: int, targets: Sequence[int], within: float
) -> tuple[int, int | None]:
    """Bring a stretch to where its start or its end is at a target, whichever is nearer.

    Args:
        start: where it would begin.
        length: in frames.
        targets: in order.
        within: frames that a target draws from.

    Returns:
        The start, and the target that one of its ends is at, or None.
    """
    by_start = snap(start, targets, within)
    by_end = snap(start + length, targets, within)
    if by_end[1] is not None and (
        by_start[1] is None or abs(by_end[0] - length - start) < abs(by_start[0] - start)
    ):
        return by_end[0] - length, by_end[1]
    return by_start
