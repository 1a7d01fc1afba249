# SPDX-License-Identifier: GPL-3.0-or-later
"""Have the places redrawn that show the state of a render."""

import bpy

from ..state import changes

__all__ = ["register", "sidebars", "unregister"]


def sidebars() -> None:
    """Have the sidebars of all 3D views and all status bars drawn again."""
    manager = bpy.context.window_manager
    for window in manager.windows if manager else ():
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                for region in area.regions:
                    if region.type == "UI":
                        region.tag_redraw()
        # The status bar is no area of the screen: setting its text is what redraws it. A tool that
        # is at work shows its keys there and redraws it itself.
        if not getattr(window, "modal_operators", ()):
            # Outside a window's context, as in a timer that has just opened a file, it crashes.
            with bpy.context.temp_override(window=window):
                window.workspace.status_text_set_internal(None)


def _preferences() -> None:
    """Have the preferences drawn again wherever they are open."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "PREFERENCES":
                area.tag_redraw()


def register() -> None:
    """Draw again when a render has moved on; without windows there is nothing to draw."""
    if not bpy.app.background:
        changes.jobs_changed.listen(sidebars)
        changes.models_changed.listen(_preferences)


def unregister() -> None:
    """Stop doing so."""
    changes.jobs_changed.forget(sidebars)
    changes.models_changed.forget(_preferences)
