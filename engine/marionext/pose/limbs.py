"""Give a dancer's motion the character's proportions, limb by limb, and keep the feet planted.

Every bone keeps its direction and its foreshortening and changes its length by one factor for the
whole clip (`proportions`), so the result moves as smoothly as the motion. The figure is put
together again from the neck outwards; face and hands are scaled as wholes and hang on nose and
wrists. The path is scaled with the legs, and the figure is placed by its standing foot: a foot that
stands still goes on standing still, whatever happened to the legs above it.
"""

import numpy as np
from numpy.typing import NDArray

from marionext.pose.proportions import Proportions
from marionext.pose.skeleton import FACE, FEET, LEFT_HAND, POINT_COUNT, RIGHT_HAND, SEEN_SCORE

__all__ = ["rebuild"]

_HIP_MIDDLE = POINT_COUNT
"""Index of the middle of the hips, which is put after the keypoints."""
_NOSE, _NECK = 0, 1
_EARS = [16, 17]
_ANKLES = (10, 13)

_BONES = (
    # joint, the joint it hangs on, the part of the body that tells its ratio
    (_HIP_MIDDLE, 1, "spine"),
    (2, 1, "shoulders"),
    (5, 1, "shoulders"),
    (3, 2, "upper arm"),
    (6, 5, "upper arm"),
    (4, 3, "forearm"),
    (7, 6, "forearm"),
    (8, _HIP_MIDDLE, "hips"),
    (11, _HIP_MIDDLE, "hips"),
    (9, 8, "thigh"),
    (12, 11, "thigh"),
    (10, 9, "shin"),
    (13, 12, "shin"),
    (0, 1, "neck"),
    *((joint, 0, "head") for joint in (14, 15, 16, 17)),
    *((joint, 13, "shin") for joint in range(FEET.start, FEET.start + 3)),
    *((joint, 10, "shin") for joint in range(FEET.start + 3, FEET.stop)),
    *((joint, 0, "head") for joint in range(FACE.start, FACE.stop)),
    *((joint, 7, "hand") for joint in range(LEFT_HAND.start, LEFT_HAND.stop)),
    *((joint, 4, "hand") for joint in range(RIGHT_HAND.start, RIGHT_HAND.stop)),
)
_JOINTS_WITH_CHILDREN = {parent for _, parent, _ in _BONES}

_STANDING = 0.12
"""Of the leg's length: a foot so much higher than the other bears a third of its weight."""
_OFTEN = 0.3
"""Share of frames in which a joint is seen, for the figure to be placed by it."""
_STEADY_SECONDS = 0.08
"""Deviation of the Gaussian that steadies the correction of the path."""


def rebuild(
    points: NDArray[np.float32],
    scores: NDArray[np.float32],
    proportions: Proportions,
    target: NDArray[np.floating],
    target_scores: NDArray[np.floating],
    frames_per_second: float,
) -> NDArray[np.float32] | None:
    """Rebuild one person's motion with other proportions, where the character stands.

    Args:
        points: (frames, 134, 2) of the motion, pixels.
        scores: (frames, 134).
        proportions: the character's against the dancer's.
        target: (134, 2), the character's pose, pixels of its picture.
        target_scores: (134,).
        frames_per_second: of the motion.

    Returns:
        (frames, 134, 2) in pixels of the character's picture, 0 where the score is 0; None if the
        neck is never seen.
    """
    dense, seen = _complete(points.astype(np.float64), scores)
    if not seen[:, _NECK].any():
        return None
    ratios = proportions.ratios
    # Relative to the neck first; then the neck's own path.
    figure = np.zeros_like(dense)
    known = np.concatenate([scores > 0, seen[:, _HIP_MIDDLE:]], 1)
    raw = dense.copy()
    raw[:, :POINT_COUNT] = np.where((scores > 0)[..., None], points, dense[:, :POINT_COUNT])
    inner = np.zeros_like(dense)
    for joint, parent, part in _BONES:
        base, ratio = inner[:, parent], ratios[part]
        inner[:, joint] = base + ratio * (dense[:, joint] - dense[:, parent])
        figure[:, joint] = base + ratio * (raw[:, joint] - dense[:, parent])
    path = _path(dense, seen, inner, ratios["leg"], frames_per_second)
    path += _place(path[:, None] + inner, seen, target, target_scores)
    result = (path[:, None] + figure)[:, :POINT_COUNT]
    return np.where(known[:, :POINT_COUNT, None], result, 0).astype(np.float32)


