"""Mend what detectors get wrong: exchanged sides, single wild points, short gaps, trembling.

Everything looks at the whole clip, backwards and forwards alike, so nothing lags behind the music,
and nothing reaches across a cut. Points that are unknown for longer than a short gap stay unknown.
"""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from marionext.errors import SettingsError
from marionext.frames import FrameRate
from marionext.pose.measure import number_scenes, person_sizes
from marionext.pose.skeleton import FACE, FEET, LEFT_HAND, POINT_COUNT, RIGHT_HAND, SEEN_SCORE
from marionext.pose.smoothing import median_of_three, savitzky_golay
from marionext.pose.swaps import repair_swaps
from marionext.pose.track import PoseTrack

__all__ = ["CleanUp", "clean"]

_USUAL_RATE = 30
"""Frames in the options are frames at this rate; at other rates they last as long."""

_JUMP = 0.08
"""Share of the person's size that a step is long, to be a jump of a single limb ..."""
_SUDDEN = 3.0
"""... and so many times longer than any step shortly before and after."""

_OUTLIER_REACH = 3
"""Frames before and after, with which a point is compared."""
_STILL = 0.06
"""Share of the person's size below which no body point is an outlier; of hands and face half."""
_REWEIGHTINGS = 6

_ANCHORS = ((LEFT_HAND, 7), (RIGHT_HAND, 4), (FACE, 0))
"""Parts that go along with a joint of the body while they are out of sight."""

_LOWEST_WEIGHT = 0.05
_RUN_UP = 2
"""Frames before and after a gap that tell the speed at its ends; one alone trembles too much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanUp:
    """What is mended in a pose track. Frames are frames at 30 frames/s: at 60 twice as many."""

    repair_swaps: bool = True
    """Undo exchanges of left and right."""
    outliers: float = 5.0
    """Remove points that lie further than so many deviations from their neighbours in time;
    0 keeps all."""
    longest_gap: int = 8
    """Fill gaps up to so many frames; 0 fills none."""
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


def clean(track: PoseTrack, options: CleanUp | None = None) -> PoseTrack:
    """Mend a track, person by person.

    People must be the same person all along (`keep_identities`). Scores of filled points are lower
    than their neighbours'; all else keeps its score. A clip of one frame comes back as it is.

    Args:
        track: the motion.
        options: what to mend; None for all of it.
    """
    options = options or CleanUp()
    points = track.points.astype(np.float64)
    scores = track.scores.astype(np.float64)
    sizes = person_sizes(track)
    gap = _frames(options.longest_gap, track.rate)
    window = _frames(options.window, track.rate)
    for person in range(track.people if len(track) > 1 else 0):
        place, score = points[:, person], scores[:, person]
        scene = number_scenes(place, score, sizes[person])
        if options.repair_swaps:
            place, score, _ = repair_swaps(
                place,
                score,
                scene,
                sizes[person],
                seen=options.trusted or 1e-6,
                pace=_USUAL_RATE / float(track.rate),
            )
        breaks = scene[:, None] + _jumps(place, score, sizes[person])
        if options.outliers:
            wild = _outliers(place, score, breaks, sizes[person], options.outliers)
            score = np.where(wild, 0, score)
        if gap:
            place, score = _fill_gaps(place, score, scene, gap, options.trusted)
        if options.median:
            place = median_of_three(place, score > 0, breaks)
        if window:
            weights = np.where(score > 0, np.clip(score, _LOWEST_WEIGHT, 1), 0)
            place = savitzky_golay(place, weights, breaks, window=max(window | 1, 5))
        points[:, person], scores[:, person] = place, score
    return track.with_(points=points.astype(np.float32), scores=scores.astype(np.float32))


def _frames(usual: int, rate: FrameRate) -> int:
    """Return how many frames at a rate last as long as so many usual ones; 0 stays 0."""
    return max(1, round(usual * rate.fraction / _USUAL_RATE)) if usual else 0


def _jumps(
    points: NDArray[np.float64], scores: NDArray[np.float64], size: float
) -> NDArray[np.int64]:
    """Count each point's jumps from one place where it stays to another: (frames, 134).

    A limb may jump where the body does not: in clips with frames left out or put together. What
    smooths over such a step puts the limb where it never was.
    """
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
) -> NDArray[np.bool_]:
    """Find points far from where their neighbours in time say they should be: (frames, 134).

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
    found = np.zeros(scores.shape, bool)
    # Nothing can be an outlier that lies near the middle of its neighbours.
    away = np.linalg.norm(points - _masked_mean(near, known), axis=-1) > least
    suspects = np.nonzero(away & (scores > 0) & (known.sum(-1) > _OUTLIER_REACH))
    if len(suspects[0]):
        weights = known[suspects].astype(np.float64)
        offsets = near[suspects].transpose(0, 2, 1) - points[suspects][:, None]
        expected, spread = _robust_parabola(offsets, weights)
        limit = np.maximum(deviations * spread, least[suspects[1]])
        found[suspects] = np.linalg.norm(expected, axis=-1) > limit
    # A hand that turns fast keeps its shape only if its points stay or go together.
    for part in (LEFT_HAND, RIGHT_HAND, FACE):
        mostly = found[:, part].sum(1) * 2 > (scores[:, part] > 0).sum(1)
        found[:, part] = mostly[:, None]
    return found


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


def _fill_gaps(
    points: NDArray[np.float64],
    scores: NDArray[np.float64],
    scene: NDArray[np.int64],
    longest: int,
    trusted: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fill short gaps of one person's points with a curve between their ends.

    Hands and face move along with wrist and nose where those are known.
    """
    points, scores = points.copy(), scores.copy()
    known = scores > 0
    known[:, : FEET.stop] &= scores[:, : FEET.stop] >= trusted
    for joint in range(FEET.stop):
        _fill(points[:, joint], scores[:, joint], known[:, joint], scene, longest, None)
    for place, anchor in _ANCHORS:
        usable = scores[:, anchor] >= (trusted or 1e-6)
        path = np.where(usable[:, None], points[:, anchor], np.nan)
        for joint in range(place.start, place.stop):
            _fill(points[:, joint], scores[:, joint], known[:, joint], scene, longest, path)
    return points, scores


def _fill(
    points: NDArray[np.float64],
    scores: NDArray[np.float64],
    known: NDArray[np.bool_],
    scene: NDArray[np.int64],
    longest: int,
    anchor: NDArray[np.float64] | None,
) -> None:
    """Fill the gaps of one point in place: (frames, 2), (frames,), (frames,)."""
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
        if anchor is not None and np.isfinite(anchor[before : after + 1]).all():
            usable &= np.isfinite(anchor[near]).all(1)
            base = np.where(usable[:, None], anchor[near], 0)
            base[before + 1 - start : after - start] = anchor[gap]
        curve = _bridge(path - base, usable, before - start, after - start)
        points[gap] = curve + base[before + 1 - start : after - start]
        # The further from what was seen, the less sure: down to half.
        lowered = 1 - np.minimum(share, 1 - share) * (length + 1) / (longest + 1)
        scores[gap] = lowered * (scores[before] + share * (scores[after] - scores[before]))


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
