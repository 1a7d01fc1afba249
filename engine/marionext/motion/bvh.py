"""Read and write Biovision hierarchies (BVH), as mocap suites and Blender write them.

BVH says neither its unit nor its up axis, and its frame time is a rounded decimal. All three are
worked out, and `JointAnimation.notes` says what was assumed: the unit from the height of a person,
the axis from several signals (`orientation`), the rate by taking the decimal for the roundest rate
that it may stand for (`bvh_text`).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from marionext.errors import MotionError
from marionext.files import reading, replacing
from marionext.frames import FrameRate
from marionext.motion.animation import JointAnimation
from marionext.motion.bones import (
    Y_UP_TO_Z_UP,
    facing,
    find_tails,
    mirrored_pairs,
    unique_names,
)
from marionext.motion.bvh_text import Joint, parse_bvh
from marionext.motion.orientation import TURNS, Body, Orientation, Up, find_up, shaped_body
from marionext.motion.rigs import likely_bones

__all__ = ["read_bvh", "write_bvh"]

Floats = NDArray[np.float64]

_AXES = "XYZ"
_UNITS = (
    ("metres", 1.0),
    ("centimetres", 0.01),
    ("millimetres", 0.001),
    ("inches", 0.0254),
    ("units of CMU's library (1/0.45 inch)", 0.0254 / 0.45),
)
_STATURE = 1.7
_UNUSUAL = 1.55
"""How many times taller or smaller than ``_STATURE`` a skeleton may be for a unit to fit."""
_STILL = 1e-5
"""Metres by which a bone may change its length and still count as rigid."""

FIRST_FRAME = 1
"""Number of a BVH's first frame: the file has none, and Blender's importer begins with 1."""


def read_bvh(
    path: Path,
    *,
    up: Up | None = None,
    unit: float | None = None,
    source_rate: FrameRate | None = None,
) -> tuple[JointAnimation, ...]:
    """Read a BVH file: one animation per ROOT, the most joints first; its frames count from 1.

    Args:
        path: the file.
        up: the file's up axis, or None to tell it from the skeleton, its motion and the floor.
        unit: metres per unit of the file, or None to tell it from the height.
        source_rate: the file's frames per second, whatever it says; None: as it says.

    Raises:
        MotionError: the file cannot be read, or is not well formed; the line is named.
    """
    with reading(path, MotionError, "a BVH file"):
        return _read(path, up, unit, source_rate)


def _read(
    path: Path, up: Up | None, unit: float | None, source_rate: FrameRate | None
) -> tuple[JointAnimation, ...]:
    text = parse_bvh(path, source_rate=source_rate)
    joints = text.joints
    roots = [index for index, joint in enumerate(joints) if joint.parent < 0]
    spans = list(zip(roots, [*roots[1:], len(joints)], strict=True))
    solved = [_solve(joints[start:stop], start, text.values) for start, stop in spans]
    bodies = [(_body(skeleton, up), skeleton.rest, skeleton.heads) for skeleton in solved]
    animations = [
        _animate(skeleton, axes, text.rate, unit=unit, notes=text.notes, path=path)
        for skeleton, axes in zip(solved, find_up(bodies, given=up), strict=True)
    ]
    return tuple(sorted(animations, key=lambda animation: -len(animation.names)))


@dataclass(frozen=True, slots=True)
class _Skeleton:
    """One ROOT in the axes and units of the file."""

    names: tuple[str, ...]
    renamed: bool
    """Whether joints had the same name."""
    parents: NDArray[np.int64]
    rest: Floats
    """(joints, 3): where all angles are 0."""
    ends: Floats
    """(joints, 3): end sites at rest; NaN where there is none."""
    heads: Floats
    """(frames, joints, 3)"""
    rotations: Floats
    """(frames, joints, 3, 3)"""


def _body(skeleton: _Skeleton, up: Up | None) -> Body:
    """Return the joints that tell how the body stands."""
    names, parents = skeleton.names, skeleton.parents
    found = likely_bones(names, parents)
    body = Body.of({role: names.index(bone) for role, bone in found.items()})
    if up is None and not (body.hips and body.top):
        found = shaped_body(names, parents, skeleton.rest)
        body = Body.of({role: names.index(bone) for role, bone in found.items()})
    return body


def _animate(
    skeleton: _Skeleton,
    axes: Orientation,
    rate: FrameRate,
    *,
    unit: float | None,
    notes: tuple[str, ...],
    path: Path,
) -> JointAnimation:
    """Bring one skeleton to Blender's axes and to metres."""
    names, parents = skeleton.names, skeleton.parents
    if skeleton.renamed:
        notes = (*notes, "joints of the same name were given numbers")
    notes = (*notes, axes.note)
    turn = TURNS[axes.up]
    heads, rotations = skeleton.heads @ turn.T, turn @ skeleton.rotations
    rest_turn = TURNS[axes.rest or axes.up]
    rest, ends = skeleton.rest @ rest_turn.T, skeleton.ends @ rest_turn.T
    rest_rotations = np.broadcast_to(rest_turn, rotations.shape[1:])
    turns = rotations @ rest_turn.T
    tails, rest_tails = find_tails(heads, rest, turns, parents, ends)
    if axes.lies_at_rest:
        # All bones of Rokoko's files lie along x when every angle is 0. A frame does instead.
        fronts = facing(names, parents, heads, tails)
        frame = _most_neutral(names, heads, fronts)
        level = _turned_to_front(fronts[frame])
        ground = heads[frame, 0] * [1, 1, 0]
        rest = (heads[frame] - ground) @ level.T
        rest_tails = (tails[frame] - ground) @ level.T
        rest_rotations = level @ rotations[frame]
        notes = (*notes, f"the pose with all angles 0 is no pose of rest: frame {frame} taken")

    tall = np.ptp(np.concatenate([heads, tails], axis=1)[..., 2], axis=1)
    stature = float(np.ptp(np.concatenate([rest, rest_tails])[:, 2])) or float(np.median(tall))
    if axes.lies_at_rest:
        stature = axes.stature or stature
    metres, note = _metres_per_unit(stature) if unit is None else (unit, f"1 unit = {unit} m")
    return JointAnimation(
        names=names,
        parents=parents,
        heads=heads * metres,
        tails=tails * metres,
        rotations=rotations,
        rest_heads=rest * metres,
        rest_tails=rest_tails * metres,
        rest_rotations=rest_rotations,
        rest_is_posed=axes.lies_at_rest,
        rate=rate,
        first=FIRST_FRAME,
        source=names[0],
        notes=(*notes, note),
        files=(path,),
    )


