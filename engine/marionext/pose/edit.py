"""Apply edits to poses: each is a value of `marionext.edits`, and the result a new track.

An edit changes the frames, joints and person that it names, and nothing else to the last bit: what
it comes to is worked out for that block alone, and written into it in one place. Frames that the
track does not have are left out, with the strength of all others as if they were there, so that a
part of a motion is edited as the whole is.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from marionext.edits import (
    Fill,
    Hide,
    Hold,
    Keys,
    Mirror,
    Offset,
    PoseEdit,
    SetPoints,
    Smooth,
    Swap,
    Transform,
)
from marionext.errors import MotionError
from marionext.frames import FrameRange
from marionext.pose.cleanup import ANCHORS, fill_gaps, known_points, number_jumps
from marionext.pose.measure import number_scenes, person_sizes
from marionext.pose.resample import trim
from marionext.pose.skeleton import MIRRORED, POINT_NAMES, SEEN_SCORE
from marionext.pose.smoothing import savitzky_golay
from marionext.pose.track import Origin, PoseTrack

__all__ = ["apply", "apply_at", "mirror"]

_MIRRORED = np.array(MIRRORED)
_ANCHOR_OF = {joint: anchor for part, anchor in ANCHORS for joint in range(part.start, part.stop)}
_ANY_LENGTH = 10**9
_LEAST_WEIGHT = 0.05


def apply(track: PoseTrack, edits: Iterable[PoseEdit]) -> PoseTrack:
    """Return a track with edits applied, one after the other.

    An edit whose frames the track has none of changes nothing; `marionext.edits.out_of_reach` tells
    which those are.

    Args:
        track: the motion.
        edits: in the order in which they were made.

    Raises:
        MotionError: there is no such person, points are given for another number of frames, or
            the pivot is never seen.
    """
    points, scores, origins = track.points.copy(), track.scores.copy(), track.origins.copy()
    depths = track.depths.copy()
    for place, edit in enumerate(edits):
        if edit.person >= track.people:
            raise MotionError(
                f"edit {place + 1} ({edit.kind}): expected a person below {track.people}, "
                f"got {edit.person}"
            )
        part = _part_or_none(track, edit, points, scores, origins)
        if part is None:
            continue
        try:
            changed = _changed(edit, part)
        except MotionError as error:
            raise MotionError(
                f"edit {place + 1} ({edit.kind}): {error.message}", hint=error.hint
            ) from None
        block = (part.rows[:, None], edit.person, part.joints)
        points[block], scores[block], origins[block] = changed
        if track.knows_depths and isinstance(edit, Mirror | Swap):
            other = (part.rows[:, None], edit.person, _MIRRORED[part.joints])
            depths[block] = depths[other]
    return track.with_(points=points, scores=scores, origins=origins, depths=depths)


def apply_at(track: PoseTrack, edits: Iterable[PoseEdit], number: int) -> PoseTrack:
    """Return one frame of a track with edits applied, as `apply` leaves it, in less time.

    Args:
        track: the motion.
        edits: in the order in which they were made.
        number: of the frame, which the track has to have.

    Returns:
        A track of that frame alone, with its number.

    Raises:
        MotionError: as `apply` does, or there is no such frame.
    """
    alone = FrameRange(number, number + 1)
    return trim(apply(track, _needed(tuple(edits), alone)), alone)


def _needed(edits: tuple[PoseEdit, ...], wanted: FrameRange) -> tuple[PoseEdit, ...]:
    """Leave out what smoothing does to frames that are not wanted: it takes nearly all the time."""
    kept: list[PoseEdit] = []
    looked_around = False
    for edit in reversed(edits):
        if isinstance(edit, Smooth) and not looked_around:
            span = edit.frames or wanted
            inside = span.start <= wanted.start and wanted.stop <= span.stop
            frames = wanted if inside else FrameRange(span.start, span.start + 1)
            kept.append(replace(edit, frames=frames))
        else:
            kept.append(edit)
        # What such an edit makes of the frame hangs on others, which those before have to leave.
        looked_around |= isinstance(edit, Smooth | Hold | Fill | Transform)
    return tuple(reversed(kept))


def mirror(
    track: PoseTrack,
    *,
    frames: FrameRange | None = None,
    joints: tuple[str, ...] = (),
    person: int | None = None,
    about: float | None = None,
) -> PoseTrack:
    """Turn the picture's left into its right; the right hand becomes the left hand.

    Args:
        track: the motion.
        frames: where in time, by the track's frame numbers; None: everywhere.
        joints: names of limbs or points, of one side or both; none: all.
        person: whom; None: everybody.
        about: the x in pixels that stays where it is; None: the picture's middle.

    Raises:
        MotionError: the track has no such person.
        SettingsError: a name of a joint is unknown.
    """
    people = range(track.people) if person is None else (person,)
    return apply(
        track, [Mirror(frames=frames, joints=joints, person=who, about=about) for who in people]
    )


_Block = tuple[NDArray[np.floating], NDArray[np.floating], NDArray[np.uint8]]
"""Points (frames, joints, 2), scores and origins (frames, joints)."""


@dataclass(frozen=True, slots=True)
class _Part:
    """What an edit is about, and one person's whole motion around it."""

    points: NDArray[np.float32]
    """(all frames, 134, 2)."""
    scores: NDArray[np.float32]
    origins: NDArray[np.uint8]
    rows: NDArray[np.int64]
    """Indices of the frames that are edited, at least one."""
    numbers: NDArray[np.int64]
    """Their frame numbers."""
    joints: NDArray[np.int64]
    span: FrameRange
    """The edit's frames, those that the track lacks among them."""
    track: PoseTrack
    """Before the edits: for its size, rate and numbers."""

    def block(self) -> _Block:
        """Return copies of what is edited, as it is."""
        place = (self.rows[:, None], self.joints)
        return self.points[place], self.scores[place], self.origins[place]


