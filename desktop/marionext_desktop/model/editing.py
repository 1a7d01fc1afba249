"""What can be done to the timeline: functions that take a project and return another.

None of them knows of a window: one gesture calls one of them again and again with the project as
it was when the button went down, so that a drag that comes back leaves nothing behind. Frames are
those of the timeline unless an argument says that they are the source's. What cannot be done as
asked is done as far as it can be (a clip is trimmed to the end of its source, no further).
"""

import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from math import ceil, floor
from typing import Literal

from marionext.frames import FrameRange, FrameRate
from marionext_desktop.model.project import (
    FASTEST,
    SLOWEST,
    Clip,
    Colour,
    Lane,
    Marker,
    Project,
    Source,
)

__all__ = [
    "add_marker",
    "add_source",
    "append",
    "blade",
    "change_marker",
    "clear_marks",
    "close_gap",
    "extract",
    "extract_range",
    "frames_on_timeline",
    "freeze",
    "hold",
    "insert",
    "lift",
    "lift_range",
    "move",
    "new_id",
    "next_edit_point",
    "overwrite",
    "paste",
    "remove_marker",
    "remove_source",
    "retime",
    "reverse",
    "roll",
    "set_mark_in",
    "set_mark_out",
    "set_person",
    "set_rate",
    "set_volume",
    "slip",
    "source_span",
    "trim",
    "whole_clip",
]

Edge = Literal["start", "end"]


def new_id() -> str:
    """Return an id that nothing else has."""
    return uuid.uuid4().hex[:12]


# --------------------------------------------------------------------------------------- sources


def add_source(project: Project, source: Source) -> Project:
    """Bring a source in. The first that moves decides on rate and size of an empty project."""
    project = replace(project, sources=(*project.sources, source))
    moving = [each for each in project.sources if each.has_poses]
    if source.has_poses and len(moving) == 1 and not project.clips:
        size = source.size if min(source.size) >= 16 else project.size
        project = replace(project, rate=source.rate, size=size)
    return project


def remove_source(project: Project, name: str) -> Project:
    """Take a source out, and its clips with it."""
    return replace(
        project,
        clips=tuple(clip for clip in project.clips if clip.source != name),
        sources=tuple(source for source in project.sources if source.id != name),
    )


def frames_on_timeline(project: Project, source: Source) -> int:
    """Return how many frames of the timeline a whole source takes."""
    return max(1, ceil(source.frames * project.rate.fraction / source.rate.fraction))


def whole_clip(project: Project, source: str, at: int = 0) -> Clip:
    """Return a clip of a whole source; it is not on the timeline by that."""
    found = project.source(source)
    person = 0 if found.has_poses else None
    return Clip(
        id=new_id(), source=source, at=at, count=frames_on_timeline(project, found), person=person
    )


def set_rate(project: Project, rate: FrameRate) -> Project:
    """Give the project another rate; clips, markers and takes stay at their times.

    Clips that would come to lie on their neighbours begin right behind them.
    """
    factor = rate.fraction / project.rate.fraction

    def there(frame: int) -> int:
        return round(frame * factor)

    clips: list[Clip] = []
    ends: dict[Lane, int] = {}
    for clip in project.clips:
        lane = project.lane_of(clip)
        at = max(there(clip.at), ends.get(lane, 0))
        count = max(1, there(clip.stop) - at)
        clips.append(replace(clip, at=at, count=count))
        ends[lane] = at + count
    marks = [None if mark is None else there(mark) for mark in (project.mark_in, project.mark_out)]
    return replace(
        project,
        rate=rate,
        clips=tuple(clips),
        markers=tuple(replace(each, frame=there(each.frame)) for each in project.markers),
        mark_in=marks[0],
        mark_out=marks[1],
    )


# ----------------------------------------------------------------------------------------- clips


def append(project: Project, clip: Clip) -> Project:
    """Put a clip behind the last one of its lane."""
    lane = project.lane(project.lane_of(clip))
    end = lane[-1].stop if lane else 0
    return project.with_clips({clip.id: replace(clip, at=end)})


def insert(project: Project, clip: Clip) -> Project:
    """Put a clip at its place; what lies there and behind makes room."""
    lane = project.lane_of(clip)
    project = blade(project, clip.at, lanes=(lane,))
    later = {
        each.id: replace(each, at=each.at + clip.count)
        for each in project.lane(lane)
        if each.at >= clip.at
    }
    return project.with_clips({**later, clip.id: clip})


def overwrite(project: Project, clip: Clip) -> Project:
    """Put a clip at its place, over what lies there."""
    project = lift_range(project, clip.span, lanes=(project.lane_of(clip),))
    return project.with_clips({clip.id: clip})


