"""Animations as a ``.npz``: what Blender's add-on records and hands to the engine, exactly.

Every array of `JointAnimation` and `Camera` under its own name (the camera's with ``camera_``
before it), and ``about``, a JSON text with the rest. No pickles; numpy alone reads it.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marionext.arrays import read_arrays
from marionext.errors import MotionError, SettingsError
from marionext.files import reading, replacing
from marionext.frames import FrameRate, check_number
from marionext.motion.animation import JointAnimation
from marionext.motion.camera import Camera
from marionext.motion.weights import check_joints

__all__ = ["read_animation", "write_animation"]

_VERSION = 1
_ARRAYS = ("parents", "heads", "tails", "rotations", "morph_weights")
_REST = ("rest_heads", "rest_tails", "rest_rotations")
_CAMERA = ("views", "focal", "scale", "shift")


def write_animation(animation: JointAnimation, path: Path) -> None:
    """Write an animation; the file appears whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    arrays = {name: getattr(animation, name) for name in (*_ARRAYS, *_REST)}
    about: dict[str, object] = {
        "version": _VERSION,
        "names": animation.names,
        "rate": str(animation.rate),
        "first": animation.first,
        "humanoid": None if animation.humanoid is None else dict(animation.humanoid),
        "morphs": animation.morphs,
        "source": animation.source,
        "rest_is_posed": animation.rest_is_posed,
        "notes": animation.notes,
    }
    camera = animation.camera
    if camera is not None:
        about |= {"fit": camera.fit, "pixel_aspect": camera.pixel_aspect}
        found = {name: getattr(camera, name) for name in _CAMERA}
        arrays |= {f"camera_{name}": array for name, array in found.items() if array is not None}
    arrays["about"] = np.array(json.dumps(about, ensure_ascii=False))
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def read_animation(path: Path) -> JointAnimation:
    """Read what `write_animation` wrote.

    Raises:
        MotionError: the file cannot be read, or is not an animation.
    """
    with reading(
        path,
        MotionError,
        "an animation written by Marionext",
        hint="The file may be cut off: record the rig again.",
    ):
        return _read(path)


def _read(path: Path) -> JointAnimation:
    arrays = read_arrays(path, MotionError)
    about = json.loads(str(arrays.pop("about")))
    version = about["version"]
    if version != _VERSION:
        raise MotionError(
            f"{path.name}: expected version {_VERSION} of the animation file, found {version}",
            hint="Add-on and engine are of different age: update both.",
        )
    try:
        animation = _animation(about, arrays)
        check_number("first", animation.first)
    except SettingsError as error:
        raise MotionError(f"{path.name} is not a whole animation: {error.message}") from error
    check_joints(path, len(animation.names))
    return animation


def _animation(about: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> JointAnimation:
    camera = None
    if "camera_views" in arrays:
        camera = Camera(
            views=arrays["camera_views"],
            focal=arrays["camera_focal"],
            scale=arrays.get("camera_scale"),
            shift=arrays.get("camera_shift"),
            fit=about["fit"],
            pixel_aspect=float(about["pixel_aspect"]),
        )
    humanoid = about["humanoid"]
    floats: dict[str, Any] = {name: arrays[name] for name in (*_ARRAYS, *_REST)}
    return JointAnimation(
        names=tuple(str(name) for name in about["names"]),
        **floats,
        rest_is_posed=bool(about.get("rest_is_posed", False)),
        rate=FrameRate.parse(str(about["rate"])),
        first=int(about["first"]),
        humanoid=None if humanoid is None else {str(k): str(v) for k, v in humanoid.items()},
        camera=camera,
        morphs=tuple(str(name) for name in about["morphs"]),
        source=str(about["source"]),
        notes=tuple(str(note) for note in about["notes"]),
    )
