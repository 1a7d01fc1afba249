# SPDX-License-Identifier: GPL-3.0-or-later
"""Have the places redrawn that show the state of a render."""

import bpy

__all__ = ["everything", "sidebars"]


def sidebars() -> None:
    """Have the sidebars of all 3D views and all status bars drawn again."""
    _tag({"VIEW_3D": {"UI"}, "STATUSBAR": {"HEADER"}})


def everything() -> None:
    """Have all 3D views and image editors drawn again as well."""
    _tag({"VIEW_3D": None, "IMAGE_EDITOR": None, "STATUSBAR": None})


def _tag(places: dict[str, set[str] | None]) -> None:
    manager = bpy.context.window_manager
    for window in manager.windows if manager else ():
        # The status bar is no area of the screen; a header of any other area redraws with it.
        for area in window.screen.areas:
            kinds = places.get(area.type, set())
            for region in area.regions:
                if kinds is None or region.type in kinds:
                    region.tag_redraw()
        if "STATUSBAR" in places:
            window.workspace.status_text_set_internal(None)