def _part_or_none(
    track: PoseTrack,
    edit: PoseEdit,
    points: NDArray[np.float32],
    scores: NDArray[np.float32],
    origins: NDArray[np.uint8],
) -> _Part | None:
    """Find what an edit is about; None if the track has none of its frames."""
    span = edit.frames or track.frames
    start, stop = max(span.start, track.frames.start), min(span.stop, track.frames.stop)
    if start >= stop:
        return None
    numbers = np.arange(start, stop)
    return _Part(
        points=points[:, edit.person],
        scores=scores[:, edit.person],
        origins=origins[:, edit.person],
        rows=numbers - track.first,
        numbers=numbers,
        joints=np.array(edit.points_changed),
        span=span,
        track=track,
    )


def _changed(edit: PoseEdit, part: _Part) -> _Block:
    """Return what the edit makes of its block."""
    match edit:
        case SetPoints():
            return _set_points(edit, part)
        case Offset():
            way = _strength(edit, part)[:, None, None] * np.array(edit.by)
            return _moved(part, part.block()[0] + way)
        case Hold():
            return _hold(edit, part)
        case Hide():
            points, scores, origins = part.block()
            return points, np.zeros_like(scores), np.full_like(origins, Origin.BY_HAND)
        case Swap():
            return _other_side(part)
        case Mirror():
            return _mirror(edit, part)
        case Smooth():
            return _smooth(edit, part)
        case Fill():
            return _fill(edit, part)
        case Transform():
            return _moved(part, _transform(edit, part))
        case Keys():
            return _keys(edit, part)


def _moved(part: _Part, places: NDArray[np.floating]) -> _Block:
    """Put known points where they are moved to; unknown ones have no place to be moved from."""
    points, scores, origins = part.block()
    known = scores > 0
    return (
        np.where(known[..., None], places, points),
        scores,
        np.where(known, np.uint8(Origin.BY_HAND), origins),
    )


def _strength(edit: Offset | Transform, part: _Part) -> NDArray[np.float64]:
    """Return how strong an edit is in each of its frames: (frames,), in (0, 1]."""
    growing = (part.numbers - part.span.start + 1) / (edit.ease_in + 1)
    fading = (part.span.stop - part.numbers) / (edit.ease_out + 1)
    strength = np.minimum(np.minimum(growing, fading), 1)
    return strength * strength * (3 - 2 * strength) if edit.ease == "smooth" else strength


