# SPDX-License-Identifier: GPL-3.0-or-later
"""Which keypoints the camera sees: rays from the camera through the scene's meshes.

A joint lies inside its own limb, so the skin right in front of it does not hide it; another limb,
another person or a prop does. Whose skin a ray hits is told by the weights of the face it hits.
What is found is the share of each point that is in the open; the engine makes scores of it.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np
from mathutils import Vector
from numpy.typing import NDArray

from marionext.motion import Figure, JointAnimation, view_people
from marionext.motion.parts import own_parts, part_of
from marionext.pose.skeleton import BODY, FACE, FEET, LEFT_HAND, POINT_COUNT, RIGHT_HAND

from .cameras import Look, joined
from .rig import Person, read_rest

__all__ = ["GROUPS", "Eyes", "notes", "renderable"]

Floats = NDArray[np.float64]

_MOST_LAYERS = 8
"""Wires, cages and other things without substance that a ray is led through."""
_AT_ONCE = 10
"""Rays: about three milliseconds."""

GROUPS: Mapping[str, tuple[int, ...]] = {
    "body": (*range(BODY.start, BODY.stop), *range(FEET.start, FEET.stop)),
    "hands": (*range(LEFT_HAND.start, LEFT_HAND.stop), *range(RIGHT_HAND.start, RIGHT_HAND.stop)),
    "face": tuple(range(FACE.start, FACE.stop)),
}
"""The points that rays are cast for, by group."""

_SOLID = frozenset({"MESH", "CURVE", "SURFACE", "META", "FONT"})
_REACH = {
    "head": 0.2, "neck": 0.1, "torso": 0.11, "upper_arm": 0.08, "forearm": 0.07, "hand": 0.12,
    "thigh": 0.1, "shin": 0.08,
}  # fmt: skip
"""How far before a point, in statures, skin of its own part does not hide it: a foreshortened
thigh does hide its own hip, and the near side of the chest the far shoulder."""
_SPREAD = 0.012
"""Rays of a body joint go through it and four points this far around it, in statures."""
_NEAR = 0.004
"""Whatever is hit this near to the point, in statures, is at the point and not before it."""


def renderable(scene: Any) -> list[Any]:
    """Return the objects of a scene that can hide something in a render.

    Helpers that are drawn as wires or boxes (colliders, cages) and what is not rendered are left
    out; so is what is in excluded collections.
    """
    found: dict[Any, None] = {}

    def walk(layer: Any) -> None:
        if layer.exclude or layer.collection.hide_render:
            return
        found.update(dict.fromkeys(filter(_hides, layer.collection.objects)))
        for child in layer.children:
            walk(child)

    walk(scene.view_layers[0].layer_collection)
    return list(found)


def _hides(candidate: Any) -> bool:
    solid = candidate.type in _SOLID or candidate.instance_type == "COLLECTION"
    drawn = candidate.display_type not in {"WIRE", "BOUNDS"}
    return solid and drawn and not candidate.hide_render


def _instanced(things: Iterable[Any]) -> Iterator[Any]:
    """Yield what collection instances show: a ray that hits one names the object inside."""
    for thing in things:
        if thing.instance_type == "COLLECTION" and thing.instance_collection is not None:
            inside = [each for each in thing.instance_collection.all_objects if _hides(each)]
            yield from inside
            yield from _instanced(inside)


def notes(scene: Any) -> Iterator[str]:
    """Yield what rays will pass through although it is rendered, for people to read."""
    unseen = sorted(thing.name for thing in renderable(scene) if thing.hide_viewport)
    if unseen:
        yield (
            f"{', '.join(unseen[:3])}{' and others' if len(unseen) > 3 else ''}: disabled in "
            "viewports, so nothing is hidden behind it"
        )


@dataclass(slots=True)
class _Owner:
    """Whose an object is, and which part of the body."""

    person: int
    parts: Mapping[str, str]
    """Bone to part."""
    part: str | None
    """Of an object that hangs on one bone as a whole; None: the weights tell."""
    faces: dict[int, str] = field(default_factory=dict)
    """Part of each face that was hit so far: weights do not change from frame to frame."""


class Played(Protocol):
    """A scene at a frame: a `TemporaryScene`, or the user's own for the overlay."""

    def again(self) -> tuple[Any, Any]:
        """Return the scene and its dependency graph, as they are now."""


