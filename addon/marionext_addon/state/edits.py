# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scene keeps of one change of its poses."""

from typing import Any

import bpy
from bpy.props import (
    BoolProperty,
    EnumProperty,
    FloatProperty,
    FloatVectorProperty,
    IntProperty,
    StringProperty,
)

from . import changes
from .paths import RELATIVE

__all__ = ["ICONS", "KINDS", "LIMBS", "MarionextEdit"]

KINDS = [
    ("HIDE", "Hide", "Leave joints out: they are not drawn"),
    ("HOLD", "Hold", "Keep joints where they are in the first frame of the range"),
    ("SMOOTH", "Smooth", "Calm joints that tremble"),
    ("FILL", "Fill Gaps", "Put joints that are not seen between where they were and will be"),
    ("MOVE", "Move", "Move joints in the picture"),
    ("TRANSFORM", "Scale and Turn", "Make joints larger or smaller, and turn them"),
    ("SWAP", "Swap Sides", "Exchange left and right, as detectors do by mistake"),
    ("MIRROR", "Mirror", "Turn the picture's left into its right"),
    ("FILE", "From File", "Edits made elsewhere: a list of edits, a job file or a project"),
]
"""Of edits, by `marionext.edits`."""
ICONS = {
    "HIDE": "HIDE_ON",
    "HOLD": "FREEZE",
    "SMOOTH": "SMOOTHCURVE",
    "FILL": "DRIVER_DISTANCE",
    "MOVE": "EMPTY_ARROWS",
    "TRANSFORM": "FULLSCREEN_ENTER",
    "SWAP": "UV_SYNC_SELECT",
    "MIRROR": "MOD_MIRROR",
    "FILE": "FILE",
}
LIMBS = [
    ("head", "Head", "Nose, eyes and ears"),
    ("face", "Face", "The outline of the face, brows, nose, eyes and mouth"),
    ("torso", "Torso", "Neck, shoulders and hips"),
    ("left_arm", "Left Arm", "From the shoulder to the wrist"),
    ("right_arm", "Right Arm", "From the shoulder to the wrist"),
    ("left_hand", "Left Hand", "The fingers"),
    ("right_hand", "Right Hand", "The fingers"),
    ("left_leg", "Left Leg", "From the hip to the ankle"),
    ("right_leg", "Right Leg", "From the hip to the ankle"),
    ("left_foot", "Left Foot", "Toes and heel"),
    ("right_foot", "Right Foot", "Toes and heel"),
]
"""Names of `marionext.skeleton.LIMB_GROUPS`."""


def _changed(_edit: Any, _context: object) -> None:
    changes.poses_edited.tell()


class MarionextEdit(bpy.types.PropertyGroup):
    """One change of the recorded poses."""

    enabled: BoolProperty(
        name="Use",
        description="Whether this edit is made",
        default=True,
        update=_changed,
    )
    kind: EnumProperty(
        name="Kind", description="What is done to the poses", items=KINDS, update=_changed
    )
    limbs: EnumProperty(
        name="Joints",
        description="Which joints it is about; none chosen: all of them",
        items=LIMBS,
        options={"ENUM_FLAG"},
        default=set(),
        update=_changed,
    )
    person: IntProperty(
        name="Person",
        description="Whom of the shot it is about, in the order of the Rig panel",
        default=1,
        min=1,
        max=16,
        update=_changed,
    )
    limited: BoolProperty(
        name="In a range",
        description="Edit some frames of the scene, not all of them",
        default=False,
        update=_changed,
    )
    start: IntProperty(name="Start", description="First frame to edit", default=1, update=_changed)
    end: IntProperty(
        name="End", description="Last frame to edit, included", default=48, update=_changed
    )
    ease: IntProperty(
        name="Ease",
        description="Frames at both ends of the range over which the edit grows and fades",
        default=0,
        min=0,
        max=1000,
        soft_max=24,
        update=_changed,
    )
    reach: IntProperty(
        name="Reach",
        description="Frames before and after each one that are looked at; more is calmer",
        default=3,
        min=2,
        max=500,
        soft_max=24,
        update=_changed,
    )
    replace: BoolProperty(
        name="Forget what is there",
        description="Forget what is seen in the range first: a stretch that is wrong",
        default=False,
        update=_changed,
    )
    by: FloatVectorProperty(
        name="By",
        description="To the right and up, in percent of the picture's width and height",
        size=2,
        default=(0.0, 0.0),
        soft_min=-100.0,
        soft_max=100.0,
        min=-1000.0,
        max=1000.0,
        precision=2,
        update=_changed,
    )
    scale: FloatVectorProperty(
        name="Scale",
        description="Factors across and up",
        size=2,
        default=(1.0, 1.0),
        min=0.001,
        max=1000.0,
        soft_min=0.25,
        soft_max=4.0,
        update=_changed,
    )
    rotation: FloatProperty(
        name="Turn",
        description="Clockwise in the picture",
        default=0.0,
        min=-628.0,
        max=628.0,
        subtype="ANGLE",
        update=_changed,
    )
    pivot: EnumProperty(
        name="About",
        description="What stays where it is",
        items=[
            ("MIDDLE", "Middle", "The middle of the picture"),
            ("NECK", "Neck", "The neck, wherever it is"),
            ("NOSE", "Nose", "The nose, wherever it is"),
        ],
        default="NECK",
        update=_changed,
    )
    path: StringProperty(
        name="File",
        description="List of edits, job file, render.json or project of the editor; its frame "
        "numbers are those of the recorded motion, its pixels those of the render",
        subtype="FILE_PATH",
        options=RELATIVE,
        update=_changed,
    )
