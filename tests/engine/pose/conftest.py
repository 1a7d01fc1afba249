"""A dancer in three dimensions, of any proportions, seen by a camera far away."""

from dataclasses import dataclass

import numpy as np
import pytest

from marionext.frames import FrameRate
from marionext.pose import PoseTrack
from marionext.pose.skeleton import FACE, LEFT_HAND, POINT_COUNT, RIGHT_HAND


@dataclass(frozen=True)
class Body:
    """Lengths in metres; the defaults are an adult's."""

    spine: float = 0.50
    shoulders: float = 0.36
    hips: float = 0.26
    upper_arm: float = 0.29
    forearm: float = 0.26
    thigh: float = 0.43
    shin: float = 0.42
    neck: float = 0.20
    head: float = 0.20
    hand: float = 0.17


CHILD = Body(0.33, 0.25, 0.18, 0.17, 0.15, 0.22, 0.21, 0.17, 0.19, 0.11)
TALL = Body(0.55, 0.42, 0.28, 0.34, 0.31, 0.54, 0.53, 0.21, 0.19, 0.20)
ADULT = Body()


def turned(x, y, z):
    """Rotation matrices (frames, 3, 3) about x, then y, then z; angles (frames,) or scalars."""
    x, y, z = np.broadcast_arrays(x, y, z)
    result = np.broadcast_to(np.eye(3), (*x.shape, 3, 3))
    for axis, angle in ((0, x), (1, y), (2, z)):
        step = np.zeros((*x.shape, 3, 3))
        step[..., axis, axis] = 1
        i, j = (axis + 1) % 3, (axis + 2) % 3
        step[..., i, i] = step[..., j, j] = np.cos(angle)
        step[..., i, j], step[..., j, i] = -np.sin(angle), np.sin(angle)
        result = step @ result
    return result


