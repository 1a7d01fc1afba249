"""Mend what detectors get wrong: exchanged sides, single wild points, short gaps, trembling.

Everything looks at the whole clip, backwards and forwards alike, so nothing lags behind the music,
and nothing reaches across a cut. Points that are unknown for longer than a short gap stay unknown.

What was found comes back with the track, so that a host can list it, and mend with an edit what is
left.
"""

import warnings
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from marionext.errors import MotionError, SettingsError
from marionext.frames import FrameRange, FrameRate
from marionext.pose.measure import number_scenes, person_sizes
from marionext.pose.skeleton import (
    FACE,
    FEET,
    LEFT_HAND,
    MIRRORED,
    POINT_COUNT,
    RIGHT_HAND,
    SEEN_SCORE,
    point_names,
    point_numbers,
)
from marionext.pose.smoothing import median_of_three, savitzky_golay
from marionext.pose.swaps import repair_swaps
from marionext.pose.track import Origin, PoseTrack

__all__ = [
    "ANCHORS",
    "CleanUp",
    "Cleaned",
    "Finding",
    "clean",
    "fill_gaps",
    "known_points",
    "number_jumps",
]

_USUAL_RATE = 30
"""Frames in the options are frames at this rate; at other rates they last as long."""

_JUMP = 0.08
"""Share of the person's size that a step is long, to be a jump of a single limb ..."""
_SUDDEN = 3.0
"""... and this many times longer than any step shortly before and after."""

_OUTLIER_REACH = 3
"""Frames before and after, with which a point is compared."""
_STILL = 0.06
"""Share of the person's size below which no body point is an outlier; of hands and face half."""
_REWEIGHTINGS = 6

ANCHORS = ((LEFT_HAND, 7), (RIGHT_HAND, 4), (FACE, 0))
"""Parts that go along with a joint of the body while they are out of sight."""

_ON_WRIST = 0.05
"""Share of the person's size that a hand may be further from its wrist than it usually is."""
_TRUNK = [1, 2, 5, 8, 11]
"""Neck, shoulders, hips."""
_NOISE = 3.0
"""Times its usual trembling that the filter may move a point."""
_LEAST_NOISE = 0.004
"""Share of the person's size that it may always be moved by."""

