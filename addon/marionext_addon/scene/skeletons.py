# SPDX-License-Identifier: GPL-3.0-or-later
"""Read an evaluated armature, frame by frame, and make `JointAnimation` of what was read.

Bones are read in bulk (``foreach_get``); a bone at a time costs a hundred times as much. Used by
the recording and by the live overlay, so that both see the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marionext.frames import FrameRate
from marionext.motion import Camera, JointAnimation
from marionext.motion.face import morph_moves
from marionext.motion.face_bones import named_face_bones

from .instances import chain_to, place_of
from .metadata import humanoid_of
from .played import Key, key_of
from .rig import Person, Rest, face_meshes, read_rest, shape_names

__all__ = ["Skeleton", "Snapshot", "animation_of", "skeleton_of"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Snapshot:
    """One armature in one frame."""

    heads: Floats
    """(bones, 3) in the world."""
    tails: Floats
    """(bones, 3)"""
    rotations: Floats
    """(bones, 3, 3)"""
    matrix: Floats
    """(4, 4): the object's, in the world."""
    weights: Floats
    """(shapes,)"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Skeleton:
    """What of an armature is read: the bones that play a role, and those they hang from."""

    rest: Rest
    """Of the kept bones only."""
    places: NDArray[np.int64]
    """(bones,): where in ``pose.bones`` each of them is."""
    count: int
    """Of all bones of the pose."""
    humanoid: Mapping[str, str] | None
    mapping: Mapping[str, str]
    """Role to bone."""
    shapes: tuple[str, ...]
    """Names of the shape keys that the face knows."""
    shape_places: tuple[int, ...]
    """Where in the shape key data-block each of them is."""
    shape_key: Key | None
    """That data-block; by its key, for undo makes new objects of all data."""
    chain: tuple[Key, ...]
    """Of the collection instances that show the armature; empty: it stands in the scene itself."""

    def read(self, evaluated: Any, graph: Any, key: Any = None) -> Snapshot:
        """Read the evaluated object of the armature, and its evaluated shape keys.

        Args:
            evaluated: the armature's object.
            graph: that has evaluated it.
            key: the shape keys, or None.
        """
        bones = evaluated.pose.bones

        def bulk(attribute: str, length: int) -> Floats:
            values = np.empty(self.count * length, dtype=np.float32)
            bones.foreach_get(attribute, values)
            return values.reshape(self.count, length)[self.places].astype(np.float64)

        world = place_of(self.chain, evaluated, graph)
        turn, move = world[:3, :3], world[:3, 3]
        posed = bulk("matrix", 16).reshape(-1, 4, 4).swapaxes(1, 2)[:, :3, :3]
        weights = np.zeros(len(self.shapes))
        if key is not None and self.shapes:
            values = np.empty(len(key.key_blocks), dtype=np.float32)
            muted = np.empty(len(key.key_blocks), dtype=bool)
            key.key_blocks.foreach_get("value", values)
            key.key_blocks.foreach_get("mute", muted)
            weights = np.where(muted, 0, values)[list(self.shape_places)].astype(np.float64)
        return Snapshot(
            heads=bulk("head", 3) @ turn.T + move,
            tails=bulk("tail", 3) @ turn.T + move,
            rotations=_rotations(turn @ posed),
            matrix=world,
            weights=weights,
        )


def _rotations(matrices: Floats) -> Floats:
    """Take scale and shear out of (bones, 3, 3); a bone scaled to nothing keeps the world's axes.

    Mirrored armatures stay mirrored: what counts is the turn since rest, and rest is mirrored too.
    """
    lengths = np.linalg.norm(matrices, axis=1, keepdims=True)
    flat = (lengths < 1e-9).any(axis=(1, 2))
    turned = matrices / np.where(lengths < 1e-9, 1, lengths)
    turned[flat] = np.eye(3)
    skew = np.abs(turned.swapaxes(1, 2) @ turned - np.eye(3)).max(axis=(1, 2)) > 1e-4
    if skew.any():
        first, _, last = np.linalg.svd(turned[skew])
        turned[skew] = first @ last
    return turned


def skeleton_of(person: Person, scene: Any) -> Skeleton:
    """Choose what to read of a person's armature, as a scene shows it."""
    armature = person.armature
    rest = read_rest(armature)
    kept = _kept(rest, person.mapping.bones)
    renumbered = {int(old): new for new, old in enumerate(kept)}
    parents = [renumbered.get(int(rest.parents[bone]), -1) for bone in kept]
    # The pose keeps its own order: bones added later come last.
    order = {bone.name: number for number, bone in enumerate(armature.pose.bones)}
    names = tuple(rest.names[bone] for bone in kept)
    mesh = max(face_meshes(armature), key=lambda mesh: len(_known(mesh)), default=None)
    known = () if mesh is None else _known(mesh)
    return Skeleton(
        rest=Rest(
            names=names,
            parents=np.array(parents, dtype=np.int64),
            heads=rest.heads[kept],
            tails=rest.tails[kept],
            matrices=rest.matrices[kept],
        ),
        places=np.array([order[name] for name in names], dtype=np.int64),
        count=len(order),
        humanoid=humanoid_of(armature),
        mapping=person.mapping.bones,
        shapes=tuple(shape_names(mesh)[number] for number in known) if known else (),
        shape_places=tuple(number + 1 for number in known),
        shape_key=None if mesh is None else key_of(mesh.data.shape_keys),
        chain=chain_to(scene, armature),
    )


