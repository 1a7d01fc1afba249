# SPDX-License-Identifier: GPL-3.0-or-later
"""The pose of the moment, edited as a render edits it.

An edit may look at other frames than its own. So a pose that is being made takes the place of the
one that was recorded of its frame, and the whole motion is edited.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from marionext import pose
from marionext.edits import PoseEdit, Smooth
from marionext.frames import FrameRange, FrameRate
from marionext.pose import PoseTrack

from ..scene.live import Shown

__all__ = ["edited_pose", "edited_poses", "pose_of", "thinned"]

_ANY_RATE = FrameRate(Fraction(1))


def pose_of(shown: Shown, number: int) -> PoseTrack:
    """Return the pose of everybody who is shown, as a track of one frame with that number."""
    views = shown.views
    return PoseTrack(
        points=np.stack([view.pixels for view in views], axis=1),
        scores=np.stack([view.scores for view in views], axis=1),
        depths=np.stack([view.depths for view in views], axis=1),
        size=shown.size,
        rate=_ANY_RATE,
        first=number,
    )


def edited_pose(
    now: PoseTrack, edits: tuple[PoseEdit, ...], motion: PoseTrack | None = None
) -> PoseTrack:
    """Return one pose as edits leave it.

    Args:
        now: the pose, with the number of its frame.
        edits: in their order.
        motion: as it was recorded, of as many people and in such a picture; None, or one without
            that number: the pose is edited as a motion of its own.

    Raises:
        MotionError: an edit cannot be made; says which.
    """
    if motion is None or now.first not in motion.frames:
        return pose.apply(now, edits)
    row = now.first - motion.first
    put: dict[str, Any] = {"points": motion.points.copy(), "scores": motion.scores.copy()}
    if motion.knows_depths and now.knows_depths:
        put["depths"] = motion.depths.copy()
    for name, values in put.items():
        values[row] = getattr(now, name)[0]
    return pose.apply_at(motion.with_(**put), edits, now.first)


def edited_poses(
    track: PoseTrack, numbers: Sequence[int], edits: tuple[PoseEdit, ...]
) -> PoseTrack:
    """Return poses that lie apart in time as edits leave them, each as a motion of its own.

    What trembles is not calmed by that: it is for who wants to know where somebody is.

    Args:
        track: the poses, one after the other.
        numbers: that they have in the motion.
        edits: in their order.

    Raises:
        MotionError: an edit cannot be made; says which.
    """
    useful = tuple(edit for edit in edits if not isinstance(edit, Smooth))
    if not useful:
        return track
    alone = (
        pose.trim(track, FrameRange(place, place + 1)).with_(first=number)
        for place, number in enumerate(numbers, track.first)
    )
    edited = [pose.apply(each, useful) for each in alone]
    return track.with_(
        points=np.concatenate([each.points for each in edited]),
        scores=np.concatenate([each.scores for each in edited]),
        origins=np.concatenate([each.origins for each in edited]),
    )


def thinned(motion: PoseTrack, most: int) -> PoseTrack:
    """Return at most so many poses of a motion, evenly spread, both ends among them."""
    if len(motion) <= most:
        return motion
    last = len(motion) - 1
    rows = np.linspace(0, last, most).round().astype(int)
    return motion.with_(
        points=motion.points[rows],
        scores=motion.scores[rows],
        origins=motion.origins[rows],
        rate=FrameRate(motion.rate.fraction * Fraction(most - 1, last)),
    )