_LOWEST_WEIGHT = 0.05
_EDGE = 0.02
"""Share of the picture's longer side: who is lost this near to an edge, and comes back there, was
outside."""
_RUN_UP = 2
"""Frames before and after a gap that tell the speed at its ends; one alone trembles too much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanUp:
    """What is mended in a pose track. Frames are frames at 30 frames/s: at 60 twice as many."""

    repair_swaps: bool = True
    """Undo exchanges of left and right."""
    outliers: float = 5.0
    """Remove points that lie further than this many deviations from their neighbours in time;
    0 keeps all."""
    longest_gap: int = 8
    """Fill gaps up to this many frames; 0 fills none."""
    median: bool = True
    """Take out what is left of single wrong frames with a median of three."""
    window: int = 7
    """Frames that a parabola smooths over (Savitzky-Golay), odd; 0 smooths nothing."""
    trusted: float = SEEN_SCORE
    """Body points of a lower score count as unknown where a gap can be filled."""

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            SettingsError: a value is out of range.
        """
        if self.window and (self.window < 3 or self.window % 2 == 0):
            raise SettingsError(f"window is 0 or an odd number from 3 on, got {self.window}")
        for name in ("outliers", "longest_gap", "trusted"):
            if not getattr(self, name) >= 0:
                raise SettingsError(f"{name} is 0 or more, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that looked wrong; its frames, joints and person are those of an edit."""

    what: Literal["swap", "outlier", "gap", "jump", "cut"]
    """``swap``: left and right exchanged; ``outlier``: far from where it should be; ``gap``:
    unknown; ``jump``: a limb that is suddenly elsewhere; ``cut``: all of it is."""
    frames: FrameRange
    """Of a jump or a cut the first frame afterwards."""
    joints: tuple[str, ...]
    """Names as in edits; empty: all."""
    person: int
    mended: bool
    """Whether the track that came back is right there; jumps and cuts are only heeded."""
    sure: float | None = None
    """0 to 1: of a swap the share of the way that it spares, of an outlier how far it was beyond
    the limit, of a filled gap the mean score it was given; None: nothing to go by."""


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A mended track, and what was found in it, in the order of the frames."""

    track: PoseTrack
    findings: tuple[Finding, ...]


def clean(
    track: PoseTrack,
    options: CleanUp | None = None,
    *,
    frames: FrameRange | None = None,
    joints: tuple[str, ...] = (),
    person: int | None = None,
) -> Cleaned:
    """Mend a track, person by person.

    People must be the same person all along (`keep_identities`). Scores of filled points are lower
    than their neighbours'; all else keeps its score. A clip of one frame comes back as it is.

    A part is mended as it would be in the whole, which is looked at all the same; what is outside
    stays as it is. Sides are exchanged only where both of them are among the joints. Points that
    were set by hand stay where they are, and so do their mirror images in an exchange.

    Args:
        track: the motion.
        options: what to mend; None for all of it.
        frames: where, by the track's frame numbers; None: everywhere. May reach beyond the track.
        joints: names of limbs or points; none: all.
        person: whom; None: everybody.

    Raises:
        MotionError: there is no such person.
        SettingsError: a name of a joint is unknown.
    """
    options = options or CleanUp()
    if person is not None and not 0 <= person < track.people:
        raise MotionError(f"expected a person below {track.people}, got {person}")
    mask = np.zeros((len(track), POINT_COUNT), bool)
    mask[_rows(track, frames), point_numbers(joints)] = True
    points, scores, origins = track.points.copy(), track.scores.copy(), track.origins.copy()
    findings: list[Finding] = []
    sizes = person_sizes(track)
    people = range(track.people) if person is None else (person,)
    for who in people if len(track) > 1 and mask.any() else ():
        mended = _Person(track, who, sizes[who], mask)
        mended.clean(options)
        points[:, who] = np.where(mask[..., None], mended.points, points[:, who])
        scores[:, who] = np.where(mask, mended.scores, scores[:, who])
        origins[:, who] = np.where(mask, mended.origins, origins[:, who])
        findings += mended.findings
    findings.sort(key=lambda finding: finding.frames.start)
    whole = frames is None and not joints and person is None
    mended_track = track.with_(
        points=points, scores=scores, origins=origins, cleaned=track.cleaned or whole
    )
    return Cleaned(mended_track, tuple(findings))


class _Person:
    """One person's points while they are mended.

    Args:
        track: the motion.
        person: whose.
        size: of the person, pixels.
        mask: (frames, 134), what is asked for; findings are about nothing else.
    """

    def __init__(self, track: PoseTrack, person: int, size: float, mask: NDArray[np.bool_]) -> None:
        self.points = track.points[:, person].astype(np.float64)
        self.scores = track.scores[:, person].astype(np.float64)
        self.origins = track.origins[:, person].copy()
        self._by_hand = self.origins == Origin.BY_HAND
        self._set = self.points.copy(), self.scores.copy()
        self.findings: list[Finding] = []
        self._first, self._rate = track.first, track.rate
        outside = ((self.points < 0) | (self.points >= track.size)).any(-1)
        # Where points outside are known, whatever saw them is not bound to the picture.
        self._picture = None if (outside & (self.scores > 0)).any() else track.size
        self._person, self._size, self._mask = person, size, mask

    def clean(self, options: CleanUp) -> None:
        """Mend everything that the options name."""
        gap = _frames(options.longest_gap, self._rate)
        window = _frames(options.window, self._rate)
        scene = number_scenes(self.points, self.scores, self._size)
        if options.repair_swaps:
            self._repair_swaps(scene, options.trusted)
        jumps = number_jumps(self.points, self.scores, self._size)
        breaks = scene[:, None] + jumps
        self._tell_breaks(scene, jumps)
        wild, sure = np.zeros(self.scores.shape, bool), np.zeros(self.scores.shape)
        if options.outliers:
            base, held = _carried(self.points, self.scores, options.trusted)
            wild, sure = _outliers(
                self.points - base, self.scores, breaks + held, self._size, options.outliers
            )
            wild &= ~_attached(self.points, self.scores, self._size, options.trusted)
            wild &= ~self._by_hand
            self.scores = np.where(wild, 0, self.scores)
        filled = np.zeros(self.scores.shape, bool)
        if gap:
            self.points, self.scores, filled = fill_gaps(
                self.points, self.scores, scene, gap, options.trusted, picture=self._picture
            )
            filled &= ~self._by_hand
            self.origins[filled] = Origin.FILLED
        self._tell_outliers(wild, sure, filled)
        self._tell_gaps(filled & ~wild, options.trusted)
        self._smooth(breaks, window, options)
        self._keep_what_is_set()

    def _keep_what_is_set(self) -> None:
        points, scores = self._set
        self.points = np.where(self._by_hand[..., None], points, self.points)
        self.scores = np.where(self._by_hand, scores, self.scores)
        self.origins = np.where(self._by_hand, Origin.BY_HAND, self.origins)

    def _smooth(self, breaks: NDArray[np.int64], window: int, options: CleanUp) -> None:
        """Take out the trembling, and no more than that."""
        smooth = self.points
        if options.median:
            smooth = median_of_three(smooth, self.scores > 0, breaks)
        if window:
            weights = np.where(self.scores > 0, np.clip(self.scores, _LOWEST_WEIGHT, 1), 0)
            smooth = savitzky_golay(smooth, weights, breaks, window=max(window | 1, 5))
        self.points = _no_further_than_noise(self.points, smooth, self.scores, self._size)

    def _repair_swaps(self, scene: NDArray[np.int64], trusted: float) -> None:
        asked: NDArray[np.bool_] = np.any(self._mask, axis=0)
        # With one side alone an exchange would leave that side's points on both.
        both = asked & asked[list(MIRRORED)]
        may = range(POINT_COUNT) if (both == asked).all() else np.flatnonzero(both).tolist()
        self.points, self.scores, exchanges = repair_swaps(
            self.points,
            self.scores,
            scene,
            self._size,
            seen=trusted or 1e-6,
            pace=_USUAL_RATE / float(self._rate),
            joints=may,
        )
        # Points of a limb may have gone with the body and been taken back with the limb.
        exchanged, sure = np.zeros(self._mask.shape, bool), np.zeros(self._mask.shape)
        for exchange in exchanges:
            part, points = slice(exchange.start, exchange.stop), list(exchange.points)
            exchanged[part, points] ^= True
            sure[part, points] = exchange.sure
        # Who set a point by hand has said which side it is.
        stays = exchanged & (self._by_hand | self._by_hand[:, list(MIRRORED)])
        self.points = np.where(stays[..., None], self._set[0], self.points)
        self.scores = np.where(stays, self._set[1], self.scores)
        exchanged &= ~stays
        self.origins = np.where(exchanged, self.origins[:, list(MIRRORED)], self.origins)
        for start, stop, joints in _runs(exchanged & self._mask):
            how_sure = float(sure[start:stop, joints].mean())
            self._tell("swap", start, stop, joints, mended=True, sure=how_sure)

    def _tell_breaks(self, scene: NDArray[np.int64], jumps: NDArray[np.int64]) -> None:
        cut = np.diff(scene, prepend=0) > 0
        for frame in np.flatnonzero(cut & self._mask.any(1)).tolist():
            everything = tuple(range(POINT_COUNT))
            self._tell("cut", frame, frame + 1, everything, mended=False)
        # Where all is elsewhere, each limb is too.
        jumped = (np.diff(jumps, axis=0, prepend=0) > 0) & ~cut[:, None]
        for start, stop, joints in _runs(jumped & self._mask):
            self._tell("jump", start, stop, joints, mended=False)

    def _tell_outliers(
        self, wild: NDArray[np.bool_], sure: NDArray[np.float64], filled: NDArray[np.bool_]
    ) -> None:
        for start, stop, joints in _runs(wild & self._mask):
            values = sure[start:stop, joints]
            measured = values[values > 0]
            self._tell(
                "outlier",
                start,
                stop,
                joints,
                mended=bool(filled[start:stop, joints].all()),
                sure=float(measured.mean()) if measured.size else None,
            )

    def _tell_gaps(self, filled: NDArray[np.bool_], trusted: float) -> None:
        for start, stop, joints in _runs(filled & self._mask):
            score = float(self.scores[start:stop, joints].mean())
            self._tell("gap", start, stop, joints, mended=True, sure=min(score, 1.0))
        known = known_points(self.scores, trusted)
        # Who never shows the feet has no gap there.
        for start, stop, joints in _runs(~known & known.any(0) & self._mask):
            self._tell("gap", start, stop, joints, mended=False)

    def _tell(
        self,
        what: Literal["swap", "outlier", "gap", "jump", "cut"],
        start: int,
        stop: int,
        joints: tuple[int, ...],
        *,
        mended: bool,
        sure: float | None = None,
    ) -> None:
        self.findings.append(
            Finding(
                what=what,
                frames=FrameRange(self._first + start, self._first + stop),
                joints=point_names(joints),
                person=self._person,
                mended=mended,
                sure=sure,
            )
        )


def _carried(
    points: NDArray[np.float64], scores: NDArray[np.float64], trusted: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return what carries each point, (frames, 134, 2): of hands the wrist, of all else nothing.

    An arm is fast; what a hand does at its end is not, and tells far better what is wrong. A number
    comes back, too, that changes where the wrist comes or goes: (frames, 134).
    """
    base, held = np.zeros_like(points), np.zeros(scores.shape, np.int64)
    for place, wrist in ANCHORS[:2]:
        usable = scores[:, wrist] >= (trusted or 1e-6)
        base[:, place] = np.where(usable[:, None], points[:, wrist], 0)[:, None]
        held[:, place] = np.cumsum(np.diff(usable, prepend=usable[:1]))[:, None]
    return base, held


def _attached(
    points: NDArray[np.float64], scores: NDArray[np.float64], size: float, trusted: float
) -> NDArray[np.bool_]:
    """Tell which points belong to hands that sit on their wrists: (frames, 134).

    Such a hand is where it was seen, however fast it turns; one that was found elsewhere is wrong.
    """
    attached = np.zeros(scores.shape, bool)
    for place, wrist in ANCHORS[:2]:
        root = place.start
        both = (scores[:, wrist] >= (trusted or 1e-6)) & (scores[:, root] >= SEEN_SCORE)
        gap = np.linalg.norm(points[:, root] - points[:, wrist], axis=-1)
        if both.any():
            near = gap <= np.median(gap[both]) + _ON_WRIST * size
            attached[:, place] = (both & near)[:, None]
    return attached


def _no_further_than_noise(
    points: NDArray[np.float64],
    smooth: NDArray[np.float64],
    scores: NDArray[np.float64],
    size: float,
) -> NDArray[np.float64]:
    """Return smoothed points that stay near where they were seen: what moves is the trembling.

    A filter that moves a point further than it usually trembles has met a fast move, which it
    would flatten. Points that are hardly known are moved as the filter says, and so is the trunk,
    which is never so fast.
    """
    way = smooth - points
    length = np.linalg.norm(way, axis=-1)
    measured = np.where(scores > 0, length, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # points that are never seen
        usual = np.nan_to_num(np.nanmedian(measured, axis=0))
    limit = np.maximum(_NOISE * usual, _LEAST_NOISE * size)
    share = np.minimum(1, limit / np.maximum(length, 1e-9))
    share = np.where(scores >= SEEN_SCORE, share, 1)
    share[:, _TRUNK] = 1
    return np.asarray(points + way * share[..., None])


def _rows(track: PoseTrack, frames: FrameRange | None) -> NDArray[np.int64]:
    """Return the indices of the frames of a range that the track has, as a column."""
    frames = frames or track.frames
    start = max(frames.start, track.frames.start) - track.first
    stop = min(frames.stop, track.frames.stop) - track.first
    return np.arange(start, stop)[:, None]


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int, tuple[int, ...]]]:
    """Find stretches of frames: start, stop, and the joints that are flagged just then.

    Args:
        flags: (frames, 134).
    """
    joints_of: dict[tuple[int, int], list[int]] = {}
    edges = np.diff(flags.astype(np.int8), axis=0, prepend=0, append=0)
    for joint in np.flatnonzero(flags.any(0)).tolist():
        turns = np.flatnonzero(edges[:, joint]).reshape(-1, 2).tolist()
        for start, stop in turns:
            joints_of.setdefault((start, stop), []).append(joint)
    return [(*run, tuple(joints)) for run, joints in sorted(joints_of.items())]


