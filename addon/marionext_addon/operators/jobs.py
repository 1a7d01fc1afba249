# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be done with a job of the list: cancel, retry, remove."""

from typing import Any

import bpy

from marionext.errors import SettingsError

from ..work.renders import Render
from ..work.runner import runner
from .base import OnJob, seen

__all__: list[str] = []


class MARIONEXT_OT_cancel(OnJob, bpy.types.Operator):
    """Stop a job."""

    bl_idname = "marionext.cancel"
    bl_label = "Cancel"
    bl_description = "Stop this render; finished frames are kept, and Retry goes on from them"

    def act(self, _context: Any, render: Render) -> set[str]:
        """Stop it."""
        if not render.is_open:
            raise SettingsError(f"{render.name} has ended already")
        runner.cancel(render)
        return {"FINISHED"}


class MARIONEXT_OT_retry(OnJob, bpy.types.Operator):
    """Begin a job again."""

    bl_idname = "marionext.retry"
    bl_label = "Retry"
    bl_description = "Begin this render again; what is finished is not rendered again"

    def act(self, _context: Any, render: Render) -> set[str]:
        """Queue it again."""
        runner.retry(render)
        seen(render)
        return {"FINISHED"}


class MARIONEXT_OT_remove_job(OnJob, bpy.types.Operator):
    """Take a job off the list."""

    bl_idname = "marionext.remove_job"
    bl_label = "Remove from List"
    bl_description = "Take this job off the list; its folder and pictures stay"

    def act(self, _context: Any, render: Render) -> set[str]:
        """Remove it."""
        runner.remove(render)
        return {"FINISHED"}


class MARIONEXT_OT_dismiss(bpy.types.Operator):
    """Stop saying in the status bar that a render has ended."""

    bl_idname = "marionext.dismiss"
    bl_label = "Dismiss"
    bl_description = "Stop saying here how the last render ended; Results keeps it"

    def execute(self, context: Any) -> set[str]:
        """Take the notice away."""
        context.window_manager.marionext.notice = ""
        return {"FINISHED"}


class MARIONEXT_OT_clear_jobs(bpy.types.Operator):
    """Take all ended jobs off the list."""

    bl_idname = "marionext.clear_jobs"
    bl_label = "Clear List"
    bl_description = "Take all jobs that have ended off the list; their folders stay"
    bl_options = {"REGISTER"}

    def execute(self, _context: Any) -> set[str]:
        """Remove them."""
        for render in list(runner.renders.values()):
            if not render.is_open:
                runner.remove(render)
        return {"FINISHED"}


_CLASSES = (
    MARIONEXT_OT_cancel,
    MARIONEXT_OT_retry,
    MARIONEXT_OT_remove_job,
    MARIONEXT_OT_dismiss,
    MARIONEXT_OT_clear_jobs,
)

register, unregister = bpy.utils.register_classes_factory(_CLASSES)
