"""Read what the sheet shows out of the document and its keypoints."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from marionext.frames import FrameRange
from marionext_desktop.model.edit_stack import Keypoints
from marionext_desktop.model.posing import PoseMark, marks
from marionext_desktop.model.project import Clip, Project, Take
from marionext_desktop.model.words import say
from marionext_desktop.ui.timeline.contents import ClipBar, Link, RowKeys, TakeBar
from marionext_desktop.ui.timeline.rows import Row, row_scores

__all__ = [
    "MARKER_COLOURS",
    "KeyTable",
    "clip_bars",
    "read_keys",
    "sequence_scores",
    "speed_words",
    "take_bars",
]

MARKER_COLOURS = {
    "red": "bad",
    "orange": "warn",
    "yellow": "selected",
    "green": "good",
    "cyan": "left",
    "blue": "accent",
    "purple": "violet",
    "grey": "faint",
}
"""Colours of markers by the names that a project gives them."""


def speed_words(clip: Clip) -> str:
    """Return what is said about how a clip is played, or nothing."""
    if clip.hold is not None:
        return say("hold")
    share = float(abs(clip.speed) * 100)
    words = "" if clip.speed in {1, -1} else f"{share:.4g} %"
    return f"{words} {say('reversed')}".strip() if clip.speed < 0 else words


def clip_bars(
    project: Project, *, missing: Collection[str], waiting: Callable[[str], str]
) -> tuple[ClipBar, ...]:
    """Return the clips of motion.

    Args:
        project: with them.
        missing: ids of sources whose files are not there.
        waiting: tells what is done about the poses of a source, or nothing.
    """
    sources = project.by_id
    return tuple(
        ClipBar(
            clip.id,
            sources[clip.source].name,
            clip.at,
            clip.stop,
            kind=sources[clip.source].kind,  # type: ignore[arg-type]
            note=speed_words(clip),
            missing=clip.source in missing,
            waiting=waiting(clip.source),
        )
        for clip in project.lane("motion")
    )


def sequence_scores(
    project: Project,
    rows: tuple[Row, ...],
    keypoints: Callable[[Clip], Keypoints | None],
    person: int,
) -> NDArray[np.float32] | None:
    """Return what the strips show over the whole sequence.

    Args:
        project: with the clips.
        rows: of the sheet.
        keypoints: of a clip, or None while they are not there.
        person: of those that are seen, where a clip follows everybody.

    Returns:
        (rows, frames), 0 where nothing is known; None: nothing is known at all.
    """
    strips = np.zeros((len(rows), project.length), np.float32)
    known = False
    for clip in project.lane("motion"):
        found = keypoints(clip)
        if found is None or not found.people:
            continue
        known = True
        who = min(person if clip.person is None else clip.person, found.people - 1)
        shown = np.minimum(project.source_frames(clip), len(found) - 1)
        strips[:, clip.at : clip.stop] = row_scores(found.scores[shown, who], rows)
    return strips if known else None


@dataclass(frozen=True, slots=True)
class KeyTable:
    """What was done by hand, by row and frame, with the edits behind it."""

    rows: dict[str, RowKeys] = field(default_factory=dict)
    marks: dict[tuple[str, int], tuple[tuple[str, PoseMark], ...]] = field(default_factory=dict)
    """By row and frame of the timeline the clips and marks that are there."""

    def at(self, keys: Iterable[tuple[str, int]]) -> dict[str, list[PoseMark]]:
        """Return the marks of keys, by clip."""
        found: dict[str, list[PoseMark]] = {}
        for key in keys:
            for clip, mark in self.marks.get(key, ()):
                if mark not in found.setdefault(clip, []):
                    found[clip].append(mark)
        return found


def read_keys(project: Project, rows: tuple[Row, ...]) -> KeyTable:
    """Return what was done by hand on each row.

    A row shows an edit that is about one of its points; the row ``""`` shows all of them.
    """
    frames: dict[str, set[int]] = {"": set(), **{row.name: set() for row in rows}}
    links: dict[str, list[Link]] = {name: [] for name in frames}
    table: dict[tuple[str, int], list[tuple[str, PoseMark]]] = {}
    points = {row.name: frozenset(row.points) for row in rows}
    for clip in project.lane("motion"):
        source = project.source(clip.source)
        for mark in marks(clip, source.frames):
            if clip.person is not None and mark.person != clip.person:
                continue
            names = ["", *(name for name, own in points.items() if own & mark.points)]
            span = _on_timeline(project, clip, mark.frames)
            if span is None:
                continue
            if mark.kind == "key":
                for name in names:
                    frames[name].add(span.start)
                    table.setdefault((name, span.start), []).append((clip.id, mark))
                continue
            for name in names:
                if mark.kind == "hold":
                    links[name].append(Link(span.start, span.stop, held=True))
                if mark.kind != "hide":
                    frames[name].add(span.start)
                    table.setdefault((name, span.start), []).append((clip.id, mark))
                if mark.kind == "change" and len(span) > 1 and len(mark.points) < 134:
                    links[name].append(Link(span.start, span.stop))
    return KeyTable(
        {
            name: RowKeys(np.array(sorted(found), np.int64), tuple(links[name]))
            for name, found in frames.items()
        },
        {key: tuple(found) for key, found in table.items()},
    )


def _on_timeline(project: Project, clip: Clip, span: FrameRange) -> FrameRange | None:
    """Return the frames of the timeline in which a clip shows frames of its source."""
    shown = project.source_frame(clip, clip.at), project.source_frame(clip, clip.stop - 1)
    low, high = max(span.start, min(shown)), min(span.stop - 1, max(shown))
    if low > high:
        return None
    ends = [project.timeline_frame(clip, low), project.timeline_frame(clip, high)]
    known = [end for end in ends if end is not None]
    if not known:
        return None
    return FrameRange(min(known), max(known) + 1)


def take_bars(
    takes: Iterable[Take],
    length: int,
    describe: Callable[[Take], TakeBar],
) -> tuple[TakeBar, ...]:
    """Return which take each frame shows: of several the newest.

    Args:
        takes: in the order in which they were made.
        length: frames of the sequence.
        describe: says what is written on a take; start and stop are set here.
    """
    owner = np.full(max(length, 0), -1, np.int64)
    found = list(takes)
    for number, take in enumerate(found):
        if take.status != "cancelled":
            owner[max(take.span.start, 0) : max(take.span.stop, 0)] = number
    bars: list[TakeBar] = []
    edges = np.flatnonzero(np.diff(np.r_[-2, owner, -2]))
    for start, stop in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if owner[start] >= 0:
            bar = describe(found[owner[start]])
            bars.append(TakeBar(bar.id, start, stop, bar.title, bar.words, bar.state, bar.progress))
    return tuple(bars)
