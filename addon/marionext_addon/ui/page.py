# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's page in Blender's preferences."""

from typing import Any

import bpy

from ..state import ADDON, preferences
from . import paragraphs

__all__ = ["MarionextPreferences"]


class MarionextPreferences(preferences.Choices, bpy.types.AddonPreferences):
    """What is set once for this computer."""

    bl_idname = ADDON

    def draw(self, context: Any) -> None:
        """Draw the page."""
        session = context.window_manager.marionext
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        column = layout.column()
        column.prop(self, "engine")
        row = column.row()
        row.enabled = session.engine_state != "TESTING"
        row.operator("marionext.test_engine", icon="CHECKMARK")
        if session.engine_message:
            icon = {"READY": "INFO", "PROBLEM": "ERROR"}.get(session.engine_state, "TIME")
            box = layout.box()
            paragraphs.write(box, context, session.engine_message, icon=icon)
            if session.engine_report:
                paragraphs.write(box, context, session.engine_report, icon="BLANK1")
        column = layout.column()
        column.prop(self, "device")
        column.prop(self, "on_close")
        column.prop(self, "output")
        column.prop(self, "home")
        row = layout.row()
        row.enabled = preferences.online_access()
        row.operator("marionext.fetch_model", icon="IMPORT")
        if not preferences.online_access():
            layout.label(
                text="Models are fetched only when Blender's online access is allowed.", icon="INFO"
            )


def register() -> None:
    """Add the page."""
    bpy.utils.register_class(MarionextPreferences)
    preferences.apply_home()


def unregister() -> None:
    """Take the page away and restore the environment."""
    preferences.forget_home()
    bpy.utils.unregister_class(MarionextPreferences)
