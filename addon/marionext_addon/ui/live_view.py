# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw the live preview's picture where it belongs: in the camera's frame, over the 3D viewport.

It is painted over the view, so nothing is added to the camera or the file, and nothing is left when
the preview ends.
"""

from typing import Any

import bpy
import gpu
import numpy as np
from gpu_extras.batch import batch_for_shader

from ..scene.live import picture_corners
from ..state import changes
from ..work import live
from .strokes import to_region

__all__ = ["register", "unregister"]

_LEVELS = np.arange(256) / 255
_LIGHT = np.where(_LEVELS <= 0.04045, _LEVELS / 12.92, ((_LEVELS + 0.055) / 1.055) ** 2.4)
_TEXTURE = (_LEVELS if bpy.app.version >= (5, 0, 0) else _LIGHT).astype(np.float32)
"""What a texture holds for each level of sRGB. Blender before 5.0 turns light into levels as it
draws over a viewport; since then it shows what is given."""


class _View:
    """What exists while the preview is on."""

    def __init__(self) -> None:
        self.handler = bpy.types.SpaceView3D.draw_handler_add(self.draw, (), "WINDOW", "POST_PIXEL")
        self.texture: Any = None
        self.uploaded: tuple[int, float] | None = None
        """Which picture the texture shows, and how opaque."""

    def close(self) -> None:
        bpy.types.SpaceView3D.draw_handler_remove(self.handler, "WINDOW")

    def draw(self) -> None:
        """Draw one region; Blender calls it at every redraw of every 3D viewport."""
        context = bpy.context
        space, region, view = context.space_data, context.region, context.region_data
        session = context.window_manager.marionext
        picture = live.picture()
        if not session.live_camera or picture is None or picture.look is None or view is None:
            return
        if view.view_perspective != "CAMERA" or not space.overlay.show_overlays:
            return
        matrix = np.array(view.perspective_matrix, dtype=np.float64)
        corners, before = to_region(
            picture_corners(picture.look, picture.size),
            matrix,
            (region.width, region.height),
        )
        if before.all():
            self._paint(corners, picture, session.live_opacity)

    def _paint(self, corners: Any, picture: live.Picture, opacity: float) -> None:
        if self.uploaded != (picture.number, opacity):
            height, width = picture.pixels.shape[:2]
            pixels = np.full_like(picture.pixels, opacity)
            levels = (picture.pixels[..., :3] * 255 + 0.5).astype(np.uint8)
            np.take(_TEXTURE, levels, out=pixels[..., :3])
            buffer = gpu.types.Buffer("FLOAT", pixels.size, pixels.ravel())
            self.texture = gpu.types.GPUTexture((width, height), format="RGBA16F", data=buffer)
            self.uploaded = picture.number, opacity
        name = "IMAGE" if bpy.app.version >= (4, 0, 0) else "2D_IMAGE"
        shader = gpu.shader.from_builtin(name)
        places = [tuple(map(float, corner)) for corner in corners]
        square = batch_for_shader(
            shader, "TRI_FAN", {"pos": places, "texCoord": ((0, 0), (1, 0), (1, 1), (0, 1))}
        )
        gpu.state.blend_set("ALPHA")
        shader.bind()
        shader.uniform_sampler("image", self.texture)
        square.draw(shader)
        gpu.state.blend_set("NONE")


_views: list[_View] = []
"""The one that is drawn, or none."""


def _switched(on: bool) -> None:
    """Draw while the preview is on."""
    if on and not _views and not bpy.app.background:
        _views.append(_View())
    while _views and not on:
        _views.pop().close()
    _redraw()


def _redraw() -> None:
    manager = bpy.context.window_manager
    for window in manager.windows if manager else ():
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()


def _came() -> None:
    if bpy.context.window_manager.marionext.live_camera:
        _redraw()


def register() -> None:
    """Follow the preview."""
    changes.live_switched.listen(_switched)
    changes.live_came.listen(_came)


def unregister() -> None:
    """Take the drawing away."""
    changes.live_switched.forget(_switched)
    changes.live_came.forget(_came)
    _switched(False)
