"""Put the frames of a video on an exact grid, whatever its time stamps look like.

A render has one frame at every ``i / rate``. Most videos do too, but telephones and screen
recorders write a frame when they have one (variable rate), and Matroska rounds times to a
millisecond. Constant rates are recognised in spite of rounding; a variable-rate video is put on
the grid of the common rate next to its usual one, and keypoints between two of its
frames are interpolated, so that frame ``i`` of the track always shows time ``i / rate``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from statistics import median

import numpy as np
from numpy.typing import NDArray

from marionext.frames import FrameRate

__all__ = ["Timing", "nearest_frames", "plan_timing", "resample"]

_COMMON_RATES = (
    *(Fraction(rate) for rate in (5, 6, 8, 10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 72, 90)),
    *(Fraction(rate) for rate in (100, 120, 144, 200, 240)),
    *(Fraction(rate * 1000, 1001) for rate in (12, 15, 24, 30, 48, 60, 120, 240)),
)
_FALLBACK_RATE = Fraction(25)
_ROUNDING = Fraction(1, 1000)
"""Time stamps may be this far off the grid, in seconds: containers round to milliseconds."""
_SAME = Fraction(1, 10_000)
_NEAR = Fraction(1, 50)
"""A rate may be lower than the frames come by this part: clocks of telephones drift."""
_LONGEST_BRIDGE = Fraction(1, 4)
"""Between frames further apart than this (seconds) the first is held: a still, not a motion."""


@dataclass(frozen=True, slots=True)
class Timing:
    """The grid a video's frames are put on."""

    rate: FrameRate
    """Exact frames per second of the grid."""
    count: int
    """Number of frames on the grid."""
    variable: bool
    """True when the video's own frames do not lie on the grid."""


def plan_timing(
    times: Sequence[Fraction],
    *,
    declared: Sequence[Fraction] = (),
    tick: Fraction = _ROUNDING,
    last_duration: Fraction | None = None,
) -> Timing:
    """Find the exact rate of a video from the times of its frames.

    Args:
        times: seconds at which each frame is shown, ascending, at least one.
        declared: rates that the file claims, the most trustworthy first.
        tick: the container's time unit in seconds.
        last_duration: how long the last frame is shown, if the file tells.

    Returns:
        The rate that all frames fit with a constant interval, if there is one, and as many grid
        frames as there are frames; else the grid of a variable-rate video.
    """
    usual = [_exact(rate) for rate in declared if rate > 0]
    if len(times) < 2:
        rate = usual[0] if usual else _FALLBACK_RATE
        return Timing(FrameRate(rate), 1, variable=False)
    constant = _constant_rate(times, usual, tick)
    if constant is not None:
        return Timing(FrameRate(constant), len(times), variable=False)
    mean = (times[-1] - times[0]) / (len(times) - 1)

    steps = [later - earlier for earlier, later in pairwise(times)]
    usual_step = median(steps) or mean or 1 / _FALLBACK_RATE
    # Dropped frames leave steps of twice or three times the usual; counted as such, all steps
    # together tell the interval better than any one, which is rounded.
    whole_steps = sum(max(round(step / usual_step), step >= usual_step / 4) for step in steps)
    interval = (times[-1] - times[0]) / whole_steps if whole_steps else usual_step
    interval = interval or usual_step
    # The grid is ours to choose: a common rate, and none that would lose frames.
    enough = [rate for rate in _COMMON_RATES if rate * interval >= 1 - _NEAR] or [
        max(_COMMON_RATES)
    ]
    nearest = sorted(enough, key=lambda rate: abs(1 / rate - interval))[:2]
    fitting = [rate for rate in nearest if abs(1 / rate - interval) * whole_steps <= 2 * _ROUNDING]
    # 30 and 29.97 cannot be told apart in a second or two: the plain one, unless only one fits.
    rate = min(fitting or nearest, key=lambda rate: rate.denominator)
    length = times[-1] - times[0]
    # As everywhere: the grid's times that are less than the duration, but for rounding; and the
    # last frame has a place, however short the file says that it is shown.
    count = max(
        math.ceil((length + (last_duration or interval) - _ROUNDING) * rate),
        math.floor((length + _ROUNDING) * rate) + 1,
    )
    return Timing(FrameRate(rate), count, variable=True)


def nearest_frames(times: Sequence[Fraction], timing: Timing) -> NDArray[np.int64]:
    """Tell which of the video's frames is the nearest in time to each frame of the grid.

    Args:
        times: seconds since the grid's first frame, ascending.
        timing: the grid.

    Returns:
        Indices into ``times``, of length ``timing.count``, ascending.
    """
    if not timing.variable:
        return np.minimum(np.arange(timing.count), len(times) - 1)
    seconds = np.array([float(time) for time in times])
    grid = _grid(timing)
    after = np.clip(np.searchsorted(seconds, grid), 0, len(seconds) - 1)
    before = np.maximum(after - 1, 0)
    nearer_before = grid - seconds[before] <= seconds[after] - grid
    return np.where(nearer_before, before, after)


