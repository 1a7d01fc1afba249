# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be told about a shot before it is rendered: who is out of the picture, hidden, still.

The same is looked at twice: at a few poses when a button is pressed, and at all of them when the
motion has been recorded.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marionext.frames import FrameRange
from marionext.pose import PoseTrack
from marionext.pose.skeleton import BODY

from ..state.translations import say
from .actions import curves_of
from .edits import idle_edits

__all__ = ["Finding", "of_actions", "of_edits", "of_span", "of_track"]

_SEEN = 0.3
"""Score from which a joint is drawn."""
_LEAST_JOINTS = 3
"""Of somebody of whom there is something to see."""
_TINY = 0.15
"""Of the picture's height: a figure lower than that has no face and no fingers."""
_STILL = 0.005
"""Of the picture's height: movements below that nobody sees; of a figure half as high."""
_CUT = 0.2
"""Share of a figure's joints beyond the picture's edges from which it is worth a word."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that the animator may not have meant."""

    text: str
    """For people to read, in the language of the interface."""
    pointless: bool = False
    """Whether a render would show nothing of use."""


def of_track(
    track: PoseTrack, times: Sequence[Fraction], names: Sequence[str], *, as_it_is: bool
) -> Iterator[Finding]:
    """Yield what keypoints tell of a shot, person by person.

    Args:
        track: of the frames that are looked at.
        times: their frames in the scene.
        names: of the people.
        as_it_is: whether the figures stay as large as the camera sees them.
    """
    width, height = track.size
    for person, name in enumerate(names):
        body = track.points[:, person, BODY]
        scores = track.scores[:, person, BODY]
        known = (body != 0).any(axis=2)
        inside = known & (body >= 0).all(axis=2) & (body < (width, height)).all(axis=2)
        outside = inside.sum(axis=1) < _LEAST_JOINTS
        # An edit may move joints out of the picture that are seen all the same.
        there = ((scores >= _SEEN).sum(axis=1) >= _LEAST_JOINTS) & ~outside
        hidden = ~there & ~outside
        yield from _absent(say("{name} is outside the picture", name=name), times, outside)
        yield from _absent(say("{name} is hidden", name=name), times, hidden)
        if not there.any():
            continue
        yield from _cut(name, times, there, known, inside)
        tall = _heights(body, inside)[there]
        if as_it_is and np.median(tall) < _TINY * height:
            yield Finding(
                say(
                    "{name} is tiny: {tall} of {height} pixels high. Move the camera nearer, or "
                    "choose Move and scale.",
                    name=name, tall=round(float(np.median(tall))), height=height,
                )
            )  # fmt: skip
        seen = scores[there] >= _SEEN
        moved = np.where(seen[..., None], body[there], np.nan)
        # A figure that is scaled onto the character's is as large in the end, from however far.
        whole = height if as_it_is else min(height, 2 * float(np.median(tall)))
        if len(moved) > 1 and _range_of(moved) < _STILL * whole:
            text = say("{name} does not move in these frames", name=name)
            yield Finding(text, pointless=len(names) == 1)


def _absent(what: str, times: Sequence[Fraction], gone: NDArray[np.bool_]) -> Iterator[Finding]:
    if gone.all():
        yield Finding(say("{what} in all frames.", what=what), pointless=True)
    elif gone.any():
        yield Finding(_counted(what, times, gone))


def _cut(
    name: str,
    times: Sequence[Fraction],
    there: NDArray[np.bool_],
    known: NDArray[np.bool_],
    inside: NDArray[np.bool_],
) -> Iterator[Finding]:
    lost = 1 - inside.sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    cut = there & (lost > _CUT)
    if cut.any():
        share = round(100 * float(lost[cut].max()))
        what = say("{name} leaves the picture with up to {share} %", name=name, share=share)
        yield Finding(_counted(what, times, cut))


def _counted(what: str, times: Sequence[Fraction], which: NDArray[np.bool_]) -> str:
    return say(
        "{what} in {count} of {all} frames, first at {first}.",
        what=what, count=int(which.sum()), all=len(which),
        first=int(times[int(np.argmax(which))]),
    )  # fmt: skip


def _heights(body: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    rows = np.where(inside, body[..., 1], np.nan)
    empty = ~inside.any(axis=1)
    rows[empty] = 0.0
    return np.asarray(np.nanmax(rows, axis=1) - np.nanmin(rows, axis=1), dtype=np.float64)


def _range_of(points: NDArray[np.float64]) -> float:
    """Return how far the joint that moves most gets, of (frames, joints, 2); NaN is not seen."""
    useful = points[:, ~np.isnan(points).any(axis=(0, 2))]
    return float(np.ptp(useful, axis=0).max(initial=0.0)) if useful.size else np.inf


def of_actions(armatures: Sequence[Any], first: int, last: int) -> Iterator[Finding]:
    """Yield whose animation does not fill the range of frames."""
    for armature in armatures:
        span = _span(armature)
        if span is not None:
            yield from of_span(armature.name, span, first, last)


def of_span(name: str, span: tuple[float, float], first: int, last: int) -> Iterator[Finding]:
    """Yield that a motion does not fill the range of frames, where it does not.

    Args:
        name: of what moves.
        span: its own first and last frame.
        first: frame of the range.
        last: frame of the range, included.
    """
    if span[1] < last - 1 or span[0] > first + 1:
        yield Finding(
            say(
                "The animation of {name} lasts from {start} to {end}, the range from {first} to "
                "{last}.",
                name=name, start=round(span[0]), end=round(span[1]), first=first, last=last,
            )
        )  # fmt: skip


def of_edits(
    scene: Any, size: tuple[int, int], frames: FrameRange, first: int, last: int
) -> Iterator[Finding]:
    """Yield which edits change nothing.

    Args:
        scene: with its settings.
        size: of the picture.
        frames: the numbers of the recorded motion.
        first: frame of the scene.
        last: frame of the scene, included.

    Raises:
        EngineError: an edit cannot be made.
    """
    for place in idle_edits(scene, size, frames):
        yield Finding(
            say(
                "Edit {place} changes nothing: it is of other frames than the range, {first} to "
                "{last}.",
                place=place, first=first, last=last,
            )
        )  # fmt: skip


def _span(armature: Any) -> tuple[float, float] | None:
    """Return first and last frame of an armature's own animation; None: it has none, or cycles."""
    animation = armature.animation_data
    if animation is None:
        return None
    strips = [
        strip
        for track in animation.nla_tracks
        if not track.mute
        for strip in track.strips
        if not strip.mute
    ]
    spans = [(strip.frame_start, strip.frame_end) for strip in strips]
    if animation.action is not None:
        action = animation.action
        if action.use_cyclic or any(
            modifier.type == "CYCLES" for curve in curves_of(action) for modifier in curve.modifiers
        ):
            return None
        spans.append(tuple(action.frame_range))
    if not spans:
        return None
    return min(span[0] for span in spans), max(span[1] for span in spans)
