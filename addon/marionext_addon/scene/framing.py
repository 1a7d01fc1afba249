# SPDX-License-Identifier: GPL-3.0-or-later
"""Put a camera where it sees everybody in the whole range, and stands in nobody's way."""

from collections.abc import Sequence
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from marionext.errors import MotionError
from marionext.motion import Figure, JointAnimation, RigMapping, facing

from . import cameras

__all__ = ["add_camera", "frame_people"]

Floats = NDArray[np.float64]
People = Sequence[tuple[JointAnimation, RigMapping]]

_MARGIN = 0.08
"""Empty part of the picture at each side."""
_PAD = 0.09
"""Flesh around joints, hands and hair beyond the last bone, in heights of the figure."""
_LENS = 50.0
"""Millimetres: as a person is photographed."""


def add_camera(scene: Any, people: People, size: tuple[int, int], fit: str) -> Any:
    """Add a camera that looks at everybody from the front, and make it the scene's.

    Args:
        scene: the user's.
        people: everybody in all frames that count, in the world.
        size: of the picture that will be rendered.
        fit: what becomes of the scene's frame in it: ``CROP`` or ``LETTERBOX``.
    """
    outline = _outline(people)  # first: with nobody to see, no camera is added
    data = bpy.data.cameras.new("Camera")
    data.lens = _LENS
    camera = bpy.data.objects.new("Camera", data)
    scene.collection.objects.link(camera)
    looks = np.sum([facing(animation, mapping) for animation, mapping in people], axis=0)
    looks[2] = 0.0
    length = float(np.linalg.norm(looks))
    back = looks / length if length > 1e-6 else np.array([0.0, -1.0, 0.0])
    right = np.cross([0.0, 0.0, 1.0], back)
    turn = np.stack([right, [0.0, 0.0, 1.0], back], axis=1)
    _place(scene, camera, turn, outline, size, fit)
    scene.camera = camera
    return camera


def frame_people(scene: Any, camera: Any, people: People, size: tuple[int, int], fit: str) -> None:
    """Move a camera, without turning it, to where it sees everybody in all frames.

    Args:
        scene: the user's.
        camera: the object; not one that is animated, driven or held by constraints.
        people: everybody in all frames that count, in the world.
        size: of the picture that will be rendered.
        fit: what becomes of the scene's frame in it.

    Raises:
        MotionError: something else decides where the camera stands, or it cannot be told what it
            sees; then it stays as it is.
    """
    animation = camera.animation_data
    moved = animation is not None and (animation.action or animation.drivers)
    if moved or camera.constraints or camera.parent is not None:
        raise MotionError(
            f"{camera.name}: keys, drivers, constraints or a parent decide where it stands",
            hint="Take them away, or choose a camera without.",
        )
    outline = _outline(people)
    cameras.look_of(cameras.Frame.of(scene), camera, size, fit)
    turn = np.array(camera.matrix_world.to_3x3().normalized(), dtype=np.float64)
    _place(scene, camera, turn, outline, size, fit)


def _place(
    scene: Any,
    camera: Any,
    turn: Floats,
    outline: tuple[Floats, Floats],
    size: tuple[int, int],
    fit: str,
) -> None:
    """Move a camera along its own axes, the columns of ``turn``: right, up, back."""
    camera.matrix_world = Matrix(np.block([[turn, np.zeros((3, 1))], [np.zeros((1, 3)), 1.0]]))
    points, pads = outline
    along = points @ turn
    along[:, 2] *= -1  # how far away from us
    frame = cameras.Frame.of(scene)
    data = camera.data
    look = cameras.look_of(frame, camera, size, fit)
    if data.type == "ORTHO":
        half = np.array([_room(size, axis) for axis in (0, 1)])
        low, high = (along[:, :2] - pads[:, None]).min(axis=0), along[:, :2] + pads[:, None]
        high = high.max(axis=0)
        data.ortho_scale *= float(((high - low) / (2 * half)).max()) / look.scale
        look = cameras.look_of(frame, camera, size, fit)
        middle = (low + high) / 2 - np.array(look.shift) * look.scale
        away = float((along[:, 2] - 2 * pads).min()) - 1.0
        place = np.array([*middle, away])
    else:
        place = _vantage(along, pads, look, size)
    # Nobody is nearer than what the camera does not see; for a tiny figure it has to see nearer.
    nearest = float((along[:, 2] - 2 * pads).min())
    if nearest - place[2] < 2 * data.clip_start:
        data.clip_start = min(data.clip_start, float(pads.max()))
    place[2] = min(place[2], nearest - 2 * data.clip_start)
    far = float(along[:, 2].max() + pads.max() - place[2])
    data.clip_end = max(data.clip_end, 2 * far)
    place[2] *= -1
    camera.location = turn @ place
    bpy.context.view_layer.update()


def _room(size: tuple[int, int], axis: int) -> float:
    """Return half of what may be filled of the picture, in its widths."""
    return (0.5 - _MARGIN) * size[axis] / size[0]


def _vantage(along: Floats, pads: Floats, look: cameras.Look, size: tuple[int, int]) -> Floats:
    """Return the nearest place from which all points lie within the picture's margins.

    A point at (x, away) is right of the left border and left of the right one where
    ``-low * (away - a) <= x - c <= high * (away - a)`` for the place (c, a): of all points the
    tightest of each border counts, and where both meet is the place.
    """
    place = np.zeros(3)
    sides = []
    for axis in (0, 1):
        half = _room(size, axis)
        high = (half + look.shift[axis]) / look.focal
        low = (half - look.shift[axis]) / look.focal
        pad = pads * np.hypot(1, (high + low) / 2)
        upper = float((along[:, axis] + pad - high * along[:, 2]).max())
        lower = float((-along[:, axis] + pad - low * along[:, 2]).max())
        sides.append((upper, lower, high, low))
    place[2] = min(-(upper + lower) / (high + low) for upper, lower, high, low in sides)
    for axis, (upper, lower, high, low) in enumerate(sides):
        place[axis] = (upper + high * place[2] - lower - low * place[2]) / 2
    return place


def _outline(people: People) -> tuple[Floats, Floats]:
    """Return everybody's keypoints in all frames, (points, 3), and the flesh around each.

    Not the bones: importers guess where the last of a chain ends, sometimes metres away, and
    controls lie off the body.
    """
    points, pads = [], []
    for animation, mapping in people:
        figure = Figure.prepare(animation, mapping)
        places = figure.place(animation).reshape(-1, 3)
        places = places[np.isfinite(places).all(axis=1)]
        points.append(places)
        pads.append(np.full(len(places), _PAD * figure.stature))
    return np.concatenate(points), np.concatenate(pads)
