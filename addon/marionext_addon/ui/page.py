# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's page in Blender's preferences."""

from typing import Any

import bpy

from ..state import ADDON, links, preferences
from ..state.translations import say
from . import paragraphs
from .panels.progress import draw_factor

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
        self._draw_models(context, layout, session)
        if not preferences.online_access():
            layout.label(
                text="Models are fetched only when Blender's online access is allowed.", icon="INFO"
            )

        row = layout.row()
        row.operator("marionext.open_manual", icon="HELP")
        row.operator("marionext.report_problem", icon="TEXT")
        if links.WEBSITE:
            row.operator("marionext.open_website", icon="URL")

    def _draw_models(self, context: Any, layout: Any, session: Any) -> None:
        row = layout.row()
        row.label(text="Models and networks")
        row.operator("marionext.list_models", text="", icon="FILE_REFRESH")
        if not session.models:
            layout.operator("marionext.list_models", icon="PRESET")
        for item in session.models:
            self._draw_model(context, layout.box(), item)

    def _draw_model(self, context: Any, box: Any, item: Any) -> None:
        ready = item.state == "ready"
        head = box.split(factor=0.6)
        icon = "CHECKMARK" if ready else "ERROR" if item.state == "incomplete" else "IMPORT"
        title = say(item.title) + (f"   {item.size}" if item.size and not ready else "")
        head.label(text=title, icon=icon, translate=False)
        row = head.row()
        if item.busy:
            row.operator("marionext.cancel_fetch", icon="CANCEL").model = item.name
        elif ready:
            row.operator("marionext.check_model", icon="CHECKMARK").model = item.name
        else:
            fetch = row.row()
            fetch.enabled = preferences.online_access()
            # An operator of the sidebar's own: it shows the licence before it does anything.
            fetch.operator_context = "INVOKE_DEFAULT"
            fetch.operator("marionext.fetch_model", text="Fetch", icon="IMPORT").model = item.name
            row.operator("marionext.take_model", icon="FILE_FOLDER").model = item.name
        if item.busy:
            draw_factor(box, item, f"{100 * item.progress:.0f} %")
        elif item.about and not ready:
            paragraphs.write(box, context, say(item.about.strip()))
        if item.message:
            icon = "ERROR" if item.failed else "INFO"
            paragraphs.write(box, context, item.message, icon=icon)


def register() -> None:
    """Add the page."""
    bpy.utils.register_class(MarionextPreferences)
    preferences.apply_home()


def unregister() -> None:
    """Take the page away and restore the environment."""
    preferences.forget_home()
    bpy.utils.unregister_class(MarionextPreferences)