def _known(mesh: Any) -> tuple[int, ...]:
    return morph_moves(shape_names(mesh))[0]


def _kept(rest: Rest, mapping: Mapping[str, str]) -> list[int]:
    """Return the bones with a role, of the face, all above them and all directly below."""
    index = {name: number for number, name in enumerate(rest.names)}
    played = {index[bone] for bone in mapping.values()}
    kept = {int(child) for child in np.flatnonzero(np.isin(rest.parents, list(played)))}
    played |= set(named_face_bones(rest.names))
    for bone in played:
        above = bone
        while above >= 0:
            kept.add(above)
            above = int(rest.parents[above])
    return sorted(kept)


def animation_of(
    skeleton: Skeleton,
    frames: Sequence[Snapshot],
    *,
    rate: FrameRate,
    first: int,
    camera: Camera | None,
    source: str,
    notes: tuple[str, ...] = (),
) -> JointAnimation:
    """Put frames together to an animation with its rest pose."""
    rest = skeleton.rest
    turn = _rest_turn(skeleton, frames[0].matrix)
    return JointAnimation(
        names=rest.names,
        parents=rest.parents,
        heads=np.stack([frame.heads for frame in frames]),
        tails=np.stack([frame.tails for frame in frames]),
        rotations=np.stack([frame.rotations for frame in frames]),
        rest_heads=rest.heads @ turn.T,
        rest_tails=rest.tails @ turn.T,
        rest_rotations=_rotations(turn @ rest.matrices[:, :3, :3]),
        rate=rate,
        first=first,
        humanoid=skeleton.humanoid,
        camera=camera,
        morphs=skeleton.shapes,
        morph_weights=np.stack([frame.weights for frame in frames]),
        source=source,
        notes=notes,
    )


def _rest_turn(skeleton: Skeleton, matrix: Floats) -> Floats:
    """Return (3, 3) that brings the rest pose into the world: with the object's scale, upright.

    The object's own turn does that for any import, which hangs y-up data under a turned object.
    But a flying hero's object may lie on its side: then the body is stood up.
    """
    turn = matrix[:3, :3]
    index = {name: number for number, name in enumerate(skeleton.rest.names)}

    def middle(part: str) -> Floats | None:
        bones = [skeleton.mapping.get(f"{side}_{part}") for side in ("left", "right")]
        if None in bones:
            return None
        return np.asarray(
            np.mean([skeleton.rest.heads[index[str(bone)]] for bone in bones], axis=0)
        )

    low, high = middle("thigh"), middle("upper_arm")
    if low is None or high is None:
        return turn
    trunk = turn @ (high - low)
    length = float(np.linalg.norm(trunk))
    if length < 1e-9 or trunk[2] > 0.75 * length:
        return turn
    return _turn_up(trunk / length) @ turn


def _turn_up(direction: Floats) -> Floats:
    """Return the smallest rotation that brings a unit vector to +z."""
    axis = np.cross(direction, [0.0, 0.0, 1.0])
    cosine = float(direction[2])
    if cosine < -0.999:
        return np.diag([1.0, -1.0, -1.0])
    skew = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.asarray(np.eye(3) + skew + skew @ skew / (1 + cosine))
