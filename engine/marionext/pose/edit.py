"""Change poses by hand: each edit makes a new track of the same frames."""

import numpy as np
from numpy.typing import ArrayLike

from marionext.errors import MotionError, SettingsError
from marionext.frames import FrameRange
from marionext.pose.skeleton import MIRRORED, POINT_COUNT
from marionext.pose.track import PoseTrack

__all__ = ["hide", "hold", "mirror", "offset", "set_points"]


def mirror(track: PoseTrack) -> PoseTrack:
    """Turn the picture's left into its right; the right hand becomes the left hand."""
    points = track.points.copy()
    points[..., 0] = track.size[0] - points[..., 0]
    order = list(MIRRORED)
    return track.with_(points=points[..., order, :], scores=track.scores[..., order])


def set_points(
    track: PoseTrack,
    frames: FrameRange,
    joints: tuple[int, ...],
    points: ArrayLike,
    *,
    person: int = 0,
    score: float = 1.0,
) -> PoseTrack:
    """Put joints of one person where they shall be.

    Args:
        track: the motion.
        frames: where in time, by the track's frame numbers.
        joints: which points, 0 to 133.
        points: (joints, 2) for all frames, or (frames, joints, 2); pixels.
        person: whose.
        score: the score they get; 1, since somebody knows.

    Raises:
        MotionError: the track has no such frames, person or joints.
        SettingsError: the points have another shape.
    """
    part = _part(track, frames, joints, person)
    wanted = (len(frames), len(joints), 2)
    try:
        places = np.broadcast_to(np.asarray(points, np.float32), wanted)
    except ValueError:
        raise SettingsError(
            f"expected points of shape {wanted} or {wanted[1:]}, got {np.shape(points)}"
        ) from None
    new_points, new_scores = track.points.copy(), track.scores.copy()
    new_points[part, person, joints] = places
    new_scores[part, person, joints] = score
    return track.with_(points=new_points, scores=new_scores)


def offset(
    track: PoseTrack,
    frames: FrameRange,
    joints: tuple[int, ...],
    by: tuple[float, float],
    *,
    person: int = 0,
    ease: int = 0,
) -> PoseTrack:
    """Move joints of one person by so many pixels.

    Args:
        track: the motion.
        frames: where in time, by the track's frame numbers.
        joints: which points, 0 to 133.
        by: pixels to the right and down.
        person: whose.
        ease: frames at both ends of the range over which the move grows and fades.

    Raises:
        MotionError: the track has no such frames, person or joints.
    """
    part = _part(track, frames, joints, person)
    ramp = np.arange(1, len(frames) + 1, dtype=np.float32)
    strength = np.clip(np.minimum(ramp, ramp[::-1]) / (ease + 1), 0, 1)
    points = track.points.copy()
    points[part, person, joints] += strength[:, None, None] * np.array(by, np.float32)
    return track.with_(points=points)


def hold(
    track: PoseTrack, frames: FrameRange, joints: tuple[int, ...], *, person: int = 0
) -> PoseTrack:
    """Keep joints of one person where they are in the range's first frame.

    Raises:
        MotionError: the track has no such frames, person or joints.
    """
    part = _part(track, frames, joints, person)
    points, scores = track.points.copy(), track.scores.copy()
    points[part, person, joints] = points[part[:1], person, joints]
    scores[part, person, joints] = scores[part[:1], person, joints]
    return track.with_(points=points, scores=scores)


def hide(
    track: PoseTrack, frames: FrameRange, joints: tuple[int, ...], *, person: int = 0
) -> PoseTrack:
    """Make joints of one person unseen.

    Raises:
        MotionError: the track has no such frames, person or joints.
    """
    part = _part(track, frames, joints, person)
    scores = track.scores.copy()
    scores[part, person, joints] = 0
    return track.with_(scores=scores)


def _part(
    track: PoseTrack, frames: FrameRange, joints: tuple[int, ...], person: int
) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Check a selection and return its frame indices as a column, (frames, 1)."""
    if frames.start not in track.frames or frames.stop - 1 not in track.frames:
        raise MotionError(f"expected frames within {track.frames}, got {frames}")
    if not 0 <= person < track.people:
        raise MotionError(f"expected a person below {track.people}, got {person}")
    wrong = [joint for joint in joints if not 0 <= joint < POINT_COUNT]
    if wrong:
        raise MotionError(f"expected points 0 to {POINT_COUNT - 1}, got {wrong}")
    indices = np.arange(frames.start - track.first, frames.stop - track.first)
    return indices.reshape(-1, 1)
