# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the engine: a program of its own, never a part of Blender.

Torch inside Blender's Python is what breaks other add-ons: another Python, another numpy, gigabytes
in Blender's own folders. So the engine is looked for, in this order: where the preferences say;
where Marionext's bootstrap noted that it installed it; ``marionext`` on the PATH. Blender's own
``sys.executable`` is never taken: in Blenders of distributions it can be anything.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from marionext import presets
from marionext.errors import ProtocolError

from ..state import preferences

__all__ = ["POINTER", "EngineCommand", "engine_settings", "environment", "find"]

POINTER = "engine.json"
"""File in the user's folder in which the bootstrap notes the Python it installed the engine for."""

_HOW_TO_GET_ONE = (
    "Run 'python3 bootstrap.py install' in Marionext's folder, then press Test Engine, or choose "
    "the engine's Python in the add-on's preferences."
)
_PYTHON_NAMES = ("python", "pypy")


@dataclass(frozen=True, slots=True)
class EngineCommand:
    """How the engine is called."""

    arguments: tuple[str, ...]
    """The program and what makes it Marionext: ``python -m marionext`` or ``marionext``."""
    found_by: str
    """``preferences``, ``bootstrap`` or ``PATH``."""

    def call(self, *arguments: str) -> list[str]:
        """Return the command line of one of the engine's commands."""
        return [*self.arguments, *arguments]


def find() -> EngineCommand:
    """Return how to call the engine; nothing is started.

    Raises:
        ProtocolError: there is none; the hint says how to come by one.
    """
    chosen = str(preferences.get().engine).strip()
    if chosen:
        return EngineCommand(_program(Path(bpy.path.abspath(chosen)).expanduser()), "preferences")
    noted = _noted_python()
    if noted is not None:
        return EngineCommand((str(noted), "-m", "marionext"), "bootstrap")
    command = shutil.which("marionext")
    if command is not None:
        return EngineCommand((command,), "PATH")
    raise ProtocolError("Marionext's engine was not found on this computer", hint=_HOW_TO_GET_ONE)


def _program(path: Path) -> tuple[str, ...]:
    """Tell a Python from the ``marionext`` command, and a folder from both."""
    if path.is_dir():
        path = _python_in(path)
    if not path.is_file():
        raise ProtocolError(
            f"the preferences name {path} as the engine, and there is no such program",
            hint=_HOW_TO_GET_ONE,
        )
    name = path.name.lower()
    if name.startswith(_PYTHON_NAMES):
        return (str(path), "-m", "marionext")
    return (str(path),)


def _python_in(folder: Path) -> Path:
    """Return the Python of a virtual environment, or of the checkout that holds one."""
    inside = ("Scripts/python.exe",) if os.name == "nt" else ("bin/python",)
    for base in (folder, folder / ".venv"):
        for name in inside:
            if (base / name).is_file():
                return base / name
    return folder


def _noted_python() -> Path | None:
    try:
        noted = json.loads((presets.home() / POINTER).read_text(encoding="utf-8"))
        python = Path(noted["python"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return python if python.is_file() else None


def environment() -> Mapping[str, str]:
    """Return what is laid over Blender's own variables for the engine.

    Blender's Python must not leak into it: a ``PYTHONHOME`` that is right for Blender makes another
    Python unable to start.
    """
    return {"PYTHONHOME": "", "PYTHONPATH": "", "PYTHONIOENCODING": "utf-8"}


def engine_settings(*, overwrite: bool = False) -> dict[str, Any]:
    """Return the machine's settings as the protocol takes them."""
    return {"device": str(preferences.get().device), "overwrite": overwrite}
