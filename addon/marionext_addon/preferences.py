# SPDX-License-Identifier: GPL-3.0-or-later
"""What is set once for this computer: where the engine is, folders, what closing Blender means."""

import os
from pathlib import Path
from typing import Any

import bpy
from bpy.props import EnumProperty, StringProperty

from . import paragraphs

__all__ = ["MarionextPreferences", "data_home", "get", "online_access"]

_HOME = "MARIONEXT_HOME"
_inherited_home: list[str | None] = []
"""What the variable was before this add-on, to be put back."""


def _apply_home(preferences: Any, _context: object = None) -> None:
    """Let the engine's part inside Blender and the engine itself look in the chosen folder."""
    if not _inherited_home:
        _inherited_home.append(os.environ.get(_HOME))
    before = _inherited_home[0]
    if preferences.home:
        os.environ[_HOME] = str(Path(bpy.path.abspath(preferences.home)).expanduser())
    elif before is None:
        os.environ.pop(_HOME, None)
    else:
        os.environ[_HOME] = before
    from . import properties

    properties.refresh_models()


def _engine_changed(_preferences: object, context: Any) -> None:
    session = context.window_manager.marionext
    session.engine_state = "UNKNOWN"
    session.engine_message = session.engine_report = ""


class MarionextPreferences(bpy.types.AddonPreferences):
    """The add-on's page in Blender's preferences."""

    bl_idname = __package__

    engine: StringProperty(
        name="Engine",
        description="The engine's Python, or the marionext command; empty: found by itself where "
        "Marionext's bootstrap was run on this computer or marionext is on the PATH",
        subtype="FILE_PATH",
        update=_engine_changed,
    )
    device: EnumProperty(
        name="Device",
        description="What the engine computes on",
        items=[
            ("auto", "Automatic", "A GPU where there is one"),
            ("cuda", "NVIDIA GPU", "CUDA"),
            ("mps", "Apple GPU", "Metal"),
            ("cpu", "Processor", "Slow for the large model"),
        ],
        default="auto",
    )
    home: StringProperty(
        name="Models",
        description="Folder of models and settings of Marionext; empty: the usual one",
        subtype="DIR_PATH",
        update=_apply_home,
    )
    output: StringProperty(
        name="Output",
        description="Folder for renders of scenes that name none; empty: beside the .blend file",
        subtype="DIR_PATH",
    )
    on_close: EnumProperty(
        name="Closing Blender",
        description="What becomes of a render when Blender closes",
        items=[
            ("END", "Ends the render", "It can be resumed when the file is opened again"),
            (
                "LEAVE",
                "Leaves it running",
                "Renders run on by themselves; opening the file again picks them up. "
                "Each render loads its model anew",
            ),
        ],
        default="END",
    )

    def draw(self, context: Any) -> None:
        """Draw the page."""
        session = context.window_manager.marionext
        layout = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        column = layout.column()
        column.prop(self, "engine")
        row = column.row()
        row.enabled = session.engine_state != "TESTING"
        row.operator("marionext.test_engine", icon="CHECKMARK")
        if session.engine_message:
            icon = {"READY": "INFO", "PROBLEM": "ERROR"}.get(session.engine_state, "TIME")
            box = layout.box()
            paragraphs.write(box, context, session.engine_message, icon=icon)
            if session.engine_report:
                paragraphs.write(box, context, session.engine_report, icon="BLANK1")
        column = layout.column()
        column.prop(self, "device")
        column.prop(self, "on_close")
        column.prop(self, "output")
        column.prop(self, "home")
        row = layout.row()
        row.enabled = online_access()
        row.operator("marionext.fetch_model", icon="IMPORT")
        if not online_access():
            layout.label(
                text="Models are fetched only when Blender's online access is allowed.", icon="INFO"
            )


def get(context: Any = None) -> Any:
    """Return this add-on's preferences; defaults where it runs without being installed."""
    addon = (context or bpy.context).preferences.addons.get(__package__)
    return addon.preferences if addon is not None else _Defaults()


class _Defaults:
    """Stands in where the module was registered by hand, as tests and scripts may do."""

    engine = ""
    device = "auto"
    home = ""
    output = ""
    on_close = "END"


def online_access() -> bool:
    """Tell whether Blender allows add-ons to go online; before 4.2 there was no such choice."""
    return bool(getattr(bpy.app, "online_access", True))


def data_home() -> Path:
    """Return the folder of models and settings, as the engine will see it."""
    from marionext import presets

    return presets.home()


def register() -> None:
    """Add the page."""
    bpy.utils.register_class(MarionextPreferences)
    found = get()
    if found.home:
        _apply_home(found)


def unregister() -> None:
    """Take the page away and give the environment back."""
    if _inherited_home:
        before = _inherited_home.pop()
        if before is None:
            os.environ.pop(_HOME, None)
        else:
            os.environ[_HOME] = before
    bpy.utils.unregister_class(MarionextPreferences)
