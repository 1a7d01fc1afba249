"""A person of our own making, as a rig in T-pose: what the tests of this room move and look at."""

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from marionext.frames import FrameRate
from marionext.motion.animation import JointAnimation

Floats = NDArray[np.float64]
Turns = dict[str, Floats]

_CENTRE = [
    ("Hips", "", (0, 0, 0.95)),
    ("Spine", "Hips", (0, 0, 1.10)),
    ("Chest", "Spine", (0, 0, 1.25)),
    ("Neck", "Chest", (0, 0, 1.50)),
    ("Head", "Neck", (0, -0.02, 1.58)),
    ("HeadTop_End", "Head", (0, -0.02, 1.77)),
]
_SIDE = [
    ("Shoulder", "Chest", (0.04, 0, 1.44)),
    ("Arm", "Shoulder", (0.16, 0, 1.44)),
    ("ForeArm", "Arm", (0.44, 0, 1.44)),
    ("Hand", "ForeArm", (0.69, 0, 1.44)),
    ("UpLeg", "Hips", (0.09, 0, 0.93)),
    ("Leg", "UpLeg", (0.09, 0, 0.50)),
    ("Foot", "Leg", (0.09, 0.02, 0.08)),
    ("ToeBase", "Foot", (0.09, -0.12, 0.02)),
]
_FINGERS = [
    (f"Hand{finger}{joint}", f"Hand{finger}{joint - 1}" if joint > 1 else "Hand", place)
    for finger, places in {
        "Thumb": [(0.71, -0.03, 1.43), (0.74, -0.05, 1.42), (0.77, -0.06, 1.42)],
        "Index": [(0.78, -0.03, 1.44), (0.82, -0.03, 1.44), (0.845, -0.03, 1.44)],
        "Middle": [(0.785, -0.005, 1.44), (0.83, -0.005, 1.44), (0.86, -0.005, 1.44)],
        "Ring": [(0.78, 0.015, 1.44), (0.82, 0.015, 1.44), (0.845, 0.015, 1.44)],
        "Pinky": [(0.77, 0.035, 1.44), (0.80, 0.035, 1.44), (0.82, 0.035, 1.44)],
    }.items()
    for joint, place in enumerate(places, 1)
]


def _about(axis: Floats, degrees: float) -> Floats:
    x, y, z = axis / np.linalg.norm(axis)
    skew = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.radians(degrees)
    return np.eye(3) + np.sin(angle) * skew + (1 - np.cos(angle)) * skew @ skew


def _person(
    turns: list[Turns] | None = None,
    *,
    fingers: bool = True,
    extra: list[tuple[str, str, tuple[float, float, float]]] | None = None,
    at: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> JointAnimation:
    """Build a person who faces -y; ``turns`` gives bones a turn in the world, frame by frame."""
    bones = list(_CENTRE)
    for side, sign in (("Left", 1), ("Right", -1)):
        for name, parent, (x, y, z) in _SIDE + (_FINGERS if fingers else []):
            sided = parent if parent in {"Chest", "Hips"} else side + parent
            bones.append((side + name, sided, (sign * x, y, z)))
    bones += extra or []
    names = tuple(name for name, _, _ in bones)
    parents = np.array([names.index(parent) if parent else -1 for _, parent, _ in bones])
    rest = np.array([place for _, _, place in bones], dtype=np.float64)
    tails = rest + np.array([0.0, 0.0, 0.02])
    for bone in range(len(names)):
        children = np.flatnonzero(parents == bone)
        if len(children):
            tails[bone] = rest[children].mean(axis=0)
        elif "Hand" in names[bone]:
            tails[bone] = rest[bone] + 0.8 * (rest[bone] - rest[parents[bone]])
    frames = turns or [{}]
    heads = np.zeros((len(frames), len(names), 3))
    ends = np.zeros_like(heads)
    rotations = np.zeros((len(frames), len(names), 3, 3))
    for frame, moved in enumerate(frames):
        for bone, parent in enumerate(parents):
            before = np.eye(3) if parent < 0 else rotations[frame, parent]
            rotations[frame, bone] = moved.get(names[bone], np.eye(3)) @ before
            heads[frame, bone] = rest[bone] + at
            if parent >= 0:
                heads[frame, bone] = heads[frame, parent] + before @ (rest[bone] - rest[parent])
            ends[frame, bone] = heads[frame, bone] + rotations[frame, bone] @ (
                tails[bone] - rest[bone]
            )
    return JointAnimation(
        names=names,
        parents=parents,
        heads=heads,
        tails=ends,
        rotations=rotations,
        rest_heads=rest,
        rest_tails=tails,
        rest_rotations=np.broadcast_to(np.eye(3), (len(names), 3, 3)),
        rate=FrameRate(Fraction(30)),
    )


@pytest.fixture
def person() -> Callable[..., JointAnimation]:
    """Build a person in T-pose, or with some bones turned."""
    return _person


@pytest.fixture
def about() -> Callable[[Floats, float], Floats]:
    """Return the rotation about an axis by degrees."""
    return _about
