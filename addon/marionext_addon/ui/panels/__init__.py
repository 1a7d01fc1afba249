# SPDX-License-Identifier: GPL-3.0-or-later
"""The sidebar, in the order of the work: rig, camera and frames, character, look, render, results.

Drawing only shows: nothing here looks at a rig, opens a file or changes a setting.
"""

import bpy

from marionext.errors import EngineError

from ...work import engine
from . import character, edits, look, render, results, rig, shot, status

__all__ = ["register", "unregister"]

_ROOMS = (rig, edits, shot, character, look, render, results)


def register() -> None:
    """Add the panels and the entry in the status bar."""
    for room in _ROOMS:
        for cls in room.CLASSES:
            bpy.utils.register_class(cls)
    status.register()
    if not bpy.app.background:
        bpy.app.timers.register(_look_for_engine, first_interval=1.0)


def _look_for_engine() -> None:
    """Say that there is no engine before somebody presses Render; nothing is started."""
    session = bpy.context.window_manager.marionext
    if session.engine_state == "UNKNOWN":
        try:
            engine.find()
        except EngineError as error:
            session.engine_state, session.engine_message = "PROBLEM", str(error)


def unregister() -> None:
    """Take them away."""
    if bpy.app.timers.is_registered(_look_for_engine):
        bpy.app.timers.unregister(_look_for_engine)
    status.unregister()
    for room in reversed(_ROOMS):
        for cls in reversed(room.CLASSES):
            bpy.utils.unregister_class(cls)