def _set_points(edit: SetPoints, part: _Part) -> _Block:
    given = len(edit.points)
    if given > 1 and given != len(part.span):
        raise MotionError(f"expected points of {len(part.span)} frames, or of one, got {given}")
    nowhere = (np.nan, np.nan)
    places = np.array([[place or nowhere for place in row] for row in edit.points])
    places = places[part.numbers - part.span.start] if given > 1 else places
    points, scores, origins = part.block()
    seen = np.broadcast_to(np.isfinite(places[..., 0]), scores.shape)
    return (
        np.where(seen[..., None], places, points),
        np.where(seen, edit.score, 0),
        np.full_like(origins, Origin.BY_HAND),
    )


def _hold(edit: Hold, part: _Part) -> _Block:
    at = part.span.start if edit.at is None else edit.at
    row = min(max(at - part.track.first, 0), len(part.points) - 1)
    points, scores, origins = part.block()
    return (
        np.broadcast_to(part.points[row, part.joints], points.shape),
        np.broadcast_to(part.scores[row, part.joints], scores.shape),
        np.full_like(origins, Origin.BY_HAND),
    )


def _other_side(part: _Part) -> _Block:
    """Return the block of the points' counterparts, which are all among the joints."""
    place = (part.rows[:, None], _MIRRORED[part.joints])
    return part.points[place], part.scores[place], part.origins[place]


def _mirror(edit: Mirror, part: _Part) -> _Block:
    points, scores, origins = _other_side(part)
    twice = part.track.size[0] if edit.about is None else 2 * edit.about
    points[..., 0] = np.float32(twice) - points[..., 0]
    return points, scores, origins


def _smooth(edit: Smooth, part: _Part) -> _Block:
    # As much around the range as its first and last frame look at.
    start = max(part.rows[0] - edit.window, 0)
    near = slice(start, part.rows[-1] + edit.window + 1)
    points, scores = part.points[near].astype(np.float64), part.scores[near].astype(np.float64)
    size = _size(part)
    breaks = number_scenes(points, scores, size)[:, None] + number_jumps(points, scores, size)
    weights = np.where(scores > 0, np.clip(scores, _LEAST_WEIGHT, 1), 0)
    joints = part.joints
    smooth = savitzky_golay(
        points[:, joints], weights[:, joints], breaks[:, joints], window=edit.window
    )
    return smooth[part.rows - start], *part.block()[1:]


def _size(part: _Part) -> float:
    """Return how large the person is, as the edits before this one have left it."""
    alone = part.track.with_(
        points=part.points[:, None], scores=part.scores[:, None], origins=part.origins[:, None]
    )
    return float(person_sizes(alone)[0])


def _fill(edit: Fill, part: _Part) -> _Block:
    points, scores = part.points.astype(np.float64), part.scores.astype(np.float64)
    if edit.replace:
        scores[part.rows[:, None], part.joints] = 0
    known = known_points(scores, SEEN_SCORE)
    joints = set(part.joints.tolist())
    one_scene = np.zeros(len(points), np.int64)
    points, scores, filled = fill_gaps(points, scores, one_scene, _ANY_LENGTH, SEEN_SCORE, joints)
    # What is left lies before the first or after the last frame that the joint is known in.
    for joint in sorted(joints):
        there = np.flatnonzero(known[:, joint])
        if not len(there):
            continue
        for gap, end in (
            (np.arange(there[0]), there[0]),
            (np.arange(there[-1] + 1, len(points)), there[-1]),
        ):
            points[gap, joint] = points[end, joint]
            scores[gap, joint] = scores[end, joint]
            filled[gap, joint] = True
            anchor = _ANCHOR_OF.get(joint)
            if anchor is not None:
                # Hands and face go along with wrist and nose while those are known.
                with_it = gap[(scores[gap, anchor] >= SEEN_SCORE)]
                if scores[end, anchor] >= SEEN_SCORE:
                    points[with_it, joint] += points[with_it, anchor] - points[end, anchor]
    place = (part.rows[:, None], part.joints)
    was_points, was_scores, was_origins = part.block()
    now = filled[place]
    return (
        np.where(now[..., None], points[place], was_points),
        np.where(now, scores[place], was_scores),
        np.where(now, np.uint8(Origin.FILLED), was_origins),
    )


