# SPDX-License-Identifier: GPL-3.0-or-later
"""Choose who is in the shot, and mend which bone plays which role."""

from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from marionext import presets
from marionext.errors import EngineError, SettingsError
from marionext.motion import load_presets

from ..scene import rig
from ..scene.people import active_person, active_rig, refresh
from ..state.translations import say
from ..state.words import coverage_words, role_words

__all__: list[str] = []

_AUTOMATIC = "AUTOMATIC"
_preset_items: list[tuple[str, str, str]] = []
"""Blender keeps no reference of its own to the texts of a dynamic list: this one does."""


class _PersonOperator:
    """What asks for a person to work on."""

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Work where a person with an armature is selected."""
        person = active_person(context)
        return person is not None and person.armature is not None


class MARIONEXT_OT_person_add(bpy.types.Operator):
    """Add a person to the shot."""

    bl_idname = "marionext.person_add"
    bl_label = "Add Person"
    bl_description = (
        "Add a person: the active armature, that of the active object, or the scene's only one"
    )
    bl_options = {"REGISTER", "UNDO"}

    armature: StringProperty(
        name="Armature", description="Name of the armature; empty: the active one", default=""
    )

    def execute(self, context: Any) -> set[str]:
        """Add the person."""
        settings = context.scene.marionext
        taken = {person.armature for person in settings.people}
        chosen = self._choose(context, taken)
        if chosen is None and not self.armature and settings.people:
            # An empty place with a picker is what the button promises.
            settings.people.add()
        elif chosen is None:
            self.report({"ERROR"}, self._why_none(context))
            return {"CANCELLED"}
        elif chosen in taken:
            self.report({"WARNING"}, say("{name} is in the list already", name=chosen.name))
            return {"CANCELLED"}
        else:
            settings.people.add().armature = chosen
        settings.people_index = len(settings.people) - 1
        return {"FINISHED"}

    def _choose(self, context: Any, taken: set[Any]) -> Any:
        if self.armature:
            found = context.scene.objects.get(self.armature)
            return found if found is not None and found.type == "ARMATURE" else None
        active = active_rig(context)
        if active is not None and active not in taken:
            return active
        others = [o for o in context.scene.objects if o.type == "ARMATURE" and o not in taken]
        return others[0] if len(others) == 1 else None

    def _why_none(self, context: Any) -> str:
        if self.armature:
            return say("The scene has no armature called {name}", name=self.armature)
        if any(thing.type == "ARMATURE" for thing in context.scene.objects):
            return say("There are several armatures: select one in the viewport first")
        return say("The scene has no armature: add or import a rigged character first")


class MARIONEXT_OT_person_remove(bpy.types.Operator):
    """Take a person out of the shot."""

    bl_idname = "marionext.person_remove"
    bl_label = "Remove Person"
    bl_description = "Take the selected person out of the shot; the armature itself stays"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Work where a person is selected."""
        return active_person(context) is not None

    def execute(self, context: Any) -> set[str]:
        """Remove the person."""
        settings = context.scene.marionext
        settings.people.remove(settings.people_index)
        settings.people_index = max(0, min(settings.people_index, len(settings.people) - 1))
        return {"FINISHED"}


class MARIONEXT_OT_inspect_rig(_PersonOperator, bpy.types.Operator):
    """Look at the armature again."""

    bl_idname = "marionext.inspect_rig"
    bl_label = "Detect Bones Again"
    bl_description = "Look at the armature again: after bones were added, removed or renamed"
    bl_options = {"REGISTER", "UNDO"}

    keep: BoolProperty(
        name="Keep edits", description="Leave the bones that were chosen by hand", default=True
    )

    def execute(self, context: Any) -> set[str]:
        """Look at the armature."""
        person = active_person(context)
        refresh(person, keep=self.keep)
        if person.problem:
            self.report({"WARNING"}, person.problem)
        else:
            self.report({"INFO"}, ", ".join([say(person.convention), *coverage_words(person)]))
        return {"FINISHED"}


def _find_presets(_operator: object = None, _context: object = None) -> list[tuple[str, str, str]]:
    try:
        known = load_presets()
    except SettingsError:
        # One broken file of the user's own must not take the built-in ones away.
        known = load_presets(presets.folder("rigs"))
    _preset_items[:] = [
        (_AUTOMATIC, say("Detected"), say("Tell the convention by the names of the bones")),
        ("guessed", say("Guessed"), say("Trust no names: guess from words and hierarchy")),
        *sorted(((p.name, p.title, p.about) for p in known), key=lambda item: item[1].casefold()),
    ]
    return _preset_items


class MARIONEXT_OT_choose_preset(_PersonOperator, bpy.types.Operator):
    """Choose the naming convention."""

    bl_idname = "marionext.choose_preset"
    bl_label = "Naming Convention"
    bl_description = "Choose the naming convention of the bones; edits by hand are given up"
    bl_options = {"REGISTER", "UNDO"}

    preset: EnumProperty(
        name="Convention", description="What the bones are named after", items=_find_presets
    )

    def execute(self, context: Any) -> set[str]:
        """Map the bones again."""
        person = active_person(context)
        person.preset = "" if self.preset == _AUTOMATIC else self.preset
        refresh(person)
        if person.problem:
            self.report({"WARNING"}, person.problem)
        return {"FINISHED"}


def _selected_bone(armature: Any) -> str | None:
    """Return the active bone of that armature in Pose, Edit or Object Mode."""
    bone = (
        armature.data.edit_bones.active if armature.mode == "EDIT" else armature.data.bones.active
    )
    return str(bone.name) if bone is not None else None


