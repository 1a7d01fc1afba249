# SPDX-License-Identifier: GPL-3.0-or-later
"""Where all panels stand, and what several of them show."""

from typing import Any

from ...state import ADDON

__all__ = ["SidebarPanel", "preferences_button", "settings_column"]


class SidebarPanel:
    """A panel in the tab Marionext of the 3D view's sidebar."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Marionext"
    bl_translation_context = "Marionext"


def settings_column(layout: Any) -> Any:
    """Return a column whose properties have their names on the left, as in Blender's own panels."""
    column = layout.column()
    column.use_property_split = True
    column.use_property_decorate = False
    return column


def preferences_button(layout: Any) -> None:
    """Draw the button that opens the add-on's page in Blender's preferences."""
    button = layout.operator("preferences.addon_show", text="Open Preferences", icon="PREFERENCES")
    button.module = ADDON