def paste(project: Project, clips: Iterable[Clip], at: int) -> Project:
    """Put copies of clips on the timeline, the first at a frame, over what lies there."""
    clips = tuple(clips)
    start = min((clip.at for clip in clips), default=0)
    for clip in clips:
        project = overwrite(project, replace(clip, id=new_id(), at=at + clip.at - start))
    return project


def blade(
    project: Project,
    frame: int,
    *,
    clips: Collection[str] | None = None,
    lanes: Iterable[Lane] = ("motion", "sound"),
) -> Project:
    """Cut clips in two before a frame; each half shows what it showed before.

    Args:
        project: with the clips.
        frame: the first of the right halves.
        clips: ids of those that are cut; None: all.
        lanes: where they lie.
    """
    changed: dict[str, Clip | None] = {}
    for clip in (clip for lane in lanes for clip in project.lane(lane)):
        if clip.at < frame < clip.stop and (clips is None or clip.id in clips):
            left, right = _halves(project, clip, frame)
            changed |= {left.id: left, right.id: right}
    return project.with_clips(changed) if changed else project


def _halves(project: Project, clip: Clip, frame: int) -> tuple[Clip, Clip]:
    gone = frame - clip.at
    left = replace(clip, count=gone)
    return left, _beginning_later(project, replace(clip, id=new_id()), gone)


def _beginning_later(project: Project, clip: Clip, frames: int) -> Clip:
    """Return a clip without its first frames (or with some more), all others where they were."""
    first = clip.first + frames * project.step(clip)
    return replace(clip, at=clip.at + frames, count=clip.count - frames, first=first)


def trim(project: Project, name: str, edge: Edge, by: int, *, ripple: bool = False) -> Project:
    """Move an end of a clip, as far as its source and its neighbours let it.

    Args:
        project: with the clip.
        name: id of the clip.
        edge: which end.
        by: frames to the right; negative: to the left.
        ripple: whether the clips behind it follow, so that no gap comes or goes.
    """
    clip = project.clip(name)
    lane = project.lane(project.lane_of(clip))
    place = lane.index(clip)
    if edge == "start":
        least = -_frames_before(project, clip)
        if not ripple:
            least = max(least, (lane[place - 1].stop if place else 0) - clip.at)
        by = min(max(by, least), clip.count - 1)
        new = _beginning_later(project, clip, by)
        if ripple:
            new = replace(new, at=clip.at)
        moved = -by
    else:
        most = _longest(project, clip) - clip.count
        if not ripple and place + 1 < len(lane):
            most = min(most, lane[place + 1].at - clip.stop)
        by = min(max(by, 1 - clip.count), most)
        new = replace(clip, count=clip.count + by)
        moved = by
    if not by:
        return project
    later = {each.id: replace(each, at=each.at + moved) for each in lane[place + 1 :]}
    return project.with_clips({name: new, **(later if ripple else {})})


def roll(project: Project, left: str, by: int) -> Project:
    """Move the cut between a clip and the one right behind it; nothing else moves."""
    clip = project.clip(left)
    lane = project.lane(project.lane_of(clip))
    place = lane.index(clip)
    if place + 1 == len(lane) or lane[place + 1].at != clip.stop:
        return trim(project, left, "end", by)
    right = lane[place + 1]
    most = min(_longest(project, clip) - clip.count, right.count - 1)
    by = min(max(by, 1 - clip.count, -_frames_before(project, right)), most)
    return project.with_clips(
        {
            clip.id: replace(clip, count=clip.count + by),
            right.id: _beginning_later(project, right, by),
        }
    )


def slip(project: Project, name: str, by: int) -> Project:
    """Show another part of its source in a clip, which stays where it is.

    Args:
        project: with the clip.
        name: id of the clip.
        by: frames of the source; positive: later ones.
    """
    clip = project.clip(name)
    source = project.source(clip.source)
    if clip.hold is not None:
        held = min(max(clip.hold + by, 0), source.frames - 1)
        return project.with_clips({name: replace(clip, hold=held)})
    ends = (clip.first, clip.first + (clip.count - 1) * project.step(clip))
    moved = min(max(by, -floor(min(ends))), ceil(source.frames - max(ends)) - 1)
    if not moved:
        return project
    return project.with_clips({name: replace(clip, first=clip.first + moved)})


def move(project: Project, names: Collection[str], by: int) -> Project:
    """Move clips together, over what lies where they come to lie.

    Args:
        project: with the clips.
        names: their ids.
        by: frames to the right; negative: to the left, up to the start.
    """
    moved = [clip for clip in project.clips if clip.id in names]
    by = max(by, -min((clip.at for clip in moved), default=0))
    if not by or not moved:
        return project
    project = project.with_clips(dict.fromkeys(names))
    for clip in moved:
        project = overwrite(project, replace(clip, at=clip.at + by))
    return project


