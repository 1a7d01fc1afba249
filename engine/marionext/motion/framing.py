"""Place a camera so that it sees the whole of a motion, and as large as that allows.

It stands still, or goes along with a figure that walks: then the figure is as large as if it walked
on the spot.
"""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from marionext.errors import SettingsError
from marionext.motion.animation import JointAnimation
from marionext.motion.bones import facing
from marionext.motion.camera import Camera

__all__ = ["across_of", "follow_motion", "frame_motion", "front_of"]

_FLESH = 0.05
"""How far skin and clothes reach beyond a joint, as a part of the height."""
_SKULL = 0.14
"""How far the top of the head lies from the head's joint, as a part of the height."""
_SENSOR = 36.0
_STEADY_SECONDS, _RISING_SECONDS = 0.2, 1.0
"""Deviation of the smoothing of a camera that goes along: over the ground, and up and down."""
_HEAD = re.compile("head|頭", re.IGNORECASE)


def front_of(animation: JointAnimation) -> NDArray[np.float64]:
    """Return which way the body faces on the whole, level and of length 1: (3,).

    The mean over the motion; of a dancer who turns right round, the first frame.
    """
    fronts = facing(animation.names, animation.parents, animation.heads, animation.tails)
    if animation.is_mirrored:
        fronts = -fronts
    mean = fronts.mean(axis=0)
    length = float(np.linalg.norm(mean))
    return np.asarray(mean / length if length > 0.3 else fronts[0], dtype=np.float64)


def across_of(animation: JointAnimation, yaw: float = 0.0) -> NDArray[np.float64]:
    """Return what a camera that is moved around the body by that many degrees has at its right."""
    front = front_of(animation)
    towards = np.arctan2(front[1], front[0]) + np.radians(yaw)
    return np.array([-np.sin(towards), np.cos(towards), 0.0])


def frame_motion(
    animation: JointAnimation,
    size: tuple[int, int],
    *,
    yaw: float = 0.0,
    pitch: float = 0.0,
    focal_mm: float = 50.0,
    margin: float = 0.06,
    joints: Sequence[int] | None = None,
    head: int | None = None,
) -> Camera:
    """Return the nearest still camera that sees every joint in every frame, hands and hair too.

    Args:
        animation: the motion to frame.
        size: width and height of the picture in pixels.
        yaw: degrees the camera is moved around the character: 0 sees its front, 90 its left
            side, 180 its back.
        pitch: degrees the camera is raised, from where it looks down; in [-90, 90].
        focal_mm: focal length on a 36 mm sensor along the longer side of the picture.
        margin: empty part of the picture's width on the left and right, and of its height above
            and below; in [0, 0.5).
        joints: the bones to frame, or None for all: leave out controls that lie off the body.
        head: the bone at whose end the head is, where its name does not say so.

    Raises:
        SettingsError: a setting is outside its range.
    """
    if not -90 <= pitch <= 90:
        raise SettingsError(f"a camera's pitch is between -90 and 90 degrees, got {pitch:g}")
    if not 0 <= margin < 0.5:
        raise SettingsError(f"a margin is at least 0 and below 0.5, got {margin:g}")
    if not (focal_mm > 0 and np.isfinite(focal_mm)):
        raise SettingsError(f"a focal length is greater than 0 mm, got {focal_mm:g}")
    bones = list(range(len(animation.names))) if joints is None else list(joints)
    points, reach = _outline(animation, bones, head)

    front = front_of(animation)
    towards = np.arctan2(front[1], front[0]) + np.radians(yaw)
    tilt = np.radians(pitch)
    back = np.array([np.cos(tilt) * np.cos(towards), np.cos(tilt) * np.sin(towards), np.sin(tilt)])
    right = np.array([-np.sin(towards), np.cos(towards), 0.0])
    axes = np.stack([right, np.cross(back, right), back])  # rows: the camera's x, y and z
    seen = points @ axes.T

    focal = focal_mm / _SENSOR
    span = max(size)
    place = np.zeros(3)
    depths = []
    sides = []
    for axis in (0, 1):
        slope = (0.5 - margin) * size[axis] / span / focal
        # Inside both borders: |x - place| + reach * length <= slope * (place_z - z).
        length = np.hypot(1, slope)
        upper = (seen[:, axis] + slope * seen[:, 2] + reach * length).max()
        lower = (-seen[:, axis] + slope * seen[:, 2] + reach * length).max()
        sides.append((upper, lower, slope))
        depths.append((upper + lower) / (2 * slope))
    place[2] = max(*depths, float((seen[:, 2] + 2 * reach).max()))
    for axis, (upper, lower, _slope) in enumerate(sides):
        place[axis] = (upper - lower) / 2
    pose = np.eye(4)
    pose[:3, :3] = axes.T
    pose[:3, 3] = axes.T @ place
    return Camera.still(pose, focal=focal)


