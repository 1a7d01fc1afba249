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

from marionext.errors import MotionError

__all__ = [
    "Key",
    "TemporaryScene",
    "key_of",
    "register",
    "sweep",
    "unregister",
    "without_listeners",
]

_MARK = "marionext_temporary"
_NAME = "Marionext (recording)"

Key = tuple[str, str | None]
"""Name and library of a data-block."""


def key_of(data: Any) -> Key:
    """Name a data-block so that it is found again after undo has replaced all objects."""
    return data.name, None if data.library is None else data.library.filepath


class TemporaryScene:
    """The temporary scene; use it as a context, which takes it away at the end."""

    def __init__(
        self,
        scene: Any,
        armatures: Sequence[Any],
        cameras: Sequence[Any],
        *,
        keys: Sequence[Key] = (),
        others: Sequence[Any] = (),
    ) -> None:
        """Remember what is to be played; nothing is made before the context is entered.

        Args:
            scene: the user's scene.
            armatures: objects.
            cameras: objects.
            keys: of the shape key data-blocks whose values are wanted.
            others: objects that rays may hit.
        """
        self._scene = key_of(scene)
        self._armatures = [key_of(armature) for armature in armatures]
        self._cameras = [key_of(camera) for camera in cameras]
        self._keys = list(keys)
        self._others = [key_of(other) for other in others]
        self._made: Any = None
        self._time = Fraction(0)
        self._helper: Any = None

    def __enter__(self) -> Self:
        """Build the scene."""
        self._build()
        return self

    def __exit__(self, *_details: object) -> None:
        """Take the scene away."""
        sweep()
        self._made = self._helper = None

    @property
    def scene(self) -> Any:
        """The user's scene, as it is now."""
        return self._find(bpy.data.scenes, self._scene, "scene")

    @property
    def armatures(self) -> list[Any]:
        """The armatures' objects, as they are now."""
        return [self._find(bpy.data.objects, key, "armature") for key in self._armatures]

    def armature(self, number: int) -> Any:
        """Return an armature's object, as it is now."""
        return self._find(bpy.data.objects, self._armatures[number], "armature")

    def camera(self, number: int) -> Any:
        """Return a camera's object, as it is now."""
        return self._find(bpy.data.objects, self._cameras[number], "camera")

    def key(self, number: int) -> Any:
        """Return a shape key data-block, as it is now."""
        return self._find(bpy.data.shape_keys, self._keys[number], "shape keys")

    @staticmethod
    def _find(collection: Any, key: Key, kind: str) -> Any:
        found = collection.get(key)
        if found is None:
            raise MotionError(
                f"the {kind} {key[0]!r} went away while the motion was recorded",
                hint="Start again; do not rename or delete it meanwhile.",
            )
        return found

    def go(self, time: Fraction) -> Any:
        """Evaluate one moment and return the dependency graph that holds it.

        Args:
            time: a frame of the user's scene, with its fraction for sub-frames.
        """
        if not self._alive():
            self._build()
        for armature in self.armatures:
            if armature.mode == "EDIT":
                raise MotionError(
                    f"the armature {armature.name!r} went into Edit Mode, which shows it at rest",
                    hint="Leave Edit Mode and press Retry.",
                )
        whole = math.floor(time)
        with without_listeners():
            self._made.frame_set(whole, subframe=float(time - whole))
        self._time = time
        return self._made.view_layers[0].depsgraph

    def again(self) -> tuple[Any, Any]:
        """Return the temporary scene and its dependency graph, at the time it is at.

        Ask again whenever Blender has been at work meanwhile: what was deleted or undone since
        would leave the old graph with things that no longer exist.
        """
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
        cameras = [self._find(bpy.data.objects, key, "camera") for key in self._cameras]
        others = [bpy.data.objects[key] for key in self._others if key in bpy.data.objects]
        for thing in dict.fromkeys((*self.armatures, *cameras, *others)):
            made.collection.objects.link(thing)
        for armature in self.armatures:
            # Of all relations, being the child of a pose is the one that has every bone evaluated.
            child = self._add_helper(made, bpy.data.meshes.new(_NAME))
            child.parent, child.parent_type = armature, "ARMATURE"
        self._helper = self._build_watcher(made, cameras)

    @staticmethod
    def _add_helper(made: Any, mesh: Any = None) -> Any:
        helper = bpy.data.objects.new(_NAME, mesh)
        for data in (helper, mesh):
            if data is not None:
                data[_MARK] = True
        made.collection.objects.link(helper)
        return helper

    def _build_watcher(self, made: Any, cameras: Sequence[Any]) -> Any:
        """Add an object that depends on cameras and shape keys: what is hidden is evaluated too."""
        helper = self._add_helper(made)
        helper["value"] = 0.0
        driver = helper.driver_add('["value"]').driver
        driver.type = "SUM"
        for number in range(len(self._keys)):
            key = self.key(number)
            if len(key.key_blocks) > 1:
                target = driver.variables.new().targets[0]
                target.id_type, target.id = "KEY", key
                name = bpy.utils.escape_identifier(key.key_blocks[1].name)
                target.data_path = f'key_blocks["{name}"].value'
        for camera in cameras:
            variable = driver.variables.new()
            variable.type = "TRANSFORMS"
            variable.targets[0].id = camera
            target = driver.variables.new().targets[0]
            target.id_type, target.id, target.data_path = "CAMERA", camera.data, "lens"
        return helper


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
