# SPDX-License-Identifier: GPL-3.0-or-later
"""The entry in Blender's status bar while a render runs: visible wherever one works."""

from typing import Any

import bpy

from ...state.translations import say
from .progress import at_work, draw_bar

__all__ = ["register", "unregister"]


def draw_status(header: Any, context: Any) -> None:
    """Draw bar and Cancel button of what is at work first; nothing where nothing is."""
    session = context.window_manager.marionext
    job = next(iter(at_work(session)), None)
    layout = header.layout
    if job is None:
        ended = next((job for job in session.jobs if job.job_id == session.notice), None)
        if ended is not None:
            _draw_ended(layout, ended)
        return
    row = layout.row(align=True)
    row.label(text="Marionext", icon="RENDER_ANIMATION", translate=False)
    bar = row.row()
    bar.ui_units_x = 9
    draw_bar(bar, job)
    row.operator("marionext.cancel", text="", icon="CANCEL").job_id = job.job_id


def _draw_ended(layout: Any, job: Any) -> None:
    """Draw how the last render ended, until somebody has looked."""
    row = layout.row(align=True)
    row.alert = job.state == "FAILED"
    failed = job.state == "FAILED"
    text = say("{name} failed", name=job.name) if failed else say("{name} is ready", name=job.name)
    row.label(text=text, icon="ERROR" if failed else "CHECKMARK", translate=False)
    if failed:
        row.operator("marionext.retry", text="", icon="FILE_REFRESH").job_id = job.job_id
    else:
        row.operator("marionext.show_result", text="", icon="IMAGE_DATA").job_id = job.job_id
    row.operator("marionext.dismiss", text="", icon="X")


def register() -> None:
    """Add the entry."""
    bpy.types.STATUSBAR_HT_header.append(draw_status)


def unregister() -> None:
    """Take the entry away."""
    bpy.types.STATUSBAR_HT_header.remove(draw_status)
