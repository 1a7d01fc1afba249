# SPDX-License-Identifier: GPL-3.0-or-later
"""Shortcuts in the 3D view; they can be changed in Blender's preferences."""

from typing import Any

import bpy

__all__ = ["SHORTCUTS"]

SHORTCUTS: tuple[tuple[str, str, dict[str, bool]], ...] = (
    ("marionext.render", "F12", {"ctrl": True, "shift": True}),
    ("marionext.draft", "F12", {"shift": True, "alt": True}),
    ("wm.context_toggle", "K", {"shift": True, "alt": True}),
)
"""Operator, key, modifiers. F12 renders in Blender, too; Ctrl Alt F12 is its own, and Linux's."""

_added: list[tuple[Any, Any]] = []


def register() -> None:
    """Add the shortcuts; a Blender without windows has no place for them."""
    configuration = bpy.context.window_manager.keyconfigs.addon
    if configuration is None:
        return
    keymap = configuration.keymaps.new(name="3D View", space_type="VIEW_3D")
    for operator, key, modifiers in SHORTCUTS:
        item = keymap.keymap_items.new(operator, key, "PRESS", **modifiers)
        if operator == "wm.context_toggle":
            item.properties.data_path = "scene.marionext.overlay"
        _added.append((keymap, item))


def unregister() -> None:
    """Take the shortcuts away."""
    for keymap, item in _added:
        keymap.keymap_items.remove(item)
    _added.clear()
