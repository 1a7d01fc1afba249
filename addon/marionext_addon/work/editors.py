# SPDX-License-Identifier: GPL-3.0-or-later
"""The Image Editors on the screen: where an image is shown, and has to be drawn again."""

from collections.abc import Container
from typing import Any

import bpy

__all__ = ["image_editors", "redraw"]


def image_editors() -> list[tuple[Any, Any]]:
    """Return every visible Image Editor as its space and its area."""
    manager = bpy.context.window_manager
    return [
        (area.spaces.active, area)
        for window in (manager.windows if manager else ())
        for area in window.screen.areas
        if area.ui_type == "IMAGE_EDITOR"
    ]


def redraw(images: Container[Any]) -> None:
    """Have the Image Editors that show one of the images drawn again."""
    for space, area in image_editors():
        if space.image in images:
            area.tag_redraw()
