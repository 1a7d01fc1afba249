"""Small geometry in pictures: places of pixels, distances to limbs, soft steps.

Places are (x, y) in pixels; the centre of the top left pixel is (0.5, 0.5).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["across", "capsule", "length", "places", "smooth", "unit"]

Floats = NDArray[np.floating[Any]]


def length(vector: Floats) -> float:
    """Return the length of a vector (2,)."""
    return float(np.hypot(vector[0], vector[1]))


def unit(vector: Floats) -> Floats:
    """Return a vector (2,) drawn to length 1; one without a length stays as it is."""
    return np.asarray(vector / max(length(vector), 1e-6), np.float32)


def across(vector: Floats) -> Floats:
    """Return a vector (..., 2) turned by a quarter, from right to down."""
    return np.stack([-vector[..., 1], vector[..., 0]], axis=-1)


def places(box: tuple[int, int, int, int]) -> Floats:
    """Return where the pixels of a box are: (h, w, 2).

    Args:
        box: left, top, right, bottom.
    """
    left, top, right, bottom = box
    grid = np.empty((bottom - top, right - left, 2), np.float32)
    grid[..., 0] = np.arange(left, right, dtype=np.float32) + 0.5
    grid[..., 1] = (np.arange(top, bottom, dtype=np.float32) + 0.5)[:, None]
    return grid


def capsule(
    where: Floats, start: Floats, end: Floats, radius: float, end_radius: float | None = None
) -> Floats:
    """Return how far places are from a tapered stretch, in its radii: 1 on its outline.

    Args:
        where: (..., 2).
        start: (2,).
        end: (2,).
        radius: at the start, in pixels.
        end_radius: at the end; None: the same.
    """
    along = end - start
    share = np.clip((where - start) @ along / max(float(along @ along), 1e-6), 0, 1)
    away = where - start - share[..., None] * along
    wide = radius if end_radius is None else radius + share * (end_radius - radius)
    return np.asarray(np.hypot(away[..., 0], away[..., 1]) / wide, np.float32)


def smooth(value: Floats, low: float, high: float) -> Floats:
    """Return a soft step: 0 up to ``low``, 1 from ``high`` on; ``high`` may be the lower one."""
    share = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), np.float32)
