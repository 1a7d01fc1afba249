# SPDX-License-Identifier: GPL-3.0-or-later
"""Which bone of an armature plays which role, and how well that covers the keypoints.

The engine knows the conventions. Blender knows more than names: a VRM's own map on the armature,
MikuMikuDance's Japanese names on its bones, which bones deform. Nothing here changes the file.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from marionext import presets
from marionext.errors import MotionError, SettingsError
from marionext.motion import ROLES, RigMapping, load_presets, map_bones, write_preset
from marionext.motion.face import morph_moves
from marionext.motion.face_bones import named_face_bones
from marionext.motion.roles import CORE

from . import choices
from .metadata import humanoid_of, japanese_names

__all__ = [
    "Person",
    "Rest",
    "RigReport",
    "RoleItem",
    "face_meshes",
    "inspect",
    "label_of",
    "people_of",
    "preset_path",
    "read_rest",
    "save_preset",
    "shape_names",
]

Floats = NDArray[np.float64]

_found: dict[object, RigMapping] = {}
"""Mappings of the last rigs: a control rig of 700 bones takes a twentieth of a second."""
_MOST_KEPT = 16

_LEAST_FACE_BONES = 4
"""A stray brow bone makes no face rig."""


@dataclass(frozen=True, slots=True)
class Person:
    """One armature that becomes one figure."""

    armature: Any
    """The armature's object."""
    mapping: RigMapping


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rest:
    """An armature as it was bound, in its own space: scale and place of the object left out."""

    names: tuple[str, ...]
    """(bones,): parents before children, as Blender keeps them."""
    parents: NDArray[np.int64]
    heads: Floats
    """(bones, 3)"""
    tails: Floats
    """(bones, 3)"""
    matrices: Floats
    """(bones, 4, 4)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleItem:
    """A line of the list in which a mapping is mended."""

    role: str
    label: str
    """For people to read: Left upper arm."""
    bone: str
    """Empty: none."""
    source: str
    """``PRESET``, ``FILE`` (its own map), ``GUESSED``, ``HAND`` or ``NONE``."""
    needed: bool
    """Whether keypoints get lost or have to be inferred without a bone for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RigReport:
    """What was found in an armature."""

    armature: str
    mapping: RigMapping
    body: int
    """Of the 18 points of the body, those that come from bones."""
    hands: int
    """Of the 42 points of the hands."""
    face: str
    """Where the face comes from, for people to read."""
    items: tuple[RoleItem, ...]
    """Every role, in the order of the list."""

    @property
    def convention(self) -> str:
        """The naming convention, for people to read."""
        return self.mapping.title

    @property
    def coverage(self) -> str:
        """All in one line."""
        return f"body {self.body}/18, hands {self.hands}/42, {self.face}"


def read_rest(armature: Any) -> Rest:
    """Read an armature's bones as they were bound.

    Raises:
        MotionError: it has no bones.
    """
    bones = armature.data.bones
    count = len(bones)
    if not count:
        raise MotionError(
            f"the armature {armature.name!r} has no bones", hint="Choose another armature."
        )
    index = {bone.name: number for number, bone in enumerate(bones)}
    parents = [-1 if bone.parent is None else index[bone.parent.name] for bone in bones]

    def read(attribute: str, length: int) -> Floats:
        values = np.empty(count * length, dtype=np.float32)
        bones.foreach_get(attribute, values)
        return values.reshape(count, length).astype(np.float64)

    return Rest(
        names=tuple(index),
        parents=np.array(parents, dtype=np.int64),
        heads=read("head_local", 3),
        tails=read("tail_local", 3),
        # foreach_get hands out columns one after the other.
        matrices=read("matrix_local", 16).reshape(count, 4, 4).swapaxes(1, 2),
    )


def face_meshes(armature: Any) -> Iterator[Any]:
    """Yield the mesh objects that an armature moves and that have shape keys the face knows."""
    for candidate in bpy.data.objects:
        if candidate.type != "MESH" or candidate.data.shape_keys is None:
            continue
        bound = candidate.parent == armature or any(
            modifier.type == "ARMATURE" and modifier.object == armature
            for modifier in candidate.modifiers
        )
        if bound and morph_moves(shape_names(candidate))[0]:
            yield candidate


def shape_names(candidate: Any) -> tuple[str, ...]:
    """Return the names of a mesh object's shape keys, without the basis."""
    return tuple(key.name for key in candidate.data.shape_keys.key_blocks[1:])


def inspect(
    armature: Any,
    *,
    preset: str | None = None,
    overrides: Mapping[str, str | None] | None = None,
) -> RigReport:
    """Find the bone of every role in an armature.

    Args:
        armature: the armature's object; linked and overridden ones too.
        preset: name of a preset, or None to detect it.
        overrides: roles set by hand; None takes a role's bone away. Bones that no longer exist are
            passed over, so that a saved list survives a change of the rig.

    Raises:
        MotionError: no body can be found in it; the hint says what to do.
        SettingsError: there is no such preset.
    """
    rest = read_rest(armature)
    by_hand = {
        role: bone
        for role, bone in (overrides or {}).items()
        if role in ROLES and (not bone or bone in rest.names)
    }
    mapping = _mapped(armature, rest, preset, by_hand)
    return RigReport(
        armature=armature.name,
        mapping=mapping,
        body=mapping.body_points,
        hands=mapping.hand_points,
        face=_face_source(armature, mapping),
        items=tuple(_items(mapping, by_hand)),
    )


