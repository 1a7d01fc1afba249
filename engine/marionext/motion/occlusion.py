"""How well a camera sees each point of a body: hidden behind limbs, turned away, or in the open.

The body is a set of capsules (a stretch with a radius) sized by its proportions. A point is
hidden by a capsule if the line of sight passes through it in front of the point; edges are soft,
as a detector's confidence is.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["fade", "hidden"]

Singles = NDArray[np.float32]

_SOFT = 0.5
"""Share of a capsule's radius over which its edge fades."""
_INSIDE = (0.15, 0.75)
"""How far behind a capsule's axis, in radii, a point starts to be hidden and is hidden."""


def fade(values: Singles, low: float, high: float) -> Singles:
    """Rise smoothly from 0 at ``low`` to 1 at ``high`` (smoothstep)."""
    share = np.clip((values - np.float32(low)) * np.float32(1 / (high - low)), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), dtype=np.float32)


def hidden(
    points: Singles,
    sight: Singles,
    starts: Singles,
    ends: Singles,
    radii: Singles,
    hiding: Singles,
) -> Singles:
    """Return how much of each point's visibility the capsules take away.

    Args:
        points: (frames, points, 3) in metres.
        sight: (frames, points, 3), unit vectors from the camera to each point.
        starts: (frames, capsules, 3), one end of each capsule's axis.
        ends: (frames, capsules, 3), the other end.
        radii: (capsules,) in metres.
        hiding: (points, capsules), how much of a point that capsule may hide, 0 to 1.

    Returns:
        (frames, points), 0 (in the open) to 1 (nothing to be seen).
    """
    # Closest approach of the line of sight (through a point x along u) and an axis a + k e, all
    # by products of matrices: w = a - x, and the parts of w and e across u.
    axis = ends - starts
    across = axis.swapaxes(1, 2)
    a_u = sight @ starts.swapaxes(1, 2) - np.sum(points * sight, axis=2)[..., None]
    e_u = sight @ across
    w_e = np.sum(starts * axis, axis=2)[:, None] - points @ across
    w_w = (
        np.sum(starts * starts, axis=2)[:, None]
        - 2 * (points @ starts.swapaxes(1, 2))
        + np.sum(points * points, axis=2)[..., None]
    )
    e_e = np.sum(axis * axis, axis=2)[:, None]
    ee_across = np.maximum(e_e - e_u * e_u, np.float32(1e-9))
    we_across = w_e - a_u * e_u
    place = np.clip(-we_across / ee_across, 0, 1)
    distance = w_w - a_u * a_u + place * (2 * we_across + place * ee_across)
    distance = np.sqrt(np.maximum(distance, 0)) / radii
    behind = -(a_u + place * e_u) / radii
    shadow = fade(-distance, -1.0, -1.0 + _SOFT) * fade(behind, *_INSIDE) * hiding
    return np.asarray(shadow.max(axis=2), dtype=np.float32)
