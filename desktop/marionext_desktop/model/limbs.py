"""Where joints come to be when one of them is dragged: alone, with its limb, or as a whole hand.

A limb keeps the lengths that it has in the picture: an arm reaches for the place where its wrist is
dragged as far as it can and bends to the side to which it was bent; what hangs on the joint (hand,
foot, face) comes along.
"""

import math
from collections.abc import Iterable
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from marionext.edits import Place
from marionext.skeleton import (
    BODY,
    FACE,
    FEET,
    LEFT_HAND,
    LIMB_GROUPS,
    POINT_COUNT,
    RIGHT_HAND,
)

__all__ = ["DragMode", "dragged", "limb_of"]

DragMode = Literal["joint", "limb", "hand"]

_CHAINS = {
    2: (3, 4), 5: (6, 7), 8: (9, 10), 11: (12, 13),
}  # fmt: skip
"""By shoulder or hip: elbow and wrist, knee and ankle."""
_HANDS = {4: RIGHT_HAND, 7: LEFT_HAND}
_FEET = {10: slice(21, 24), 13: slice(18, 21)}
_HEAD = (0, 14, 15, 16, 17)
_SHOWN_LIMBS = (
    "head", "face", "torso", "right_arm", "right_hand", "left_arm", "left_hand", "right_leg",
    "left_leg", "right_foot", "left_foot",
)  # fmt: skip

Points = NDArray[np.floating]
"""(134, 2), pixels."""


@cache
def limb_of(point: int) -> str:
    """Return the limb of `LIMB_GROUPS` that a point is shown with on the timeline.

    A shoulder counts as the arm's and a hip as the leg's.
    """
    for name in ("right_arm", "left_arm", "right_leg", "left_leg", *_SHOWN_LIMBS):
        if point in LIMB_GROUPS[name]:
            return name
    return "torso"


def dragged(
    points: Points, scores: NDArray[np.floating], point: int, to: Place, mode: DragMode
) -> dict[int, Place]:
    """Return where points come to be when one is dragged.

    Args:
        points: (134, 2), as they were when the button went down.
        scores: (134,); points of score 0 come along with nothing, unless they are dragged.
        point: the one that is dragged.
        to: where.
        mode: ``joint``: it alone (a wrist takes the root of its hand along, since they are one
            place); ``limb``: its limb, lengths kept; ``hand``: the whole hand with its wrist, or
            whatever the point is a part of, moved as it is.
    """
    there = np.array(to, np.float64)
    before = np.asarray(points, np.float64)
    new = before.copy()
    if mode == "joint":
        moved = _alone(point)
        for each in moved:
            new[each] = before[each] + there - before[point]
    elif mode == "hand":
        moved = _whole(point)
        new[moved] = before[moved] + there - before[point]
    else:
        moved = _with_limb(before, new, point, there)
    known = [each for each in moved if scores[each] > 0 or each == point]
    if scores[point] <= 0:
        new[point] = there
    return {each: (float(new[each, 0]), float(new[each, 1])) for each in known}


def _alone(point: int) -> list[int]:
    for wrist, hand in _HANDS.items():
        if point in {wrist, hand.start}:
            return [wrist, hand.start]
    return [point]


def _whole(point: int) -> list[int]:
    for wrist, hand in _HANDS.items():
        if point == wrist or hand.start <= point < hand.stop:
            return [wrist, *range(hand.start, hand.stop)]
    for ankle, foot in _FEET.items():
        if point == ankle or foot.start <= point < foot.stop:
            return [ankle, *range(foot.start, foot.stop)]
    if point in _HEAD or FACE.start <= point < FACE.stop:
        return [*_HEAD, *range(FACE.start, FACE.stop)]
    return sorted(LIMB_GROUPS[limb_of(point)])


