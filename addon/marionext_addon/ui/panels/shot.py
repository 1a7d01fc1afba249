# SPDX-License-Identifier: GPL-3.0-or-later
"""Panel *Camera and Frames*: who looks, when, and in which shape."""

from typing import Any

import bpy

from ...state.translations import say
from .. import summary
from ..paragraphs import write, write_problem
from .base import SidebarPanel, settings_column

__all__ = ["CLASSES", "framing_words"]


def size_words(size: tuple[int, int]) -> str:
    """Return width and height for people to read."""
    return f"{size[0]} \u00d7 {size[1]}"


def framing_words(found: summary.Framing) -> str:
    """Return in a sentence what becomes of the scene's frame."""
    scene = size_words(found.scene)
    shown = size_words(found.shown)
    if found.same_shape:
        return say("The scene's frame of {scene} fits as it is.", scene=scene)
    if found.cropped:
        part = found.shown[0] * found.shown[1] / (found.scene[0] * found.scene[1])
        return say(
            "Of the scene's {scene} the middle {shown} is rendered: {part} %.",
            scene=scene, shown=shown, part=round(100 * part),
        )  # fmt: skip
    bars = (found.size[0] - found.shown[0]) // 2, (found.size[1] - found.shown[1]) // 2
    where = "{bar} px above and below" if bars[1] > bars[0] else "{bar} px left and right"
    return say(
        "The scene's {scene} is rendered whole at {shown}, with {bars}.",
        scene=scene, shown=shown, bars=say(where, bar=max(bars)),
    )  # fmt: skip


class MARIONEXT_PT_shot(SidebarPanel, bpy.types.Panel):
    """Choose camera, frames and size."""

    bl_idname = "MARIONEXT_PT_shot"
    bl_label = "Camera and Frames"

    def draw(self, context: Any) -> None:
        """Draw the panel."""
        settings, scene = context.scene.marionext, context.scene
        column = settings_column(self.layout)
        self._draw_camera(context, column, settings)
        column.separator()
        column.row().prop(settings, "frame_range", expand=True)
        if settings.frame_range == "OWN":
            pair = column.column(align=True)
            pair.prop(settings, "frame_start")
            pair.prop(settings, "frame_end", text="End")
        column.prop(settings, "frame_step")
        row = column.row(align=True)
        if settings.own_rate:
            row.prop(settings, "fps")
            row.prop(settings, "own_rate", text="", icon="X")
        else:
            row.prop(settings, "own_rate", text=say("Rate: as the scene"), toggle=True)
        self._draw_frames(context, summary.frames(scene))
        column = settings_column(self.layout)
        column.prop(settings, "size_preset")
        if settings.size_preset == "CUSTOM":
            pair = column.column(align=True)
            pair.prop(settings, "width")
            pair.prop(settings, "height")
        found = summary.framing(scene)
        if not found.same_shape:
            self.layout.row().prop(settings, "fit", expand=True)
        size = f"{size_words(found.size)}. "
        write(self.layout, context, size + framing_words(found), icon="OBJECT_DATA")

    def _draw_camera(self, context: Any, column: Any, settings: Any) -> None:
        column.row().prop(settings, "camera", expand=True)
        if settings.camera == "OBJECT":
            column.prop(settings, "camera_object", text=" ")
        elif context.scene.camera is None:
            text = say("The scene has no camera.")
            box = write_problem(self.layout, context, text)
            box.operator("marionext.add_camera", icon="CAMERA_DATA")
        else:
            row = column.row()
            row.prop(context.scene, "camera", text=" ")
            row.operator("marionext.frame_character", text="", icon="ZOOM_ALL")

    def _draw_frames(self, context: Any, found: summary.Frames) -> None:
        if found.problem:
            write_problem(self.layout, context, say(found.problem))
            return
        text = say(
            "{count} frames, {first} to {last}: {seconds} s at {rate} frames/s.",
            count=found.count, first=found.first, last=found.last,
            seconds=f"{found.seconds:.1f}", rate=f"{found.rate:.5g}",
        )  # fmt: skip
        write(self.layout, context, text, icon="TIME")


CLASSES = (MARIONEXT_PT_shot,)