def dance(
    body=ADULT, frames=60, *, strength=1.0, size=(576, 1024), metre=None, centre=None, rate="30"
):
    """A dance with steps, bends, waving arms and turns; y down, the floor at 92 % of the height.

    With strength 0 the figure stands still with its arms a little away from it.
    """
    width, height = size
    reach = body.spine + body.thigh + body.shin + body.neck + body.head
    metre = metre or 0.8 * height / reach
    t = np.arange(frames) / 30 * 2 * np.pi
    wave = lambda speed, phase=0.0: strength * np.sin(speed * t + phase)  # noqa: E731
    joints = np.zeros((frames, POINT_COUNT, 3))
    sway = turned(0.15 * wave(0.5), 0.7 * wave(0.25), 0.12 * wave(1.0))
    down, across = np.array([0, 1, 0]), np.array([1, 0, 0])

    def along(rotation, direction, length):
        return (rotation @ direction) * length

    middle = np.zeros((frames, 3))
    neck = middle + along(sway, -down, body.spine)
    joints[:, 1] = neck
    for shoulder, hip, side, phase, hand, toes in (
        (5, 11, 1, 0.0, LEFT_HAND, 18),
        (2, 8, -1, 2.0, RIGHT_HAND, 21),
    ):
        joints[:, shoulder] = neck + along(sway, side * across, body.shoulders / 2)
        raise_arm = side * -(0.35 + 1.1 * strength + 0.9 * wave(1.0, phase))
        upper = sway @ turned(0.3 * wave(0.5, phase), 0, raise_arm)
        lower = upper @ turned(0, 0, side * -(0.3 + 0.5 * strength + 0.5 * wave(2.0, phase)))
        joints[:, shoulder + 1] = joints[:, shoulder] + along(upper, down, body.upper_arm)
        joints[:, shoulder + 2] = joints[:, shoulder + 1] + along(lower, down, body.forearm)
        wrist = joints[:, shoulder + 2]
        joints[:, hand.start] = wrist
        for finger in range(5):
            fan = lower @ turned(0, 0, 0.22 * (finger - 2) * side)
            for joint in range(4):
                length = body.hand * (0.45 + 0.18 * joint) * (0.8 if finger == 0 else 1)
                joints[:, hand.start + 1 + 4 * finger + joint] = wrist + along(fan, down, length)
        joints[:, hip] = middle + along(
            turned(0, 0.7 * wave(0.25), 0), side * across, body.hips / 2
        )
        bend = np.maximum(wave(1.0, 0 if side > 0 else np.pi), 0)
        thigh = turned(-0.9 * bend - 0.15 * strength, 0, side * -0.08)
        shin = thigh @ turned(1.5 * bend + 0.25 * strength, 0, 0)
        joints[:, hip + 1] = joints[:, hip] + along(thigh, down, body.thigh)
        joints[:, hip + 2] = joints[:, hip + 1] + along(shin, down, body.shin)
        ankle = joints[:, hip + 2]
        joints[:, toes : toes + 3] = ankle[:, None] + np.array(
            [[0.02 * side, 0.06, -0.1], [0.05 * side, 0.06, -0.08], [0, 0.04, 0.05]]
        )
    head = sway @ turned(0.1 * wave(1.0), 0.5 * wave(0.5), 0)
    nose = neck + along(head, -down, body.neck)
    joints[:, 0] = nose
    for joint, offset in (
        (14, (-0.15, -0.15, 0.1)),
        (15, (0.15, -0.15, 0.1)),
        (16, (-0.4, -0.05, 0.5)),
        (17, (0.4, -0.05, 0.5)),
    ):
        joints[:, joint] = nose + along(head, np.array(offset), body.head)
    for index, offset in enumerate(face_layout()):
        joints[:, FACE.start + index] = nose + along(head, offset, body.head)
    ground = joints[:, [10, 13], 1].max(1)
    joints[:, :, 1] -= ground[:, None]
    joints[:, :, 0] += 0.2 * wave(0.5)[:, None]
    centre = width / 2 if centre is None else centre
    points = joints[..., :2] * metre + [centre, 0.92 * height]
    return PoseTrack(
        points=points[:, None].astype(np.float32),
        scores=np.full((frames, 1, POINT_COUNT), 0.8, np.float32),
        size=size,
        rate=FrameRate.parse(rate),
    )


def face_layout():
    """68 points of a face in head heights, x to the person's left as seen, y down: (68, 3)."""
    jaw = np.linspace(np.pi, 0, 17)
    points = [(0.38 * np.cos(a), -0.1 + 0.6 * np.sin(a), 0.2) for a in jaw]
    points += [(-0.3 + 0.06 * i, -0.28, 0.05) for i in range(5)]
    points += [(0.06 + 0.06 * i, -0.28, 0.05) for i in range(5)]
    points += [(0, -0.2 + 0.07 * i, -0.02) for i in range(4)]
    points += [(-0.08 + 0.04 * i, 0.06, 0) for i in range(5)]
    for side in (-0.17, 0.17):
        points += [(side + 0.06 * np.cos(a), -0.17 + 0.03 * np.sin(a), 0.05)
                   for a in np.linspace(np.pi, -np.pi, 7)[:6]]  # fmt: skip
    points += [(0.13 * np.cos(a), 0.22 + 0.05 * np.sin(a), 0)
               for a in np.linspace(np.pi, -np.pi, 13)[:12]]  # fmt: skip
    points += [(0.08 * np.cos(a), 0.22 + 0.02 * np.sin(a), 0)
               for a in np.linspace(np.pi, -np.pi, 9)[:8]]  # fmt: skip
    return np.array(points)


@pytest.fixture
def dancer():
    """The function that makes a dance."""
    return dance


@pytest.fixture(scope="session")
def dancer_function():
    """The same, for generated tests, which take no fixture of a single test."""
    return dance


@pytest.fixture
def bodies():
    """Bodies by name."""
    return {"adult": ADULT, "child": CHILD, "tall": TALL}
