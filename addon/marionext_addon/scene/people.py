# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is in the shot, and what was found about each of them.

A rig is looked at when its armature is chosen and when the user asks for it, never while the panel
is drawn. What was found is kept with the person: in the .blend file, changed by undo.
"""

from typing import Any

import bpy

from marionext.errors import EngineError
from marionext.motion.roles import ROLES

from ..state import changes
from . import choices, rig

__all__ = [
    "active_person",
    "active_rig",
    "add_selected_armatures",
    "bone_edited",
    "refresh",
    "register",
    "unregister",
]

_filling: list[Any] = []
"""The person whose list is being filled: its entries are not edits by hand."""


def active_person(context: Any) -> Any:
    """Return the person selected in the list, or None."""
    settings = context.scene.marionext
    if 0 <= settings.people_index < len(settings.people):
        return settings.people[settings.people_index]
    return None


def active_rig(context: Any) -> Any:
    """Return the armature that is active, or that moves the active object; or None."""
    active = context.active_object
    if active is None or active.type == "ARMATURE":
        return active
    return active.find_armature() or _parent_rig(active)


def _parent_rig(thing: Any) -> Any:
    while thing.parent is not None:
        thing = thing.parent
        if thing.type == "ARMATURE":
            return thing
    return None


def refresh(person: Any, *, keep: bool = False) -> None:
    """Look at a person's armature and write down what was found.

    Args:
        person: a `MarionextPerson`.
        keep: leave the bones that were chosen by hand.
    """
    by_hand = {i.role: i.bone or None for i in person.mapping if i.source == "HAND"} if keep else {}
    _filling.append(person)
    try:
        _fill(person, by_hand)
    finally:
        _filling.pop()


def _fill(person: Any, by_hand: dict[str, str | None]) -> None:
    person.convention = person.face_source = person.problem = person.advice = ""
    person.body_points = person.hand_points = 0
    if person.armature is None:
        person.mapping.clear()
        return
    try:
        report = rig.inspect(person.armature, preset=person.preset or None, overrides=by_hand)
    except EngineError as error:
        person.problem, person.advice = error.message, error.hint or ""
        found = {role: (bone or "", "HAND") for role, bone in by_hand.items()}
    else:
        person.convention, person.face_source = report.convention, report.face
        person.body_points, person.hand_points = report.body, report.hands
        found = {item.role: (item.bone, item.source) for item in report.items}
    if tuple(item.role for item in person.mapping) != ROLES:
        person.mapping.clear()
        for role in ROLES:
            person.mapping.add().role = role
    for item in person.mapping:
        item.name = item.role
        item.bone, item.source = found.get(item.role, ("", "NONE"))


def bone_edited(item: Any) -> None:
    """Note that a bone was chosen by hand, and see what it changes."""
    if _filling:
        return
    person = _owner(item)
    if person is None:
        return
    _filling.append(person)
    item.source = "HAND"
    _filling.pop()
    refresh(person, keep=True)


def _owner(item: Any) -> Any:
    """Return the person that an entry of a mapping belongs to."""
    for person in item.id_data.marionext.people:
        if any(own == item for own in person.mapping):
            return person
    return None


def add_selected_armatures(context: Any) -> None:
    """Where no armature is chosen yet, take the selected ones: the shortest way to a render."""
    people = context.scene.marionext.people
    if choices.people(context.scene):
        return
    selected = context.selected_objects if hasattr(context, "selected_objects") else ()
    found = [candidate for candidate in selected if candidate.type == "ARMATURE"]
    for candidate in found:
        people.add().armature = candidate
    if found and not bpy.app.background:
        # The operators that call this are no undo steps: a render cannot be taken back.
        bpy.ops.ed.undo_push(message="Add Person")


def register() -> None:
    """Look at rigs as they are chosen."""
    changes.armature_chosen.listen(refresh)
    changes.bone_chosen.listen(bone_edited)


def unregister() -> None:
    """Stop looking."""
    changes.armature_chosen.forget(refresh)
    changes.bone_chosen.forget(bone_edited)
