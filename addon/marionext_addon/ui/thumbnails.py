# SPDX-License-Identifier: GPL-3.0-or-later
"""Small pictures for the sidebar, read while nothing is drawn.

A panel may be drawn sixty times a second, so it only asks `icon`, a look into a dictionary. What
is not there yet is read a moment later by a timer, which then has the sidebar drawn again.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import bpy.utils.previews

from ..state import changes
from . import redraw

__all__ = ["MISSING", "WAITING", "icon", "look_again", "register", "unregister"]

WAITING = 0
"""The picture has not been read yet."""
MISSING = -1
"""There is no such file, or it is no picture."""


@dataclass(slots=True)
class _Seen:
    icon: int
    changed: int
    """Time of the file's last change in ns; 0 where there is none."""


class _Shelf:
    """The pictures of this session."""

    previews: Any = None
    seen: dict[str, _Seen] = {}
    wanted: set[str] = set()


def icon(path: str) -> int:
    """Return the number of a picture's icon, `WAITING` or `MISSING`; never looks at the disk.

    A layered doll (its ``doll.json``) is no picture and has none.
    """
    if path.endswith(".json"):
        return WAITING
    known = _Shelf.seen.get(bpy.path.abspath(path))
    if known is None:
        look_again(path)
        return WAITING
    return known.icon


def look_again(path: str) -> None:
    """Have a picture read (again, where its file has changed) as soon as nothing is drawn."""
    if path and _Shelf.previews is not None:
        # The same ``//hero.png`` is another picture once another file is open.
        _Shelf.wanted.add(bpy.path.abspath(path))
        if not bpy.app.timers.is_registered(_read):
            bpy.app.timers.register(_read, first_interval=0.05)


def _read() -> None:
    if _Shelf.previews is None:
        return
    for path in sorted(_Shelf.wanted):
        file = Path(path)
        try:
            changed = file.stat().st_mtime_ns if file.is_file() else 0
        except OSError:
            changed = 0
        known = _Shelf.seen.get(path)
        if known is not None and known.changed == changed:
            continue
        _Shelf.seen[path] = _Seen(_load(path, file) if changed else MISSING, changed)
    _Shelf.wanted.clear()
    redraw.sidebars()


def _load(path: str, file: Path) -> int:
    # Blender keeps a preview under its name forever: a changed file replaces it.
    if path in _Shelf.previews:
        del _Shelf.previews[path]
    preview = _Shelf.previews.load(path, str(file), "IMAGE")
    return int(preview.icon_id) or MISSING


def register() -> None:
    """Make room for pictures."""
    _Shelf.previews = bpy.utils.previews.new()
    if not bpy.app.background:
        changes.picture_changed.listen(look_again)


def unregister() -> None:
    """Forget all pictures."""
    changes.picture_changed.forget(look_again)
    if bpy.app.timers.is_registered(_read):
        bpy.app.timers.unregister(_read)
    bpy.utils.previews.remove(_Shelf.previews)
    _Shelf.previews = None
    _Shelf.seen.clear()
    _Shelf.wanted.clear()
