# SPDX-License-Identifier: GPL-3.0-or-later
"""What armatures and cameras hang on that only the user's own scene has.

Physics, motion tracking, properties of the scene, scripts and collection instances: none of them
is the same in another scene that shares the objects. Whatever is found here, or looked for in
vain but found by a glance (`own.differs`), has the shot played in the user's scene.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import bpy

from .instances import chain_to
from .played import Key

__all__ = ["reasons"]

_TRACKING = {"CAMERA_SOLVER", "FOLLOW_TRACK", "OBJECT_SOLVER"}
_SIMULATING = {
    "CLOTH", "DYNAMIC_PAINT", "EXPLODE", "FLUID", "NODES", "PARTICLE_INSTANCE", "PARTICLE_SYSTEM",
    "SOFT_BODY",
}  # fmt: skip
"""Modifiers that remember frames before, or read the scene (geometry nodes may)."""

_pointers: dict[type, tuple[str, ...]] = {}
"""Names of the properties that may point to an object, for each type of Blender's data."""


def reasons(scene: Any, things: Sequence[Any], keys: Sequence[Key] = ()) -> tuple[str, ...]:
    """Tell why a temporary scene would not show what the user's scene does.

    Args:
        scene: the user's.
        things: the objects that are recorded, armatures and cameras.
        keys: of the shape key data-blocks that are recorded.

    Returns:
        For people to read; empty: nothing was found.
    """
    found = [*_of_scripts(), *_of_instances(scene, things)]
    search = _Search()
    for thing in things:
        search.visit(thing)
    for key in keys:
        search.visit(bpy.data.shape_keys.get(key))
    return tuple(dict.fromkeys((*found, *search.found)))


def _of_scripts() -> Iterator[str]:
    handlers = bpy.app.handlers
    ours = __package__.rpartition(".")[0]
    for function in (*handlers.frame_change_pre, *handlers.frame_change_post):
        module = getattr(function, "__module__", None) or "a script"
        if not module.startswith(ours):
            yield f"{module} runs at every change of the frame"


def _of_instances(scene: Any, things: Sequence[Any]) -> Iterator[str]:
    for thing in things:
        if thing.type == "ARMATURE" and chain_to(scene, thing):
            yield f"{thing.name} is shown by a collection instance"


class _Search:
    """Follows relations from object to object, once each."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._seen: set[Any] = set()

    def visit(self, data: Any) -> None:
        """Look at an object, or any other data-block, and at what it depends on."""
        waiting = [data]
        while waiting:
            now = waiting.pop()
            if now is None or now in self._seen:
                continue
            self._seen.add(now)
            waiting += self._drivers(now)
            if isinstance(now, bpy.types.Object):
                waiting += self._relations(now)

    def _relations(self, thing: Any) -> Iterator[Any]:
        """Yield what an object depends on, and take down what only its scene knows."""
        if thing.rigid_body is not None or thing.rigid_body_constraint is not None:
            self.found.append(f"{thing.name} is a rigid body")
        if thing.particle_systems or thing.parent_type == "PARTICLE":
            self.found.append(f"{thing.name} has particles")
        yield from (thing.parent, thing.data)
        yield getattr(thing.data, "shape_keys", None)
        constraints = list(thing.constraints)
        if thing.pose is not None:
            constraints += [each for bone in thing.pose.bones for each in bone.constraints]
            if thing.pose.ik_solver == "ITASC":
                self.found.append(f"{thing.name} is moved by iTaSC")
        for constraint in constraints:
            if constraint.type in _TRACKING:
                self.found.append(f"{thing.name} follows a tracked clip")
            yield from _pointed(constraint)
            for target in getattr(constraint, "targets", ()):
                yield target.target
        for modifier in thing.modifiers:
            if modifier.type in _SIMULATING:
                self.found.append(f"{thing.name} has the modifier {modifier.name}")
            yield from _pointed(modifier)

    def _drivers(self, data: Any) -> Iterator[Any]:
        animation = getattr(data, "animation_data", None)
        for curve in animation.drivers if animation else ():
            driver = curve.driver
            if driver.type == "SCRIPTED" and not driver.is_simple_expression:
                self.found.append(f"a driver of {data.name} is a script: {driver.expression}")
            for variable in driver.variables:
                if variable.type == "CONTEXT_PROP":
                    self.found.append(f"a driver of {data.name} reads the active scene")
                for target in variable.targets:
                    if isinstance(target.id, bpy.types.Scene):
                        self.found.append(f"a driver of {data.name} reads the scene")
                    else:
                        yield target.id


def _pointed(data: Any) -> Iterator[Any]:
    """Yield the objects that a constraint or modifier points to."""
    kind = type(data)
    if kind not in _pointers:
        _pointers[kind] = tuple(
            each.identifier
            for each in data.bl_rna.properties
            if each.type == "POINTER" and each.fixed_type.identifier == "Object"
        )
    for name in _pointers[kind]:
        yield getattr(data, name)