def _solve(joints: list[Joint], base: int, values: Floats) -> _Skeleton:
    """Place the joints of one ROOT, of which the first is joint ``base`` of the file."""
    written = tuple(joint.name for joint in joints)
    names = unique_names(written)
    parents = np.array([max(joint.parent - base, -1) for joint in joints], dtype=np.int64)
    offsets = np.array([joint.offset for joint in joints], dtype=np.float64)
    ends = np.array([joint.end or (np.nan,) * 3 for joint in joints], dtype=np.float64)
    rest = np.zeros_like(offsets)
    for bone, parent in enumerate(parents):
        rest[bone] = offsets[bone] + (rest[parent] if parent >= 0 else 0)
    heads, rotations = _placed(joints, parents, offsets, values)
    return _Skeleton(names, names != written, parents, rest, ends + rest, heads, rotations)


def _placed(
    joints: list[Joint], parents: NDArray[np.int64], offsets: Floats, values: Floats
) -> tuple[Floats, Floats]:
    """Return positions (frames, joints, 3) and rotations (frames, joints, 3, 3) of the file."""
    frames = len(values)
    heads = np.empty((frames, len(joints), 3))
    rotations = np.empty((frames, len(joints), 3, 3))
    for bone, (joint, parent) in enumerate(zip(joints, parents, strict=True)):
        place = np.broadcast_to(offsets[bone], (frames, 3)).copy()
        turn = np.broadcast_to(np.eye(3), (frames, 3, 3))
        moved = [
            (_AXES.index(c[0]), joint.column + i)
            for i, c in enumerate(joint.channels)
            if c[1] == "p"
        ]
        if moved:
            axes, columns = map(list, zip(*moved, strict=True))
            shifts = values[:, columns]
            # A position takes the place of the offset (MotionBuilder, Blender), but some files
            # hold zeros for joints that do not move.
            nothing = np.abs(shifts).max() < 0.1 * np.abs(offsets[bone, axes]).max()
            place[:, axes] = shifts + offsets[bone, axes] if parent >= 0 and nothing else shifts
        for index, channel in enumerate(joint.channels):
            if channel[1] == "r":
                turn = turn @ _about(_AXES.index(channel[0]), values[:, joint.column + index])
        if parent < 0:
            heads[:, bone], rotations[:, bone] = place, turn
        else:
            base = rotations[:, parent]
            heads[:, bone] = heads[:, parent] + (base @ place[..., None])[..., 0]
            rotations[:, bone] = base @ turn
    return heads, rotations


