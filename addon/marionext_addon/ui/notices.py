# SPDX-License-Identifier: GPL-3.0-or-later
"""Have the end of a render noticed wherever one works.

The status bar keeps saying it until somebody has looked. A failure also opens the sidebar at its
job, and a notice at the pointer.
"""

from typing import Any

import bpy

from ..state import changes
from ..state.messages import translated
from ..state.translations import say
from ..state.words import wrapped

__all__ = ["register", "unregister"]


def _ended(render: Any) -> None:
    """Keep what has ended for the status bar, and show a failure.

    Args:
        render: a `work.renders.Render`.
    """
    session = bpy.context.window_manager.marionext
    if render.state == "CANCELLED":
        return
    session.notice = render.job_id
    if render.state != "FAILED":
        return
    for number, job in enumerate(session.jobs):
        if job.job_id == render.job_id:
            session.job_index = number
    window = next(iter(bpy.context.window_manager.windows), None)
    if window is not None:
        # Timers that have opened a file are in no window's context, and Blender would crash.
        with bpy.context.temp_override(window=window):
            _open_sidebar(window)
            _notify(render)


def _open_sidebar(window: Any) -> None:
    """Show our tab in the largest 3D view that has a sidebar, or could have."""
    views = [area for area in window.screen.areas if area.type == "VIEW_3D"]
    if not views:
        return
    view = max(views, key=lambda area: area.width * area.height)
    with bpy.context.temp_override(window=window, area=view):
        view.spaces.active.show_region_ui = True
    for region in view.regions:
        # Blender before 4.2 keeps the choice of the tab to itself.
        if region.type == "UI" and hasattr(region, "active_panel_category"):
            try:
                region.active_panel_category = "Marionext"
            except (AttributeError, TypeError):
                return


def _notify(render: Any) -> None:
    lines = wrapped(f"{translated(render.message)}\n{say(render.hint)}")

    def draw(menu: Any, _context: object) -> None:
        for line in lines:
            menu.layout.label(text=line, translate=False)

    title = say("{name} failed", name=render.name)
    bpy.context.window_manager.popup_menu(draw, title=title, icon="ERROR")


def register() -> None:
    """Listen; without windows there is nobody to notice."""
    if not bpy.app.background:
        changes.job_ended.listen(_ended)


def unregister() -> None:
    """Stop doing so."""
    changes.job_ended.forget(_ended)