def _flipped(role: str) -> str | None:
    side, _, part = role.partition("_")
    other = {"left": "right", "right": "left"}.get(side)
    return f"{other}_{part}" if other and part else None


def _mirrored(bone: str) -> str:
    """Return the name of the other side's bone; Blender knows sides at a name's ends only."""
    flipped = str(bpy.utils.flip_name(bone))
    if flipped != bone:
        return flipped
    for left, right in (("Left", "Right"), ("left", "right"), ("\u5de6", "\u53f3")):
        if left in bone or right in bone:
            return right.join(part.replace(right, left) for part in bone.split(left))
    return bone


class MARIONEXT_OT_pick_bone(_PersonOperator, bpy.types.Operator):
    """Give a role the active bone."""

    bl_idname = "marionext.pick_bone"
    bl_label = "Pick Selected Bone"
    bl_description = "Give the selected role the bone that is active in the viewport"
    bl_options = {"REGISTER", "UNDO"}

    role: StringProperty(
        name="Role", description="What the bone moves; empty: the role selected in the list"
    )
    both_sides: BoolProperty(
        name="Both sides",
        description="Give the other side's role the bone of the mirrored name as well",
        default=False,
    )

    def execute(self, context: Any) -> set[str]:
        """Take the active bone."""
        person = active_person(context)
        bone = _selected_bone(person.armature)
        role = self.role or _selected_role(person)
        if bone is None:
            self.report({"ERROR"}, say("Select a bone of the armature first"))
            return {"CANCELLED"}
        item = person.mapping.get(role)
        if item is None:
            self.report({"ERROR"}, say("There is no role called {name}", name=role))
            return {"CANCELLED"}
        item.bone = bone
        other, twin = _flipped(role), _mirrored(bone)
        if self.both_sides and other and twin != bone and twin in person.armature.data.bones:
            person.mapping[other].bone = twin
        self.report({"INFO"}, f"{role_words(role)}: {bone}")
        return {"FINISHED"}


class MARIONEXT_OT_select_bone(_PersonOperator, bpy.types.Operator):
    """Select a role's bone."""

    bl_idname = "marionext.select_bone"
    bl_label = "Show Bone"
    bl_description = "Select the bone of the selected role in the viewport, to see which it is"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: Any) -> set[str]:
        """Make the bone the active one."""
        person = active_person(context)
        item = person.mapping.get(_selected_role(person))
        bones = person.armature.data.bones
        if item is None or item.bone not in bones:
            self.report({"WARNING"}, say("No bone plays this role"))
            return {"CANCELLED"}
        bones.active = bones[item.bone]
        # Blender 5 keeps the selection with the pose.
        pose_bone = person.armature.pose.bones[item.bone]
        (pose_bone if hasattr(pose_bone, "select") else bones[item.bone]).select = True
        return {"FINISHED"}


class MARIONEXT_OT_clear_bone(_PersonOperator, bpy.types.Operator):
    """Take a role's bone away."""

    bl_idname = "marionext.clear_bone"
    bl_label = "Clear Bone"
    bl_description = "Take the selected role's bone away: no keypoint comes from it"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: Any) -> set[str]:
        """Empty the role."""
        person = active_person(context)
        item = person.mapping.get(_selected_role(person))
        if item is None:
            return {"CANCELLED"}
        item.bone = ""
        return {"FINISHED"}


class MARIONEXT_OT_save_preset(_PersonOperator, bpy.types.Operator):
    """Keep a mapping for other rigs."""

    bl_idname = "marionext.save_preset"
    bl_label = "Save as Preset"
    bl_description = (
        "Keep this mapping as a naming convention of your own, for all rigs of the same make"
    )
    bl_options = {"REGISTER"}

    title: StringProperty(
        name="Name", description="What the convention is called in the list", default="My rig"
    )
    replace: BoolProperty(
        name="Replace",
        description="Replace a convention of your own that is called the same",
        default=False,
        options={"SKIP_SAVE"},
    )

    def invoke(self, context: Any, _event: Any) -> set[str]:
        """Ask for a name."""
        self.title = active_person(context).armature.name
        return set(context.window_manager.invoke_props_dialog(self))

    def execute(self, context: Any) -> set[str]:
        """Write the preset and take it."""
        person = active_person(context)
        try:
            overrides = {i.role: i.bone or None for i in person.mapping if i.source == "HAND"}
            report = rig.inspect(person.armature, preset=person.preset or None, overrides=overrides)
            if rig.preset_path(self.title).is_file() and not self.replace:
                raise SettingsError(
                    f"there is a convention of your own called {self.title!r}",
                    hint="Choose another name, or Replace.",
                )
            path = rig.save_preset(report.mapping, self.title)
        except EngineError as error:
            self.report({"ERROR"}, f"{error.message}\n{error.hint or ''}".strip())
            return {"CANCELLED"}
        person.preset = path.stem
        refresh(person)
        self.report({"INFO"}, say("Saved: {path}", path=path))
        return {"FINISHED"}


def _selected_role(person: Any) -> str:
    if 0 <= person.mapping_index < len(person.mapping):
        return str(person.mapping[person.mapping_index].role)
    return ""


_CLASSES = (
    MARIONEXT_OT_person_add,
    MARIONEXT_OT_person_remove,
    MARIONEXT_OT_inspect_rig,
    MARIONEXT_OT_choose_preset,
    MARIONEXT_OT_pick_bone,
    MARIONEXT_OT_select_bone,
    MARIONEXT_OT_clear_bone,
    MARIONEXT_OT_save_preset,
)

register, unregister = bpy.utils.register_classes_factory(_CLASSES)