def _mapped(
    armature: Any, rest: Rest, preset: str | None, by_hand: Mapping[str, str | None]
) -> RigMapping:
    # Names as their makers gave them where MikuMikuDance's tools keep them beside English ones.
    japanese = japanese_names(armature)
    aliases = tuple(japanese.get(name, name) for name in rest.names)
    if len(set(aliases)) < len(aliases):
        aliases = rest.names
    heads, tails = _upright(rest.heads, armature), _upright(rest.tails, armature)
    humanoid = humanoid_of(armature)
    key = (aliases, heads.tobytes(), tails.tobytes(), str(humanoid), preset, _saved_presets())
    try:
        if key not in _found:
            while len(_found) >= _MOST_KEPT:
                del _found[next(iter(_found))]
            _found[key] = map_bones(
                aliases, rest.parents, heads, tails, humanoid=humanoid, preset=preset or None
            )
        found = _found[key]
    except MotionError as error:
        chosen = {role: bone for role, bone in by_hand.items() if bone}
        if {"left_upper_arm", "right_upper_arm"} <= set(chosen):
            return RigMapping(preset="custom", title="set by hand", bones=chosen)
        raise MotionError(
            f"no body was found in the armature {armature.name!r}",
            hint="Choose the bones of both upper arms, and of as many others as it has, in the "
            "list of bones; then save them as a preset.",
        ) from error
    real = dict(zip(aliases, rest.names, strict=True))
    found = replace(found, bones={role: real[bone] for role, bone in found.bones.items()})
    return found.with_bones(by_hand) if by_hand else found


def _saved_presets() -> tuple[tuple[str, int], ...]:
    """Return the user's own presets with the time each was written."""
    folder = presets.home() / "rigs"
    return tuple((path.name, path.stat().st_mtime_ns) for path in sorted(folder.glob("*.toml")))


def _upright(points: Floats, armature: Any) -> Floats:
    """Turn points of the armature's space as its object stands in the scene."""
    turn = np.array(armature.matrix_world, dtype=np.float64)[:3, :3]
    scale = np.linalg.norm(turn, axis=0)
    if (scale < 1e-9).any():
        return points
    return np.asarray(points @ (turn / scale).T)


def _items(mapping: RigMapping, by_hand: Mapping[str, str | None]) -> Iterator[RoleItem]:
    from_file = mapping.preset == "humanoid"
    for role in ROLES:
        bone = mapping.bones.get(role, "")
        if role in by_hand:
            source = "HAND"
        elif not bone:
            source = "NONE"
        elif role in mapping.guessed:
            source = "GUESSED"
        else:
            source = "FILE" if from_file else "PRESET"
        yield RoleItem(
            role=role,
            label=label_of(role),
            bone=bone,
            source=source,
            needed=role in CORE or role.endswith(("_1", "_2", "_3")),
        )


def label_of(role: str) -> str:
    """Return a role's name for people to read: ``Left index 2``."""
    return role.replace("_", " ").capitalize()


def _face_source(armature: Any, mapping: RigMapping) -> str:
    source = mapping.face_source
    if "head" not in mapping.bones:
        return source
    bones = len(named_face_bones([bone.name for bone in armature.data.bones]))
    if bones >= _LEAST_FACE_BONES:
        source += f", {bones} face bones"
    counts = (len(morph_moves(shape_names(mesh))[0]) for mesh in face_meshes(armature))
    shapes = max(counts, default=0)
    return f"{source}, {shapes} shape keys" if shapes else source


def people_of(scene: Any) -> tuple[Person, ...]:
    """Return the people that a scene's ``marionext`` settings name, mapped.

    Raises:
        MotionError: there is no armature, or one in which no body can be found.
        SettingsError: a preset is not there.
    """
    people = []
    for _, entry in choices.people(scene):
        # Only what was set by hand is the user's; the rest is found again as the rig changes.
        overrides = {
            item.role: item.bone or None for item in entry.mapping if item.source == "HAND"
        }
        try:
            report = inspect(entry.armature, preset=entry.preset or None, overrides=overrides)
        except SettingsError:
            # A preset that somebody saved on another computer: the file holds what it came to.
            stored = {item.role: item.bone for item in entry.mapping if item.bone}
            if not stored:
                raise
            report = inspect(entry.armature, preset="guessed", overrides=stored)
        people.append(Person(entry.armature, report.mapping))
    if not people:
        raise MotionError(
            "no armature is chosen", hint="Pick the character's armature in the Rig panel."
        )
    armatures = [person.armature for person in people]
    if len(set(armatures)) < len(armatures):
        raise MotionError(
            "an armature is chosen twice", hint="Remove one of the two lines in the Rig panel."
        )
    return tuple(people)


def preset_path(title: str) -> Path:
    """Return the file in which a preset of the user's own is kept.

    Raises:
        SettingsError: the title has no letters, or is that of a built-in preset.
    """
    name = re.sub(r"\W+", "_", title.strip().casefold()).strip("_")
    if not name:
        raise SettingsError(
            f"a preset's name has letters or digits, got {title!r}", hint="Type another name."
        )
    taken = {preset.name for preset in load_presets(presets.home() / "no such folder")}
    if name in taken:
        raise SettingsError(f"{name!r} is the name of a built-in preset", hint="Type another name.")
    return presets.home() / "rigs" / f"{name}.toml"


def save_preset(mapping: RigMapping, title: str) -> Path:
    """Keep a mapping for rigs of the same make, in the user's folder; detection finds it there.

    Returns:
        The file; one that was there is replaced.

    Raises:
        SettingsError: the title has no letters, or the folder cannot be written to.
    """
    path = preset_path(title)
    write_preset(path, mapping.as_preset(path.stem, title.strip()))
    return path
