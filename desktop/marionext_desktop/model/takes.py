"""Takes of the sequence: where their frames lie, which is seen in a frame, what has changed since.

A take keeps the hash of all that decides on the poses of its frames, so that the timeline can say
"pose changed since" without looking at a single keypoint.
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from marionext.codec import encode
from marionext.edits import Fill, PoseEdit, Smooth
from marionext.frames import FrameRange, frame_name
from marionext_desktop.model.editing import source_span
from marionext_desktop.model.project import Clip, Project, Take

__all__ = [
    "Segment",
    "frame_file",
    "frame_folders",
    "is_stale",
    "next_name",
    "poses_key",
    "preview_file",
    "remove_take",
    "render_folder",
    "segments",
    "take_at",
    "with_take",
]

_REMEMBERED = 4096
_REACH = {Smooth: 64, Fill: 10**9}
"""Frames beyond its own that an edit may look at, and so be looked at from."""
_encoded: "OrderedDict[int, tuple[PoseEdit, str]]" = OrderedDict()


def poses_key(project: Project, span: FrameRange) -> str:
    """Return a hash of all that decides on the poses in a range of the timeline.

    Edits of other frames do not count, unless they look so far.
    """
    parts: list[Any] = [str(project.rate), project.size, str(span)]
    for clip in _joined(project, project.lane("motion")):
        shown = source_span(project, clip, span)
        if shown is None:
            continue
        source = project.source(clip.source)
        digest = source.stamp.digest if source.stamp is not None else source.path
        edits = [_text(edit) for edit in clip.edits if _matters(edit, shown)]
        # What is cut off outside of the range changes nothing within it.
        start = max(clip.at, span.start)
        first = clip.first + (start - clip.at) * project.step(clip)
        parts.append(
            [
                digest,
                encode(source.reading),
                start,
                min(clip.stop, span.stop),
                str(first),
                str(clip.speed),
                clip.hold,
                clip.person,
                edits,
            ]
        )
    return hashlib.sha256(json.dumps(parts).encode("utf-8", "surrogatepass")).hexdigest()


def _joined(project: Project, clips: Iterable[Clip]) -> list[Clip]:
    """Return clips as if those that were cut and changed in nothing else had not been cut."""
    joined: list[Clip] = []
    for clip in clips:
        last = joined[-1] if joined else None
        if last is not None and last.stop == clip.at and last.source == clip.source:
            goes_on = (
                last.first + last.count * project.step(last) == clip.first or last.hold is not None
            )
            same = replace(last, id=clip.id, at=clip.at, count=clip.count, first=clip.first)
            if goes_on and replace(same, volume=clip.volume) == clip:
                joined[-1] = replace(last, count=last.count + clip.count)
                continue
        joined.append(clip)
    return joined


def _matters(edit: PoseEdit, shown: FrameRange) -> bool:
    if edit.frames is None:
        return True
    reach = _REACH.get(type(edit), 1)
    return edit.frames.start - reach < shown.stop and shown.start < edit.frames.stop + reach


def _text(edit: PoseEdit) -> str:
    """Return an edit as text; those of long clips are asked for again and again."""
    known = _encoded.get(id(edit))
    if known is not None and known[0] is edit:
        _encoded.move_to_end(id(edit))
        return known[1]
    text = json.dumps(encode(edit), separators=(",", ":"))
    text = hashlib.sha256(text.encode()).hexdigest() if len(text) > 200 else text
    _encoded[id(edit)] = (edit, text)
    while len(_encoded) > _REMEMBERED:
        _encoded.popitem(last=False)
    return text


def is_stale(project: Project, take: Take) -> bool:
    """Tell whether the poses have changed since a take was begun."""
    return take.poses != poses_key(project, take.span)


def next_name(project: Project) -> str:
    """Return the name of the next take: ``v1``, ``v2`` ..."""
    numbers = [int(t.name[1:]) for t in project.takes if t.name[:1] == "v" and t.name[1:].isdigit()]
    return f"v{max(numbers, default=0) + 1}"


def with_take(project: Project, name: str, **changes: Any) -> Project:
    """Return the project with a take changed; one that is not there is left alone."""
    takes = tuple(replace(t, **changes) if t.id == name else t for t in project.takes)
    return replace(project, takes=takes) if takes != project.takes else project


def remove_take(project: Project, name: str) -> Project:
    """Take a take off the list; its files stay."""
    return replace(project, takes=tuple(take for take in project.takes if take.id != name))


def render_folder(take: Take) -> Path:
    """Return the folder that the engine renders into."""
    return Path(take.folder) / "render"


def preview_file(take: Take) -> Path:
    """Return the rough picture that is there while it renders."""
    return render_folder(take) / "preview.png"


def frame_file(take: Take, frame: int) -> Path:
    """Return the picture of a frame of the timeline; it need not be there yet."""
    *others, last = frame_folders(take)
    name = frame_name(frame)
    return next((each / name for each in others if (each / name).is_file()), last / name)


def frame_folders(take: Take) -> tuple[Path, ...]:
    """Return the folders in which a take's frames are looked for, one after the other."""
    folder = render_folder(take)
    if take.part:
        return (folder / "takes" / f"{take.part:03d}",)
    # Where a joined take is shown, the engine keeps what it stands in for as take 0.
    return folder / "takes" / "000", folder / "frames"


def take_at(project: Project, frame: int, without: Iterable[str] = ()) -> Take | None:
    """Return the take that is seen in a frame: the newest that is done and not hidden."""
    hidden = {*without, *(take.id for take in project.takes if take.hidden)}
    for take in reversed(project.takes):
        if take.status == "done" and frame in take.span and take.id not in hidden:
            return take
    return None


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of the result row in which one take is seen."""

    span: FrameRange
    take: Take
    stale: bool


def segments(project: Project, *, unfinished: bool = True) -> tuple[Segment, ...]:
    """Return which take is seen where, in order; places without any are left out.

    Args:
        project: with the takes.
        unfinished: whether takes that are still being rendered cover those below them, as the
            timeline shows them.
    """
    shown = [
        take
        for take in project.takes
        if not take.hidden
        and (take.status == "done" or (unfinished and take.status not in {"failed", "cancelled"}))
    ]
    cuts = sorted({edge for take in shown for edge in (take.span.start, take.span.stop)})
    stale = {take.id: is_stale(project, take) for take in shown}
    found: list[Segment] = []
    for start, stop in pairwise(cuts):
        top = next((take for take in reversed(shown) if start in take.span), None)
        if top is None:
            continue
        if found and found[-1].take is top and found[-1].span.stop == start:
            found[-1] = replace(found[-1], span=FrameRange(found[-1].span.start, stop))
        else:
            found.append(Segment(FrameRange(start, stop), top, stale[top.id]))
    return tuple(found)
