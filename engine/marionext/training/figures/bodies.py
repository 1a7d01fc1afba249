"""Bodies: proportions, and what a skeleton's few angles do not determine: hands, feet, face.

Axes: x to the picture's right, y up, z towards the viewer; a figure that faces the viewer has
its own right hand at smaller x, as in OpenPose.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from marionext.motion.heads import head_layout

__all__ = ["Build", "feet_points", "hand_points", "head_layout", "random_build", "unit"]

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Build:
    """Proportions of a body, as parts of its standing height."""

    trunk: float
    shoulder: float
    """Half the distance between the shoulders."""
    hip: float
    """Half the distance between the hip joints."""
    upper_arm: float
    forearm: float
    thigh: float
    shin: float
    neck: float
    """From the neck (between the shoulders) to the centre of the head."""
    head: float
    """Radius of the head."""
    hand: float
    """Length of a hand."""
    foot: float
    """Length of a foot."""
    likeness: float = 0.0
    """Between the face of a cartoon, 0, and that of a person, 1."""


def random_build(rng: np.random.Generator) -> Build:
    """Draw proportions from grown-up to child, and now and then a head as in a cartoon."""
    child = rng.uniform(0.0, 1.0) ** 2
    large = rng.uniform(0.02, 0.075) if rng.uniform() < 0.18 else 0.0
    legs = rng.uniform(0.9, 1.08) * (1 - 0.12 * child)
    arms = rng.uniform(0.92, 1.1) * (1 - 0.05 * child)
    return Build(
        trunk=rng.uniform(0.27, 0.31),
        shoulder=rng.uniform(0.085, 0.125),
        hip=rng.uniform(0.05, 0.07),
        upper_arm=0.165 * arms,
        forearm=0.15 * arms,
        thigh=0.235 * legs,
        shin=0.225 * legs,
        neck=rng.uniform(0.115, 0.13) + 0.03 * child + 0.8 * large,
        head=rng.uniform(0.068, 0.08) + 0.035 * child + large,
        hand=rng.uniform(0.095, 0.115),
        foot=rng.uniform(0.1, 0.13),
        likeness=max(rng.uniform(-0.6, 1.0), 0.0),
    )


def unit(vectors: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return vectors of length 1 in the directions of some (..., 3)."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-6))


_KNUCKLES = np.array([-0.25, -0.17, -0.02, 0.12, 0.24], np.float32)
"""Where the fingers begin across the palm, in lengths of a hand, from the thumb on."""
_PALM_LENGTHS = np.array([0.18, 0.5, 0.52, 0.49, 0.44], np.float32)
_FINGER_LENGTHS = np.array([0.46, 0.46, 0.5, 0.46, 0.37], np.float32)
_SPREADS = np.array([-0.85, -0.26, -0.05, 0.17, 0.4], np.float32)
_SEGMENTS = (0.45, 0.31, 0.24)


def hand_points(
    build: Build, lower: Floats, twist: Floats, stretched: Floats, sign: float
) -> Floats:
    """Return the 21 points of a hand from the wrist: (frames, 21, 3).

    Args:
        build: proportions.
        lower: (frames, 3) direction of the forearm.
        twist: (frames,) turn about it.
        stretched: (frames, 5) fingers, from the fist's 0 to 1.
        sign: which side of the body.
    """
    # The back of a hand that hangs down at twist 0 faces the viewer; thumbs then point inwards.
    view = np.array([0.05 * sign, 0.25, 1.0], np.float32)
    back = unit(view - (lower @ view)[:, None] * lower)
    across = np.cross(lower, back) * -sign
    cos, sin = np.cos(twist)[:, None], np.sin(twist)[:, None]
    back, across = back * cos + across * sin, across * cos - back * sin
    hand = np.zeros((len(lower), 21, 3), np.float32)
    for finger in range(5):
        bent = (1 - stretched[:, finger, None]) * (0.8 if finger == 0 else 1.55)
        spread = _SPREADS[finger] * (0.4 + 0.6 * stretched[:, finger, None])
        ahead = unit(lower + spread * across)
        place = lower * _PALM_LENGTHS[finger] + across * _KNUCKLES[finger]
        hand[:, 4 * finger + 1] = place * build.hand
        for joint, share in enumerate(_SEGMENTS):
            angle = bent * (0.55 + 0.5 * joint)
            step = ahead * np.cos(angle) - back * np.sin(angle)
            place = place + step * share * _FINGER_LENGTHS[finger]
            hand[:, 4 * finger + joint + 2] = place * build.hand
    return hand


_TOES = np.array([[0.15, -0.25, 0.8], [0.45, -0.25, 0.65], [0.0, -0.2, -0.25]], np.float32)
"""Big toe, small toe and heel from the ankle, in lengths of a foot; x outwards."""


def feet_points(build: Build, hips: Floats, knee: Floats, ankle: Floats, sign: float) -> Floats:
    """Return where a foot is: level, or along with the shin; pose maps say no more about feet.

    Args:
        build: proportions.
        hips: (frames, 3), from the right hip to the left.
        knee: (frames, 3).
        ankle: (frames, 3).
        sign: which side of the body, -1 for the right.

    Returns:
        (frames, 3, 3): big toe, small toe, heel.
    """
    left = unit(hips)
    up = unit(unit(knee - ankle) * 0.55 + np.array([0, 0.45, 0]))
    front = unit(np.cross(left, up))
    left = np.cross(up, front)
    axes = np.stack([left * sign, up, front], axis=1)
    return np.asarray(ankle[:, None] + _TOES @ axes * build.foot, np.float32)
