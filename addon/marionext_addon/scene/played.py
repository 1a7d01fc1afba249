# SPDX-License-Identifier: GPL-3.0-or-later
"""Playing a scene to record it: in a scene of its own where that shows the same, else as it is.

A temporary scene costs the rig alone and moves nothing the animator sees. But physics, motion
tracking, properties of the scene, scripts and instances are the user's scene's own: what hangs on
them is played there (`reach.reasons`), and everything is put back.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import bpy

from marionext.errors import MotionError

__all__ = ["Cast", "Key", "Played", "key_of"]

Key = tuple[str, str | None]
"""Name and library of a data-block."""


def key_of(data: Any) -> Key:
    """Name a data-block so that it is found again after undo has replaced all objects."""
    return data.name, None if data.library is None else data.library.filepath


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    """What is looked at while a scene is played, by keys: undo makes new objects of all data."""

    scene: Key
    armatures: tuple[Key, ...]
    cameras: tuple[Key, ...]
    keys: tuple[Key, ...] = ()
    """Of the shape key data-blocks whose values are wanted."""
    others: tuple[Key, ...] = ()
    """Objects that rays may hit."""

    @classmethod
    def of(
        cls,
        scene: Any,
        armatures: Sequence[Any],
        cameras: Sequence[Any],
        *,
        keys: Sequence[Key] = (),
        others: Sequence[Any] = (),
    ) -> "Cast":
        """Take down who plays in a scene; objects, and keys of shape keys."""
        return cls(
            scene=key_of(scene),
            armatures=tuple(map(key_of, armatures)),
            cameras=tuple(map(key_of, cameras)),
            keys=tuple(keys),
            others=tuple(map(key_of, others)),
        )


class Played:
    """A scene that is played frame by frame; use it as a context, which puts everything back."""

    def __init__(self, cast: Cast) -> None:
        """Remember what is to be played; nothing changes before the context is entered."""
        self._cast = cast
        self._time = Fraction(0)

    @property
    def scene(self) -> Any:
        """The user's scene, as it is now."""
        return find(bpy.data.scenes, self._cast.scene, "scene")

    @property
    def armatures(self) -> list[Any]:
        """The armatures' objects, as they are now."""
        return [find(bpy.data.objects, key, "armature") for key in self._cast.armatures]

    def armature(self, number: int) -> Any:
        """Return an armature's object, as it is now."""
        return find(bpy.data.objects, self._cast.armatures[number], "armature")

    def camera(self, number: int) -> Any:
        """Return a camera's object, as it is now."""
        return find(bpy.data.objects, self._cast.cameras[number], "camera")

    def key(self, number: int) -> Any:
        """Return a shape key data-block, as it is now."""
        return find(bpy.data.shape_keys, self._cast.keys[number], "shape keys")

    def before(self, _first: Fraction) -> Iterable[Fraction]:
        """Return the moments to be gone through before the first one that is looked at."""
        return ()

    def go(self, time: Fraction) -> Any:
        """Evaluate one moment and return the dependency graph that holds it.

        Args:
            time: a frame of the user's scene, with its fraction for sub-frames.

        Raises:
            MotionError: something went away meanwhile, or went into Edit Mode.
        """
        for armature in self.armatures:
            if armature.mode == "EDIT":
                raise MotionError(
                    f"the armature {armature.name!r} went into Edit Mode, which shows it at rest",
                    hint="Leave Edit Mode (Tab), then do it again.",
                )
        self._time = time
        return self._play(time)

    def _play(self, time: Fraction) -> Any:
        raise NotImplementedError

    def again(self) -> tuple[Any, Any]:
        """Return the scene that is played and its dependency graph, at the time it is at.

        Ask again whenever Blender has been at work meanwhile: what was deleted or undone since
        would leave the old graph with things that no longer exist.
        """
        raise NotImplementedError


def find(collection: Any, key: Key, kind: str) -> Any:
    """Return a data-block as it is now.

    Raises:
        MotionError: it is gone.
    """
    found = collection.get(key)
    if found is None:
        raise MotionError(
            f"the {kind} {key[0]!r} went away while the motion was recorded",
            hint="Start again; do not rename or delete it meanwhile.",
        )
    return found