def resample(
    points: NDArray[np.float32],
    scores: NDArray[np.float32],
    times: Sequence[Fraction],
    timing: Timing,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Move keypoints from the times of a video's frames to the times of the grid.

    Linear between two frames; a point that is unseen in either of them takes the nearest one's
    value, as does every point across a gap of more than a quarter of a second.

    Args:
        points: (frames, people, points, 2).
        scores: (frames, people, points).
        times: seconds since the grid's first frame, ascending.
        timing: the grid.

    Returns:
        Points and scores with ``timing.count`` frames.
    """
    if not timing.variable:
        return points, scores
    nearest = nearest_frames(times, timing)
    seconds = np.array([float(time) for time in times])
    grid = _grid(timing)
    after = np.clip(np.searchsorted(seconds, grid), 1, max(len(seconds) - 1, 1))
    after = np.minimum(after, len(seconds) - 1)
    before = np.maximum(after - 1, 0)
    gap = seconds[after] - seconds[before]
    share = np.clip((grid - seconds[before]) / np.where(gap > 0, gap, 1), 0, 1)
    share = np.where(gap > 0, share, 0).astype(np.float32)
    bridged = (gap <= float(_LONGEST_BRIDGE))[:, None, None]
    both = (scores[before] > 0) & (scores[after] > 0) & bridged
    weight = share[:, None, None]
    mixed_scores = (1 - weight) * scores[before] + weight * scores[after]
    mixed_points = (1 - weight[..., None]) * points[before] + weight[..., None] * points[after]
    return (
        np.where(both[..., None], mixed_points, points[nearest]).astype(np.float32),
        np.where(both, mixed_scores, scores[nearest]).astype(np.float32),
    )


def _exact(claim: Fraction) -> Fraction:
    """Return the common rate that a claim stands for: headers hold 19001/317 for 60000/1001."""
    return next((rate for rate in _COMMON_RATES if abs(claim / rate - 1) < _SAME), claim)


def _constant_rate(
    times: Sequence[Fraction], claimed: Sequence[Fraction], tick: Fraction
) -> Fraction | None:
    """Return the rate that all frames come at, None where there is none.

    Over a few frames of a coarse clock several rates fit, so the order matters: what rounding alone
    explains before what trembles; of those a rate that is claimed and common (29.97 and 30 cannot
    be told apart in a second), one that the clock counts exactly (1/16 of a second is 16, though
    15 is near), the common ones, plain ones first, then whole numbers, then whatever is claimed.
    """
    mean = (times[-1] - times[0]) / (len(times) - 1)
    if mean <= 0:
        return None

    def nearness(rate: Fraction) -> tuple[int, Fraction]:
        return rate.denominator, abs(1 / rate - mean)

    step = times[1] - times[0]
    exact = all(later - earlier == step for earlier, later in pairwise(times))
    counted = [1 / step] if exact and tick > _ROUNDING else []
    whole = round(1 / mean)
    wholes = [Fraction(rate) for rate in range(max(whole - 1, 1), whole + 2)]
    candidates = [
        *(rate for rate in claimed if rate in _COMMON_RATES),
        *counted,
        *sorted(_COMMON_RATES, key=nearness),
        *sorted(wholes, key=nearness),
        *claimed,
    ]
    rounded, trembling = tick * Fraction(101, 100), 2 * max(tick, _ROUNDING) * Fraction(101, 100)
    found = (rate for rate in candidates if _fits(times, rate, tick, rounded))
    near = (rate for rate in candidates if _fits(times, rate, tick, trembling))
    return next(found, 1 / step if exact else next(near, None))


def _fits(times: Sequence[Fraction], rate: Fraction, tick: Fraction, slack: Fraction) -> bool:
    """Tell whether every time lies on the rate's grid, but for some slack in seconds.

    The first time is rounded as well: what counts is the spread, not the distance from it.
    """
    origin = times[0]
    # The end alone refuses nearly every rate, however many times there are.
    if abs(times[-1] - origin - (len(times) - 1) / rate) > min(slack, 1 / (2 * rate)):
        return False
    drifts = [time - origin - index / rate for index, time in enumerate(times)]
    spread = max(drifts) - min(drifts)
    if not spread:
        return True
    # A clock that hardly ticks more often than frames come rounds anything to anything.
    return 5 * tick * rate <= 3 and spread <= min(slack, 1 / (2 * rate))


def _grid(timing: Timing) -> NDArray[np.float64]:
    """Return the seconds of the grid's frames, the first at 0."""
    return np.arange(timing.count) / float(timing.rate)
