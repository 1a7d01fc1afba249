"""Bring an animation to another frame rate: bones keep their lengths, cameras their path."""

import numpy as np
from numpy.typing import NDArray

from marionext.frames import FrameRate
from marionext.motion.animation import JointAnimation
from marionext.motion.camera import Camera
from marionext.motion.keyframes import evaluate_keys
from marionext.pose import resampled_count

__all__ = ["resample"]

Floats = NDArray[np.float64]


def resample(animation: JointAnimation, rate: FrameRate) -> JointAnimation:
    """Return the same motion at another rate, as many frames as `marionext.pose.resample` counts.

    Between two frames, a joint turns at constant speed against its parent, and moves in a straight
    line where its distance to the parent changes. After the last frame its pose is held.
    """
    if rate == animation.rate:
        return animation
    count = resampled_count(len(animation), animation.rate, rate)
    keys = np.arange(len(animation), dtype=np.float64)
    step = animation.rate.fraction / rate.fraction
    times = np.array([float(index * step) for index in range(count)]).clip(max=len(animation) - 1)
    heads = np.empty((count, len(animation.names), 3))
    rotations = np.empty((*heads.shape, 3))
    tails = np.empty_like(heads)
    for bone, parent in enumerate(animation.parents):
        turn, place = animation.rotations[:, bone], animation.heads[:, bone]
        if parent >= 0:
            back = animation.rotations[:, parent].swapaxes(1, 2)
            turn = back @ turn
            place = _turned(back, place - animation.heads[:, parent])
        turn = _turns_at(keys, turn, times)
        place = evaluate_keys(keys, place, times, "LINEAR")
        if parent >= 0:
            turn = rotations[:, parent] @ turn
            place = heads[:, parent] + _turned(rotations[:, parent], place)
        rotations[:, bone], heads[:, bone] = turn, place
        own = animation.rotations[:, bone].swapaxes(1, 2)
        along = _turned(own, animation.tails[:, bone] - animation.heads[:, bone])
        tails[:, bone] = place + _turned(turn, evaluate_keys(keys, along, times, "LINEAR"))
    camera = animation.camera
    if camera is not None and len(camera) > 1:
        camera = _camera_at(camera, keys, times)
    return animation.with_(
        heads=heads,
        tails=tails,
        rotations=rotations,
        rate=rate,
        camera=camera,
        morph_weights=evaluate_keys(keys, animation.morph_weights, times, "LINEAR"),
    )


def _turned(turns: Floats, points: Floats) -> Floats:
    return np.asarray((turns @ points[..., None])[..., 0])


def _turns_at(keys: Floats, turns: Floats, times: Floats) -> Floats:
    """Return rotations (times, 3, 3) between those of the frames."""
    x, y, z, w = evaluate_keys(keys, _quaternions(turns), times, "LINEAR", rotations=True).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), 2, 0)


def _quaternions(turns: Floats) -> Floats:
    """Return quaternions x y z w, (frames, 4), of rotations (frames, 3, 3)."""
    # Each row is the quaternion times one of its own components: the largest is the safest.
    m = np.moveaxis(turns, 0, -1)
    products = np.empty((len(turns), 4, 4))
    for axis in range(3):
        other, third = (axis + 1) % 3, (axis + 2) % 3
        products[:, axis, axis] = 1 + m[axis, axis] - m[other, other] - m[third, third]
        products[:, axis, other] = products[:, other, axis] = m[axis, other] + m[other, axis]
        products[:, axis, 3] = products[:, 3, axis] = m[third, other] - m[other, third]
    products[:, 3, 3] = 1 + m[0, 0] + m[1, 1] + m[2, 2]
    best = np.argmax(np.einsum("tii->ti", products), axis=1)
    rows = products[np.arange(len(turns)), best]
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def _camera_at(camera: Camera, keys: Floats, times: Floats) -> Camera:
    rotations = _turns_at(keys, camera.views[:, :3, :3].swapaxes(1, 2), times)
    places = evaluate_keys(keys, camera.positions, times, "LINEAR")
    views = np.zeros((len(times), 4, 4))
    views[:, :3, :3] = rotations.swapaxes(1, 2)
    views[:, :3, 3] = -_turned(rotations.swapaxes(1, 2), places)
    views[:, 3, 3] = 1

    def between(values: Floats | None) -> Floats | None:
        if values is None:
            return None
        flat = evaluate_keys(keys, values.reshape(len(values), -1), times, "LINEAR")
        return flat.reshape(len(times), *values.shape[1:])

    return Camera(
        views=views,
        focal=np.asarray(between(camera.focal)),
        scale=between(camera.scale),
        shift=between(camera.shift),
        fit=camera.fit,
        pixel_aspect=camera.pixel_aspect,
    )
