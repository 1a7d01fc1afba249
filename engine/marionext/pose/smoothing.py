"""Smooth keypoints over time without delay.

A median of three takes out single wrong frames; a Savitzky-Golay filter (a parabola fitted to seven
frames, read off in the middle; Savitzky and Golay 1964) takes out the trembling. On real dances
the two halve the wrists' jitter at no loss of accuracy; causal filters such as One-Euro trail
behind the music. Here the parabola weighs each frame with the detector's score, passes over frames
in which the point is unknown, and never reaches across a cut.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["median_of_three", "savitzky_golay"]

_RIDGE = 1e-9
"""Keeps the fit solvable where few frames are known; far below what float32 points resolve."""


def median_of_three(
    points: NDArray[np.float64], known: NDArray[np.bool_], scene: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Replace each point by the median of itself and both its neighbours in time.

    Points whose neighbours are not both known stay.

    Args:
        points: (frames, joints, 2).
        known: (frames, joints).
        scene: (frames, joints), a number that changes at every cut.
    """
    if len(points) < 3:
        return points
    together = (scene[:-2] == scene[1:-1]) & (scene[1:-1] == scene[2:])
    usable = known[:-2] & known[1:-1] & known[2:] & together
    middle = np.median(np.stack([points[:-2], points[1:-1], points[2:]]), axis=0)
    result = points.copy()
    result[1:-1] = np.where(usable[..., None], middle, points[1:-1])
    return result


def savitzky_golay(
    points: NDArray[np.float64],
    weights: NDArray[np.float64],
    scene: NDArray[np.int64],
    *,
    window: int,
    order: int = 2,
) -> NDArray[np.float64]:
    """Fit a polynomial to the frames around each one, and read it off there.

    With equal weights this is the Savitzky-Golay filter. At both ends of the clip the polynomial is
    that of the first or last whole window, so that the ends do not lag; at a cut it is that of the
    frames on this side of it.

    Args:
        points: (frames, joints, 2).
        weights: (frames, joints), 0 where a point is unknown; those stay as they are.
        scene: (frames, joints), a number that changes at every cut.
        window: frames the polynomial is fitted to, odd.
        order: of the polynomial, less than the window.
    """
    count = len(points)
    window = min(window, count)
    if window <= order + 1:
        return points
    starts = np.clip(np.arange(count) - window // 2, 0, count - window)
    frames = starts[:, None] + np.arange(window)
    time = (frames - np.arange(count)[:, None]) / (window / 2)
    powers = time[..., None] ** np.arange(order + 1)
    near = np.where(scene[frames] == scene[:, None], weights[frames], 0)
    # Centred, since the ridge pulls towards zero.
    offsets = points[frames] - points[:, None]
    # The polynomial of each frame and joint from its normal equations; the value there is its first
    # coefficient.
    normal = np.einsum("fwa,fwj,fwb->fjab", powers, near, powers, optimize=True)
    normal += _RIDGE * np.eye(order + 1)
    moments = np.einsum("fwa,fwj,fwjx->fjax", powers, near, offsets, optimize=True)
    smooth = points + np.linalg.solve(normal, moments)[..., 0, :]
    return np.where((weights > 0)[..., None], smooth, points)
