# SPDX-License-Identifier: GPL-3.0-or-later
"""The sidebar, in the order of the work: rig, camera and frames, character, look, render, results.

Drawing only shows: nothing here looks at a rig, opens a file or changes a setting.
"""

import bpy

from . import character, look, render, results, rig, shot, status

__all__ = ["register", "unregister"]

_ROOMS = (rig, shot, character, look, render, results)


def register() -> None:
    """Add the panels and the entry in the status bar."""
    for room in _ROOMS:
        for cls in room.CLASSES:
            bpy.utils.register_class(cls)
    status.register()


def unregister() -> None:
    """Take them away."""
    status.unregister()
    for room in reversed(_ROOMS):
        for cls in reversed(room.CLASSES):
            bpy.utils.unregister_class(cls)
