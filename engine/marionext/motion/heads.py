"""The 74 points of a head as a rigid body: what a turned head's keypoints are measured against."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from marionext.motion import face

__all__ = ["head_layout"]

Floats = NDArray[np.float32]


def _cartoon() -> Floats:
    """Return the 68 points on a unit head that faces the viewer: (68, 3)."""
    jaw = np.linspace(-1.45, 1.45, 17)
    points = [(np.sin(a) * 0.82, 0.1 - np.cos(a) * 0.95, 0.55 * np.cos(a)) for a in jaw]
    brow = [(-0.52, 0.30), (-0.44, 0.38), (-0.34, 0.4), (-0.24, 0.38), (-0.15, 0.33)]
    points += [(x, y, 0.78) for x, y in brow]
    points += [(-x, y, 0.78) for x, y in reversed(brow)]
    points += [(0.0, y, 0.95) for y in (0.2, 0.1, 0.0, -0.1)]
    points += [(x, -0.18, 0.9) for x in (-0.12, -0.06, 0.0, 0.06, 0.12)]
    eye = [(-0.12, 0.0), (-0.05, 0.05), (0.05, 0.05), (0.12, 0.0), (0.05, -0.05), (-0.05, -0.05)]
    points += [(-0.32 + x, 0.15 + y, 0.8) for x, y in eye]
    points += [(0.32 + x, 0.15 + y, 0.8) for x, y in eye]
    outer = np.linspace(np.pi, -np.pi, 13)[:12]
    points += [(0.26 * np.cos(a), -0.45 + 0.08 * np.sin(a), 0.78) for a in outer]
    inner = np.linspace(np.pi, -np.pi, 9)[:8]
    points += [(0.18 * np.cos(a), -0.45 + 0.03 * np.sin(a), 0.78) for a in inner]
    return np.array(points, np.float32)


_CARTOON = np.concatenate(
    [_cartoon(), [[0, 0, 0.95], [-0.32, 0.15, 0.8], [0.32, 0.15, 0.8], [-0.88, 0.05, 0],
                  [0.88, 0.05, 0]]]
)  # fmt: skip
_PERSON = np.concatenate([face.FACE_POINTS, face.NOSE[None], face.EYES, face.EARS])
_PERSON = _PERSON * [2.15, 1.96, 1.96] + [0.0, 0.15, -0.08]


@cache
def head_layout(likeness: float) -> Floats:
    """Return the points of a head, in radii: x to the person's left, y up, z to the front.

    Args:
        likeness: between the face of a cartoon, 0, and that of a person, 1.

    Returns:
        (74, 3): the 68 points of the face; nose, right and left eye, right and left ear; the
        centre of the head.
    """
    points = _CARTOON * (1 - likeness) + _PERSON * likeness
    layout = np.concatenate([points, np.zeros((1, 3))]).astype(np.float32)
    layout.flags.writeable = False
    return layout
