"""Boxes around people: left, top, right, bottom in pixels."""

import numpy as np
from numpy.typing import NDArray

from marionext.pose.skeleton import SEEN_SCORE

__all__ = ["overlap", "seen_box"]

Floats = NDArray[np.float64]


def seen_box(body: Floats, size: tuple[int, int]) -> Floats | None:
    """Return the box around the landmarks that are seen, cut at the picture's edge.

    Args:
        body: (33, 3): x, y, visibility.
        size: width and height of the picture.

    Returns:
        (4,): left, top, right, bottom; None when fewer than six landmarks are seen.
    """
    seen = body[body[:, 2] > SEEN_SCORE, :2]
    inside = ((seen >= 0) & (seen <= size)).all(1)
    if inside.sum() < 6:
        return None
    seen = np.clip(seen, 0, size)
    return np.concatenate((seen.min(0), seen.max(0)))


def overlap(box: Floats, other: Floats) -> float:
    """Return how much two boxes have in common: intersection over union, 0 to 1."""
    shared = np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2])
    if (shared <= 0).any():
        return 0.0
    both = float(shared.prod())
    return both / float((box[2:] - box[:2]).prod() + (other[2:] - other[:2]).prod() - both)
