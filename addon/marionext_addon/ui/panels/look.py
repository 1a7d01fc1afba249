# SPDX-License-Identifier: GPL-3.0-or-later
"""Panel *Look*: the model and how carefully it paints."""

from typing import Any

import bpy

from marionext.settings import SvdSettings

from ...state.translations import say
from .. import summary
from .base import SidebarPanel, settings_column

__all__ = ["CLASSES"]


class MARIONEXT_PT_look(SidebarPanel, bpy.types.Panel):
    """Choose model and quality."""

    bl_idname = "MARIONEXT_PT_look"
    bl_label = "Look"

    def draw(self, context: Any) -> None:
        """Draw the panel."""
        settings = context.scene.marionext
        column = settings_column(self.layout)
        column.prop(settings, "model")
        column.prop(settings, "quality")
        if isinstance(summary.model_settings(context.scene), SvdSettings):
            column.prop(settings, "seed")
        row = self.layout.row()
        row.alignment = "LEFT"
        icon = "DOWNARROW_HLT" if settings.show_advanced else "RIGHTARROW"
        row.prop(settings, "show_advanced", icon=icon, emboss=False)
        if settings.show_advanced:
            self._draw_advanced(context, settings)

    def _draw_advanced(self, context: Any, settings: Any) -> None:
        column = settings_column(self.layout)
        base = summary.model_settings(context.scene)
        if isinstance(base, SvdSettings):
            _draw_diffusion(column, settings, base)
        wide = self.layout.column()
        wide.label(text="Joints hidden by meshes")
        row = wide.row(align=True)
        for name in ("occlusion_body", "occlusion_hands", "occlusion_face"):
            row.prop(settings, name, toggle=True)
        wide.prop(settings, "save_pose_maps")


def _draw_diffusion(column: Any, settings: Any, base: SvdSettings) -> None:
    """Draw what only models have that denoise."""
    column.prop(settings, "steps")
    if not settings.steps:
        _note(column, say("{steps} steps, as the quality says", steps=base.steps))
    column.prop(settings, "guidance")
    if settings.guidance <= 0:
        low, high = base.guidance_min, base.guidance_max
        amount = f"{low:g}" if low == high else f"{low:g}-{high:g}"
        _note(column, say("{amount}, as the model says", amount=amount))
    column.prop(settings, "control_strength", text="Control")


def _note(column: Any, text: str) -> None:
    row = column.row()
    row.alignment = "RIGHT"
    row.active = False
    row.label(text=text, translate=False)


CLASSES = (MARIONEXT_PT_look,)