def lift(project: Project, names: Collection[str]) -> Project:
    """Take clips away; their places stay empty."""
    return project.with_clips({clip.id: None for clip in project.clips if clip.id in names})


def extract(project: Project, names: Collection[str]) -> Project:
    """Take clips away and close the gaps that they leave (ripple delete)."""
    changed: dict[str, Clip | None] = {}
    lanes: tuple[Lane, ...] = ("motion", "sound")
    for lane in lanes:
        gone = 0
        for clip in project.lane(lane):
            if clip.id in names:
                changed[clip.id] = None
                gone += clip.count
            elif gone:
                changed[clip.id] = replace(clip, at=clip.at - gone)
    return project.with_clips(changed)


def lift_range(
    project: Project, span: FrameRange, *, lanes: Iterable[Lane] = ("motion", "sound")
) -> Project:
    """Take a range of the timeline away; its place stays empty."""
    lanes = tuple(lanes)
    for edge in (span.start, span.stop):
        project = blade(project, edge, lanes=lanes)
    inside = [
        clip.id
        for lane in lanes
        for clip in project.lane(lane)
        if span.start <= clip.at and clip.stop <= span.stop
    ]
    return lift(project, inside) if inside else project


def extract_range(
    project: Project, span: FrameRange, *, lanes: Iterable[Lane] = ("motion", "sound")
) -> Project:
    """Take a range of the timeline away and close the gap; markers behind it move along."""
    lanes = tuple(lanes)
    project = lift_range(project, span, lanes=lanes)
    later = {
        clip.id: replace(clip, at=clip.at - len(span))
        for lane in lanes
        for clip in project.lane(lane)
        if clip.at >= span.stop
    }
    markers = tuple(
        replace(each, frame=each.frame - len(span)) if each.frame >= span.stop else each
        for each in project.markers
        if each.frame not in span
    )
    return replace(project.with_clips(later), markers=markers)


def close_gap(project: Project, frame: int, lane: Lane = "motion") -> Project:
    """Close the gap that a frame lies in, where it lies in one."""
    clips = project.lane(lane)
    if project.clip_at(frame, lane) is not None:
        return project
    start = max((clip.stop for clip in clips if clip.stop <= frame), default=0)
    later = [clip for clip in clips if clip.at > frame]
    if not later:
        return project
    gap = later[0].at - start
    return project.with_clips({clip.id: replace(clip, at=clip.at - gap) for clip in later})


def retime(project: Project, name: str, speed: Fraction, *, ripple: bool = True) -> Project:
    """Play the same part of the source in a clip faster, slower or backwards.

    Args:
        project: with the clip.
        name: id of the clip.
        speed: 1: as fast as the source; negative: backwards. Brought into 1/100 to 100.
        ripple: whether the clips behind it follow; if not, it ends where the next one begins.
    """
    clip = project.clip(name)
    pace = min(max(abs(speed), SLOWEST), FASTEST)
    speed = pace if speed >= 0 else -pace
    if speed == clip.speed:
        return project
    if (speed < 0) != (clip.speed < 0):
        return retime(reverse(project, name), name, speed, ripple=ripple)
    count = max(1, round(clip.count * clip.speed / speed))
    new = replace(clip, speed=speed, count=count)
    new = replace(new, count=min(count, _longest(project, new)))
    lane = project.lane(project.lane_of(clip))
    later = lane[lane.index(clip) + 1 :]
    if ripple:
        moved = new.count - clip.count
        return project.with_clips(
            {name: new, **{each.id: replace(each, at=each.at + moved) for each in later}}
        )
    if later:
        new = replace(new, count=min(new.count, later[0].at - new.at))
    return project.with_clips({name: new})


def reverse(project: Project, name: str) -> Project:
    """Play a clip backwards: the same frames, the last one first."""
    clip = project.clip(name)
    last = clip.first + (clip.count - 1) * project.step(clip)
    return project.with_clips({name: replace(clip, first=last, speed=-clip.speed)})


def hold(project: Project, name: str, frame: int | None) -> Project:
    """Show one frame of the timeline all the time in a clip; None: let it move again."""
    clip = project.clip(name)
    held = None if frame is None else project.source_frame(replace(clip, hold=None), frame)
    return project.with_clips({name: replace(clip, hold=held)})


def freeze(project: Project, frame: int, count: int) -> Project:
    """Put a still of a frame into the timeline before it goes on; all behind makes room."""
    clip = project.clip_at(frame)
    if clip is None or count < 1:
        return project
    still = replace(
        clip, id=new_id(), at=frame, count=count, hold=project.source_frame(clip, frame), volume=0.0
    )
    return insert(project, still)