def follow_motion(
    animation: JointAnimation,
    size: tuple[int, int],
    *,
    yaw: float = 0.0,
    pitch: float = 0.0,
    focal_mm: float = 50.0,
    margin: float = 0.06,
    joints: Sequence[int] | None = None,
    head: int | None = None,
) -> Camera:
    """Return a camera that goes along with the figure, at a steady distance and direction.

    It follows the hips (the first of the joints), smoothed so that steps do not shake it, and up
    and down more slowly still, so that a jump is seen as one. Raised arms do not move it.

    Arguments and errors are those of `frame_motion`.
    """
    bones = list(range(len(animation.names))) if joints is None else list(joints)
    middle = animation.heads[:, min(bones)]
    rate = float(animation.rate)
    path = np.concatenate(
        [
            _smoothed(middle[:, :2], _STEADY_SECONDS * rate),
            _smoothed(middle[:, 2:], _RISING_SECONDS * rate),
        ],
        axis=1,
    )
    path = path - path[0]
    on_the_spot = animation.with_(
        heads=animation.heads - path[:, None], tails=animation.tails - path[:, None]
    )
    still = frame_motion(
        on_the_spot,
        size,
        yaw=yaw,
        pitch=pitch,
        focal_mm=focal_mm,
        margin=margin,
        joints=joints,
        head=head,
    )
    views = np.repeat(still.views, len(path), axis=0)
    views[:, :3, 3] -= path @ still.views[0, :3, :3].T
    return Camera(views=views, focal=np.repeat(still.focal, len(path)))


def _smoothed(values: NDArray[np.float64], deviation: float) -> NDArray[np.float64]:
    """Return a path (frames, n) under a Gaussian over time; a steady pace stays one."""
    reach = min(int(np.ceil(3 * deviation)), len(values) - 1)
    if reach < 1:
        return values
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    kernel /= kernel.sum()
    # Mirrored at its ends, and turned over there, so that it goes on at its pace.
    before = 2 * values[0] - values[reach:0:-1]
    after = 2 * values[-1] - values[-2 : -reach - 2 : -1]
    padded = np.concatenate([before, values, after])
    columns = [np.convolve(column, kernel, mode="valid") for column in padded.T]
    return np.stack(columns, axis=1)


def _outline(
    animation: JointAnimation, bones: list[int], head: int | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the points to be seen, (points, 3), and how far the body reaches round each."""
    heads, tails = animation.heads[:, bones], animation.tails[:, bones]
    # Not the height: at rest a skeleton may lie or crouch; bones keep their length.
    stature = max(animation.height, float(np.median(np.ptp(heads[..., 2], axis=1))))
    reach = np.full(2 * len(bones), _FLESH * stature)
    for index, bone in enumerate(bones):
        if bone == head or _HEAD.search(animation.names[bone]):
            reach[index] = _SKULL * stature
    points = np.concatenate([heads, tails], axis=1)
    return points.reshape(-1, 3), np.tile(reach, len(heads))
