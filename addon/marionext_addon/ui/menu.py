# SPDX-License-Identifier: GPL-3.0-or-later
"""The entries in Blender's Render menu."""

from typing import Any

import bpy

__all__ = ["register", "unregister"]


def _draw(menu: Any, _context: object) -> None:
    layout = menu.layout
    layout.separator()
    layout.operator("marionext.render", text="Render with Marionext", icon="ARMATURE_DATA")
    layout.operator("marionext.draft", text="Draft with Marionext")
    layout.operator("marionext.check_shot", text="Check Shot for Marionext")


def register() -> None:
    """Add the entries."""
    bpy.types.TOPBAR_MT_render.append(_draw)


def unregister() -> None:
    """Take the entries away."""
    bpy.types.TOPBAR_MT_render.remove(_draw)
