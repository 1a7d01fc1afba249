"""Read and write Biovision hierarchies (BVH), as mocap suites and Blender write them.

BVH says neither its unit nor its up axis, and its frame time is a rounded decimal. All three are
worked out here, and `JointAnimation.notes` says what was assumed: the unit from the height of a
person, the axis from where head and feet are, the rate by taking the decimal for the roundest
rate that it may stand for.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from marionext.errors import MotionError
from marionext.files import replacing
from marionext.frames import FrameRate
from marionext.motion.animation import JointAnimation
from marionext.motion.bones import (
    Y_UP_TO_Z_UP,
    facing,
    find_tails,
    mirrored_pairs,
    unique_names,
)
from marionext.motion.rates import nearest_rate

__all__ = ["read_bvh", "write_bvh"]

Floats = NDArray[np.float64]
Up = Literal["y", "z"]

_AXES = "XYZ"
_UNITS = (
    ("metres", 1.0),
    ("centimetres", 0.01),
    ("millimetres", 0.001),
    ("inches", 0.0254),
    ("units of CMU's library (1/0.45 inch)", 0.0254 / 0.45),
)
_FARTHEST = 1e9
"""No sound file holds a number as large as this; beyond it sums overflow."""
_STATURE = 1.7
_UNUSUAL = 1.55
"""How many times taller or smaller than ``_STATURE`` a skeleton may be for a unit to fit."""
_STILL = 1e-5
"""Metres by which a bone may change its length and still count as rigid."""
_HEAD = re.compile("head|頭", re.IGNORECASE)
_FOOT = re.compile("foot|toe|ankle|足首", re.IGNORECASE)


@dataclass(slots=True)
class _Joint:
    name: str
    parent: int
    line: int
    offset: tuple[float, ...] | None = None
    channels: list[str] = field(default_factory=list)
    column: int = 0
    """Where its channels start in a frame's numbers."""
    end: tuple[float, ...] | None = None


FIRST_FRAME = 1
"""Number of a BVH's first frame: the file has none, and Blender's importer begins with 1."""


def read_bvh(
    path: Path, *, up: Up | None = None, unit: float | None = None
) -> tuple[JointAnimation, ...]:
    """Read a BVH file: one animation per ROOT, the most joints first; its frames count from 1.

    Args:
        path: the file.
        up: the file's up axis, or None to tell it from head and feet.
        unit: metres per unit of the file, or None to tell it from the height.

    Raises:
        MotionError: the file cannot be read, or is not well formed; the line is named.
    """
    lines = _read_lines(path)
    joints, motion_line = _parse_hierarchy(path, lines)
    values, rate, notes = _parse_motion(path, lines, motion_line, joints)
    roots = [index for index, joint in enumerate(joints) if joint.parent < 0]
    skeletons = [joints[a:b] for a, b in zip(roots, [*roots[1:], len(joints)], strict=True)]
    animations = [
        _animate(skeleton, root, values, rate, up=up, unit=unit, notes=notes)
        for skeleton, root in zip(skeletons, roots, strict=True)
    ]
    return tuple(sorted(animations, key=lambda animation: -len(animation.names)))


def _read_lines(path: Path) -> list[str]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MotionError(f"cannot read {path.name}: {error.strerror or error}") from error
    for encoding in ("utf-8-sig", "cp932"):
        try:
            return data.decode(encoding).splitlines()
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1").splitlines()


def _wrong(path: Path, line: int, expected: str, found: str) -> MotionError:
    """Return the error for a file that is not well formed."""
    found = found if len(found) < 60 else found[:57] + "..."
    return MotionError(f"{path.name}, line {line}: expected {expected}, found {found}")


def _numbers(path: Path, line: int, words: list[str], count: int, what: str) -> tuple[float, ...]:
    """Return that many finite numbers."""
    try:
        numbers = tuple(float(word) for word in words)
    except ValueError:
        numbers = ()
    if len(numbers) != count or not all(abs(number) < _FARTHEST for number in numbers):
        raise _wrong(path, line, f"{what} of {count} numbers", repr(" ".join(words)))
    return numbers


