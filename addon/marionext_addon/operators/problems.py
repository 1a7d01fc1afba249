# SPDX-License-Identifier: GPL-3.0-or-later
"""Open the manual, and gather what a report of a problem needs."""

import contextlib
from typing import Any

import bpy
from bpy.props import BoolProperty

from marionext.errors import SettingsError

from ..state import links
from ..state.translations import say
from ..state.words import wrapped
from ..work import problems
from .base import report_error

__all__: list[str] = []

_TEXT = "Marionext Report"
_MARK = "marionext_report"


class MARIONEXT_OT_open_manual(bpy.types.Operator):
    """Open the manual."""

    bl_idname = "marionext.open_manual"
    bl_label = "Open Manual"
    bl_description = "Show the manual in the browser; it lies on this computer"

    def execute(self, _context: Any) -> set[str]:
        """Open it."""
        manual = links.manual_or_none()
        if manual is None:
            error = SettingsError(
                "this copy of the add-on brings no manual",
                hint="Install the zip that scripts/build_addon.py makes, or read docs/blender.md.",
            )
            return report_error(self, error)
        bpy.ops.wm.url_open(url=manual.as_uri())
        return {"FINISHED"}


class MARIONEXT_OT_open_website(bpy.types.Operator):
    """Open the website."""

    bl_idname = "marionext.open_website"
    bl_label = "Website"
    bl_description = "Show Marionext's website in the browser"

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """Tell whether there is one."""
        return bool(links.WEBSITE)

    def execute(self, _context: Any) -> set[str]:
        """Open it."""
        bpy.ops.wm.url_open(url=links.WEBSITE)
        return {"FINISHED"}


class MARIONEXT_OT_report_problem(bpy.types.Operator):
    """Write a report of a problem."""

    bl_idname = "marionext.report_problem"
    bl_label = "Report a Problem"
    bl_description = (
        "Gather versions, the engine's state, the last renders, errors and log as a text, without "
        "names and places; nothing is sent"
    )
    bl_options = {"REGISTER"}

    wait: BoolProperty(
        name="Wait",
        description="Return when the engine has been tested: for scripts",
        default=False,
        options={"SKIP_SAVE"},
    )

    def invoke(self, context: Any, _event: object) -> set[str]:
        """Write it and say where it is."""
        result = self.execute(context)
        told = [
            say("It is on the clipboard, and in the Text Editor as {name}.", name=_TEXT),
            say("Read it before you give it to anybody: nothing was sent."),
        ]
        if context.window_manager.marionext.engine_state == "TESTING":
            told.append(say("The engine is being tested; its answer will be in the text, too."))

        def draw(popup: Any, _context: object) -> None:
            for text in told:
                for line in wrapped(text):
                    popup.layout.label(text=line, translate=False)
            if links.PROBLEMS:
                popup.layout.operator("wm.url_open", text="Open Website").url = links.PROBLEMS

        context.window_manager.popup_menu(draw, title=say("Report a Problem"), icon="INFO")
        return result

    def execute(self, context: Any) -> set[str]:
        """Write it; an engine that was not tested yet is tested, and its answer added."""
        if context.window_manager.marionext.engine_state == "UNKNOWN":
            with contextlib.suppress(RuntimeError):  # the report says what is the matter with it
                bpy.ops.marionext.test_engine(wait=self.wait)
        _write()
        if context.window_manager.marionext.engine_state == "TESTING":
            bpy.app.timers.register(_again, first_interval=0.5)
        return {"FINISHED"}


def _again() -> float | None:
    """Write the report once more when the engine has been tested."""
    if bpy.context.window_manager.marionext.engine_state == "TESTING":
        return 0.5
    _write()
    return None


def _write() -> None:
    report = problems.report()
    text = next((text for text in bpy.data.texts if text.get(_MARK)), None)
    if text is None:
        text = bpy.data.texts.new(_TEXT)
        text[_MARK] = True
    text.from_string(report)
    bpy.context.window_manager.clipboard = report
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "TEXT_EDITOR" and area.spaces.active.text is None:
                area.spaces.active.text = text


_CLASSES = (MARIONEXT_OT_open_manual, MARIONEXT_OT_open_website, MARIONEXT_OT_report_problem)


def register() -> None:
    """Add the operators."""
    for cls in _CLASSES:
        bpy.utils.register_class(cls)


def unregister() -> None:
    """Take them away."""
    if bpy.app.timers.is_registered(_again):
        bpy.app.timers.unregister(_again)
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
