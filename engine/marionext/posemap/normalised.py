"""A pose as the drawing takes it: the picture spans 0 to 1, body joints are rows of one table.

This is the form in which the reference hands a pose to its drawing, and so the form of recorded
reference drawings; `normalise` brings points in pixels into it.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from marionext.errors import MotionError, SettingsError
from marionext.pose.skeleton import BODY, FACE, LEFT_HAND, POINT_COUNT, RIGHT_HAND

__all__ = [
    "FACE_RADIUS",
    "JOINT_RADIUS",
    "LIMB_HALF_WIDTH",
    "VISIBLE",
    "NormalisedPose",
    "canvas_size",
    "normalise",
]

VISIBLE = 0.3
"""Body joints with less than this score are not drawn."""

LIMB_HALF_WIDTH = 4
"""Half the width of a limb, in pixels of the canvas."""
JOINT_RADIUS = 4
"""Radius of a body joint and of a hand point, in pixels of the canvas."""
FACE_RADIUS = 3
"""Radius of a face point, in pixels of the canvas."""

_CANVAS_SIDE = 2160
_UNSEEN = -1.0
_FAR = 100.0
"""Points this many pictures away are as good as unseen; the drawing's integers end somewhere."""


@dataclass(frozen=True, slots=True, eq=False)
class NormalisedPose:
    """The people of one frame, in fractions of the picture's width and height (float64)."""

    candidate: NDArray[np.float64]
    """(18 * people, 2): body joints."""
    subset: NDArray[np.float64]
    """(people, 18): the row in ``candidate`` of each joint, -1 for one that is not seen."""
    body_scores: NDArray[np.float64]
    """(people, 18)."""
    hands: NDArray[np.float64]
    """(hands, 21, 2): the left hands of all people, then the right ones."""
    hand_scores: NDArray[np.float64]
    """(hands, 21)."""
    faces: NDArray[np.float64]
    """(faces, 68, 2)."""
    face_scores: NDArray[np.float64]
    """(faces, 68)."""

    @classmethod
    def from_arrays(
        cls,
        candidate: NDArray[np.floating],
        subset: NDArray[np.floating],
        body_scores: NDArray[np.floating],
        hands: NDArray[np.floating],
        hand_scores: NDArray[np.floating],
        faces: NDArray[np.floating],
        face_scores: NDArray[np.floating],
    ) -> Self:
        """Take the arrays of a recorded pose, of any float type, empty ones of any shape."""
        return cls(
            candidate=np.asarray(candidate, np.float64).reshape(-1, 2),
            subset=np.asarray(subset, np.float64).reshape(-1, 18),
            body_scores=np.asarray(body_scores, np.float64).reshape(-1, 18),
            hands=np.asarray(hands, np.float64).reshape(-1, 21, 2),
            hand_scores=np.asarray(hand_scores, np.float64).reshape(-1, 21),
            faces=np.asarray(faces, np.float64).reshape(-1, 68, 2),
            face_scores=np.asarray(face_scores, np.float64).reshape(-1, 68),
        )


def normalise(
    points: NDArray[np.floating], scores: NDArray[np.floating], source_size: tuple[int, int]
) -> NormalisedPose:
    """Bring the people of one frame into the form that is drawn.

    Args:
        points: (people, 134, 2) in pixels of a picture of ``source_size``.
        scores: (people, 134); points with score 0 or less are not drawn, wherever they are.
        source_size: width and height in pixels of the picture the points lie in.

    Raises:
        MotionError: the shapes are not these, or a number is not finite.
    """
    points, scores = np.asarray(points), np.asarray(scores)
    if points.shape[1:] != (POINT_COUNT, 2) or scores.shape != points.shape[:2]:
        raise MotionError(
            f"a pose to draw has points (people, {POINT_COUNT}, 2) and scores "
            f"(people, {POINT_COUNT}), got {points.shape} and {scores.shape}"
        )
    if not (np.isfinite(points).all() and np.isfinite(scores).all()):
        raise MotionError(
            "a pose to draw has keypoints that are not finite (NaN or infinite)",
            hint="Set unknown points to 0 with score 0.",
        )
    people = len(points)
    places = points.astype(np.float64) / np.array(source_size, dtype=np.float64)
    levels = scores.astype(np.float64)
    missing = (levels <= 0) | (np.abs(places) > _FAR).any(axis=2)
    places[missing] = _UNSEEN
    levels[missing] = 0.0
    body_scores = levels[:, BODY]
    rows = np.arange(18 * people, dtype=np.float64).reshape(people, 18)
    return NormalisedPose(
        candidate=places[:, BODY].reshape(-1, 2),
        subset=np.where(body_scores > VISIBLE, rows, -1.0),
        body_scores=body_scores,
        hands=np.concatenate([places[:, LEFT_HAND], places[:, RIGHT_HAND]]),
        hand_scores=np.concatenate([levels[:, LEFT_HAND], levels[:, RIGHT_HAND]]),
        faces=places[:, FACE],
        face_scores=levels[:, FACE],
    )


def canvas_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return width and height of the canvas a map of ``size`` is drawn on and resized from.

    Its shorter side has 2160 pixels, so that strokes keep their width relative to the picture.

    Raises:
        SettingsError: a side is less than 1.
    """
    if min(size) < 1:
        raise SettingsError(f"a pose map's width and height are at least 1, got {size}")
    scale = _CANVAS_SIDE / min(size)
    width, height = (int(side * scale) for side in size)
    return width, height