def _statements(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Yield line number and statement; braces stand alone wherever they are written."""
    for number, line in enumerate(lines, 1):
        for part in re.findall(r"[{}]|[^{}]+", line):
            if part.strip():
                yield number, part.strip()


def _parse_hierarchy(path: Path, lines: list[str]) -> tuple[list[_Joint], int]:
    """Return the joints, parents first, and the number of the line that says MOTION."""
    joints: list[_Joint] = []
    stack: list[int | None] = []  # a joint's index, or None for an end site
    opening: int | str | None = ""  # what the next brace opens; "" for nothing
    columns = 0
    started = False
    for line, statement in _statements(lines):
        words = statement.split()
        keyword = words[0].upper()
        if not started:
            if keyword != "HIERARCHY":
                raise _wrong(path, line, "HIERARCHY, with which every BVH starts", repr(statement))
            started = True
            continue
        if (opening != "") != (keyword == "{"):
            expected = "'{'" if opening != "" else "ROOT, JOINT, OFFSET, CHANNELS or '}'"
            raise _wrong(path, line, expected, repr(statement))
        current = joints[stack[-1]] if stack and stack[-1] is not None else None
        if keyword == "{" and not isinstance(opening, str):
            stack.append(opening)
            opening = ""
        elif keyword == "}":
            if not stack:
                raise _wrong(path, line, "MOTION or ROOT", "a '}' that closes nothing")
            stack.pop()
        elif keyword == "MOTION":
            if stack:
                raise _wrong(path, line, f"{len(stack)} more '}}'", "MOTION")
            break
        elif keyword == "ROOT" or (keyword == "JOINT" and current is not None):
            if keyword == "ROOT" and stack:
                raise _wrong(path, line, "JOINT or '}'", repr(statement))
            name = statement[len(words[0]) :].strip()
            if not name:
                raise _wrong(path, line, "a name", "none")
            parent = stack[-1] if stack and stack[-1] is not None else -1
            joints.append(_Joint(name, parent, line, column=columns))
            opening = len(joints) - 1
        elif keyword == "END" and current is not None:
            opening = None
        elif keyword == "OFFSET" and stack:
            offset = _numbers(path, line, words[1:], 3, "an offset")
            if current is not None:
                current.offset = offset
            elif len(stack) > 1 and stack[-2] is not None:
                joints[stack[-2]].end = offset
        elif keyword == "CHANNELS" and current is not None:
            current.channels = _parse_channels(path, line, words[1:])
            current.column = columns
            columns += len(current.channels)
        else:
            raise _wrong(path, line, "ROOT, JOINT, OFFSET, CHANNELS or '}'", repr(statement))
    else:
        raise _wrong(path, len(lines), "MOTION", "the end of the file")
    if not joints:
        raise _wrong(path, line, "at least one ROOT", "MOTION")
    for joint in joints:
        if joint.offset is None:
            raise _wrong(path, joint.line, f"an OFFSET in {joint.name!r}", "none")
    return joints, line


def _parse_channels(path: Path, line: int, words: list[str]) -> list[str]:
    """Return channels as ``Xp`` (position) or ``Xr`` (rotation)."""
    expected = "CHANNELS, their number, and as many of Xposition ... Zrotation"
    if not words or not words[0].isdigit() or int(words[0]) != len(words) - 1:
        raise _wrong(path, line, expected, repr(" ".join(words)))
    channels = []
    for word in words[1:]:
        if not re.fullmatch("[XYZ](position|rotation)", word, re.IGNORECASE):
            raise _wrong(path, line, expected, repr(word))
        channels.append(word[0].upper() + word[1].lower())
    if len(set(channels)) != len(channels):
        raise _wrong(path, line, "every channel once", repr(" ".join(words)))
    return channels


def _parse_motion(
    path: Path, lines: list[str], motion_line: int, joints: list[_Joint]
) -> tuple[Floats, FrameRate, tuple[str, ...]]:
    """Return the numbers (frames, channels), the rate, and what was assumed."""
    rest = enumerate(lines[motion_line:], motion_line + 1)
    heading = [(number, line) for number, line in rest if line.strip()][:2]
    heading += [(len(lines), "the end of the file")] * (2 - len(heading))
    found = re.fullmatch(r"\s*frames\s*:\s*(\d+)\s*", heading[0][1], re.IGNORECASE)
    if not found:
        raise _wrong(path, heading[0][0], "'Frames:' and their number", repr(heading[0][1]))
    frames = int(found[1])
    if frames < 1:
        raise _wrong(path, heading[0][0], "at least one frame", "none")
    found = re.fullmatch(r"\s*frame\s*time\s*:\s*(\S+)\s*", heading[1][1], re.IGNORECASE)
    rate = _rate_of(found[1]) if found else None
    if rate is None:
        raise _wrong(path, heading[1][0], "'Frame Time:' and seconds above 0", repr(heading[1][1]))
    channels = sum(len(joint.channels) for joint in joints)
    start = heading[1][0]
    words = " ".join(lines[start:]).split()
    needed = frames * channels
    if len(words) < needed:
        whole = len(words) // channels
        raise MotionError(
            f"{path.name}, line {len(lines)}: expected {frames} frames of {channels} numbers, "
            f"found the end of the file after {whole} frames",
            hint=f"The file is cut off. To use what is there, change line {heading[0][0]} to "
            f"'Frames: {whole}'."
            if whole
            else "The file is cut off before the first frame is complete.",
        )
    try:
        values = np.array(words[:needed], dtype=np.float64)
    except ValueError:
        values = np.array([_float_or_nan(word) for word in words[:needed]])
    bad = np.flatnonzero(~(np.abs(values) < _FARTHEST))  # NaN too
    if len(bad):
        line, joint = _locate(lines, start, int(bad[0]), joints, channels)
        raise _wrong(path, line, f"a number for {joint!r}", repr(words[bad[0]]))
    notes = [f"frame time {found[1]} s taken for {rate} frames per second"] if found else []
    if len(words) > needed:
        extra = Fraction(len(words) - needed, max(channels, 1))
        notes.append(f"{float(extra):g} frames after the last of {frames} left out")
    return values.reshape(frames, channels), rate, tuple(notes)


def _float_or_nan(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return float("nan")


def _locate(
    lines: list[str], start: int, position: int, joints: list[_Joint], channels: int
) -> tuple[int, str]:
    """Return the line of the number at that position, and the joint that it belongs to."""
    column = position % channels
    owners = [joint.name for joint in joints if joint.channels and joint.column <= column]
    for number, line in enumerate(lines[start:], start + 1):
        count = len(line.split())
        if position < count:
            return number, owners[-1]
        position -= count
    return len(lines), owners[-1]


def _rate_of(text: str) -> FrameRate | None:
    """Return the roundest rate whose frame time this decimal may be; None: not a time.

    ``.03333`` is 30, ``0.0417083`` is 24000/1001: the last digit written may be off by one,
    because some programs round it and some cut it.
    """
    try:
        decimal = Decimal(text)
    except InvalidOperation:
        return None
    if not decimal.is_finite() or decimal <= 0:
        return None
    time = Fraction(decimal)
    exponent = decimal.as_tuple().exponent
    last_digit = Fraction(10) ** (exponent if isinstance(exponent, int) else 0)
    exact = 1 / time
    if exact.denominator == 1:
        return FrameRate(exact)
    tolerance = min(last_digit, time / 40)
    usual = nearest_rate(time, tolerance)
    if usual is not None:
        return usual
    whole = Fraction(max(round(exact), 1))
    if abs(1 / whole - time) <= min(tolerance, time / 1000):
        return FrameRate(whole)
    return FrameRate(exact.limit_denominator(100_000))


def _animate(
    joints: list[_Joint],
    base: int,
    values: Floats,
    rate: FrameRate,
    *,
    up: Up | None,
    unit: float | None,
    notes: tuple[str, ...],
) -> JointAnimation:
    """Solve one skeleton and bring it to Blender's axes and to metres."""
    names = unique_names([joint.name for joint in joints])
    parents = np.array([max(joint.parent - base, -1) for joint in joints], dtype=np.int64)
    offsets = np.array([joint.offset for joint in joints], dtype=np.float64)
    ends = np.array([joint.end or (np.nan,) * 3 for joint in joints], dtype=np.float64)
    heads, rotations = _solve(joints, parents, offsets, values)
    rest = np.zeros_like(offsets)
    for bone, parent in enumerate(parents):
        rest[bone] = offsets[bone] + (rest[parent] if parent >= 0 else 0)
    ends = ends + rest
    if names != tuple(joint.name for joint in joints):
        notes = (*notes, "joints of the same name were given numbers")

    moving = _up_of(names, heads) if up is None else up
    resting = _up_of(names, rest[None]) if up is None else up
    turn = np.eye(3) if (moving or resting or "y") == "z" else Y_UP_TO_Z_UP
    heads, rotations = heads @ turn.T, turn @ rotations
    if up is None and moving is None and resting is None:
        notes = (*notes, "neither head nor feet tell which axis is up: y taken")
    rest_turn = np.eye(3) if (resting or moving or "y") == "z" else Y_UP_TO_Z_UP
    rest, ends = rest @ rest_turn.T, ends @ rest_turn.T
    rest_rotations = np.broadcast_to(rest_turn, rotations.shape[1:])
    turns = rotations @ rest_turn.T
    tails, rest_tails = find_tails(heads, rest, turns, parents, ends)
    if up is None and resting is None and moving is not None:
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
        rate=rate,
        first=FIRST_FRAME,
        source=names[0],
        notes=(*notes, note),
    )


def _solve(
    joints: list[_Joint], parents: NDArray[np.int64], offsets: Floats, values: Floats
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


def _up_of(names: tuple[str, ...], heads: Floats) -> Up | None:
    """Return the axis from feet to head, if it is clearly one."""
    upper = [index for index, name in enumerate(names) if _HEAD.search(name)]
    lower = [index for index, name in enumerate(names) if _FOOT.search(name)]
    if not upper or not lower:
        return None
    body = heads[:, upper].mean(axis=1) - heads[:, lower].mean(axis=1)
    body = (body / np.maximum(np.linalg.norm(body, axis=1, keepdims=True), 1e-9)).mean(axis=0)
    axis = int(np.argmax(np.abs(body)))
    if axis == 0 or body[axis] < 0.7:
        return None
    return "y" if axis == 1 else "z"


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
