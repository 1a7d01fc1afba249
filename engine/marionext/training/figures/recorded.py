"""Dances from motion files: the directions of a rig's limbs on a body of any proportions.

A file goes the way of every rig (`marionext.motion`): its bones are mapped, the keypoints are
hung on them. What is kept is which way each limb points; the lengths are the figure's own.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from marionext import presets
from marionext.motion import Figure, load, map_rig
from marionext.pose.skeleton import FACE, FEET, LEFT_HAND, MIRRORED, POINT_COUNT, RIGHT_HAND
from marionext.training.figures.bodies import Build, feet_points, head_layout, unit

__all__ = ["pose_recorded"]

Floats = NDArray[np.float32]

MOTIONS = ("dance.bvh",)
"""Files of the presets' folder ``motions``."""

_SIDES = ((2, 8, RIGHT_HAND), (5, 11, LEFT_HAND))
"""Shoulder, hip and hand, right then left."""


@dataclass(frozen=True, slots=True)
class _Recording:
    """Keypoints of a rig in space: x to the picture's right, y up, z to the viewer."""

    points: Floats
    """(frames, 134, 3), from the middle of the hips, in legs' lengths."""
    hips: Floats
    """(frames, 3), the middle of the hips above where the feet stand, in legs' lengths."""
    head: Floats
    """(frames, 3), the middle of the head, from the middle of the hips."""
    axes: Floats
    """(frames, 3, 3), the head's left, up and front as columns."""
    palms: tuple[float, float]
    """Lengths of the hands from wrist to middle finger's tip when stretched, in legs' lengths."""
    rate: float


@cache
def _recordings() -> tuple[_Recording, ...]:
    return tuple(_read(name) for name in MOTIONS)


def _read(name: str) -> _Recording:
    animation = load(presets.folder("motions") / name)
    rig = Figure.prepare(animation, map_rig(animation))
    places: Floats = _turned(rig.place(animation))
    middle, columns = rig.head_frames(animation)
    head, axes = _turned(middle), _turned(columns.swapaxes(1, 2)).swapaxes(1, 2)
    hips = places[:, [8, 11]].mean(axis=1)
    legs = np.linalg.norm(np.diff(places[:, [8, 9, 10]], axis=1), axis=-1).sum(axis=1).mean()
    floor = float(places[:, [10, 13], 1].min())
    return _Recording(
        points=(places - hips[:, None]) / legs,
        hips=(hips - [float(hips[:, 0].mean()), floor, float(hips[:, 2].mean())]) / legs,
        head=(head - hips) / legs,
        axes=axes,
        palms=tuple(
            float(np.linalg.norm(places[:, hand][:, 12] - places[:, hand][:, 0], axis=-1).max())
            / legs
            for _, _, hand in _SIDES
        ),
        rate=float(animation.rate.fraction),
    )


def _turned(points: NDArray[np.float64]) -> Floats:
    """Return points of the world, z up and y away from the viewer, in the axes used here."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], axis=-1).astype(np.float32)


def pose_recorded(
    build: Build,
    number: int,
    seconds: NDArray[np.float64],
    yaw: float,
    *,
    mirrored: bool,
    part: tuple[float, float] = (0.0, 1.0),
) -> Floats:
    """Pose a body like a recording.

    Args:
        build: proportions.
        number: of the recording.
        seconds: (frames,) points in time; at an end of the part the dance goes back the way it
            came, which has no jump.
        yaw: how far the body is turned about the vertical, in radians.
        mirrored: left and right are exchanged.
        part: of the recording to dance, from and to, 0 to 1.

    Returns:
        (frames, 135, 3), as `marionext.training.figures.steps.pose_figure`.
    """
    recording = _recordings()[number % len(MOTIONS)]
    last = len(recording.points) - 1
    low, length = part[0] * last, (part[1] - part[0]) * last
    place = low + length - np.abs(seconds * recording.rate % (2 * length) - length)
    before = np.minimum(place.astype(int), last - 1)
    share = (place - before).astype(np.float32)

    def at(values: Floats) -> Floats:
        weight = share.reshape(-1, *(1,) * (values.ndim - 1))
        return np.asarray(values[before] * (1 - weight) + values[before + 1] * weight, np.float32)

    old, axes = at(recording.points), at(recording.axes)
    up = unit(axes[..., 1])
    left = unit(np.cross(up, axes[..., 2]))
    axes = np.stack([left, up, np.cross(left, up)], axis=-1).astype(np.float32)
    points = np.zeros((len(seconds), POINT_COUNT + 1, 3), np.float32)
    points[:, 1] = unit(old[:, 1]) * build.trunk
    arms, legs = (build.upper_arm, build.forearm), (build.thigh, build.shin)
    for (shoulder, hip, hand), palm in zip(_SIDES, recording.palms, strict=True):
        for root, base_joint, width, lengths in (
            (shoulder, 1, build.shoulder, arms),
            (hip, None, build.hip, legs),
        ):
            base = 0 if base_joint is None else points[:, base_joint]
            away = old[:, root] - (0 if base_joint is None else old[:, base_joint])
            points[:, root] = base + unit(away) * width
            for joint, length in enumerate(lengths, start=root):
                step = unit(old[:, joint + 1] - old[:, joint])
                points[:, joint + 1] = points[:, joint] + step * length
        shape = old[:, hand] - old[:, hand][:, :1]
        points[:, hand] = points[:, shoulder + 2][:, None] + shape * (build.hand / palm)
    hips = points[:, 11] - points[:, 8]
    for sign, hip, foot in ((-1.0, 8, FEET.start + 3), (1.0, 11, FEET.start)):
        points[:, foot : foot + 3] = feet_points(
            build, hips, points[:, hip + 1], points[:, hip + 2], sign
        )
    middle = points[:, 1] + unit(at(recording.head) - old[:, 1]) * build.neck
    layout = head_layout(build.likeness) * build.head
    head = middle[:, None] + layout @ axes.swapaxes(1, 2)
    points[:, FACE] = head[:, :68]
    points[:, [0, 14, 15, 16, 17, POINT_COUNT]] = head[:, 68:]
    stand = build.thigh + build.shin
    points += (at(recording.hips) * stand - [0, stand, 0])[:, None].astype(np.float32)
    if mirrored:
        points = points[:, _exchanged()] * np.array([-1, 1, 1], np.float32)
    cos, sin = np.cos(yaw), np.sin(yaw)
    turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]], np.float32)
    return np.asarray(points @ turn.T, np.float32)


def _exchanged() -> list[int]:
    return [*MIRRORED, POINT_COUNT]
