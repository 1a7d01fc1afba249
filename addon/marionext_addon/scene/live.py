# SPDX-License-Identifier: GPL-3.0-or-later
"""The keypoints of the frame that Blender shows right now, as they would be recorded.

What takes long (finding the mapping, hanging the keypoints on the rig) is kept until the settings
or the rig change; the rest is a few thousand numbers, quick enough for playback. Rays, where they
are switched on, are cast a few at a time while playback rests.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from marionext.errors import MotionError
from marionext.frames import FrameRate
from marionext.motion import Figure, JointAnimation, View, view_people
from marionext.pose.skeleton import BODY_NAMES

from . import cameras, choices, rig
from .instances import chain_to
from .played import Key, key_of
from .skeletons import Skeleton, animation_of, skeleton_of
from .visibility import Eyes

__all__ = [
    "Shown",
    "Watcher",
    "drawable",
    "look_through",
    "picture_corners",
    "places_in_picture",
]

_RATE = FrameRate(Fraction(24))
_NECK = BODY_NAMES.index("neck")


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What the overlay draws."""

    views: tuple[View, ...]
    figures: tuple[Figure, ...]
    look: cameras.Look
    size: tuple[int, int]
    """Of the picture that will be rendered."""


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """What is kept of one person."""

    armature: Key
    skeleton: Skeleton
    figure: Figure


class Watcher:
    """Looks at the people of a scene, again and again.

    Args:
        draft: whether in the size of a draft; else in the render's.
    """

    def __init__(self, *, draft: bool = False) -> None:
        """Know nothing yet."""
        self._draft = draft
        self._signature: object = None
        self._size_key: object = None
        self._size_found = (0, 0)
        self._known: list[_Known] = []
        self._eyes: Eyes | None = None
        self._moment: object = None
        self._seen: list[NDArray[np.float64]] = []
        self._casting: Any = None

    def look(self, scene: Any, layer: Any) -> Shown:
        """Return everybody's keypoints in the evaluated frame of a view layer.

        Args:
            scene: the scene that is shown.
            layer: the view layer that is shown.

        Raises:
            EngineError: there is nobody, or no camera; the message says which.
        """
        graph = layer.depsgraph
        signature = self._sign(scene)
        if signature != self._signature:
            self._signature = None  # if it fails nothing is known, also when all is as before
            self._learn(scene, graph)
            self._signature = signature
        size = self._size(scene)
        fit = scene.marionext.fit
        eye = _eye(scene)
        look = cameras.look_of(cameras.Frame.of(scene), eye.evaluated_get(graph), size, fit)
        people = [(self._read(known, graph), known.figure) for known in self._known]
        moment = _fingerprint(people, look, size)
        if moment != self._moment:
            self._moment, self._seen, self._casting = moment, [], None
        views = view_people(people, cameras.joined([look]), size, seen=self._seen)
        return Shown(views, tuple(known.figure for known in self._known), look, size)

    def _size(self, scene: Any) -> tuple[int, int]:
        """Return the size of the render; presets are files and are not read at every redraw."""
        settings, render = scene.marionext, scene.render
        key = (
            *(settings.model, settings.size_preset, settings.width, settings.height),
            *(render.resolution_x, render.resolution_y),
            *(render.pixel_aspect_x, render.pixel_aspect_y),
        )
        if self._size_key != key:
            self._size_key = key
            self._size_found = choices.render_size(scene, draft=self._draft)
        return self._size_found

    def _sign(self, scene: Any) -> object:
        """Return a value that changes when mapping or rest pose may have."""
        parts: list[object] = [choices.groups_of_rays(scene)]
        for _, entry in choices.people(scene):
            by_hand = [(item.role, item.bone) for item in entry.mapping if item.source == "HAND"]
            parts.append(
                (
                    *(_signed(entry.armature), chain_to(scene, entry.armature)),
                    *(entry.preset, tuple(by_hand)),
                )
            )
        return tuple(parts)

    def _learn(self, scene: Any, graph: Any) -> None:
        self._known, self._eyes, self._moment = [], None, None
        people = rig.people_of(scene)
        for person in people:
            skeleton = skeleton_of(person, scene)
            now = _animation(person.armature, skeleton, graph)
            figure = Figure.prepare(now, person.mapping)
            self._known.append(_Known(key_of(person.armature), skeleton, figure))
        groups = choices.groups_of_rays(scene)
        if groups:
            self._eyes = Eyes.of(scene, people, groups)

    @staticmethod
    def _read(known: _Known, graph: Any) -> JointAnimation:
        armature = bpy.data.objects.get(known.armature)
        if armature is None:
            raise MotionError("the armature is gone", hint="Choose another in the Rig panel.")
        return _animation(armature, known.skeleton, graph)

    @property
    def busy(self) -> bool:
        """Whether there are rays to be cast for the frame that was looked at last."""
        return self._eyes is not None and self._moment is not None and not self._seen

    def cast(self, scene: Any, layer: Any) -> bool:
        """Cast a few rays for the frame that was looked at last; tell whether the result changed.

        Call it from a timer while nothing plays.
        """
        if self._eyes is None or not self.busy:
            return False
        if self._casting is None:
            graph = layer.depsgraph
            people = [(self._read(known, graph), known.figure) for known in self._known]
            eye = _eye(scene)
            look = cameras.look_of(
                cameras.Frame.of(scene),
                eye.evaluated_get(graph),
                self._size(scene),
                scene.marionext.fit,
            )
            self._casting = self._eyes.look(_Scene(scene, layer), people, look)
        try:
            next(self._casting)
        except StopIteration as end:
            self._seen, self._casting = [shares[None] for shares in end.value], None
            return True
        return False