def _with_limb(before: Points, new: Points, point: int, there: Points) -> list[int]:
    """Move a point and its limb; return the points that have moved."""
    for root, (middle, end) in _CHAINS.items():
        hangs = _hanging(end)
        if point == end or (hangs and point == hangs[0] and end in _HANDS):
            _reach(before, new, (root, middle, end), there)
            _turn(before, new, hangs, (middle, end))
            return [middle, end, *hangs]
        if point == middle:
            _swing(before, new, root, middle, there)
            moved = [middle, end, *hangs]
            _carry(before, new, (end, *hangs), new[middle] - before[middle])
            return moved
        if point == root:
            moved = [root, middle, end, *hangs]
            _carry(before, new, moved, there - before[root])
            return moved
    if BODY.start <= point < BODY.stop:
        if point in _HEAD:
            moved = [*_HEAD, *range(FACE.start, FACE.stop)]
        else:  # the neck: the whole figure
            moved = list(range(POINT_COUNT))
        _carry(before, new, moved, there - before[point])
        return moved
    for hand in _HANDS.values():
        if hand.start <= point < hand.stop:
            return _finger(before, new, hand, point, there)
    if FEET.start <= point < FEET.stop:
        ankle = next(a for a, foot in _FEET.items() if foot.start <= point < foot.stop)
        foot = list(range(_FEET[ankle].start, _FEET[ankle].stop))
        _rotate(before, new, foot, ankle, point, there)
        return foot
    group = next(
        LIMB_GROUPS[name]
        for name in (
            "face_right_brow", "face_left_brow", "face_right_eye", "face_left_eye", "face_nose",
            "face_mouth", "face_jaw",
        )
        if point in LIMB_GROUPS[name]
    )  # fmt: skip
    _carry(before, new, group, there - before[point])
    return list(group)


def _hanging(end: int) -> list[int]:
    part = _HANDS.get(end) or _FEET[end]
    return list(range(part.start, part.stop))


def _carry(before: Points, new: Points, points: Iterable[int], by: Points) -> None:
    for each in points:
        new[each] = before[each] + by


def _length(way: Points) -> float:
    return float(math.hypot(way[0], way[1]))


def _swing(before: Points, new: Points, root: int, joint: int, there: Points) -> None:
    """Put a joint into the direction in which it is dragged, as far from its root as it was."""
    way, length = there - before[root], _length(before[joint] - before[root])
    far = _length(way)
    new[joint] = before[root] + way * (length / far) if far > 1e-6 else before[joint]


def _reach(before: Points, new: Points, chain: tuple[int, int, int], there: Points) -> None:
    """Bring the end of two bones to a place, or as near as they reach."""
    root, middle, end = chain
    upper, lower = before[middle] - before[root], before[end] - before[middle]
    long, short = _length(upper), _length(lower)
    way = there - before[root]
    far = _length(way)
    if far < 1e-6 or long + short < 1e-6:
        return
    reach = min(max(far, abs(long - short)), long + short)
    ahead = way / far
    # Of the two ways to bend, the one to the side on which the joint is now.
    side = math.copysign(1.0, upper[0] * lower[1] - upper[1] * lower[0])
    along = (reach * reach + long * long - short * short) / (2 * reach) if reach > 1e-6 else 0.0
    across = math.sqrt(max(long * long - along * along, 0.0))
    aside = np.array([ahead[1], -ahead[0]]) * side
    new[middle] = before[root] + ahead * along + aside * across
    new[end] = before[root] + ahead * reach


def _turn(before: Points, new: Points, points: list[int], bone: tuple[int, int]) -> None:
    """Let what hangs on the end of a bone go along with the bone, turned as it turns."""
    start, end = bone
    angle = _angle(before[end] - before[start], new[end] - new[start])
    cos, sin = math.cos(angle), math.sin(angle)
    for each in points:
        x, y = before[each] - before[end]
        new[each] = new[end] + np.array([cos * x - sin * y, sin * x + cos * y])


def _rotate(
    before: Points, new: Points, points: list[int], pivot: int, held: int, there: Points
) -> None:
    angle = _angle(before[held] - before[pivot], there - before[pivot])
    cos, sin = math.cos(angle), math.sin(angle)
    for each in points:
        x, y = before[each] - before[pivot]
        new[each] = before[pivot] + np.array([cos * x - sin * y, sin * x + cos * y])


def _finger(before: Points, new: Points, hand: slice, point: int, there: Points) -> list[int]:
    """Swing a joint of a finger about the one before it; the rest of the finger goes along."""
    place = point - hand.start
    finger, joint = divmod(place - 1, 4)
    above = hand.start if joint == 0 else point - 1
    rest = [hand.start + 1 + 4 * finger + each for each in range(joint, 4)]
    _rotate(before, new, rest, above, point, there)
    return rest


def _angle(before: Points, after: Points) -> float:
    if _length(before) < 1e-6 or _length(after) < 1e-6:
        return 0.0
    return math.atan2(after[1], after[0]) - math.atan2(before[1], before[0])