def _about(axis: int, degrees: Floats) -> Floats:
    """Return rotations about one axis: (frames, 3, 3)."""
    angle = np.radians(degrees)
    first, second = (axis + 1) % 3, (axis + 2) % 3
    turn = np.zeros((len(angle), 3, 3))
    turn[:, axis, axis] = 1
    turn[:, first, first] = turn[:, second, second] = np.cos(angle)
    turn[:, second, first] = np.sin(angle)
    turn[:, first, second] = -turn[:, second, first]
    return turn


def _most_neutral(names: tuple[str, ...], heads: Floats, fronts: Floats) -> int:
    """Return the frame in which the body stands most upright, symmetric and straight ahead."""
    pairs = np.array(mirrored_pairs(names), dtype=np.int64).reshape(-1, 2)
    middle = np.setdiff1d(np.arange(len(names)), pairs)
    level = np.stack([_turned_to_front(front) for front in fronts])
    body = (heads - heads[:, :1]) @ level.swapaxes(1, 2)
    apart = body[:, pairs[:, 0]] * [-1, 1, 1] - body[:, pairs[:, 1]]
    uneven = np.linalg.norm(apart, axis=2).sum(axis=1) + 2 * np.abs(body[:, middle, 0]).sum(axis=1)
    tall = np.ptp(heads[..., 2], axis=1)
    return int(np.argmin(uneven / len(names) + tall.max() - tall))


def _turned_to_front(front: Floats) -> Floats:
    """Return the rotation about z that turns that direction to -y."""
    return np.array([[-front[1], front[0], 0], [-front[0], -front[1], 0], [0, 0, 1.0]])


def _metres_per_unit(stature: float) -> tuple[float, str]:
    """Return metres per unit of the file, and what that takes for granted."""
    for name, metres in _UNITS:
        if _STATURE / _UNUSUAL <= stature * metres <= _STATURE * _UNUSUAL:
            return metres, f"{stature:.4g} units tall: taken for {name}"
    if stature <= 0:
        return 1.0, "the skeleton is flat: units taken for metres"
    metres = _STATURE / stature
    return metres, f"{stature:.4g} units tall fits no unit: made {_STATURE} m tall"


