# SPDX-License-Identifier: GPL-3.0-or-later
"""Panel *Render*: start, watch, cancel."""

from collections.abc import Iterator
from typing import Any

import bpy

from ...scene import filmed
from ...scene.choices import armatures, camera_of
from ...state.messages import translated
from ...state.translations import say
from ...work import checking
from .. import summary, thumbnails
from ..lists import STATE_ICONS
from ..paragraphs import write, write_problem
from .base import SidebarPanel, preferences_button, settings_column
from .progress import at_work, draw_bar, waiting

__all__ = ["CLASSES"]


def missing(scene: Any) -> Iterator[str]:
    """Say what is still to be done before poses can be drawn; looks at settings only."""
    film = filmed.is_filmed(scene)
    if film and not scene.marionext.motion_track:
        yield say("Rig: read the poses of the video.")
    if not film and not armatures(scene):
        yield say("Rig: choose an armature.")
    if not film and camera_of(scene) is None:
        chosen = scene.marionext.camera == "OBJECT"
        yield say("Camera: choose one.") if chosen else say("Camera: the scene needs one.")
    if summary.frames(scene).problem:
        yield say("Frames: the range is empty.")


def missing_character(scene: Any) -> Iterator[str]:
    """Say what is still to be done before a character can be rendered in them."""
    settings = scene.marionext
    if settings.character_source == "IMAGE" and not settings.character:
        yield say("Character: choose a picture.")


class MARIONEXT_PT_render(SidebarPanel, bpy.types.Panel):
    """Start a render and watch it."""

    bl_idname = "MARIONEXT_PT_render"
    bl_label = "Render"

    def draw(self, context: Any) -> None:
        """Draw the panel."""
        layout = self.layout
        session = context.window_manager.marionext
        if session.engine_state == "PROBLEM":
            box = write_problem(layout, context, translated(session.engine_message))
            box.operator("marionext.test_engine", icon="CHECKMARK")
            preferences_button(box)
        lacking = list(missing(context.scene))
        faceless = list(missing_character(context.scene))
        for text in (*lacking, *faceless):
            write(layout, context, text, icon="DOT")
        self._draw_buttons(layout, poses=not lacking, renders=not lacking and not faceless)
        if not lacking:
            _draw_check(context, layout)
        for job in at_work(session):
            self._draw_at_work(context, layout, job)
        count = waiting(session)
        if count:
            layout.label(text=say("{count} waiting", count=count), icon="SORTTIME", translate=False)
        column = settings_column(layout)
        column.prop(context.scene.marionext, "output")
        column.prop(context.scene.marionext, "queue_folder", text="Queue")
        layout.operator("marionext.queue_state", icon="LINENUMBERS_ON")
        if session.queue_state:
            write(layout, context, session.queue_state, icon="INFO")

    def _draw_buttons(self, layout: Any, *, poses: bool, renders: bool) -> None:
        column = layout.column(align=True)
        large = column.row(align=True)
        large.scale_y = 1.6
        large.enabled = renders
        large.operator("marionext.render", icon="RENDER_ANIMATION")
        row = column.row(align=True)
        draft = row.row(align=True)
        draft.enabled = renders
        draft.operator("marionext.draft", icon="PLAY")
        maps = row.row(align=True)
        maps.enabled = poses
        maps.operator("marionext.pose_maps", text="Pose Maps", icon="ARMATURE_DATA")
        queue = layout.row()
        queue.enabled = renders
        queue.operator("marionext.send_to_queue", icon="EXPORT")

    def _draw_at_work(self, context: Any, layout: Any, job: Any) -> None:
        box = layout.box()
        box.label(text=job.name, icon=STATE_ICONS[job.state], translate=False)
        draw_bar(box, job)
        if job.message:
            write(box, context, translated(job.message))
        if job.preview:
            icon = thumbnails.icon(job.preview)
            if icon > 0:
                box.template_icon(icon_value=icon, scale=7.0)
        row = box.row(align=True)
        row.operator("marionext.cancel", icon="CANCEL").job_id = job.job_id
        if job.frames_done:
            row.operator("marionext.show_result", text="", icon="IMAGE_DATA").job_id = job.job_id


def _draw_check(context: Any, layout: Any) -> None:
    """Draw what is known about the shot before it is rendered."""
    session = context.window_manager.marionext
    layout.operator("marionext.check_shot", icon="CHECKMARK")
    if not checking.is_current(context.scene):
        return
    for finding in session.findings:
        icon = "ERROR" if finding.pointless else "INFO"
        write(layout, context, finding.text, icon=icon)
    if session.estimate:
        if not session.findings:
            write(layout, context, say("Nothing to find fault with."), icon="CHECKMARK")
        write(layout, context, session.estimate, icon="TIME")


CLASSES = (MARIONEXT_PT_render,)