def set_person(project: Project, name: str, person: int | None) -> Project:
    """Follow another person in a clip; None: everybody."""
    return project.with_clips({name: replace(project.clip(name), person=person)})


def set_volume(project: Project, name: str, volume: float) -> Project:
    """Make a clip louder or softer: 0 is silence, 1 as recorded."""
    volume = min(max(volume, 0.0), 8.0)
    return project.with_clips({name: replace(project.clip(name), volume=volume)})


def source_span(project: Project, clip: Clip, span: FrameRange | None = None) -> FrameRange | None:
    """Return the frames of its source that a clip shows in a range of the timeline.

    Args:
        project: with the clip.
        clip: the clip.
        span: of the timeline; None: the whole clip.

    Returns:
        From the lowest to the highest; None where the range holds nothing of the clip.
    """
    start = clip.at if span is None else max(clip.at, span.start)
    stop = clip.stop if span is None else min(clip.stop, span.stop)
    if start >= stop:
        return None
    ends = project.source_frame(clip, start), project.source_frame(clip, stop - 1)
    return FrameRange(min(ends), max(ends) + 1)


def _longest(project: Project, clip: Clip) -> int:
    """Return how many frames a clip can have from its first one on before its source ends."""
    if clip.hold is not None:
        return 10**6 - clip.at
    step = project.step(clip)
    if step > 0:
        most = ceil((project.source(clip.source).frames - clip.first) / step)
    else:
        most = floor(clip.first / -step) + 1
    return max(most, clip.count)


def _frames_before(project: Project, clip: Clip) -> int:
    """Return how many frames earlier a clip can begin before its source does."""
    if clip.hold is not None:
        return clip.at
    step = project.step(clip)
    if step > 0:
        return max(0, floor(clip.first / step))
    return max(0, ceil((project.source(clip.source).frames - clip.first) / -step) - 1)


# ----------------------------------------------------------------------------- markers and marks


def add_marker(project: Project, frame: int, name: str = "", colour: Colour = "green") -> Project:
    """Put a marker on a frame."""
    marker = Marker(id=new_id(), frame=max(frame, 0), name=name, colour=colour)
    return _with_markers(project, [*project.markers, marker])


def change_marker(
    project: Project,
    name: str,
    *,
    frame: int | None = None,
    text: str | None = None,
    colour: Colour | None = None,
) -> Project:
    """Move, rename or recolour a marker.

    Args:
        project: with the marker.
        name: its id.
        frame: where it shall be; None: where it is.
        text: its name; None: as it is.
        colour: None: as it is.
    """
    return _with_markers(
        project,
        [
            replace(
                each,
                frame=each.frame if frame is None else max(frame, 0),
                name=each.name if text is None else text,
                colour=colour or each.colour,
            )
            if each.id == name
            else each
            for each in project.markers
        ],
    )


def remove_marker(project: Project, name: str) -> Project:
    """Take a marker away."""
    return _with_markers(project, [each for each in project.markers if each.id != name])


def _with_markers(project: Project, markers: Iterable[Marker]) -> Project:
    return replace(project, markers=tuple(sorted(markers, key=lambda each: each.frame)))


def set_mark_in(project: Project, frame: int) -> Project:
    """Let the range begin at a frame; an end before it is forgotten."""
    out = project.mark_out if project.mark_out is None or project.mark_out >= frame else None
    return replace(project, mark_in=max(frame, 0), mark_out=out)


def set_mark_out(project: Project, frame: int) -> Project:
    """Let the range end with a frame; a beginning behind it is forgotten."""
    start = project.mark_in if project.mark_in is None or project.mark_in <= frame else None
    return replace(project, mark_in=start, mark_out=max(frame, 0))


def clear_marks(project: Project) -> Project:
    """Let the range be everything."""
    return replace(project, mark_in=None, mark_out=None)


def next_edit_point(project: Project, frame: int, *, back: bool = False) -> int | None:
    """Return the nearest cut or marker behind (or before) a frame; None: there is none."""
    points = edit_points(project)
    if back:
        return max((point for point in points if point < frame), default=None)
    return min((point for point in points if point > frame), default=None)


def edit_points(project: Project, without: Mapping[str, object] | Collection[str] = ()) -> set[int]:
    """Return the ends of all clips and all markers.

    Args:
        project: with them.
        without: ids of those that are left out.
    """
    points = {0, project.length}
    for clip in project.clips:
        if clip.id not in without:
            points |= {clip.at, clip.stop}
    points |= {marker.frame for marker in project.markers if marker.id not in without}
    return points
