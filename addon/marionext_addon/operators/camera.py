# SPDX-License-Identifier: GPL-3.0-or-later
"""Add Camera, Frame Character: the camera sees everybody in the whole range."""

from fractions import Fraction
from typing import Any

import bpy
import numpy as np

from marionext.errors import EngineError, MotionError

from ..scene import choices, framing, recording, rig
from ..scene.people import add_selected_armatures
from .base import report_error

__all__: list[str] = []

_POSES = 64
"""Looked at to find how far everybody gets."""


def _people(context: Any) -> framing.People:
    """Return everybody in frames all over the range, in the world.

    Raises:
        EngineError: there is nobody, or no range.
    """
    scene = context.scene
    add_selected_armatures(context)
    people = rig.people_of(scene)
    first, last = choices.scene_range(scene)
    choices.frame_numbers(scene)
    times = sorted({round(time) for time in np.linspace(first, last, _POSES)})
    moments = recording.Moments(
        times=tuple(map(Fraction, times)), rate=choices.scene_rate(scene), first=first
    )
    # Where people are does not depend on who looks: any camera will do, a new one too.
    eye = bpy.data.objects.new("Marionext (measuring)", bpy.data.cameras.new("Marionext"))
    try:
        recorded = recording.record(scene, people, moments, (64, 64), camera=eye)
    finally:
        bpy.data.cameras.remove(eye.data)
    pairs = zip(recorded.animations, (person.mapping for person in people), strict=True)
    return tuple(pairs)


class MARIONEXT_OT_add_camera(bpy.types.Operator):
    """Add a camera that frames the character."""

    bl_idname = "marionext.add_camera"
    bl_label = "Add Camera"
    bl_description = (
        "Add a camera that sees the character from the front in the whole range, and make it the "
        "scene's"
    )
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: Any) -> set[str]:
        """Add it."""
        scene = context.scene
        try:
            people = _people(context)
            size = choices.render_size(scene)
            framing.add_camera(scene, people, size, scene.marionext.fit)
        except EngineError as error:
            return report_error(self, error)
        return {"FINISHED"}


class MARIONEXT_OT_frame_character(bpy.types.Operator):
    """Move the camera to where it sees the whole motion."""

    bl_idname = "marionext.frame_character"
    bl_label = "Frame Character"
    bl_description = (
        "Move the camera, without turning it, to where it sees the character in the whole range"
    )
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: Any) -> set[str]:
        """Move it."""
        scene = context.scene
        camera = choices.camera_of(scene)
        try:
            if camera is None:
                raise MotionError("the scene has no camera", hint="Press Add Camera.")
            people = _people(context)
            size = choices.render_size(scene)
            framing.frame_people(scene, camera, people, size, scene.marionext.fit)
        except EngineError as error:
            return report_error(self, error)
        return {"FINISHED"}


register, unregister = bpy.utils.register_classes_factory(
    (MARIONEXT_OT_add_camera, MARIONEXT_OT_frame_character)
)
