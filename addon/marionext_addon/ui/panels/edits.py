# SPDX-License-Identifier: GPL-3.0-or-later
"""Panel *Edits*: what is changed of the recorded poses before they are drawn."""

from typing import Any

import bpy

from ...scene import filmed
from ...scene.people import active_person
from ...state.edits import ICONS, KINDS
from ...state.translations import say
from ..paragraphs import write
from .base import SidebarPanel, settings_column

__all__ = ["CLASSES"]


class MARIONEXT_MT_edits(bpy.types.Menu):
    """The kinds of edits."""

    bl_idname = "MARIONEXT_MT_edits"
    bl_label = "Add Edit"

    def draw(self, _context: object) -> None:
        """Draw the menu."""
        layout = self.layout
        # A file is asked for before anything is added.
        layout.operator_context = "INVOKE_DEFAULT"
        for kind, name, _ in KINDS:
            layout.operator("marionext.edit_add", text=name, icon=ICONS[kind]).kind = kind


class MARIONEXT_PT_edits(SidebarPanel, bpy.types.Panel):
    """List the edits and show the active one."""

    bl_idname = "MARIONEXT_PT_edits"
    bl_label = "Edits"
    bl_parent_id = "MARIONEXT_PT_rig"
    bl_options = {"DEFAULT_CLOSED"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Show it where there are poses to edit."""
        person = active_person(context)
        return filmed.is_filmed(context.scene) or (
            person is not None and person.armature is not None
        )

    def draw_header_preset(self, context: Any) -> None:
        """Say how many are made, where the panel is closed."""
        count = sum(edit.enabled for edit in context.scene.marionext.edits)
        if count:
            self.layout.label(text=str(count), translate=False)

    def draw(self, context: Any) -> None:
        """Draw the panel."""
        layout, settings = self.layout, context.scene.marionext
        if not settings.edits:
            text = say("Hide, smooth, hold or move what was recorded; the rig stays as it is.")
            write(layout, context, text, icon="INFO")
            layout.menu("MARIONEXT_MT_edits", icon="ADD")
            return
        row = layout.row()
        row.template_list(
            "MARIONEXT_UL_edits", "", settings, "edits", settings, "edit_index", rows=4
        )
        buttons = row.column(align=True)
        buttons.menu("MARIONEXT_MT_edits", text="", icon="ADD")
        buttons.operator("marionext.edit_remove", text="", icon="REMOVE")
        buttons.separator()
        buttons.operator("marionext.edit_move", text="", icon="TRIA_UP").direction = "UP"
        buttons.operator("marionext.edit_move", text="", icon="TRIA_DOWN").direction = "DOWN"
        if 0 <= settings.edit_index < len(settings.edits):
            _draw_edit(context, layout, settings.edits[settings.edit_index])


def _draw_edit(context: Any, layout: Any, edit: Any) -> None:
    """Draw the values of one edit."""
    column = settings_column(layout)
    column.active = edit.enabled
    column.prop(edit, "kind")
    if edit.kind == "FILE":
        column.prop(edit, "path")
        return
    values = {
        "SMOOTH": ("reach",),
        "FILL": ("replace",),
        "MOVE": ("by",),
        "TRANSFORM": ("scale", "rotation", "pivot"),
    }
    for name in values.get(edit.kind, ()):
        column.prop(edit, name)
    several = len(context.scene.marionext.people) > 1 or filmed.is_filmed(context.scene)
    if several or edit.person > 1:
        column.prop(edit, "person")
    column.prop(edit, "limited")
    if edit.limited:
        pair = column.column(align=True)
        pair.prop(edit, "start")
        pair.prop(edit, "end")
        if edit.kind in {"MOVE", "TRANSFORM"}:
            column.prop(edit, "ease")
    joints = layout.column(align=True)
    joints.active = edit.enabled
    joints.label(text="Joints" if edit.limbs else "All joints")
    joints.grid_flow(columns=2, align=True, even_columns=True).prop(edit, "limbs")


CLASSES = (MARIONEXT_MT_edits, MARIONEXT_PT_edits)
