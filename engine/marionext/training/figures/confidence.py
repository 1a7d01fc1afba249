"""How sure a detector, or the projection of a rig, would be of each keypoint of a drawn figure."""

import numpy as np
from numpy.typing import NDArray

from marionext.motion.occlusion import hidden
from marionext.pose.skeleton import FACE, LEFT_HAND, POINT_COUNT, RIGHT_HAND
from marionext.training.figures.bodies import Build
from marionext.training.figures.heads import HEAD

__all__ = ["confidence"]

Floats = NDArray[np.float32]

_TRUNK = (1, 2, 5, 8, 11)
_FACE = (0, 1, 14, 15, 16, 17, *range(FACE.start, FACE.stop))
_VOLUMES: tuple[tuple[int, int, float, tuple[int, ...]], ...] = (
    (HEAD, HEAD, 0.0, _FACE),
    (2, 8, 0.058, _TRUNK),
    (5, 11, 0.058, _TRUNK),
    (2, 3, 0.025, (2, 3)),
    (3, 4, 0.021, (3, 4, *range(RIGHT_HAND.start, RIGHT_HAND.stop))),
    (5, 6, 0.025, (5, 6)),
    (6, 7, 0.021, (6, 7, *range(LEFT_HAND.start, LEFT_HAND.stop))),
    (8, 9, 0.04, (8, 9)),
    (9, 10, 0.03, (9, 10, 21, 22, 23)),
    (11, 12, 0.04, (11, 12)),
    (12, 13, 0.03, (12, 13, 18, 19, 20)),
)
"""What can hide a point: from one keypoint to another, a radius in heights (0: the head's own),
and the points that are part of it."""

_GUESSED, _LOST = 0.5, 0.85
"""What a hidden point loses: joints of the body are guessed from their neighbours."""


def _hiding() -> Floats:
    table = np.full((POINT_COUNT, len(_VOLUMES)), _LOST, np.float32)
    table[:14] = _GUESSED
    for column, (*_, own) in enumerate(_VOLUMES):
        table[list(own), column] = 0
    return table


_HIDING = _hiding()


def confidence(
    rng: np.random.Generator, points: Floats, build: Build, *, hands: bool, face: bool
) -> Floats:
    """Give each keypoint a score.

    Args:
        rng: the source of chance; how many numbers are drawn does not depend on the poses.
        points: (frames, 135, 3) in heights, as they are seen.
        build: proportions.
        hands: whether the source knows hands at all.
        face: whether it knows faces.

    Returns:
        (frames, 1, 134), 0 to 1.
    """
    scores = np.ones((len(points), POINT_COUNT), np.float32)
    base = rng.uniform(0.75, 1.0, POINT_COUNT).astype(np.float32)
    if rng.uniform() < 0.6:
        scores *= base
    if rng.uniform() < 0.5:
        scores *= 1 - _hidden(points, build)
    facing = (points[:, 0, 2] - points[:, HEAD, 2]) / build.head
    turned = facing < -0.1
    scores[turned, 0] = 0
    scores[turned, FACE] = 0
    for eye, ear in ((14, 16), (15, 17)):
        scores[turned, eye] = 0
        away = points[:, ear, 2] < points[:, HEAD, 2] - 0.5 * build.head
        scores[away, ear] *= 0.35
    if not hands:
        scores[:, LEFT_HAND] = 0
        scores[:, RIGHT_HAND] = 0
    if not face:
        scores[:, FACE] = 0
    return scores[:, None]


def _hidden(points: Floats, build: Build) -> Floats:
    """Return how much of each point's visibility the body takes away: (frames, 134)."""
    sight = np.zeros((len(points), POINT_COUNT, 3), np.float32)
    sight[..., 2] = -1
    radii = np.array([radius or build.head * 0.85 for _, _, radius, _ in _VOLUMES], np.float32)
    return hidden(
        np.ascontiguousarray(points[:, :POINT_COUNT]),
        sight,
        points[:, [start for start, *_ in _VOLUMES]],
        points[:, [end for _, end, *_ in _VOLUMES]],
        radii,
        _HIDING,
    )
