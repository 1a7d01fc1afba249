# SPDX-License-Identifier: GPL-3.0-or-later
"""The scene's camera as the engine sees it: lens, shift, sensor, aspect, markers, fit to a size.

Whatever a Blender camera is set to, it becomes one with a horizontal fit and square pixels in the
picture that is rendered, so that a shot may switch between cameras of any kind from frame to
frame. Checked against ``bpy_extras.object_utils.world_to_camera_view``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from marionext.errors import MotionError
from marionext.motion import Camera

__all__ = [
    "Frame",
    "Look",
    "camera_objects",
    "current_camera",
    "frame_in_picture",
    "joined",
    "look_of",
]


@dataclass(frozen=True, slots=True)
class Frame:
    """The frame that a scene's cameras are set up for; only its shape matters."""

    width: int
    height: int
    aspect: float
    """Of its pixels: width over height."""

    @classmethod
    def of(cls, scene: Any) -> Self:
        """Return a scene's frame as it is now; the render's percentage scales both sides."""
        render = scene.render
        aspect = render.pixel_aspect_x / render.pixel_aspect_y
        return cls(int(render.resolution_x), int(render.resolution_y), float(aspect))

    def laid_over(self, size: tuple[int, int], fit: str) -> tuple[float, float]:
        """Return its width and height in pixels of a picture of that size."""
        wide, high = self.width * self.aspect, float(self.height)
        ratios = (size[0] / wide, size[1] / high)
        factor = max(ratios) if fit == "CROP" else min(ratios)
        return wide * factor, high * factor


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One camera in one frame, in the terms of `marionext.motion.Camera`."""

    view: NDArray[np.float64]
    """(4, 4): world to camera."""
    focal: float
    """Over the picture's width."""
    scale: float
    """Metres along the picture's width if orthographic, else 0."""
    shift: tuple[float, float]
    """To the right and up, in widths of the picture."""
    near: float
    """Metres before the camera in which nothing is seen."""


def camera_objects(scene: Any) -> tuple[Any, ...]:
    """Return every camera that the scene's range may be seen through."""
    found = [marker.camera for marker in scene.timeline_markers if marker.camera is not None]
    if scene.camera is not None:
        found.append(scene.camera)
    return tuple(dict.fromkeys(found))


def current_camera(scene: Any, frame: float, chosen: Any = None) -> Any:
    """Return the camera that Blender renders a frame through.

    The last marker with a camera at or before the frame, else the first after it; without any
    such marker the scene's camera.

    Args:
        scene: the user's scene.
        frame: of the scene, with fractions for sub-frames; before time stretching.
        chosen: a camera's object that goes before all that, or None.

    Raises:
        MotionError: there is no camera.
    """
    if chosen is not None:
        return _checked(chosen)
    bound = [
        marker
        for marker in scene.timeline_markers
        if marker.camera is not None and not marker.camera.hide_render
    ]
    # Markers stand in stretched time, and between two frames the first of them counts.
    moment = int(frame * scene.render.frame_map_old / scene.render.frame_map_new)
    before = [marker for marker in bound if marker.frame <= moment]
    if before:
        return _checked(max(before, key=lambda marker: marker.frame).camera)
    if bound:
        return _checked(min(bound, key=lambda marker: marker.frame).camera)
    if scene.camera is None:
        raise MotionError(
            f"the scene {scene.name!r} has no camera",
            hint="Add a camera, or choose one in the Camera panel.",
        )
    return _checked(scene.camera)


def _checked(camera: Any) -> Any:
    if camera.type != "CAMERA":
        raise MotionError(
            f"{camera.name!r} looks at the scene but is no camera", hint="Choose a camera."
        )
    if camera.data.type not in {"PERSP", "ORTHO"}:
        raise MotionError(
            f"the camera {camera.name!r} is panoramic: its picture is no flat view",
            hint="Choose a perspective or an orthographic camera.",
        )
    return camera


def frame_in_picture(
    frame: Frame, size: tuple[int, int], fit: str
) -> tuple[float, float, float, float]:
    """Return where the scene's frame lies in the picture: left, top, width, height in pixels.

    Beyond the picture where the frame is cropped, inside where there is room at its sides.

    Args:
        frame: the scene's.
        size: width and height of the picture.
        fit: ``CROP`` or ``LETTERBOX``.
    """
    wide, high = frame.laid_over(size, fit)
    return (size[0] - wide) / 2, (size[1] - high) / 2, wide, high


def look_of(frame: Frame, camera: Any, size: tuple[int, int], fit: str) -> Look:
    """Return what an evaluated camera sees, in a picture of a size of its own.

    Args:
        frame: of the scene that the camera is set up for.
        camera: the camera's object, evaluated.
        size: width and height of the picture in pixels.
        fit: what becomes of the scene's frame in it: ``CROP`` or ``LETTERBOX``.

    Raises:
        MotionError: the camera has no size: its object is scaled to nothing.
    """
    wide, high = frame.laid_over(size, fit)
    data = camera.data
    horizontal = data.sensor_fit == "HORIZONTAL" or (data.sensor_fit == "AUTO" and wide >= high)
    sensor = data.sensor_height if data.sensor_fit == "VERTICAL" else data.sensor_width
    span = (wide if horizontal else high) / size[0]
    matrix = np.array(camera.matrix_world, dtype=np.float64)
    lengths = np.linalg.norm(matrix[:3, :3], axis=0)
    if lengths.min() < 1e-9:
        raise MotionError(
            f"the camera {camera.name!r} is scaled to nothing", hint="Clear its scale (Alt S)."
        )
    matrix[:3, :3] /= lengths
    return Look(
        view=np.asarray(np.linalg.inv(matrix), dtype=np.float64),
        focal=data.lens / sensor * span,
        scale=data.ortho_scale / span if data.type == "ORTHO" else 0.0,
        shift=(data.shift_x * span, data.shift_y * span),
        near=data.clip_start,
    )


def joined(looks: Sequence[Look]) -> Camera:
    """Return one camera for a run of frames."""
    scales = np.array([look.scale for look in looks])
    return Camera(
        views=np.stack([look.view for look in looks]),
        focal=np.array([look.focal for look in looks]),
        scale=scales if scales.any() else None,
        shift=np.array([look.shift for look in looks]),
        fit="horizontal",
    )