class _Scene:
    """The user's own scene in the place of a temporary one."""

    def __init__(self, scene: Any, layer: Any) -> None:
        self._scene, self._layer = scene, layer

    def again(self) -> tuple[Any, Any]:
        return self._scene, self._layer.depsgraph


def _eye(scene: Any) -> Any:
    frame = scene.frame_current + scene.frame_subframe
    return cameras.current_camera(scene, frame, choices.chosen_camera(scene))


def _signed(armature: Any) -> tuple[object, ...]:
    bones = armature.data.bones
    heads = np.empty(3 * len(bones), dtype=np.float32)
    bones.foreach_get("head_local", heads)
    return (
        armature.name_full,
        len(bones),
        len(armature.pose.bones),
        hash(heads.tobytes()),
        hash(tuple(bones.keys())),
        armature.mode == "EDIT",
    )


def _animation(armature: Any, skeleton: Skeleton, graph: Any) -> JointAnimation:
    if not skeleton.chain and not _is_played(armature, graph.view_layer):
        raise MotionError(
            f"{armature.name} is disabled in viewports, or in an excluded collection: it is "
            "rendered, but cannot be shown here",
            hint="Enable it in the Outliner.",
        )
    key = None if skeleton.shape_key is None else bpy.data.shape_keys.get(skeleton.shape_key)
    shapes = None if key is None else key.evaluated_get(graph)
    frame = skeleton.read(armature.evaluated_get(graph), graph, shapes)
    return animation_of(skeleton, [frame], rate=_RATE, first=0, camera=None, source="")


def _is_played(armature: Any, layer: Any) -> bool:
    """Tell whether Blender evaluates an armature in a view layer; the eye icons do not matter.

    What is not played may be in the dependency graph all the same, as it was some time ago.
    """
    if armature.visible_get(view_layer=layer):
        return True

    def holds(part: Any) -> bool:
        if part.exclude or part.collection.hide_viewport:
            return False
        return armature.name in part.collection.objects or any(map(holds, part.children))

    return not armature.hide_viewport and holds(layer.layer_collection)


def _fingerprint(
    people: Sequence[tuple[JointAnimation, Figure]], look: cameras.Look, size: tuple[int, int]
) -> object:
    heads = tuple(hash(animation.heads.tobytes()) for animation, _ in people)
    return heads, hash(look.view.tobytes()), look.focal, look.scale, look.shift, size


def drawable(figure: Figure) -> NDArray[np.bool_]:
    """Return which keypoints a figure has at all: (134,)."""
    known = figure.anchors >= 0
    known[_NECK] = True
    return np.asarray(known)


def places_in_picture(
    look: cameras.Look, size: tuple[int, int], points: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return where in the world points of the picture (..., 2) lie on a plane before the camera."""
    corners = picture_corners(look, size)
    across = points[..., :1] / size[0]
    up = 1 - points[..., 1:] / size[1]
    right, above = corners[1] - corners[0], corners[3] - corners[0]
    return np.asarray(corners[0] + across * right + up * above)


def look_through(scene: Any, layer: Any, size: tuple[int, int]) -> cameras.Look:
    """Return what the scene's camera sees now.

    Raises:
        MotionError: there is no camera.
    """
    eye = _eye(scene).evaluated_get(layer.depsgraph)
    return cameras.look_of(cameras.Frame.of(scene), eye, size, scene.marionext.fit)


def picture_corners(look: cameras.Look, size: tuple[int, int]) -> NDArray[np.float64]:
    """Return the corners of the picture somewhere in the world, (4, 3), in order."""
    high = size[1] / size[0]
    plane = np.array(
        [[-0.5, -0.5 * high], [0.5, -0.5 * high], [0.5, 0.5 * high], [-0.5, 0.5 * high]]
    )
    plane = plane + np.array(look.shift)
    depth = max(1.0, 2 * look.near)
    reach = look.scale if look.scale > 0 else depth / look.focal
    corners = np.concatenate([plane * reach, np.full((4, 1), -depth), np.ones((4, 1))], axis=1)
    return np.asarray((corners @ np.linalg.inv(look.view).T)[:, :3])
