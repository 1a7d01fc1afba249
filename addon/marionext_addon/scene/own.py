# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's own scene, played frame by frame, and put back as it was.

For what no other scene shows (`reach`). The timeline moves meanwhile, as it does when Blender
renders a playblast. Afterwards the frame is the one that was shown, and values that were changed
but not keyed are as they were left: changing the frame alone would lose them. Before the file is
saved everything is put back for that moment, too; another file that is opened ends it.
"""

import contextlib
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Self

import bpy
import numpy as np
from bpy.app.handlers import persistent

from marionext.errors import MotionError

from .actions import curves_of
from .played import Cast, Key, Played, key_of
from .temporary import set_frame, sweep, watch

__all__ = ["OwnScene", "differs", "register", "unregister"]

_open: list["OwnScene"] = []


class OwnScene(Played):
    """The user's scene; use it as a context, which puts everything back at the end."""

    def __init__(self, cast: Cast) -> None:
        """Remember what is to be played; nothing changes before the context is entered."""
        super().__init__(cast)
        self._shown = Fraction(0)
        self._unkeyed: list[tuple[str, Key, str, object]] = []
        self._moved = False
        self._lost = False
        self._helper: Key | None = None

    def __enter__(self) -> Self:
        """Take down what has to be put back."""
        scene = self.scene
        self._shown = scene.frame_current + Fraction(float(scene.frame_subframe))
        self._unkeyed = list(_animated())
        _open.append(self)
        return self

    def __exit__(self, *_details: object) -> None:
        """Put everything back."""
        if self in _open:
            _open.remove(self)
        self.put_back()

    def put_back(self) -> None:
        """Show the frame that was shown, with the values that were not keyed."""
        sweep()
        key = self._cast.scene
        if not self._moved or self._lost or bpy.data.scenes.get(key) is None:
            return
        self._moved = False
        with _active(self.scene):
            set_frame(self.scene, self._shown)
            _put_back(self._unkeyed)

    def lose(self) -> None:
        """Forget everything: the file is about to be closed."""
        self._lost = True

    def before(self, first: Fraction) -> Iterator[Fraction]:
        """Yield the frames that physics which is not baked goes through to get to the first one."""
        starts = [cache.frame_start for cache in _unbaked(self.scene)]
        yield from map(Fraction, range(min(starts, default=0), math.floor(first)) if starts else ())

    def go(self, time: Fraction) -> Any:
        """Evaluate one moment; see `Played.go`."""
        if self._lost:
            raise MotionError(
                "another file was opened while the motion was recorded",
                hint="Open the first one again and press Retry.",
            )
        return super().go(time)

    def _play(self, time: Fraction) -> Any:
        scene, layer = self.scene, self._layer()
        hidden = [
            thing
            for thing in (*self.armatures, *map(self.camera, range(len(self._cast.cameras))))
            if thing.name in scene.objects and not thing.visible_get(view_layer=layer)
        ]
        keys = [key for key in self._cast.keys if not _is_shown(key, scene, layer)]
        if (hidden or keys) and not self._watched():
            self._helper = key_of(
                watch(
                    scene,
                    [thing for thing in hidden if thing.type == "ARMATURE"],
                    [thing for thing in hidden if thing.type == "CAMERA"],
                    keys,
                )
            )
        self._moved = True
        with _active(scene):
            set_frame(scene, time)
        return self._layer().depsgraph

    def _watched(self) -> bool:
        return self._helper is not None and bpy.data.objects.get(self._helper) is not None

    def again(self) -> tuple[Any, Any]:
        """Return the user's scene and its dependency graph, at the time that is recorded."""
        shown = self.scene.frame_current + Fraction(float(self.scene.frame_subframe))
        if not self._moved or abs(shown - self._time) > Fraction(1, 1000):
            self.go(self._time)
        layer = self._layer()
        layer.update()
        return self.scene, layer.depsgraph

    def _layer(self) -> Any:
        """Return the view layer that the animator sees, or the scene's first."""
        scene = self.scene
        shown = bpy.context.view_layer
        if shown is not None and shown.name in scene.view_layers and bpy.context.scene == scene:
            return scene.view_layers[shown.name]
        return scene.view_layers[0]


def _is_shown(key: Key, scene: Any, layer: Any) -> bool:
    """Tell whether a mesh with these shape keys is evaluated for being seen."""
    shapes = bpy.data.shape_keys.get(key)
    return any(
        thing.type == "MESH"
        and thing.data.shape_keys == shapes
        and thing.visible_get(view_layer=layer)
        for thing in scene.objects
    )


