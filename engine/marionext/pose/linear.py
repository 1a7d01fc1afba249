"""Place a motion over the character's pose: one scale and one shift for the whole clip.

ControlNeXt-SVD v2 fits the height of the video's joints to those of the reference picture by
least squares, over all frames at once, and takes the same scale for the width; its weights were
trained on maps made that way. It stumbles over crowds, unseen joints and pictures without a pose.
Here the same fit is taken where it makes sense, and a plainer one where it does not.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from marionext.pose.measure import person_boxes
from marionext.pose.skeleton import BODY, SEEN_SCORE
from marionext.pose.track import PoseTrack

__all__ = ["FIT_JOINTS", "LinearFit", "LinearMethod", "apply_linear", "solve_linear"]

FIT_JOINTS = (0, 1, 2, 5, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17)
"""The joints that are fitted: all of the body's but elbows and wrists, which move most."""

LinearMethod = Literal["regression", "joints", "boxes", "picture"]
"""How a fit came about, best first: the reference's least squares; scale and place of the joints
that both show; the boxes around what either shows; the whole picture, since nothing is known."""

_PLAUSIBLE = 3.0
"""A least-squares scale is believed within this factor of the ratio of the figures' sizes."""


@dataclass(frozen=True, slots=True)
class LinearFit:
    """A place for the motion in the reference picture: ``new = scale * old + shift``, in pixels."""

    scale: float
    """Pixels of the reference per pixel of the motion's picture, greater than 0."""
    shift: tuple[float, float]
    """Pixels to the right and down."""
    method: LinearMethod
    """How it came about."""
    joints: tuple[int, ...]
    """The points that were compared."""
    frames: int
    """Frames of the motion that were compared."""


def solve_linear(track: PoseTrack, reference: PoseTrack, *, use_scores: bool = True) -> LinearFit:
    """Find the scale and shift that lay a motion over a pose.

    Args:
        track: the motion. Frames in which one person alone is seen are compared; without any, the
            person who is seen in most.
        reference: the pose of the character, one frame.
        use_scores: leave out joints of the motion that were not seen. The reference implementation
            does not: False gives its numbers.

    Returns:
        The fit, by the best method that works; there always is one.
    """
    target_points, target_scores = reference_person(reference)
    points, scores = _one_person(track)
    seen: NDArray[np.bool_] = np.greater(scores, SEEN_SCORE)
    joints = np.array([joint for joint in FIT_JOINTS if target_scores[joint] > SEEN_SCORE], int)
    by_joints = _fit_joints(points, seen, target_points, np.greater(target_scores, SEEN_SCORE))
    if len(joints):
        used = seen[:, joints] if use_scores else np.ones((len(points), len(joints)), bool)
        fit = _regress(points[:, joints], used, target_points[joints], joints)
        if fit is not None and (not use_scores or _plausible(fit, by_joints)):
            return fit
    if by_joints is not None:
        return by_joints
    return _fit_boxes(points, scores, target_points, target_scores) or whole_picture(
        track.size, reference.size
    )


def apply_linear(
    track: PoseTrack, fit: LinearFit, size: tuple[int, int], *, move_unknown: bool = False
) -> PoseTrack:
    """Return the motion at its new place, in a picture of another size.

    Args:
        track: the motion.
        fit: its place.
        size: width and height of the picture.
        move_unknown: move points of score 0 as well, as the reference implementation does. Else
            they go to 0, 0, where they are not drawn.
    """
    points = track.points.astype(np.float64) * fit.scale + np.array(fit.shift)
    if not move_unknown:
        points = np.where(track.scores[..., None] == 0, 0, points)
    depths = track.depths * np.float32(np.mean(fit.scale))
    return track.with_(points=points.astype(np.float32), size=size, depths=depths)


