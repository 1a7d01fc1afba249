"""Values between keyframes: step, linear, spherical and cubic, as glTF 2.0 defines them."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Interpolation", "evaluate_keys"]

Floats = NDArray[np.float64]
Interpolation = Literal["STEP", "LINEAR", "CUBICSPLINE"]

_EARLY = 2e-6
"""Keys are float32 seconds: a frame this close before a key belongs to the key. Relative."""


def evaluate_keys(
    keys: Floats,
    values: Floats,
    times: Floats,
    interpolation: Interpolation,
    *,
    rotations: bool = False,
) -> Floats:
    """Return the values at those times: (times, n). Outside the keys the nearest one holds.

    Args:
        keys: (keys,), ascending, in seconds.
        values: (keys, n), or for CUBICSPLINE (keys, 3, n): tangent in, value, tangent out.
        times: (times,), in seconds.
        interpolation: glTF's name for it.
        rotations: the values are unit quaternions (n = 4): turn along the shorter arc.
    """
    cubic = interpolation == "CUBICSPLINE"
    points = values[:, 1] if cubic else values
    if len(keys) == 1:
        return np.repeat(_unit(points) if rotations else points, len(times), axis=0)
    late = times + _EARLY * (1 + np.abs(times))
    left = np.clip(np.searchsorted(keys, late, side="right") - 1, 0, len(keys) - 2)
    width = (keys[left + 1] - keys[left])[:, None]
    part = (times - keys[left])[:, None] / np.where(width > 0, width, 1)
    part = np.clip(part, 0, 1)
    low, high = points[left], points[left + 1]
    if interpolation == "STEP":
        result = np.where((late >= keys[left + 1])[:, None], high, low)
    elif cubic:
        leave, arrive = width * values[left, 2], width * values[left + 1, 0]
        square, cube = part**2, part**3
        result = (
            (2 * cube - 3 * square + 1) * low
            + (cube - 2 * square + part) * leave
            + (3 * square - 2 * cube) * high
            + (cube - square) * arrive
        )
    elif rotations:
        return _slerp(_unit(low), _unit(high), part)
    else:
        result = (1 - part) * low + part * high
    return _unit(result) if rotations else result


def _unit(quaternions: Floats) -> Floats:
    length = np.linalg.norm(quaternions, axis=-1, keepdims=True)
    still = np.array([0.0, 0.0, 0.0, 1.0])
    return np.where(length > 1e-12, quaternions / np.maximum(length, 1e-12), still)


def _slerp(low: Floats, high: Floats, part: Floats) -> Floats:
    """Turn at constant speed along the shorter arc."""
    cosine = (low * high).sum(axis=-1, keepdims=True)
    high = np.where(cosine < 0, -high, high)
    # The half angle from chord and sum is exact where arccos is not, near 0.
    chord = np.linalg.norm(high - low, axis=-1, keepdims=True)
    span = np.linalg.norm(high + low, axis=-1, keepdims=True)
    angle = 2 * np.arctan2(chord, span)
    sine = np.sin(angle)
    near = sine < 1e-9
    safe = np.where(near, 1.0, sine)
    first = np.where(near, 1 - part, np.sin((1 - part) * angle) / safe)
    second = np.where(near, part, np.sin(part * angle) / safe)
    return _unit(first * low + second * high)
