# SPDX-License-Identifier: GPL-3.0-or-later
"""The entry in Blender's status bar while a render runs: visible wherever one works."""

from typing import Any

import bpy

from .progress import at_work, draw_bar

__all__ = ["register", "unregister"]


def draw_status(header: Any, context: Any) -> None:
    """Draw bar and Cancel button of what is at work first; nothing where nothing is."""
    job = next(iter(at_work(context.window_manager.marionext)), None)
    if job is None:
        return
    layout = header.layout
    row = layout.row(align=True)
    row.label(text="Marionext", icon="RENDER_ANIMATION", translate=False)
    bar = row.row()
    bar.ui_units_x = 9
    draw_bar(bar, job)
    row.operator("marionext.cancel", text="", icon="CANCEL").job_id = job.job_id


def register() -> None:
    """Add the entry."""
    bpy.types.STATUSBAR_HT_header.append(draw_status)


def unregister() -> None:
    """Take the entry away."""
    bpy.types.STATUSBAR_HT_header.remove(draw_status)
