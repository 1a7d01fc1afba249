# SPDX-License-Identifier: GPL-3.0-or-later
"""A name of their own for scenes, by which their renders are known.

Files are renamed, saved under other names, and called the same as others; scenes are all called
Scene. So a scene gets a number when it is rendered first, and keeps it through saves. A copy within
a file gets another one; of files that were copied outside Blender nobody can tell.
"""

import uuid
from typing import Any

import bpy
from bpy.app.handlers import persistent

__all__ = ["adopt", "identity_of", "register", "unregister"]

_given: dict[str, str] = {}
"""By the names of the open file's scenes: undo takes away what was not an undo step."""


def identity_of(scene: Any, *, make: bool = False) -> str:
    """Return a scene's number; empty where it has none of its own.

    Args:
        scene: the user's.
        make: give it one; not while something is drawn.
    """
    settings = scene.marionext
    if settings.identity and not _is_copy(scene):
        return str(settings.identity)
    if not make:
        return ""
    adopt(scene, uuid.uuid4().hex)
    return str(settings.identity)


def adopt(scene: Any, identity: str) -> None:
    """Give a scene a number that its renders have already."""
    scene.marionext.identity, scene.marionext.identity_name = identity, scene.name
    _given[scene.name] = identity


def _is_copy(scene: Any) -> bool:
    """Tell whether a scene's number came with a copy: the scene that got it is still there."""
    settings = scene.marionext
    first = bpy.data.scenes.get(settings.identity_name)
    return first is not None and first != scene and first.marionext.identity == settings.identity


@persistent  # type: ignore[untyped-decorator]
def _undone(*_arguments: object) -> None:
    for scene in bpy.data.scenes:
        if not scene.marionext.identity and scene.name in _given:
            adopt(scene, _given[scene.name])


@persistent  # type: ignore[untyped-decorator]
def _leaving(*_arguments: object) -> None:
    _given.clear()


def register() -> None:
    """Keep numbers through undo."""
    bpy.app.handlers.undo_post.append(_undone)
    bpy.app.handlers.load_pre.append(_leaving)


def unregister() -> None:
    """Take the handlers away."""
    bpy.app.handlers.undo_post.remove(_undone)
    bpy.app.handlers.load_pre.remove(_leaving)
    _given.clear()
