# SPDX-License-Identifier: GPL-3.0-or-later
"""Panel *Rig*: who moves, what of the body is known, and how to mend it."""

from typing import Any

import bpy

from ...scene import filmed
from ...scene.choices import is_there
from ...scene.people import active_person, active_rig
from ...state.messages import translated
from ...state.translations import say
from ...state.words import coverage_words
from ..paragraphs import write, write_problem
from .base import SidebarPanel

__all__ = ["CLASSES"]


class MARIONEXT_PT_rig(SidebarPanel, bpy.types.Panel):
    """Choose the armature."""

    bl_idname = "MARIONEXT_PT_rig"
    bl_label = "Rig"

    def draw(self, context: Any) -> None:
        """Draw the panel."""
        layout = self.layout
        settings = context.scene.marionext
        layout.row().prop(settings, "motion_source", expand=True)
        if filmed.is_filmed(context.scene):
            self._draw_file(context, layout, settings)
            return
        if not settings.people:
            self._draw_start(context, layout)
            return
        row = layout.row()
        if len(settings.people) == 1:
            row.prop(settings.people[0], "armature", text="")
        else:
            row.template_list(
                "MARIONEXT_UL_people", "", settings, "people", settings, "people_index", rows=2
            )
        buttons = row.column(align=True) if len(settings.people) > 1 else row.row(align=True)
        buttons.operator("marionext.person_add", text="", icon="ADD")
        if len(settings.people) > 1:
            buttons.operator("marionext.person_remove", text="", icon="REMOVE")
        person = active_person(context)
        if person is None or person.armature is None:
            write(layout, context, say("Choose the armature that moves."), icon="INFO")
            return
        if not is_there(person.armature):
            text = say("{name} was deleted.", name=person.armature.name)
            write_problem(layout, context, text, say("Choose another armature."))
            return
        if person.problem:
            box = write_problem(layout, context, translated(person.problem), say(person.advice))
            box.operator("marionext.inspect_rig", icon="FILE_REFRESH")
        self._draw_found(layout, person)
        _draw_overlay(context, layout)

    def _draw_file(self, context: Any, layout: Any, settings: Any) -> None:
        session = context.window_manager.marionext
        layout.prop(settings, "motion_file", text="")
        row = layout.row(align=True)
        row.operator("marionext.read_poses", icon="ARMATURE_DATA")
        if session.motion_message and session.motion_failed:
            write_problem(layout, context, session.motion_message)
        elif session.motion_message:
            row.operator("marionext.cancel_poses", text="", icon="CANCEL")
            write(layout, context, session.motion_message, icon="TIME")
        elif settings.motion_track:
            write(layout, context, say("The poses have been read."), icon="CHECKMARK")
        layout.prop(settings, "motion_start")
        layout.operator("marionext.video_background", icon="CAMERA_DATA")
        _draw_overlay(context, layout)

    def _draw_start(self, context: Any, layout: Any) -> None:
        found = active_rig(context)
        if found is not None:
            text = say("Use {name}", name=found.name)
            layout.operator(
                "marionext.person_add", text=text, icon="ARMATURE_DATA", translate=False
            )
            return
        text = say("Select an animated armature or its character, then add it here.")
        write(layout, context, text, icon="INFO")
        layout.operator("marionext.person_add", icon="ADD")

    def _draw_found(self, layout: Any, person: Any) -> None:
        row = layout.row(align=True)
        shown = say(person.convention or "Naming Convention")
        row.operator_menu_enum(
            "marionext.choose_preset", "preset", text=shown, icon="GROUP_BONE", translate=False
        )
        row.operator("marionext.inspect_rig", text="", icon="FILE_REFRESH")
        if not person.face_source:
            return
        complete = (
            person.body_points == 18,
            person.hand_points == 42,
            not person.face_source.startswith("no face"),
        )
        column = layout.column(align=True)
        column.scale_y = 0.85
        for text, whole in zip(coverage_words(person), complete, strict=True):
            column.label(text=text, icon="CHECKMARK" if whole else "DOT", translate=False)


def _draw_overlay(context: Any, layout: Any) -> None:
    """Draw the switches of the overlay, and why it shows less than was asked for."""
    settings, session = context.scene.marionext, context.window_manager.marionext
    row = layout.row(align=True)
    row.prop(settings, "overlay", icon="OVERLAY", toggle=True)
    drawn = row.row(align=True)
    drawn.enabled = settings.overlay
    drawn.prop(settings, "overlay_drawn", icon="VIEW_CAMERA", toggle=True)
    if settings.overlay and settings.overlay_drawn and session.drawn_message:
        message = translated(session.drawn_message)
        if session.drawn_hint:
            write_problem(layout, context, message, say(session.drawn_hint))
        else:
            write(layout, context, message, icon="INFO")


class MARIONEXT_PT_mapping(SidebarPanel, bpy.types.Panel):
    """Mend the mapping bone by bone."""

    bl_idname = "MARIONEXT_PT_mapping"
    bl_label = "Bones"
    bl_parent_id = "MARIONEXT_PT_rig"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Show it where there is a rig."""
        person = active_person(context)
        return person is not None and person.armature is not None and len(person.mapping) > 0

    def draw_header_preset(self, context: Any) -> None:
        """Say how many bones deserve a look."""
        doubtful = sum(item.source == "GUESSED" for item in active_person(context).mapping)
        if doubtful:
            self.layout.label(text=say("{count} guessed", count=doubtful), translate=False)

    def draw(self, context: Any) -> None:
        """Draw the panel."""
        layout = self.layout
        person = active_person(context)
        layout.template_list(
            "MARIONEXT_UL_mapping", "", person, "mapping", person, "mapping_index", rows=8
        )
        if 0 <= person.mapping_index < len(person.mapping):
            item = person.mapping[person.mapping_index]
            row = layout.row(align=True)
            row.prop_search(item, "bone", person.armature.data, "bones", text="")
            row.operator("marionext.select_bone", text="", icon="RESTRICT_SELECT_OFF")
        layout.operator("marionext.pick_bone", icon="EYEDROPPER")
        layout.operator("marionext.save_preset", icon="PRESET_NEW")


CLASSES = (MARIONEXT_PT_rig, MARIONEXT_PT_mapping)
