# SPDX-License-Identifier: GPL-3.0-or-later
"""Change the recorded poses: add, order and take away edits."""

from typing import Any

import bpy
from bpy.props import EnumProperty, StringProperty

from marionext.errors import EngineError

from ..scene.choices import scene_range
from ..scene.edits import edits_in_file
from ..state import changes
from ..state.edits import KINDS
from ..work.results import in_file
from .base import report_error

__all__: list[str] = []


class MARIONEXT_OT_edit_add(bpy.types.Operator):
    """Add an edit."""

    bl_idname = "marionext.edit_add"
    bl_label = "Add Edit"
    bl_description = "Change the recorded poses; the rig and its animation stay as they are"
    bl_options = {"REGISTER", "UNDO"}

    kind: EnumProperty(
        name="Kind", description="What is done to the poses", items=KINDS, options={"SKIP_SAVE"}
    )
    filepath: StringProperty(
        name="File",
        description="List of edits, job file, render.json or project",
        subtype="FILE_PATH",
        options={"SKIP_SAVE"},
    )
    filter_glob: StringProperty(
        name="Files",
        description="Names of files that are offered",
        default="*.json;*.marionext",
        options={"HIDDEN"},
    )

    def invoke(self, context: Any, _event: object) -> set[str]:
        """Let the file be chosen where there is one."""
        if self.kind != "FILE":
            return self.execute(context)
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: Any) -> set[str]:
        """Add it after the active one."""
        settings = context.scene.marionext
        if self.kind == "FILE":
            try:
                edits_in_file(self.filepath)
            except EngineError as error:
                return report_error(self, error)
        item = settings.edits.add()
        item.kind = self.kind
        if self.kind == "FILE":
            item.path = in_file(bpy.path.abspath(self.filepath))
        item.limited = context.scene.use_preview_range
        item.start, item.end = scene_range(context.scene)
        last = len(settings.edits) - 1
        place = min(settings.edit_index + 1, last) if last else 0
        settings.edits.move(last, place)
        settings.edit_index = place
        return {"FINISHED"}


class _OnEdit:
    """Base of the operators that do something with the active edit."""

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Tell whether there is one."""
        settings = context.scene.marionext
        return bool(0 <= settings.edit_index < len(settings.edits))


class MARIONEXT_OT_edit_remove(_OnEdit, bpy.types.Operator):
    """Take an edit out of the list."""

    bl_idname = "marionext.edit_remove"
    bl_label = "Remove Edit"
    bl_description = "Take this edit out of the list: the poses are as if it had never been made"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: Any) -> set[str]:
        """Take it out."""
        settings = context.scene.marionext
        settings.edits.remove(settings.edit_index)
        settings.edit_index = max(0, min(settings.edit_index, len(settings.edits) - 1))
        changes.poses_edited.tell()
        return {"FINISHED"}


class MARIONEXT_OT_edit_move(_OnEdit, bpy.types.Operator):
    """Do an edit earlier or later."""

    bl_idname = "marionext.edit_move"
    bl_label = "Move Edit"
    bl_description = "Do this edit before or after its neighbour in the list"
    bl_options = {"REGISTER", "UNDO"}

    direction: EnumProperty(
        name="Direction",
        description="Where to",
        items=[("UP", "Up", "Before its neighbour"), ("DOWN", "Down", "After its neighbour")],
        options={"SKIP_SAVE"},
    )

    def execute(self, context: Any) -> set[str]:
        """Move it."""
        settings = context.scene.marionext
        place = settings.edit_index + (-1 if self.direction == "UP" else 1)
        if not 0 <= place < len(settings.edits):
            return {"CANCELLED"}
        settings.edits.move(settings.edit_index, place)
        settings.edit_index = place
        changes.poses_edited.tell()
        return {"FINISHED"}


register, unregister = bpy.utils.register_classes_factory(
    (MARIONEXT_OT_edit_add, MARIONEXT_OT_edit_remove, MARIONEXT_OT_edit_move)
)
