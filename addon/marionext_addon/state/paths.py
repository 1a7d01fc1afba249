# SPDX-License-Identifier: GPL-3.0-or-later
"""Paths as Blender means them."""

from pathlib import Path

import bpy

__all__ = ["RELATIVE", "absolute"]

RELATIVE = {"PATH_SUPPORTS_BLEND_RELATIVE"} if bpy.app.version >= (4, 5, 0) else set[str]()
"""Options of a path that may begin with ``//``; Blender 4.5 wants to be told, earlier refuse."""


def absolute(path: str) -> Path:
    """Return a path as Blender means it: ``//`` is the .blend file's folder."""
    return Path(bpy.path.abspath(path)).expanduser().absolute()