def known_points(scores: NDArray[np.floating], trusted: float) -> NDArray[np.bool_]:
    """Tell which points are known: seen at all, those of the body at least as well as trusted.

    Args:
        scores: (..., 134).
        trusted: least score of a body point.
    """
    known: NDArray[np.bool_] = np.greater(scores, 0)
    known[..., : FEET.stop] &= scores[..., : FEET.stop] >= trusted
    return known


def _frames(usual: int, rate: FrameRate) -> int:
    """Return how many frames at a rate last as long as a number of usual ones; 0 stays 0."""
    return max(1, round(usual * rate.fraction / _USUAL_RATE)) if usual else 0


def number_jumps(
    points: NDArray[np.float64], scores: NDArray[np.float64], size: float
) -> NDArray[np.int64]:
    """Number each point's stays: (frames, 134), from 0, one more after every jump of that point.

    A limb may jump where the body does not: in clips with frames left out or put together. What
    smooths over such a step puts the limb where it never was.
    """
    if len(points) < 2:
        return np.zeros(scores.shape, np.int64)
    steps = np.linalg.norm(np.diff(points, axis=0), axis=-1)
    steps[(scores[1:] <= 0) | (scores[:-1] <= 0)] = 0
    around = np.pad(steps, ((_OUTLIER_REACH, _OUTLIER_REACH), (0, 0)))
    near = sliding_window_view(around, 2 * _OUTLIER_REACH + 1, axis=0).copy()
    near[..., _OUTLIER_REACH] = 0
    jumped = (steps > _JUMP * size) & (steps > _SUDDEN * near.max(-1))
    return np.concatenate([np.zeros((1, POINT_COUNT), np.int64), np.cumsum(jumped, axis=0)])


