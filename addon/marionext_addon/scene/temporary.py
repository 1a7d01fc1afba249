# SPDX-License-Identifier: GPL-3.0-or-later
"""A temporary scene in which armatures and cameras are played without the user's scene noticing.

Only what is recorded is in it, so a frame costs the rig and not the subdivided, simulated rest of
the scene. Parents, constraint targets and drivers are evaluated all the same: Blender's
dependency graph pulls them in, wherever they live. Helper objects make it pull in what is
hidden in viewports too, and shape keys without their meshes.

It is taken away when its context is left, also after an error. An animator who undoes or
saves meanwhile must not find it in the file: `sweep` runs before saving and after undo, and one
that was lost is built again.
"""

import contextlib
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, Self

import bpy
from bpy.app.handlers import persistent

from .played import Cast, Key, Played, find

__all__ = [
    "TemporaryScene",
    "register",
    "set_frame",
    "sweep",
    "unregister",
    "watch",
    "without_listeners",
]

_MARK = "marionext_temporary"
_NAME = ".Marionext (recording)"
"""With a dot: Blender's menus leave such names out."""


class TemporaryScene(Played):
    """The temporary scene; use it as a context, which takes it away at the end."""

    def __init__(self, cast: Cast) -> None:
        """Remember what is to be played; nothing is made before the context is entered."""
        super().__init__(cast)
        self._made: Any = None
        self._helper: Any = None

    def __enter__(self) -> Self:
        """Build the scene."""
        self._build()
        return self

    def __exit__(self, *_details: object) -> None:
        """Take the scene away."""
        sweep()
        self._made = self._helper = None

    def _play(self, time: Fraction) -> Any:
        if not self._alive():
            self._build()
        with without_listeners():
            set_frame(self._made, time)
        return self._made.view_layers[0].depsgraph

    def again(self) -> tuple[Any, Any]:
        """Return the temporary scene and its dependency graph, at the time it is at."""
        if not self._alive():
            self.go(self._time)
        layer = self._made.view_layers[0]
        layer.update()
        return self._made, layer.depsgraph

    def _alive(self) -> bool:
        try:
            return bool(self._made.get(_MARK)) and bool(self._helper.name)
        except ReferenceError:  # undo, or a sweep before saving
            return False

    def _build(self) -> None:
        sweep()
        made = bpy.data.scenes.new(_NAME)
        made[_MARK] = True
        self._made = made
        scene = self.scene
        for name in ("fps", "fps_base", "frame_map_old", "frame_map_new"):
            setattr(made.render, name, getattr(scene.render, name))
        cameras = [self.camera(number) for number in range(len(self._cast.cameras))]
        others = [bpy.data.objects[key] for key in self._cast.others if key in bpy.data.objects]
        for thing in dict.fromkeys((*self.armatures, *cameras, *others)):
            made.collection.objects.link(thing)
        self._helper = watch(made, self.armatures, cameras, self._cast.keys)


def watch(scene: Any, armatures: Sequence[Any], cameras: Sequence[Any], keys: Sequence[Key]) -> Any:
    """Add helpers to a scene that depend on armatures, cameras and shape keys.

    Blender evaluates them for their sake even where they are hidden.

    Returns:
        One of the helpers: while it is there, all are.
    """
    for armature in armatures:
        # Of all relations, being the child of a pose is the one that has every bone evaluated.
        child = _add_helper(scene, bpy.data.meshes.new(_NAME))
        child.parent, child.parent_type = armature, "ARMATURE"
    helper = _add_helper(scene)
    helper["value"] = 0.0
    driver = helper.driver_add('["value"]').driver
    driver.type = "SUM"
    for key in keys:
        shapes = find(bpy.data.shape_keys, key, "shape keys")
        if len(shapes.key_blocks) > 1:
            target = driver.variables.new().targets[0]
            target.id_type, target.id = "KEY", shapes
            name = bpy.utils.escape_identifier(shapes.key_blocks[1].name)
            target.data_path = f'key_blocks["{name}"].value'
    for camera in cameras:
        variable = driver.variables.new()
        variable.type = "TRANSFORMS"
        variable.targets[0].id = camera
        target = driver.variables.new().targets[0]
        target.id_type, target.id, target.data_path = "CAMERA", camera.data, "lens"
    return helper


def _add_helper(scene: Any, mesh: Any = None) -> Any:
    helper = bpy.data.objects.new(_NAME, mesh)
    for data in (helper, mesh):
        if data is not None:
            data[_MARK] = True
    scene.collection.objects.link(helper)
    return helper


def set_frame(scene: Any, time: Fraction) -> None:
    """Have a scene evaluated at a frame, maybe between two."""
    whole = math.floor(time)
    scene.frame_set(whole, subframe=float(time - whole))


@contextlib.contextmanager
def without_listeners() -> Iterator[None]:
    """Keep other scripts' frame handlers from taking the temporary scene for the user's."""
    handlers = bpy.app.handlers
    lists = [handlers.frame_change_pre, handlers.frame_change_post]
    kept = [list(each) for each in lists]
    for each in lists:
        each.clear()
    try:
        yield
    finally:
        for each, functions in zip(lists, kept, strict=True):
            each.extend(functions)


def sweep() -> None:
    """Remove every temporary scene and helper, also those that undo has brought back."""
    for collection in (bpy.data.scenes, bpy.data.objects, bpy.data.meshes):
        for left in [item for item in collection if item.get(_MARK)]:
            collection.remove(left)


@persistent  # type: ignore[untyped-decorator]
def _sweep_now(*_arguments: object) -> None:
    sweep()


def _handlers() -> tuple[Any, ...]:
    handlers = bpy.app.handlers
    return handlers.save_pre, handlers.undo_post, handlers.redo_post, handlers.load_post


def register() -> None:
    """Keep temporary scenes out of files and out of undo."""
    for handlers in _handlers():
        handlers.append(_sweep_now)


def unregister() -> None:
    """Take the handlers away, and anything that may be left."""
    for handlers in _handlers():
        if _sweep_now in handlers:
            handlers.remove(_sweep_now)
    sweep()
