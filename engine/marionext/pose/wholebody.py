"""COCO-WholeBody's 133 keypoints and our 134: the same points in another order, and a neck.

COCO-WholeBody (Jin et al. 2020, arXiv:2007.11858) numbers its body as COCO does, nose first and
left before right; OpenPose's body has a neck, which nobody annotates: it is the middle of the
shoulders. Feet, face and hands are the same in both.
"""

import numpy as np
from numpy.typing import NDArray

from marionext.pose.skeleton import POINT_COUNT, SEEN_SCORE

__all__ = ["WHOLE_BODY_COUNT", "from_whole_body", "to_whole_body"]

WHOLE_BODY_COUNT = 133
"""COCO's 17 body joints, 6 points of the feet, 68 of the face, 21 of each hand."""

_NECK, _RIGHT_SHOULDER, _LEFT_SHOULDER = 1, 2, 5
_COCO_BODY = (0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10)
"""For each of COCO's body joints, its number among ours."""
_PLACES = np.array((*_COCO_BODY, *range(18, POINT_COUNT)))
"""For each of COCO-WholeBody's points, its number among ours; only the neck is not among them."""


def from_whole_body(
    points: NDArray[np.float32], scores: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Bring COCO-WholeBody points into our order and add the neck.

    The neck counts as seen (score 1) where both shoulders are, else as unseen: the rule of the
    detector that the pose-map weights were trained with.

    Args:
        points: (..., 133, 2), any unit.
        scores: (..., 133).

    Returns:
        Points (..., 134, 2) and scores (..., 134).
    """
    all_points = np.zeros((*points.shape[:-2], POINT_COUNT, 2), np.float32)
    all_scores = np.zeros((*scores.shape[:-1], POINT_COUNT), np.float32)
    all_points[..., _PLACES, :] = points
    all_scores[..., _PLACES] = scores
    shoulders = [_RIGHT_SHOULDER, _LEFT_SHOULDER]
    all_points[..., _NECK, :] = all_points[..., shoulders, :].mean(-2)
    all_scores[..., _NECK] = (all_scores[..., shoulders] > SEEN_SCORE).all(-1)
    return all_points, all_scores


def to_whole_body(
    points: NDArray[np.float32], scores: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Bring our points into COCO-WholeBody's order; the neck has no place there.

    Args:
        points: (..., 134, 2).
        scores: (..., 134).

    Returns:
        Points (..., 133, 2) and scores (..., 133).
    """
    return points[..., _PLACES, :], scores[..., _PLACES]
