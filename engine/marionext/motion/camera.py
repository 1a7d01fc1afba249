"""`Camera`: from metres in the world to pixels in the picture, as Blender does it.

The camera looks along its own -z with y up (Blender, OpenGL, glTF alike). What Blender calls
sensor fit decides which side of the picture the field of view belongs to: ``auto`` is the longer
one. Checked against ``bpy_extras.object_utils.world_to_camera_view``.
"""

from dataclasses import dataclass
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from marionext.errors import MotionError

__all__ = ["Camera", "SensorFit"]

SensorFit = Literal["auto", "horizontal", "vertical"]
"""The side of the picture that focal length, shift and orthographic scale refer to."""

_NEAREST = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Camera:
    """A camera over time; one frame long if it never moves, and then good for any frame.

    Arrays are float64 and treated as read-only.
    """

    views: NDArray[np.float64]
    """(frames, 4, 4): world to camera, metres; rotation and translation only."""
    focal: NDArray[np.float64]
    """(frames,): focal length over the sensor's size along the fitted side; Blender's 50 mm lens
    on its 36 mm sensor is 50 / 36. Not used by an orthographic camera."""
    scale: NDArray[np.float64] | None = None
    """(frames,): metres along the fitted side while the camera is orthographic, 0 in frames where
    it is not (a scene may switch cameras); None: perspective throughout."""
    shift: NDArray[np.float64] | None = None
    """(frames, 2): lens shift to the right and up, in lengths of the fitted side; None: none."""
    fit: SensorFit = "auto"
    pixel_aspect: float = 1.0
    """Width over height of a pixel."""

    def __post_init__(self) -> None:
        """Check shapes and values once.

        Raises:
            MotionError: shapes disagree, or a value is not finite or not positive.
        """
        views = np.ascontiguousarray(self.views, dtype=np.float64)
        if views.ndim != 3 or views.shape[1:] != (4, 4) or not len(views):
            raise MotionError(f"a camera has views of shape (frames, 4, 4), got {views.shape}")
        shapes = {"focal": (len(views),), "scale": (len(views),), "shift": (len(views), 2)}
        object.__setattr__(self, "views", views)
        for name, shape in shapes.items():
            if getattr(self, name) is None:
                continue
            values = np.ascontiguousarray(getattr(self, name), dtype=np.float64)
            if values.shape != shape:
                raise MotionError(
                    f"expected the camera's {name} of shape {shape}, got {values.shape}"
                )
            least = {"focal": np.nextafter(0, 1), "scale": 0.0, "shift": -np.inf}[name]
            if not np.isfinite(values).all() or values.min() < least:
                raise MotionError(f"the camera's {name} is not finite and positive in every frame")
            object.__setattr__(self, name, values)
        if not np.isfinite(views).all():
            raise MotionError("the camera's position is not finite in every frame")
        if self.fit not in get_args(SensorFit):
            raise MotionError(f"sensor fit is one of {get_args(SensorFit)}, got {self.fit!r}")
        if not (np.isfinite(self.pixel_aspect) and self.pixel_aspect > 0):
            raise MotionError(f"a pixel's aspect is greater than 0, got {self.pixel_aspect}")

    @classmethod
    def still(
        cls,
        pose: NDArray[np.float64],
        *,
        focal: float,
        scale: float | None = None,
        fit: SensorFit = "auto",
    ) -> Self:
        """Return a camera that never moves.

        Args:
            pose: (4, 4), camera to world.
            focal: focal length over sensor size.
            scale: orthographic scale in metres, or None for a perspective camera.
            fit: the side that ``focal`` and ``scale`` refer to.
        """
        return cls(
            views=np.asarray(np.linalg.inv(pose)[None], dtype=np.float64),
            focal=np.array([focal]),
            scale=None if scale is None else np.array([scale]),
            fit=fit,
        )

    def __len__(self) -> int:
        """Return the number of frames; 1 for a camera that never moves."""
        return len(self.views)

    @property
    def parallel(self) -> NDArray[np.bool_]:
        """(frames,): where the camera is orthographic and its lines of sight are parallel."""
        return np.zeros(len(self), dtype=bool) if self.scale is None else self.scale > 0

    @property
    def positions(self) -> NDArray[np.float64]:
        """(frames, 3): where the camera is, in metres of the world."""
        rotations, moves = self.views[:, :3, :3], self.views[:, :3, 3]
        return -(moves[:, None] @ rotations)[:, 0]

    def span(self, size: tuple[int, int]) -> float:
        """Return the pixels along the fitted side, in widths of a pixel."""
        width, height = size[0], size[1] / self.pixel_aspect
        if self.fit == "horizontal" or (self.fit == "auto" and width >= height):
            return width
        return height

    def project(
        self, points: NDArray[np.floating], size: tuple[int, int]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Project points of the world into the picture of each frame.

        Args:
            points: (frames, ..., 3) in metres. One frame of points or of camera serves all.
            size: width and height of the picture in pixels.

        Returns:
            Pixels (frames, ..., 2), x to the right, y down, the centre of the top left pixel at
            (0.5, 0.5); and depth (frames, ...) in metres along the view, negative behind the
            camera, where the pixels of a perspective camera mean nothing (but are finite).

        Raises:
            MotionError: points and camera have different numbers of frames.
        """
        if len(points) != len(self) and 1 not in {len(points), len(self)}:
            raise MotionError(f"the camera has {len(self)} frames, the motion {len(points)}")
        extra = points.ndim - 2

        def aligned(values: NDArray[np.float64]) -> NDArray[np.float64]:
            return values.reshape(len(values), *(1,) * extra, *values.shape[1:])

        rotations = aligned(self.views[:, :3, :3].swapaxes(1, 2))
        seen = np.asarray(points, dtype=np.float64)[..., None, :] @ rotations
        seen = seen[..., 0, :] + aligned(self.views[:, :3, 3])
        depth = -seen[..., 2]
        span = self.span(size)
        safe = np.where(np.abs(depth) < _NEAREST, _NEAREST, depth)
        per_metre = aligned(self.focal) / safe
        if self.scale is not None:
            scale = aligned(self.scale)
            per_metre = np.where(scale > 0, 1 / np.where(scale > 0, scale, 1), per_metre)
        plane = seen[..., :2] * per_metre[..., None]
        if self.shift is not None:
            plane = plane - aligned(self.shift)
        pixels = np.empty_like(plane)
        pixels[..., 0] = size[0] / 2 + plane[..., 0] * span
        pixels[..., 1] = size[1] / 2 - plane[..., 1] * span * self.pixel_aspect
        return pixels, depth