def _complete(
    points: NDArray[np.float64], scores: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Give every joint that others hang on a place in every frame.

    Unseen joints keep the place they have against the joint they hang on, changing evenly from
    where they were last seen to where they are seen next; never seen ones lie on that joint. The
    head of somebody who is seen from behind hangs on its ears.

    Returns:
        Places (frames, 135, 2), the middle of the hips last; where each was seen, (frames, 135).
    """
    hips = points[:, [8, 11]].mean(1, keepdims=True)
    places = np.concatenate([points, hips], 1)
    seen = scores > SEEN_SCORE
    seen = np.concatenate([seen, seen[:, [8, 11]].all(1, keepdims=True)], 1)
    shoulders = seen[:, [2, 5]].all(1) & ~seen[:, _NECK]
    places[shoulders, _NECK] = points[shoulders][:, [2, 5]].mean(1)
    seen[shoulders, _NECK] = True
    places[:, _NECK] = _interpolate(places[:, _NECK], seen[:, _NECK])
    known = seen
    ears = seen[:, _EARS]
    if not _often(seen, (_NOSE,)) and float(np.mean(ears.any(1))) >= _OFTEN:
        weights = ears / np.maximum(ears.sum(1, keepdims=True), 1)
        places[:, _NOSE] = (weights[..., None] * points[:, _EARS]).sum(1)
        known = seen.copy()
        known[:, _NOSE] = ears.any(1)
    for joint, parent, _ in _BONES:
        if joint in _JOINTS_WITH_CHILDREN or joint == _HIP_MIDDLE:
            bone = places[:, joint] - places[:, parent]
            places[:, joint] = places[:, parent] + _interpolate(bone, known[:, joint])
    return places, seen


def _interpolate(values: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Fill unknown rows of (frames, 2) evenly between known ones; zeros if none is known."""
    if not known.any():
        return np.zeros_like(values)
    frames = np.arange(len(values))
    return np.column_stack(
        [np.interp(frames, frames[known], values[known, axis]) for axis in range(2)]
    )


def _path(
    dense: NDArray[np.float64],
    seen: NDArray[np.bool_],
    inner: NDArray[np.float64],
    scale: float,
    frames_per_second: float,
) -> NDArray[np.float64]:
    """Return the neck's new path: (frames, 2), but for a constant.

    What the figure stands on (the lower foot; of two on the ground a bit of each) moves as it did,
    scaled; the neck follows.
    """
    if _often(seen, _ANKLES):
        lower, raised = dense[:, _ANKLES, 1], inner[:, _ANKLES]
        height = float(np.percentile(lower.max(1) - dense[:, _NECK, 1], 75))
        steepness = 1 / max(_STANDING * abs(height), 1)
        weights = np.exp((lower - lower.max(1, keepdims=True)) * steepness)[..., None]
        weights /= weights.sum(1, keepdims=True)
        stand = (weights * dense[:, _ANKLES]).sum(1)
        new_stand = (weights * raised).sum(1)
    elif _often(seen, (_HIP_MIDDLE,)):
        stand, new_stand = dense[:, _HIP_MIDDLE], inner[:, _HIP_MIDDLE]
    else:
        return scale * dense[:, _NECK]
    correction = scale * (stand - dense[:, _NECK]) - new_stand
    return scale * dense[:, _NECK] + _steady(correction, _STEADY_SECONDS * frames_per_second)


def _often(seen: NDArray[np.bool_], joints: tuple[int, ...]) -> bool:
    """Tell whether all the joints are seen in a good part of the clip."""
    return bool((seen[:, joints].mean(0) >= _OFTEN).all())


def _steady(values: NDArray[np.float64], deviation: float) -> NDArray[np.float64]:
    """Smooth (frames, 2) with a Gaussian over time, ends mirrored about their value."""
    reach = min(int(3 * deviation), len(values) - 1)
    if reach < 1:
        return values
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    kernel /= kernel.sum()
    ahead = 2 * values[0] - values[reach:0:-1]
    behind = 2 * values[-1] - values[-2 : -reach - 2 : -1]
    padded = np.concatenate([ahead, values, behind])
    return np.column_stack([np.convolve(padded[:, axis], kernel, "valid") for axis in range(2)])


def _place(
    figure: NDArray[np.float64],
    seen: NDArray[np.bool_],
    target: NDArray[np.floating],
    target_scores: NDArray[np.floating],
) -> NDArray[np.float64]:
    """Return the shift that brings the figure to where the character stands: (2,).

    Sideways the trunks are brought together; in height the ground, or else the trunks.
    """
    hips = target[[8, 11]].mean(0, keepdims=True)
    goal = np.concatenate([target, hips])
    goal_seen = target_scores > SEEN_SCORE
    goal_seen = np.append(goal_seen, goal_seen[[8, 11]].all())
    goal[_NECK] = goal[_NECK] if goal_seen[_NECK] else goal[[2, 5]].mean(0)
    goal_seen[_NECK] |= goal_seen[[2, 5]].all()
    trunk = [
        joint for joint in (_NECK, _HIP_MIDDLE) if goal_seen[joint] and _often(seen, (joint,))
    ] or [joint for joint in range(len(goal)) if goal_seen[joint] and _often(seen, (joint,))]
    if not trunk:
        return np.zeros(2)
    shift: NDArray[np.float64] = np.median((goal[trunk] - figure[:, trunk]).mean(1), 0)
    if goal_seen[list(_ANKLES)].all() and _often(seen, _ANKLES):
        ground = float(np.median(figure[:, _ANKLES, 1].max(1)))
        shift[1] = goal[list(_ANKLES), 1].max() - ground
    return shift