def reference_person(
    reference: PoseTrack, person: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Return points (134, 2) and scores (134,) of a person of the reference's first frame.

    Where that person is not seen, the one of whom most is; zeros where there is nobody.
    """
    scores: NDArray[np.float32] = reference.scores[0]
    if not reference.people:
        return np.zeros((reference.points.shape[2], 2)), np.zeros(reference.scores.shape[2:], "f4")
    seen = np.asarray(scores > SEEN_SCORE).sum(-1)
    if person >= reference.people or not seen[person]:
        person = int(seen.argmax())
    return reference.points[0, person].astype(np.float64), scores[person]


def whole_picture(size: tuple[int, int], new_size: tuple[int, int]) -> LinearFit:
    """Lay a picture of one size into another, whole and centred."""
    scale = min(new / old for new, old in zip(new_size, size, strict=True))
    shift = tuple((new - scale * old) / 2 for new, old in zip(new_size, size, strict=True))
    return LinearFit(scale, (shift[0], shift[1]), "picture", (), 0)


def _one_person(track: PoseTrack) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Pick the poses to compare: (frames, 134, 2) and (frames, 134), possibly no frames."""
    visible: NDArray[np.bool_] = np.any(track.scores > 0, axis=-1)
    alone = np.flatnonzero(visible.sum(1) == 1)
    if len(alone):
        who = visible[alone].argmax(1)
        return track.points[alone, who].astype(np.float64), track.scores[alone, who]
    if not track.people:
        return np.zeros((0, *track.points.shape[2:])), np.zeros((0, track.scores.shape[2]), "f4")
    main = int((track.scores > SEEN_SCORE).sum((0, 2)).argmax())
    return track.points[:, main].astype(np.float64), track.scores[:, main]


def _regress(
    points: NDArray[np.float64],
    used: NDArray[np.bool_],
    target: NDArray[np.float64],
    joints: NDArray[np.int64],
) -> LinearFit | None:
    """Fit target y to video y by least squares; the mean difference places x.

    Args:
        points: (frames, joints, 2) of the motion.
        used: (frames, joints), which of them count.
        target: (joints, 2) of the reference.
        joints: their numbers.
    """
    if not used.any():
        return None
    goals = np.broadcast_to(target, points.shape)[used]
    places = points[used]
    (x, y), (goal_x, goal_y) = places.T, goals.T
    spread = y - y.mean()
    variance = float(spread @ spread)
    if variance < 1e-6 * len(y):
        return None
    scale = float(spread @ (goal_y - goal_y.mean())) / variance
    shift = (float((goal_x - scale * x).mean()), float(goal_y.mean() - scale * y.mean()))
    counted = tuple(int(joint) for joint in joints[used.any(0)])
    return LinearFit(scale, shift, "regression", counted, int(used.any(1).sum()))


def _plausible(fit: LinearFit, by_joints: LinearFit | None) -> bool:
    """Tell whether a least-squares scale agrees with the figures' sizes.

    It does not when the motion's body is not upright where the reference's is (a handstand, a
    figure lying down), or when too few joints are shared.
    """
    if by_joints is None:
        return False
    return by_joints.scale / _PLAUSIBLE < fit.scale < by_joints.scale * _PLAUSIBLE


def _fit_joints(
    points: NDArray[np.float64],
    seen: NDArray[np.bool_],
    target: NDArray[np.float64],
    target_seen: NDArray[np.bool_],
) -> LinearFit | None:
    """Compare extent and centre of the points that both show, frame by frame; take the median.

    The body's joints are compared if two or more are shared, else hands and face too.
    """
    for part in (BODY, slice(None)):
        both = seen[:, part] & target_seen[part]
        frames = np.flatnonzero(both.sum(1) >= 2)
        if not len(frames):
            continue
        weights = both[frames][..., None] / both[frames].sum(1)[:, None, None]
        middle = (weights * points[frames, part]).sum(1)
        goal = (weights * target[part]).sum(1)
        extent = np.sqrt((weights * (points[frames, part] - middle[:, None]) ** 2).sum((1, 2)))
        wanted = np.sqrt((weights * (target[part] - goal[:, None]) ** 2).sum((1, 2)))
        sound = (extent > 1e-3) & (wanted > 1e-3)
        if not sound.any():
            continue
        scale = float(np.median(wanted[sound] / extent[sound]))
        shift = np.median(goal[sound] - scale * middle[sound], 0)
        joints = np.flatnonzero(both.any(0)) + (part.start or 0)
        counted = tuple(int(joint) for joint in joints)
        place = (float(shift[0]), float(shift[1]))
        return LinearFit(scale, place, "joints", counted, int(sound.sum()))
    return None


def _fit_boxes(
    points: NDArray[np.float64],
    scores: NDArray[np.float32],
    target: NDArray[np.float64],
    target_scores: NDArray[np.float32],
) -> LinearFit | None:
    """Lay the typical box around the motion over the box around the reference."""
    boxes = person_boxes(points, scores)
    boxes = boxes[np.isfinite(boxes).all(1)]
    goal = person_boxes(target, target_scores)
    if not len(boxes) or not np.isfinite(goal).all():
        return None
    box = np.median(boxes, 0)
    sides, wanted = box[2:] - box[:2], goal[2:] - goal[:2]
    usable = (sides > 1) & (wanted > 1)
    if not usable.any():
        return None
    scale = float(np.min(wanted[usable] / sides[usable]))
    shift = (goal[:2] + goal[2:]) / 2 - scale * (box[:2] + box[2:]) / 2
    return LinearFit(scale, (float(shift[0]), float(shift[1])), "boxes", (), len(boxes))
