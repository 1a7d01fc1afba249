# SPDX-License-Identifier: GPL-3.0-or-later
"""Panel *Character*: the picture of who is to be seen."""

from typing import Any

import bpy

from ...scene.choices import chosen_camera
from ...state.messages import translated
from ...state.translations import say
from ...work import live, reference
from ...work.editors import image_editors
from .. import summary, thumbnails
from ..paragraphs import write, write_problem
from .base import SidebarPanel

__all__ = ["CLASSES"]


class MARIONEXT_PT_character(SidebarPanel, bpy.types.Panel):
    """Choose the picture of the character."""

    bl_idname = "MARIONEXT_PT_character"
    bl_label = "Character"

    def draw(self, context: Any) -> None:
        """Draw the panel."""
        layout = self.layout
        settings = context.scene.marionext
        layout.row().prop(settings, "character_source", expand=True)
        if settings.character_source == "IMAGE":
            layout.prop(settings, "character", text="")
        else:
            self._draw_scene_source(context, layout, settings)
        _draw_making(context, layout)
        self._draw_picture(context, layout, settings)
        layout.prop(settings, "pose_fit", text="", icon="ARMATURE_DATA")
        draw_live(context, layout)

    def _draw_scene_source(self, context: Any, layout: Any, settings: Any) -> None:
        frame = settings.scene_picture_frame
        if not settings.scene_picture:
            text = say("The character is rendered as it stands in this scene.")
        elif settings.scene_picture_form == self._form(context.scene):
            text = say("Rendered from frame {frame}.", frame=frame)
        else:
            text = say("Rendered from frame {frame} in another shape: done again.", frame=frame)
        write(layout, context, text, icon="INFO")
        layout.operator("marionext.render_character", icon="RENDER_STILL")

    @staticmethod
    def _form(scene: Any) -> str:
        settings = scene.marionext
        chosen = chosen_camera(scene)
        size = summary.framing(scene).size
        return reference.form_of(size, settings.fit, "" if chosen is None else chosen.name)

    def _draw_picture(self, context: Any, layout: Any, settings: Any) -> None:
        of_scene = settings.character_source == "SCENE"
        path = settings.scene_picture if of_scene else settings.character
        if not path:
            if not of_scene:
                text = say(
                    "Choose one picture of the character: the whole figure, seen from front."
                )
                write(layout, context, text, icon="INFO")
            return
        icon = thumbnails.icon(path)
        if icon == thumbnails.MISSING and of_scene:
            write(layout, context, say("The picture is gone: done again."), icon="INFO")
        elif icon == thumbnails.MISSING:
            write_problem(
                layout, context, say("The picture is not there."), say("Choose it again above.")
            )
        elif icon != thumbnails.WAITING:
            layout.template_icon(icon_value=icon, scale=8.0)


def _draw_making(context: Any, layout: Any) -> None:
    """Draw the button beside the choice, and how far a picture is."""
    session = context.window_manager.marionext
    row = layout.row(align=True)
    row.operator("marionext.make_character", icon="BRUSH_DATA")
    if session.character_message and session.character_failed:
        write_problem(layout, context, session.character_message)
    elif session.character_message:
        row.operator("marionext.cancel_character", text="", icon="CANCEL")
        write(layout, context, session.character_message, icon="TIME")


def draw_live(context: Any, layout: Any) -> None:
    """Draw the switch of the live preview, and what it has to say."""
    session = context.window_manager.marionext
    layout.prop(session, "live", icon="HIDE_OFF", toggle=True)
    if session.live:
        row = layout.row(align=True)
        row.prop(session, "live_camera", icon="VIEW_CAMERA", toggle=True)
        opacity = row.row(align=True)
        opacity.enabled = session.live_camera
        opacity.prop(session, "live_opacity", slider=True)
    if session.live_message and not session.live:
        write_problem(layout, context, translated(session.live_message), say(session.live_hint))
    elif session.live_message:
        write(layout, context, translated(session.live_message), icon="INFO")
    image = live.image_or_none() if session.live else None
    if image is not None and not any(space.image == image for space, _ in image_editors()):
        layout.operator("marionext.show_live", icon="IMAGE_DATA")


CLASSES = (MARIONEXT_PT_character,)
