"""Which axis of a file is up: several signals, weighed, because no single one is to be trusted.

A BVH does not say its up axis, and who looks at the motion alone stands a crawling figure on its
feet. So these are added up for each axis: the pose at rest, if a person could stand in it; where
the body points over the whole clip; the floor, on which somebody stands, lies or does a handstand;
and what the format's custom is. The pose at rest and the motion may have axes of their own (motions
of SMPL: at rest y is up, in motion z).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from marionext.motion.animation import JointAnimation
from marionext.motion.bones import Y_UP_TO_Z_UP
from marionext.motion.camera import Camera
from marionext.motion.guessing import guess_bones
from marionext.motion.roles import SIDES

__all__ = ["TURNS", "Body", "Orientation", "Up", "find_up", "shaped_body", "turned"]

Floats = NDArray[np.float64]
Up = Literal["y", "z", "x", "-y", "-x", "-z"]

TURNS: Mapping[Up, Floats] = {
    "y": Y_UP_TO_Z_UP,
    "z": np.eye(3),
    "x": np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]),
    "-y": np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]]),
    "-x": np.array([[0.0, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.0, 0.0]]),
    "-z": np.diag([1.0, -1.0, -1.0]),
}
"""Rotations that turn a file's axes into Blender's, for each up axis of the file."""

_AT_REST = 1.2
_IN_MOTION = 0.6
_FLOOR = 1.0
_NOT_INVERTED = 1.5
"""Weights of the signals: of the pose at rest, the whole motion, the floor, and of arms that hang
where an upside-down person would need them to stand on."""
_CUSTOM: Mapping[Up, float] = {"y": 0.2, "z": 0.1, "x": 0.0, "-x": -0.1, "-y": -0.1, "-z": -0.1}
"""What BVH files usually have."""
_MOST_FRAMES = 300
_TRUNK_AND_LEGS = 0.778
"""Of the stature, from ankles to hips and from hips to shoulders."""


@dataclass(frozen=True, slots=True)
class Body:
    """The joints that tell how a body stands, each as indices of bones; some may be missing."""

    hips: tuple[int, ...]
    top: tuple[int, ...]
    """Shoulders, else the neck or the head."""
    low: tuple[int, ...]
    """Ankles or toes, else knees."""
    hands: tuple[int, ...]
    sides: tuple[tuple[int, int], ...]
    """Left and right of a pair, of shoulders and hips."""

    @classmethod
    def of(cls, roles: Mapping[str, int]) -> "Body":
        """Choose the joints by their roles; see `marionext.motion.roles`."""

        def first(*options: tuple[str, ...]) -> tuple[int, ...]:
            found = (tuple(roles[r] for r in option if r in roles) for option in options)
            return next(filter(None, found), ())

        def both(part: str) -> tuple[str, ...]:
            return tuple(f"{side}_{part}" for side in SIDES)

        pairs = (both("upper_arm"), both("thigh"))
        return cls(
            hips=first(both("thigh"), ("hips",)),
            top=first(both("upper_arm"), ("neck",), ("head",), ("chest",)),
            low=first(both("foot"), both("toe"), both("shin")),
            hands=first(both("hand"), both("forearm")),
            sides=tuple(
                (roles[left], roles[right]) for left, right in pairs if {left, right} <= set(roles)
            ),
        )

    def trunk(self, heads: Floats) -> Floats | None:
        """Return from the hips to the shoulders in each pose: (poses, 3), or None."""
        if not self.hips or not self.top or self.hips == self.top:
            return None
        return _mean(heads, self.top) - _mean(heads, self.hips)

    def legs(self, heads: Floats) -> Floats | None:
        """Return from the ankles to the hips in each pose: (poses, 3), or None."""
        if not self.hips or not self.low:
            return None
        return _mean(heads, self.hips) - _mean(heads, self.low)

    def upward(self, heads: Floats) -> Floats | None:
        """Return where the body points in each pose: (poses, 3) of length 1, or None."""
        parts = [part for part in (self.trunk(heads), self.legs(heads)) if part is not None]
        return _unit(np.sum(parts, axis=0)) if parts else None


def _mean(heads: Floats, bones: tuple[int, ...]) -> Floats:
    return np.asarray(heads[:, list(bones)].mean(axis=1))


def _unit(vectors: Floats) -> Floats:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-12))


@dataclass(frozen=True, slots=True)
class Orientation:
    """The up axes of one file."""

    up: Up
    """In motion."""
    rest: Up | None
    """At rest; None: nobody could stand in the pose at rest."""
    note: str
    """How it was concluded, for people to read."""
    lies_at_rest: bool = False
    """The joints are known, and the pose at rest is none that a person could stand in."""
    stature: float = 0.0
    """Height of the person by the length of trunk and legs; 0 where they are not known."""


def find_up(
    skeletons: Sequence[tuple[Body, Floats, Floats]],
    *,
    given: Up | None = None,
    custom: Mapping[Up, float] = _CUSTOM,
) -> tuple[Orientation, ...]:
    """Weigh the signals of all skeletons of one file: they stand in one world.

    Args:
        skeletons: of each its body, its heads at rest (bones, 3) and in motion (frames, bones, 3),
            in the axes of the file.
        given: the up axis, if somebody said it.
        custom: what each axis has in advance.
    """
    rests = [_standing(body, rest) for body, rest, _ in skeletons]
    scores: dict[Up, float] = dict(custom)
    motions: list[Up | None] = []
    grounds: set[Up] = set()
    for (body, _, heads), resting in zip(skeletons, rests, strict=True):
        frames = heads[:: max(1, len(heads) // _MOST_FRAMES)]
        moving = _pointing(body, frames)
        motions.append(moving)
        if resting is not None:
            scores[resting] += _AT_REST
        if moving is not None:
            scores[moving] += _IN_MOTION
            if resting is not None and moving == _opposite(resting) and _hangs(body, frames):
                scores[moving] += _NOT_INVERTED
        for axis in _some("y", resting, moving):
            floor = _floor(body, frames, axis)
            scores[axis] += _FLOOR * floor
            if floor > 0.5:
                grounds.add(axis)
    likeliest: Up = max(scores, key=lambda axis: scores[axis])
    up = likeliest if given is None else given
    # Rests with an axis of their own are known with y and z up. Bones that all lie along another
    # axis only look like somebody who stands.
    rests = [rest if rest in {up, "y", "z"} else None for rest in rests]
    return tuple(
        Orientation(
            up,
            rest,
            _describe(up, rest, moving, on_floor=up in grounds, given=given),
            lies_at_rest=rest is None and moving is not None,
            stature=_stature(body, heads),
        )
        for (body, _, heads), rest, moving in zip(skeletons, rests, motions, strict=True)
    )


def _some(*axes: Up | None) -> set[Up]:
    return {axis for axis in axes if axis is not None}


def _describe(
    up: Up, rest: Up | None, moving: Up | None, *, on_floor: bool, given: Up | None
) -> str:
    if given is not None:
        return f"{up} is up, as --up says"
    signals = [
        name
        for name, agrees in (
            ("the pose at rest", rest == up),
            ("the motion", moving == up),
            ("the floor", on_floor),
        )
        if agrees
    ]
    text = f"{up} is up, by {' and '.join(signals) or 'custom: nothing in the file tells'}"
    if moving is not None and moving != up:
        text += f"; the body lies along {moving}: if it should stand, give --up {moving}"
    return text


def _opposite(axis: Up) -> Up:
    return axis[1:] if axis.startswith("-") else f"-{axis}"  # type: ignore[return-value]


def _nearest_axis(direction: Floats) -> tuple[Up, float]:
    """Return the axis that a vector is nearest to, and how far it goes along that."""
    number = int(np.argmax(np.abs(direction)))
    name = "xyz"[number]
    axis: Up = name if direction[number] > 0 else f"-{name}"  # type: ignore[assignment]
    return axis, float(abs(direction[number]))


def _standing(body: Body, rest: Floats) -> Up | None:
    """Return along which axis a person stands in the pose at rest, if that is a pose."""
    heads = rest[None]
    upward = body.upward(heads)
    if upward is None:
        return None
    trunk, legs = body.trunk(heads), body.legs(heads)
    if trunk is not None and legs is not None and float(_unit(trunk)[0] @ _unit(legs)[0]) < 0.7:
        return None  # head and feet on one side: all bones along one axis
    axis, share = _nearest_axis(upward[0])
    across = [_unit(rest[left] - rest[right]) for left, right in body.sides]
    if share < 0.9 or any(abs(float(left @ upward[0])) > 0.35 for left in across):
        return None
    return axis


def _pointing(body: Body, heads: Floats) -> Up | None:
    """Return the axis along which the body is, over the whole motion."""
    upward = body.upward(heads)
    if upward is None:
        return None
    axis, share = _nearest_axis(upward.mean(axis=0))
    return axis if share > 0.7 else None


def _size(body: Body, heads: Floats) -> float:
    """Return the length of trunk and legs, whichever way they are bent."""
    parts = (body.trunk(heads), body.legs(heads))
    return sum(
        float(np.linalg.norm(part, axis=1).max()) for part in parts if part is not None
    ) or float(np.ptp(heads, axis=1).max())


def _stature(body: Body, heads: Floats) -> float:
    trunk, legs = body.trunk(heads), body.legs(heads)
    if trunk is None or legs is None:
        return 0.0
    return _size(body, heads) / _TRUNK_AND_LEGS


def _floor(body: Body, heads: Floats, axis: Up) -> float:
    """Tell how much it looks as if there were a floor across that axis at 0, from 0 to 1.

    Somebody who stands, lies or crawls on a floor has the hips above it, and the lowest joint on it
    all the time.
    """
    if not body.hips:
        return 0.0
    size = max(_size(body, heads), 1e-9)
    along = heads @ TURNS[axis][2]
    lowest = along.min(axis=1) / size
    hips = _mean(heads, body.hips) @ TURNS[axis][2] / size
    if float(np.median(hips)) < 0.05:
        return 0.0
    level = float(np.interp(abs(np.median(lowest)), [0.1, 0.25], [1.0, 0.0]))
    wander = float(np.median(np.abs(lowest - np.median(lowest))))
    return level * float(np.interp(wander, [0.05, 0.15], [1.0, 0.0]))


def _hangs(body: Body, heads: Floats) -> bool:
    """Tell whether the arms are where nobody has them who is upside down on purpose.

    Handstands, headstands and cartwheels need the hands beyond the shoulders.
    """
    upward = body.upward(heads)
    if upward is None or not body.hands:
        return False
    reach = _mean(heads, body.hands) - _mean(heads, body.top)
    beyond = np.einsum("tx,tx->t", reach, upward) / max(_size(body, heads), 1e-9)
    return float(np.median(beyond)) < 0.1


def shaped_body(names: Sequence[str], parents: NDArray[np.int64], rest: Floats) -> dict[str, str]:
    """Read the roles of a rig without telling names from its shape, whichever way it stands."""
    for axis in get_args(Up):
        found = guess_bones(names, parents, rest @ TURNS[axis].T)
        if {"left_upper_arm", "left_thigh", "right_thigh"} <= set(found):
            return found
    return {}


def turned(animation: JointAnimation, turn: Floats) -> JointAnimation:
    """Return an animation whose world is turned, camera and all.

    Args:
        animation: any.
        turn: (3, 3), a rotation.
    """
    camera = animation.camera
    if camera is not None:
        back = np.eye(4)
        back[:3, :3] = turn.T
        camera = Camera(
            views=camera.views @ back,
            focal=camera.focal,
            scale=camera.scale,
            shift=camera.shift,
            fit=camera.fit,
            pixel_aspect=camera.pixel_aspect,
        )
    return animation.with_(
        heads=animation.heads @ turn.T,
        tails=animation.tails @ turn.T,
        rotations=turn @ animation.rotations,
        rest_heads=animation.rest_heads @ turn.T,
        rest_tails=animation.rest_tails @ turn.T,
        rest_rotations=turn @ animation.rest_rotations,
        camera=camera,
    )
