# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be done with a job of the list: cancel, retry, remove."""

from pathlib import Path
from typing import Any

import bpy
from bpy.props import StringProperty

from marionext.errors import EngineError, SettingsError

from ..state.translations import say
from ..work.renders import Render
from ..work.runner import runner
from .base import OnJob, active_render, refuse_gone, report_error, seen

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


class MARIONEXT_OT_rename_job(OnJob, bpy.types.Operator):
    """Call a render something else."""

    bl_idname = "marionext.rename_job"
    bl_label = "Rename"
    bl_description = "Call this render something else in the list; its folder keeps its name"

    title: StringProperty(name="Name", description="Empty: the name of its folder")

    def invoke(self, context: Any, _event: object) -> set[str]:
        """Ask for the name."""
        try:
            self.title = active_render(context, self.job_id).name
        except EngineError as error:
            return report_error(self, error)
        return set(context.window_manager.invoke_props_dialog(self))

    def act(self, _context: Any, render: Render) -> set[str]:
        """Rename it."""
        refuse_gone(render)
        runner.rename(render, self.title)
        return {"FINISHED"}


class MARIONEXT_OT_delete_job(OnJob, bpy.types.Operator):
    """Delete a render from the disk."""

    bl_idname = "marionext.delete_job"
    bl_label = "Delete from Disk"
    bl_description = "Delete this render's pictures, videos and job from the disk; asks first"

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Ask first."""
        return set(context.window_manager.invoke_confirm(self, event))

    def act(self, _context: Any, render: Render) -> set[str]:
        """Delete it."""
        left = runner.delete(render)
        if left:
            self.report(
                {"WARNING"},
                say(
                    "Kept in {folder}, since Marionext did not write it: {names}",
                    folder=render.folder, names=", ".join(left[:4]),
                ),
            )  # fmt: skip
        return {"FINISHED"}


class MARIONEXT_OT_play_video(OnJob, bpy.types.Operator):
    """Play the video of a render."""

    bl_idname = "marionext.play_video"
    bl_label = "Play Video"
    bl_description = "Play the video of this render in the system's player"

    def act(self, _context: Any, render: Render) -> set[str]:
        """Open it."""
        refuse_gone(render)
        if not render.video or not Path(render.video).is_file():
            raise SettingsError(
                f"{render.name} has no video yet", hint="It is made when all frames are there."
            )
        bpy.ops.wm.path_open(filepath=render.video)
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
    MARIONEXT_OT_rename_job,
    MARIONEXT_OT_delete_job,
    MARIONEXT_OT_play_video,
    MARIONEXT_OT_dismiss,
    MARIONEXT_OT_clear_jobs,
)

register, unregister = bpy.utils.register_classes_factory(_CLASSES)