def _unbaked(scene: Any) -> Iterator[Any]:
    """Yield the caches of a scene's physics that are filled while it is played."""
    caches = [scene.rigidbody_world.point_cache] if scene.rigidbody_world else []
    for thing in scene.objects:
        caches += [system.point_cache for system in thing.particle_systems]
        caches += [
            modifier.point_cache
            for modifier in thing.modifiers
            if modifier.type in {"CLOTH", "SOFT_BODY"}
        ]
    yield from (cache for cache in caches if not cache.is_baked)


@contextlib.contextmanager
def _active(scene: Any) -> Iterator[None]:
    """Make a scene the one that drivers and scripts find in the context."""
    if bpy.context.scene == scene:
        yield
        return
    with bpy.context.temp_override(scene=scene):
        yield


def _animated() -> Iterator[tuple[str, Key, str, object]]:
    """Yield every value of the file that animation writes: collection, key, path, value."""
    for collection in bpy.data.bl_rna.properties:
        if collection.type != "COLLECTION":
            continue
        for data in getattr(bpy.data, collection.identifier):
            animation = getattr(data, "animation_data", None)
            if animation is None:
                continue
            for path in dict.fromkeys(_paths(animation)):
                value = _value(data, path)
                if value is not None:
                    yield collection.identifier, key_of(data), path, value


def _paths(animation: Any) -> Iterator[str]:
    actions = [animation.action]
    waiting = [strip for track in animation.nla_tracks for strip in track.strips]
    while waiting:
        strip = waiting.pop()
        actions.append(strip.action)
        waiting += getattr(strip, "strips", ())
    for action in actions:
        if action is not None:
            yield from (curve.data_path for curve in curves_of(action))


def _value(data: Any, path: str) -> object:
    try:
        value = data.path_resolve(path)
    except ValueError:  # a curve of what is no longer there
        return None
    if isinstance(value, (bool, int, float, str)):
        return value
    return tuple(value) if hasattr(value, "__len__") else None


def _put_back(values: list[tuple[str, Key, str, object]]) -> None:
    """Write the values that have changed; what is gone or read-only is passed over."""
    for collection, key, path, value in values:
        data = getattr(bpy.data, collection).get(key)
        if data is None or _value(data, path) == value:
            continue
        with contextlib.suppress(AttributeError, KeyError, TypeError, ValueError):
            if path.endswith(("]",)) and '["' in path:
                before, _, name = path.rpartition('["')
                owner = data.path_resolve(before) if before else data
                owner[name.removesuffix('"]')] = value
                data.update_tag()
            else:
                before, _, name = path.rpartition(".")
                setattr(data.path_resolve(before) if before else data, name, value)


def differs(played: Played) -> bool:
    """Tell whether a scene that is played shows another pose than the user's, at its frame now.

    What is not seen in the user's scene cannot be compared, and does not count.
    """
    scene = played.scene
    layer = scene.view_layers[0]
    seen = [
        (number, thing)
        for number, thing in enumerate(played.armatures)
        if thing.visible_get(view_layer=layer)
    ]
    if not seen:
        return False
    layer.update()
    graph = layer.depsgraph
    shown = [_bones(thing.evaluated_get(graph)) for _, thing in seen]
    again = played.go(scene.frame_current + Fraction(float(scene.frame_subframe)))
    apart = [
        np.abs(_bones(played.armature(number).evaluated_get(again)) - bones).max(initial=0.0)
        for (number, _), bones in zip(seen, shown, strict=True)
    ]
    return bool(max(apart) > 1e-4)


def _bones(evaluated: Any) -> Any:
    """Return the bones' matrices in the world: (bones, 4, 4)."""
    bones = evaluated.pose.bones
    posed = np.empty(16 * len(bones), dtype=np.float32)
    bones.foreach_get("matrix", posed)
    return np.array(evaluated.matrix_world) @ posed.reshape(-1, 4, 4).swapaxes(1, 2)


@persistent  # type: ignore[untyped-decorator]
def _before_saving(*_arguments: object) -> None:
    for played in _open:
        played.put_back()


@persistent  # type: ignore[untyped-decorator]
def _before_loading(*_arguments: object) -> None:
    for played in _open:
        played.lose()


def register() -> None:
    """Keep what is moved meanwhile out of files."""
    bpy.app.handlers.save_pre.append(_before_saving)
    bpy.app.handlers.load_pre.append(_before_loading)


def unregister() -> None:
    """Take the handlers away, and put back what is moved."""
    _before_saving()
    for handlers, function in (
        (bpy.app.handlers.save_pre, _before_saving),
        (bpy.app.handlers.load_pre, _before_loading),
    ):
        if function in handlers:
            handlers.remove(function)