def _outliers(
    points: NDArray[np.float64],
    scores: NDArray[np.float64],
    scene: NDArray[np.int64],
    size: float,
    deviations: float,
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Find points far from where their neighbours in time say they should be: (frames, 134).

    How far beyond the limit each one was comes back too, 0 to 1, of the same shape.

    The neighbours' word is a parabola that one wild point among them does not bend, and their own
    distance from it says how far is far: a fast move is no outlier, nor is a sharp accent.
    """
    span = 2 * _OUTLIER_REACH + 1
    pad = ((_OUTLIER_REACH, _OUTLIER_REACH), (0, 0))
    near = sliding_window_view(np.pad(points, (*pad, (0, 0))), span, axis=0)
    known = sliding_window_view(np.pad(scores > 0, pad), span, axis=0).copy()
    scenes = sliding_window_view(np.pad(scene, pad, constant_values=-1), span, axis=0)
    known &= scenes == scene[..., None]
    known[..., _OUTLIER_REACH] = False
    least = np.full(POINT_COUNT, _STILL / 2 * size)
    least[: FEET.stop] *= 2
    found, sure = np.zeros(scores.shape, bool), np.zeros(scores.shape)
    # Nothing can be an outlier that lies near the middle of its neighbours.
    away = np.linalg.norm(points - _masked_mean(near, known), axis=-1) > least
    suspects = np.nonzero(away & (scores > 0) & (known.sum(-1) > _OUTLIER_REACH))
    if len(suspects[0]):
        weights = known[suspects].astype(np.float64)
        offsets = near[suspects].transpose(0, 2, 1) - points[suspects][:, None]
        expected, spread = _robust_parabola(offsets, weights)
        limit = np.maximum(deviations * spread, least[suspects[1]])
        distance = np.linalg.norm(expected, axis=-1)
        found[suspects] = distance > limit
        sure[suspects] = np.maximum(1 - limit / np.maximum(distance, 1e-9), 0)
    # A hand that turns fast keeps its shape only if its points stay or go together.
    for part in (LEFT_HAND, RIGHT_HAND, FACE):
        mostly = found[:, part].sum(1) * 2 > (scores[:, part] > 0).sum(1)
        found[:, part] = mostly[:, None]
    return found, sure


def _robust_parabola(
    values: NDArray[np.float64], known: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit parabolas with least absolute distances (iteratively reweighted least squares).

    Args:
        values: (cases, 7, 2), around time 0.
        known: (cases, 7), 1 or 0.

    Returns:
        The values at time 0, (cases, 2), and the typical distance of the known ones from their
        parabola, the largest left out, (cases,).
    """
    time = np.arange(-_OUTLIER_REACH, _OUTLIER_REACH + 1) / _OUTLIER_REACH
    powers = time[:, None] ** np.arange(3)
    weights = known
    for _ in range(_REWEIGHTINGS):
        normal = np.einsum("wa,cw,wb->cab", powers, weights, powers) + 1e-9 * np.eye(3)
        moments = np.einsum("wa,cw,cwx->cax", powers, weights, values)
        parabola = np.linalg.solve(normal, moments)
        distance = np.linalg.norm(values - powers @ parabola, axis=-1) * known
        weights = known / np.maximum(distance, 0.5)
    rest = distance.sum(-1) - distance.max(-1)
    return parabola[:, 0], rest / np.maximum(known.sum(-1) - 1, 1)


def _masked_mean(values: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean over the last axis of what is known: (frames, joints, 2); 0 for nothing."""
    total = np.where(known[:, :, None], values, 0).sum(-1)
    return np.asarray(total / np.maximum(known.sum(-1), 1)[..., None])


def fill_gaps(
    points: NDArray[np.float64],
    scores: NDArray[np.float64],
    scene: NDArray[np.int64],
    longest: int,
    trusted: float,
    joints: Collection[int] = range(POINT_COUNT),
    picture: tuple[int, int] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Fill short gaps of one person's points with a curve between their ends.

    Hands and face move along with wrist and nose where those are known. Where there is nothing to
    see, nothing is filled: a hand whose wrist is unknown, a point that has left the picture.

    Args:
        points: (frames, 134, 2).
        scores: (frames, 134).
        scene: (frames,), a number that changes at every cut.
        longest: frames that a gap may be long.
        trusted: body points of a lower score count as unknown.
        joints: the points to fill.
        picture: width and height of what can be seen; None: all gaps are filled, whatever is seen.

    Returns:
        Points, scores, and which were filled, (frames, 134).
    """
    points, scores = points.copy(), scores.copy()
    known, filled = known_points(scores, trusted), np.zeros(scores.shape, bool)
    for joint in range(FEET.stop):
        if joint not in joints:
            continue
        filled[:, joint] = _fill(
            points[:, joint], scores[:, joint], known[:, joint], scene, longest, None, picture
        )
    for place, anchor in ANCHORS:
        usable = scores[:, anchor] >= (trusted or 1e-6)
        path = np.where(usable[:, None], points[:, anchor], np.nan)
        for joint in range(place.start, place.stop):
            if joint not in joints:
                continue
            filled[:, joint] = _fill(
                points[:, joint], scores[:, joint], known[:, joint], scene, longest, path, picture
            )
    return points, scores, filled


def _fill(
    points: NDArray[np.float64],
    scores: NDArray[np.float64],
    known: NDArray[np.bool_],
    scene: NDArray[np.int64],
    longest: int,
    anchor: NDArray[np.float64] | None,
    picture: tuple[int, int] | None,
) -> NDArray[np.bool_]:
    """Fill the gaps of one point in place: (frames, 2), (frames,), (frames,); return where."""
    filled = np.zeros(len(points), bool)
    there = np.flatnonzero(known)
    gaps = there[:-1][(np.diff(there) > 1) & (np.diff(there) <= longest + 1)]
    for before in gaps.tolist():
        after = int(there[np.searchsorted(there, before) + 1])
        if scene[before] != scene[after]:
            continue
        length, gap = after - before - 1, slice(before + 1, after)
        share = np.arange(1, length + 1) / (length + 1)
        start = max(before - _RUN_UP, 0)
        near = slice(start, after + _RUN_UP + 1)
        path, usable = points[near], known[near] & (scene[near] == scene[before])
        base = np.zeros_like(path)
        carried = anchor is None or bool(np.isfinite(anchor[before : after + 1]).all())
        if picture is not None and not carried:
            continue
        if anchor is not None and carried:
            usable &= np.isfinite(anchor[near]).all(1)
            base = np.where(usable[:, None], anchor[near], 0)
            base[before + 1 - start : after - start] = anchor[gap]
        curve = _bridge(path - base, usable, before - start, after - start)
        curve = curve + base[before + 1 - start : after - start]
        if picture is not None and _leaves(points[before], curve, points[after], picture):
            continue
        points[gap] = curve
        # The further from what was seen, the less sure: down to half.
        lowered = 1 - np.minimum(share, 1 - share) * (length + 1) / (longest + 1)
        scores[gap] = lowered * (scores[before] + share * (scores[after] - scores[before]))
        filled[gap] = True
    return filled


def _leaves(
    before: NDArray[np.float64],
    curve: NDArray[np.float64],
    after: NDArray[np.float64],
    picture: tuple[int, int],
) -> bool:
    """Tell whether a point was lost because it left the picture: (2,), (frames, 2), (2,)."""
    size = np.array(picture)
    if ((curve < 0) | (curve >= size)).any():
        return True
    edge = _EDGE * max(picture)
    ends = np.stack([before, after])
    return bool(((ends < edge).all(0) | (ends >= size - edge).all(0)).any())


def _bridge(
    points: NDArray[np.float64], known: NDArray[np.bool_], before: int, after: int
) -> NDArray[np.float64]:
    """Return places between two frames on a cubic that leaves and arrives at the speed seen there.

    On dances this is half as far from the truth as a straight line.
    """
    chord = points[after] - points[before]
    length = after - before
    slopes = []
    for end, step in ((before, -1), (after, 1)):
        reach = next((n for n in (_RUN_UP, 1) if _is_known(known, end + n * step)), 0)
        speed = (points[end + reach * step] - points[end]) / (reach * step) if reach else 0
        slopes.append(speed * length - chord if reach else np.zeros(2))
    share = (np.arange(1, length) / length)[:, None]
    leaving, arriving = share * (1 - share) ** 2, share**2 * (share - 1)
    curve = points[before] + share * chord + leaving * slopes[0] + arriving * slopes[1]
    return np.asarray(curve)


def _is_known(known: NDArray[np.bool_], frame: int) -> bool:
    """Tell whether a frame exists and is known."""
    return 0 <= frame < len(known) and bool(known[frame])