def _transform(edit: Transform, part: _Part) -> NDArray[np.float64]:
    """Return where all points of the block go: (frames, joints, 2)."""
    strength = _strength(edit, part)[:, None, None]
    pivot = _pivot(edit, part)[:, None]
    # Half of a factor of 4 is a factor of 2, so that growing and shrinking undo one another.
    scale: NDArray[np.float64] = np.power(edit.scale, strength)
    angle = np.radians(edit.rotation) * strength[..., 0]
    arms = (part.block()[0] - pivot) * scale
    across = np.cos(angle) * arms[..., 0] - np.sin(angle) * arms[..., 1]
    down = np.sin(angle) * arms[..., 0] + np.cos(angle) * arms[..., 1]
    return np.asarray(pivot + np.stack([across, down], -1))


def _pivot(edit: Transform, part: _Part) -> NDArray[np.float64]:
    """Return the pivot in each frame of the block: (frames, 2)."""
    if edit.pivot_joint is None:
        width, height = part.track.size
        return np.tile(edit.pivot or (width / 2, height / 2), (len(part.rows), 1))
    joint = POINT_NAMES.index(edit.pivot_joint)
    known = np.flatnonzero(part.scores[:, joint] > 0)
    if not len(known):
        raise MotionError(f"expected {edit.pivot_joint} as the pivot, which is never seen")
    path = part.points[known, joint].astype(np.float64)
    return np.stack([np.interp(part.rows, known, path[:, axis]) for axis in range(2)], -1)


def _keys(edit: Keys, part: _Part) -> _Block:
    count = len(part.joints)
    values = np.array(
        [key.points * count if len(key.points) < count else key.points for key in edit.keys]
    )
    curve = _curve(edit, values, part.numbers)
    points, scores, origins = part.block()
    if edit.relative:
        return _moved(part, points + curve)
    return curve, np.ones_like(scores), np.full_like(origins, Origin.BY_HAND)


def _curve(
    edit: Keys, values: NDArray[np.float64], numbers: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Read the curve through the keys at frame numbers: (frames, joints, 2).

    Args:
        edit: for the keys' frames and interpolation.
        values: (keys, joints, 2).
        numbers: (frames,).
    """
    times = np.array([key.frame for key in edit.keys])
    hows = np.array([key.interpolation for key in edit.keys])
    slopes = _slopes(times, hows, values)
    before = np.clip(np.searchsorted(times, numbers, side="right") - 1, 0, len(times) - 1)
    after = np.minimum(before + 1, len(times) - 1)
    length = np.maximum(times[after] - times[before], 1)
    share = np.clip((numbers - times[before]) / length, 0, 1)
    share = np.where(hows[before] == "constant", 0, share)[:, None, None]
    low, high = values[before], values[after]
    straight = low + share * (high - low)
    bends = share * (1 - share) * length[:, None, None]
    chord = (high - low) / length[:, None, None]
    bent = straight + bends * (
        (1 - share) * (slopes[before] - chord) - share * (slopes[after] - chord)
    )
    # Rounding is not to carry it past a key's value.
    bent = np.clip(bent, np.minimum(low, high), np.maximum(low, high))
    return np.where((hows[before] == "smooth")[:, None, None], bent, straight)


def _slopes(
    times: NDArray[np.int64], hows: NDArray[np.str_], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how fast values change at each key: (keys, joints, 2), per frame.

    Flat at both ends and where the direction turns, else the harmonic mean of both sides, which
    lets no curve overshoot (Fritsch and Butland 1984).
    """
    slopes = np.zeros(values.shape)
    if len(times) < 3:
        return slopes
    steps = np.diff(times).astype(np.float64)[:, None, None]
    rise = np.diff(values, axis=0) / steps
    rise[hows[:-1] == "constant"] = 0
    left, right = rise[:-1], rise[1:]
    same = left * right > 0
    weights = 2 * steps[1:] + steps[:-1], steps[1:] + 2 * steps[:-1]
    # Multiplied out, since the inverse of a tiny slope overflows.
    above = (weights[0] + weights[1]) * (left * right)
    below = weights[0] * right + weights[1] * left
    np.divide(above, below, out=slopes[1:-1], where=same)
    return slopes
