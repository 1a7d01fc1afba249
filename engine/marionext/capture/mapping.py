"""Bring MediaPipe's landmarks into the points and scores that the pose-map weights were trained on.

The weights saw poses of DWPose. MediaPipe's joints lie at slightly other places and its
visibilities mean something else, so a few points are moved and the scores are those that DWPose
typically gives to a joint, times the visibility. The constants were fitted to the drawings that
ControlNeXt's authors published of two dance clips: with them the median distance between the two
detectors falls from 6.1 and 7.4 to 4.7 and 6.1 pixels at 576 x 1024. The 68 points of the face
follow the well-known table, with an evenly spaced jaw and the brows a little lower.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from marionext.pose.skeleton import (
    FACE,
    LEFT_HAND,
    POINT_COUNT,
    RIGHT_HAND,
    SEEN_SCORE,
)

__all__ = ["Landmarks", "face_68", "whole_body"]

Floats = NDArray[np.floating]

_SOURCES = (
    *(0, -1, 12, 14, 16, 11, 13, 15, 24, 26, 28, 23, 25, 27, 5, 2, 8, 7),
    *(31, -1, 29, 32, -1, 30),
)
"""For each of our body and foot points, MediaPipe's; -1 where it has none (neck, small toes)."""
_TYPICAL_SCORES = np.array(
    (
        *(0.81, 1.0, 0.66, 0.93, 0.68, 0.66, 0.93, 0.68, 0.62, 0.52, 0.50, 0.62, 0.52, 0.50),
        *(0.85, 0.85, 0.90, 0.90),
        *(0.5, 0.0, 0.5, 0.5, 0.0, 0.5),
    )
)
"""What DWPose gives to each of our body and foot points where it is plainly seen."""
_HAND_SCORE = 0.84
_FACE_SCORE = 0.93
"""With these our drawing of the published dance is as bright as the authors' own."""

_NECK = 1
_SHOULDERS = (2, 5)
_FOREARMS = ((3, 4), (6, 7))
_RIGHT_EAR, _LEFT_EAR = 16, 17
_WRIST_SHIFT = 0.05
"""DWPose's wrist is this part of the forearm nearer to the elbow."""
_EAR_SHIFT = 0.12
"""DWPose's ears are this part of their distance further outwards."""

_FACE_POINTS = np.array(
    (
        *(162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389),
        *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300),
        *(168, 197, 5, 4, 75, 97, 2, 326, 305),
        *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
        *(61, 39, 37, 0, 267, 269, 291, 321, 314, 17, 84, 91),
        *(78, 81, 13, 311, 308, 402, 14, 178),
    )
)
"""For each of iBUG's 68 points, the nearest one of MediaPipe's mesh."""
_OVAL = np.array(
    (
        *(162, 127, 234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152),
        *(377, 400, 378, 379, 365, 397, 288, 361, 323, 454, 356, 389),
    )
)
"""The mesh's edge from the right temple over the chin to the left."""
_OVAL_START = 0.75
"""The jaw starts this far between the first two points of the edge, and ends likewise."""
_JAW = slice(0, 17)
_BROWS = slice(17, 27)
_BELOW_BROWS = np.array((46, 53, 52, 65, 55, 285, 295, 282, 283, 276))
_BROW_HEIGHT = 0.6
"""1 is the upper edge of the brow, 0 the lower."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Landmarks:
    """What MediaPipe's landmarkers found of one person in one frame, in pixels."""

    body: Floats
    """(33, 3): x, y, visibility 0 to 1."""
    left_hand: Floats | None = None
    """(21, 2), or None when no hand was found."""
    right_hand: Floats | None = None
    face: Floats | None = None
    """(478, 2), or None when no face was found."""


def whole_body(
    found: Landmarks, size: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Turn landmarks into our 134 points.

    Args:
        found: landmarks in pixels.
        size: width and height of the picture; points outside of it get score 0.

    Returns:
        Points (134, 2) in pixels and scores (134,); unseen points are 0 with score 0.
    """
    points = np.zeros((POINT_COUNT, 2))
    scores = np.zeros(POINT_COUNT)
    for place, source in enumerate(_SOURCES):
        if source >= 0:
            points[place] = found.body[source, :2]
            visibility = found.body[source, 2]
            if visibility >= SEEN_SCORE:
                scores[place] = _TYPICAL_SCORES[place] * min(visibility, 1)
    points[_NECK] = points[list(_SHOULDERS)].mean(0)
    for elbow, wrist in _FOREARMS:
        points[wrist] += _WRIST_SHIFT * (points[elbow] - points[wrist])
    outwards = _EAR_SHIFT * (points[_RIGHT_EAR] - points[_LEFT_EAR])
    points[_RIGHT_EAR] += outwards
    points[_LEFT_EAR] -= outwards
    # DWPose's rule, which the drawings follow: seen where both shoulders are.
    scores[_NECK] = float((scores[list(_SHOULDERS)] > SEEN_SCORE).all())
    for hand, part in ((found.left_hand, LEFT_HAND), (found.right_hand, RIGHT_HAND)):
        if hand is not None:
            points[part], scores[part] = hand[:, :2], _HAND_SCORE
    if found.face is not None:
        points[FACE], scores[FACE] = face_68(found.face), _FACE_SCORE

    inside = ((points >= 0) & (points < size)).all(1)
    scores[~inside] = 0
    points[scores == 0] = 0
    return points.astype(np.float32), scores.astype(np.float32)


def face_68(mesh: Floats) -> Floats:
    """Turn MediaPipe's face mesh into iBUG's 68 points.

    Args:
        mesh: (478, 2) or (468, 2).

    Returns:
        (68, 2), in the unit of the mesh.
    """
    face: Floats = mesh[_FACE_POINTS].astype(float)
    edge = mesh[_OVAL].astype(float)
    edge[0] += _OVAL_START * (edge[1] - edge[0])
    edge[-1] += _OVAL_START * (edge[-2] - edge[-1])
    lengths = np.linalg.norm(np.diff(edge, axis=0), axis=1)
    walked = np.concatenate(([0.0], np.cumsum(lengths)))
    stations = np.linspace(0, walked[-1], 17)
    for axis in range(2):
        face[_JAW, axis] = np.interp(stations, walked, edge[:, axis])
    upper = face[_BROWS]
    face[_BROWS] = _BROW_HEIGHT * upper + (1 - _BROW_HEIGHT) * mesh[_BELOW_BROWS]
    return face