def write_bvh(
    animation: JointAnimation, path: Path, *, unit: float = 0.01, digits: int = 6
) -> None:
    """Write an animation as BVH: y up, front along +z, which every program takes for granted.

    Joint frames are parallel to the world at rest. Joints whose distance to their parent changes
    get position channels, the others none.

    Args:
        animation: what to write; camera, morphs and first frame have no place in a BVH.
        path: the file, replaced as a whole once it is complete.
        unit: metres per unit of the file; 0.01, centimetres, is the custom.
        digits: decimals of offsets, positions and degrees.

    Raises:
        OutputError: the file cannot be written.
    """
    turn = Y_UP_TO_Z_UP
    heads, rest = animation.heads @ turn / unit, animation.rest_heads @ turn / unit
    rest_tails = animation.rest_tails @ turn / unit
    turns = turn.T @ animation.turns @ turn
    parents = animation.parents
    text = ["HIERARCHY"]
    columns: list[Floats] = []

    def numbers(values: Floats) -> str:
        return " ".join(f"{value + 0.0:.{digits}f}" for value in values)

    def write_joint(bone: int, depth: int) -> None:
        parent = int(parents[bone])
        pad, tab = "\t" * depth, "\t" * (depth + 1)
        offset = rest[bone] if parent < 0 else rest[bone] - rest[parent]
        local, place = turns[:, bone], heads[:, bone]
        if parent >= 0:
            back = turns[:, parent].swapaxes(1, 2)
            local = back @ local
            place = (back @ (place - heads[:, parent])[..., None])[..., 0]
        moves = parent < 0 or float(np.abs(place - offset).max()) * unit > _STILL
        text.append(f"{pad}{'ROOT' if parent < 0 else 'JOINT'} {animation.names[bone]}")
        text.append(f"{pad}{{")
        text.append(f"{tab}OFFSET {numbers(offset)}")
        channels = "Zrotation Xrotation Yrotation"
        positions = "Xposition Yposition Zposition "
        text.append(f"{tab}CHANNELS {6 if moves else 3} {positions if moves else ''}{channels}")
        if moves:
            columns.append(place)
        columns.append(_angles(local))
        children = np.flatnonzero(parents == bone)
        for child in children:
            write_joint(int(child), depth + 1)
        if not len(children):
            end = numbers(rest_tails[bone] - rest[bone])
            text.extend([f"{tab}End Site", f"{tab}{{", f"{tab}\tOFFSET {end}", f"{tab}}}"])
        text.append(f"{pad}}}")

    for root in np.flatnonzero(parents < 0):
        write_joint(int(root), 0)
    text += ["MOTION", f"Frames: {len(animation)}"]
    text.append(f"Frame Time: {float(1 / animation.rate.fraction):.12f}")
    text.extend(numbers(row) for row in np.concatenate(columns, axis=1))
    with replacing(path) as temporary:
        temporary.write_text("\n".join(text) + "\n", encoding="utf-8", newline="\n")


def _angles(turns: Floats) -> Floats:
    """Return degrees (frames, 3) about z, x and y, in this order of multiplication.

    Each frame takes the one of the two equal solutions that is nearer to the frame before, so
    that programs which interpolate between the numbers see no jump.
    """
    middle = np.arcsin(np.clip(turns[:, 2, 1], -1, 1))
    first = np.arctan2(-turns[:, 0, 1], turns[:, 1, 1])
    last = np.arctan2(-turns[:, 2, 0], turns[:, 2, 2])
    locked = np.abs(turns[:, 2, 1]) > 1 - 1e-12
    first = np.where(locked, np.arctan2(turns[:, 1, 0], turns[:, 0, 0]), first)
    last = np.where(locked, 0.0, last)
    one = np.stack([first, middle, last], axis=1)
    other = np.stack([first + np.pi, np.pi - middle, last + np.pi], axis=1)
    angles = np.empty_like(one)
    before = np.zeros(3)
    for frame in range(len(one)):
        near = [
            solution - 2 * np.pi * np.round((solution - before) / (2 * np.pi))
            for solution in (one[frame], other[frame])
        ]
        before = min(near, key=lambda solution: float(np.abs(solution - before).sum()))
        angles[frame] = before
    return np.asarray(np.degrees(angles))