class Eyes:
    """Casts the rays of one shot."""

    def __init__(
        self, objects: list[Any], owners: dict[str, _Owner], points: Sequence[int]
    ) -> None:
        """Keep what is the same in every frame; use `of`."""
        self.objects = objects
        """What rays may hit."""
        self._owners = owners
        self._solid = frozenset(thing.name_full for thing in (*objects, *_instanced(objects)))
        self._points = tuple(points)
        self._own = {point: own_parts(point) for point in points}

    @classmethod
    def of(cls, scene: Any, people: Sequence[Person], groups: frozenset[str]) -> Self:
        """Make ready to look at some groups of points of everybody in a scene."""
        objects = renderable(scene)
        owners: dict[str, _Owner] = {}
        for number, person in enumerate(people):
            parts = _parts_of(person)
            for candidate in dict.fromkeys((*objects, *_instanced(objects))):
                owner = _owned(candidate, person.armature, number, parts)
                if owner is not None:
                    owners[candidate.name_full] = owner
        points = [point for group in sorted(groups) for point in GROUPS[group]]
        return cls(objects, owners, points)

    def look(
        self,
        played: "Played",
        people: Sequence[tuple[JointAnimation, Figure]],
        look: Look,
    ) -> Generator[None, None, list[Floats]]:
        """Find how much of each point is in the open; a few rays at a time.

        Args:
            played: at the frame.
            people: everybody in this frame only.
            look: the camera of this frame.

        Returns:
            For each person (134,), 0 to 1; NaN where no ray was cast.
        """
        views = view_people(people, joined([look]), (1000, 1000), occlusion=False)
        pose = np.asarray(np.linalg.inv(look.view), dtype=np.float64)
        seen = []
        cast = 0
        scene, graph = played.again()
        for number, (view, (_, figure)) in enumerate(zip(views, people, strict=True)):
            shares = np.full(POINT_COUNT, np.nan)
            for point in self._points:
                if figure.anchors[point] < 0 and point != 1:
                    continue
                targets = _targets(view.places[0, point], pose, figure.stature, point)
                hits = [
                    self._hidden(scene, graph, target, pose, look, number, point, figure.stature)
                    for target in targets
                ]
                shares[point] = 1 - sum(hits) / len(hits)
                cast += len(hits)
                if cast >= _AT_ONCE:
                    cast = 0
                    yield
                    scene, graph = played.again()
            seen.append(shares)
        return seen

    def _hidden(
        self,
        scene: Any,
        graph: Any,
        target: Floats,
        pose: Floats,
        look: Look,
        person: int,
        point: int,
        stature: float,
    ) -> bool:
        back = pose[:3, 2]
        if look.scale > 0:
            away = float((pose[:3, 3] - target) @ back) - look.near
            direction = -back
        else:
            to = target - pose[:3, 3]
            length = float(np.linalg.norm(to))
            if length < 1e-9:
                return False
            direction = to / length
            away = length - look.near
        if away <= 0:
            return False
        start = target - direction * away
        gone = 0.0
        for _ in range(_MOST_LAYERS):
            hit, place, _, face, thing, _ = scene.ray_cast(
                graph, Vector(start + direction * gone), Vector(direction), distance=away - gone
            )
            if not hit:
                return False
            before = away - float((np.array(place) - start) @ direction)
            if before < _NEAR * stature:
                return False
            if thing.name_full in self._solid:
                break
            gone = away - before + _NEAR * stature
            if gone >= away:
                return False
        else:
            return False
        owner = self._owners.get(thing.name_full)
        if owner is None or owner.person != person:
            return True
        part = owner.part if owner.part is not None else _part_of_face(thing, graph, face, owner)
        if part not in self._own[point]:
            return True
        kind = part.removeprefix("left_").removeprefix("right_")
        return before > _REACH[kind] * stature


def _targets(place: Floats, pose: Floats, stature: float, point: int) -> Iterator[Floats]:
    yield place
    if point < FACE.start:
        for across, up in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            yield place + _SPREAD * stature * (across * pose[:3, 0] + up * pose[:3, 1])


def _parts_of(person: Person) -> dict[str, str]:
    """Return the part that each bone moves: that of its role, or of the nearest above with one."""
    rest = read_rest(person.armature)
    mirrored = person.armature.matrix_world.determinant() < 0
    mapping = person.mapping.mirrored() if mirrored else person.mapping
    roles = {bone: role for role, bone in mapping.bones.items()}
    parts: dict[str, str] = {}
    for number, name in enumerate(rest.names):
        parent = int(rest.parents[number])
        above = parts[rest.names[parent]] if parent >= 0 else "torso"
        parts[name] = part_of(roles[name]) if name in roles else above
    return parts


def _owned(candidate: Any, armature: Any, person: int, parts: Mapping[str, str]) -> _Owner | None:
    """Tell whether an object is of a person's body, and of which part."""
    skinned = any(
        modifier.type == "ARMATURE" and modifier.object == armature
        for modifier in candidate.modifiers
    )
    if skinned:
        return _Owner(person, parts, None)
    child = candidate
    while child.parent is not None and child.parent != armature:
        child = child.parent
    if child.parent is None:
        return None
    if child.parent_type == "BONE":
        return _Owner(person, parts, parts.get(child.parent_bone, "torso"))
    return _Owner(person, parts, None if child.vertex_groups else "torso")


def _part_of_face(thing: Any, graph: Any, face: int, owner: _Owner) -> str:
    """Return the part whose bones weigh most on a face."""
    known = owner.faces.get(face)
    if known is not None:
        return known
    evaluated = thing.evaluated_get(graph)
    mesh = evaluated.data
    weights: dict[str, float] = {}
    if 0 <= face < len(mesh.polygons):
        groups = evaluated.vertex_groups
        for vertex in mesh.polygons[face].vertices:
            for element in mesh.vertices[vertex].groups:
                if element.group < len(groups):
                    part = owner.parts.get(groups[element.group].name)
                    if part is not None:
                        weights[part] = weights.get(part, 0.0) + element.weight
    part = max(weights, key=lambda name: weights[name], default="torso")
    owner.faces[face] = part
    return part
