"""Change a track's frames: another rate, a part of it, single frames. Time is exact.

**Frame contract.** N poses at rate r last N/r seconds. At rate r' they become the poses at the
times 0, 1/r', 2/r' ... that are less than N/r: N' = ceil(N r' / r). Pose k shows the source at
k r / r', a fraction that is never rounded, so that a long clip does not drift.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from marionext.errors import MotionError
from marionext.frames import FrameRange, FrameRate, format_frames
from marionext.pose.measure import number_scenes, person_sizes
from marionext.pose.track import PoseTrack

__all__ = ["resample", "resampled_count", "select", "trim"]


def resampled_count(frames: int, rate: FrameRate, new_rate: FrameRate) -> int:
    """Return how many frames a clip has at another rate."""
    count = frames * new_rate.fraction / rate.fraction
    return -(-count.numerator // count.denominator)


def resample(
    track: PoseTrack, rate: FrameRate, *, method: Literal["linear", "nearest"] = "linear"
) -> PoseTrack:
    """Show the same motion at another frame rate.

    Between two frames a point lies on the line between its places. Where it is known in only one
    of them, or a cut is between them, the nearer frame decides: a gap stays a gap. After the last
    source frame the pose is held.

    Args:
        track: the motion.
        rate: the new rate. ``first`` stays as it is: numbers count from there at the new rate.
        method: ``nearest`` repeats and drops frames instead, half-way ones to the earlier.
    """
    if rate == track.rate:
        return track
    step = track.rate.fraction / rate.fraction
    count = resampled_count(len(track), track.rate, rate)
    before = np.empty(count, np.int64)
    share = np.empty(count)
    for index in range(count):
        place = step * index
        before[index] = place.numerator // place.denominator
        share[index] = place - int(before[index])
    after = np.minimum(before + 1, len(track) - 1)
    nearest = np.where(share > 0.5, after, before)
    points, scores = track.points[nearest], track.scores[nearest]
    if method == "linear":
        both = (track.scores[before] > 0) & (track.scores[after] > 0)
        for person, size in enumerate(person_sizes(track)):
            scene = number_scenes(track.points[:, person], track.scores[:, person], size)
            both[:, person] &= (scene[before] == scene[after])[:, None]
        weight = share.astype(np.float32)[:, None, None]
        between = track.scores[before] * (1 - weight) + track.scores[after] * weight
        scores = np.where(both, between, scores)
        weight = weight[..., None]
        between = track.points[before] * (1 - weight) + track.points[after] * weight
        points = np.where(both[..., None], between, points)
    return track.with_(
        points=points,
        scores=scores,
        origins=track.origins[nearest],
        depths=track.depths[nearest] if track.knows_depths else track.depths,
        rate=rate,
    )


def trim(track: PoseTrack, frames: FrameRange) -> PoseTrack:
    """Keep the frames of a range, which all have to be there.

    Raises:
        MotionError: some are not.
    """
    if frames.start not in track.frames or frames.stop - 1 not in track.frames:
        raise MotionError(
            f"expected frames within {track.frames}, which the motion has, got {frames}"
        )
    part = slice(frames.start - track.first, frames.stop - track.first)
    return _taken(track, part, frames.start)


def select(track: PoseTrack, frames: tuple[int, ...]) -> PoseTrack:
    """Keep single frames and put them side by side.

    The result is numbered on from the first of them and keeps the rate: a track has no holes.

    Args:
        track: the motion.
        frames: frame numbers of the track, at least one; order and repetition are kept.

    Raises:
        MotionError: a frame is not there, or none is asked for.
    """
    if not frames:
        raise MotionError("expected at least one frame to select, got none")
    absent = tuple(sorted({frame for frame in frames if frame not in track.frames}))
    if absent:
        raise MotionError(
            f"expected frames within {track.frames}, which the motion has, got "
            f"{format_frames(absent)}"
        )
    return _taken(track, np.array(frames) - track.first, frames[0])


def _taken(track: PoseTrack, which: slice | NDArray[np.int64], first: int) -> PoseTrack:
    """Return some of the frames, numbered from ``first``."""
    return track.with_(
        points=track.points[which],
        scores=track.scores[which],
        origins=track.origins[which],
        depths=track.depths[which] if track.knows_depths else track.depths,
        first=first,
    )
