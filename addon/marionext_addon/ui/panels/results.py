# SPDX-License-Identifier: GPL-3.0-or-later
"""Panel *Results*: the renders of this session and where to take them."""

from typing import Any

import bpy

from ...state.messages import translated
from ...state.translations import say
from ...work.folders import FRAMES, POSE_MAPS
from .. import thumbnails
from ..paragraphs import write, write_problem
from .base import SidebarPanel, preferences_button

__all__ = ["CLASSES", "middle_frame"]


def middle_frame(job: Any) -> str:
    """Return the file of the frame in the middle of a finished render."""
    number = job.first_frame + job.frame_count // 2 * job.step
    frames = POSE_MAPS if job.kind == "POSE_MAPS" else FRAMES
    return f"{job.folder}/{frames}/{number:06d}.png"


class MARIONEXT_PT_results(SidebarPanel, bpy.types.Panel):
    """Look at renders."""

    bl_idname = "MARIONEXT_PT_results"
    bl_label = "Results"

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Show it once there is something."""
        return len(context.window_manager.marionext.jobs) > 0

    def draw(self, context: Any) -> None:
        """Draw the panel."""
        layout = self.layout
        session = context.window_manager.marionext
        row = layout.row()
        row.template_list(
            "MARIONEXT_UL_jobs", "", session, "jobs", session, "job_index",
            rows=min(5, max(2, len(session.jobs))),
        )  # fmt: skip
        buttons = row.column(align=True)
        buttons.operator("marionext.remove_job", text="", icon="REMOVE")
        buttons.operator("marionext.clear_jobs", text="", icon="X")
        if not 0 <= session.job_index < len(session.jobs):
            return
        job = session.jobs[session.job_index]
        self._draw_about(context, layout, job)
        if job.state == "QUEUED":
            layout.operator("marionext.cancel", icon="CANCEL").job_id = job.job_id
        elif job.state == "FAILED":
            self._draw_failed(context, layout, job)
        elif job.state == "CANCELLED":
            write(
                layout, context, say("Cancelled. What is done is kept; Retry goes on from there.")
            )
            self._draw_retry(layout, job)
        elif job.state == "FINISHED":
            self._draw_end(context, layout, job)
        if job.state == "FINISHED" or (job.whole and job.state in {"FAILED", "CANCELLED"}):
            self._draw_whole(layout, job)

    def _draw_about(self, context: Any, layout: Any, job: Any) -> None:
        """Draw when it was made and of what, and what concerns its folder."""
        if not job.about:
            return
        row = layout.row(align=True)
        # Lines are broken between two things, not within one.
        told = (part.replace(" ", "\u00a0") for part in job.about.split("   "))
        write(row, context, "  ".join(told), buttons=2)
        row.operator("marionext.rename_job", text="", icon="GREASEPENCIL").job_id = job.job_id
        if job.state not in {"RECORDING", "QUEUED", "RUNNING"}:
            row.operator("marionext.delete_job", text="", icon="TRASH").job_id = job.job_id

    def _draw_takes(self, layout: Any, job: Any) -> None:
        row = layout.row(align=True)
        row.operator("marionext.render_again", icon="FILE_REFRESH").job_id = job.job_id
        for number in range(job.takes + 1) if job.takes else ():
            button = row.operator("marionext.show_take", text=str(number))
            button.job_id, button.take = job.job_id, number

    def _draw_failed(self, context: Any, layout: Any, job: Any) -> None:
        box = write_problem(layout, context, translated(job.message), say(job.hint))
        self._draw_retry(box, job, failed=True)
        if "engine" in job.message:
            preferences_button(box)

    def _draw_retry(self, layout: Any, job: Any, *, failed: bool = False) -> None:
        row = layout.row(align=True)
        row.operator("marionext.retry", icon="FILE_REFRESH").job_id = job.job_id
        row.operator("marionext.open_folder", text="", icon="FILE_FOLDER").job_id = job.job_id
        if failed:
            row.operator("marionext.report_problem", text="", icon="TEXT")

    def _draw_end(self, context: Any, layout: Any, job: Any) -> None:
        if job.message:
            write(layout, context, translated(job.message))
        if job.hint:
            # What had to be left out, or what the engine warned of.
            write(layout, context, translated(job.hint), icon="INFO")

    def _draw_whole(self, layout: Any, job: Any) -> None:
        icon = thumbnails.icon(middle_frame(job))
        if icon > 0:
            layout.template_icon(icon_value=icon, scale=7.0)
        column = layout.column(align=True)
        if job.kind in {"RENDER", "DRAFT"}:
            self._draw_takes(layout, job)
            column.operator("marionext.make_larger", icon="FULLSCREEN_ENTER").job_id = job.job_id
        if job.video:
            column.operator("marionext.play_video", icon="PLAY").job_id = job.job_id
        for name, symbol in (
            ("marionext.show_result", "IMAGE_DATA"),
            ("marionext.add_strip", "SEQUENCE"),
            ("marionext.camera_background", "CAMERA_DATA"),
            ("marionext.open_folder", "FILE_FOLDER"),
        ):
            column.operator(name, icon=symbol).job_id = job.job_id


CLASSES = (MARIONEXT_PT_results,)
