# SPDX-License-Identifier: GPL-3.0-or-later
"""What is set once for this computer: where the engine is, folders, what closing Blender means."""

import os
from pathlib import Path
from typing import Any

import bpy
from bpy.props import EnumProperty, StringProperty

from marionext import presets

from . import ADDON
from .models import refresh_models

__all__ = ["Choices", "apply_home", "data_home", "forget_home", "get", "online_access"]

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
    refresh_models()


def _engine_changed(_preferences: object, context: Any) -> None:
    session = context.window_manager.marionext
    session.engine_state = "UNKNOWN"
    session.engine_message = session.engine_report = ""


class Choices:
    """The properties of the add-on's page in Blender's preferences, which `ui.page` draws."""

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
                "Each render loads its model again",
            ),
        ],
        default="END",
    )


def get(context: Any = None) -> Any:
    """Return this add-on's preferences; defaults where it runs without being installed."""
    addon = (context or bpy.context).preferences.addons.get(ADDON)
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
    return presets.home()


def apply_home() -> None:
    """Look for models where the preferences say, once they can be read."""
    found = get()
    if found.home:
        _apply_home(found)


def forget_home() -> None:
    """Restore the environment as it was before the add-on."""
    if _inherited_home:
        before = _inherited_home.pop()
        if before is None:
            os.environ.pop(_HOME, None)
        else:
            os.environ[_HOME] = before
