"""Undo exchanges of left and right that a detector made.

For the whole body, for arms, legs, feet, hands, the sides of the head and the face, each frame is
either as the detector says or exchanged. The cheapest course over the clip is found by dynamic
programming (Viterbi 1967): moving points costs their way, an exchanged frame costs a little, since
the detector is right more often than not. So a flip of some frames is undone, a real crossing of
the arms or a slow turn is not, and one mistake cannot turn the rest of the clip round.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from marionext.pose.skeleton import FACE, FEET, LEFT_HAND, MIRRORED, POINT_COUNT, RIGHT_HAND

__all__ = ["SWAP_GROUPS", "Exchange", "repair_swaps"]

_MIRRORED = np.array(MIRRORED)

SWAP_GROUPS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    # name: the joints that tell, the points that change sides with them
    "body": (
        (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13),
        (*range(2, 14), *range(14, 24), *range(LEFT_HAND.start, RIGHT_HAND.stop)),
    ),
    "arms": ((3, 4, 6, 7), (3, 4, 6, 7, *range(LEFT_HAND.start, RIGHT_HAND.stop))),
    "legs": ((9, 10, 12, 13), (9, 10, 12, 13, *range(FEET.start, FEET.stop))),
    "feet": (tuple(range(FEET.start, FEET.stop)), tuple(range(FEET.start, FEET.stop))),
    "hands": (
        tuple(range(LEFT_HAND.start, RIGHT_HAND.stop, 4)),
        tuple(range(LEFT_HAND.start, RIGHT_HAND.stop)),
    ),
    "head": ((14, 15, 16, 17), (14, 15, 16, 17)),
    "face": (tuple(range(FACE.start, FACE.stop, 3)), tuple(range(FACE.start, FACE.stop))),
}
"""In this order: what is left of a wholly exchanged frame is then looked at limb by limb."""

_EXTENT = {"feet": 0.5, "head": 0.2, "face": 0.2}
"""How large a group is against the person, where much smaller: its ways are measured by that."""
_ATTACHED: dict[str, tuple[tuple[int, int], ...]] = {
    "hands": ((LEFT_HAND.start, 7), (RIGHT_HAND.start, 4)),
    "feet": tuple((FEET.start + i, 13 if i < 3 else 10) for i in range(6)),
}
"""Points of a group that lie by a joint of the body: wrists by wrists, feet by ankles."""
_PER_FRAME = 0.004
"""Cost of an exchanged frame, as a share of the person's size per joint."""
_PER_CHANGE = 0.02
"""Cost of beginning or ending an exchange, likewise: fast legs that cross are no mistake."""
_LONGEST_WAY = 0.25
"""A way longer than this share of the person's size costs no more: it is a jump anyway."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """Points that changed sides in frames ``start`` to ``stop - 1``, counted from 0."""

    start: int
    stop: int
    points: tuple[int, ...]
    sure: float
    """The share of the costs that it spares, 0 to 1."""


def repair_swaps(
    points: NDArray[np.float64],
    scores: NDArray[np.float64],
    scene: NDArray[np.int64],
    size: float,
    *,
    seen: float,
    pace: float = 1.0,
    joints: Collection[int] = range(POINT_COUNT),
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[Exchange]]:
    """Exchange left and right where one person's points then move less.

    Args:
        points: (frames, 134, 2).
        scores: (frames, 134).
        scene: (frames,), a number that changes at every cut.
        size: of the person, pixels.
        seen: least score of a joint that has a say.
        pace: how long a frame lasts, in thirtieths of a second.
        joints: the points that may be exchanged, both sides of each.

    Returns:
        New points and scores, and what was exchanged, one after the other.
    """
    exchanges = []
    for name, (telling, moving) in SWAP_GROUPS.items():
        taking = tuple(point for point in moving if point in joints)
        if not taking:
            continue
        extent = size * _EXTENT.get(name, 1.0)
        flags, sure = _cheapest(
            points, scores >= seen, np.array(telling), scene, extent, pace, _ATTACHED.get(name, ())
        )
        if flags.any():
            edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]])))
            exchanges += [
                Exchange(int(start), int(stop), taking, float(sure[start]))
                for start, stop in edges.reshape(-1, 2)
            ]
            order = np.arange(POINT_COUNT)
            order[list(taking)] = _MIRRORED[list(taking)]
            points = np.where(flags[:, None, None], points[:, order], points)
            scores = np.where(flags[:, None], scores[:, order], scores)
    return points, scores, exchanges


def _cheapest(
    points: NDArray[np.float64],
    known: NDArray[np.bool_],
    joints: NDArray[np.int64],
    scene: NDArray[np.int64],
    size: float,
    pace: float,
    attached: tuple[tuple[int, int], ...],
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Find in which frames the joints are exchanged, and how sure that is: (frames,) both."""
    # Where the group as a whole goes does not tell its sides apart.
    weights = known[:, joints, None] / np.maximum(known[:, joints].sum(1), 1)[:, None, None]
    own = points - (weights * points[:, joints]).sum(1, keepdims=True)
    places = np.stack([own[:, joints], own[:, _MIRRORED[joints]]])
    seen = np.stack([known[:, joints], known[:, _MIRRORED[joints]]])
    flags = np.zeros(len(points), bool)
    apart = _apart(points, known, attached) / size
    frames = np.flatnonzero(seen[0].any(1))
    # cost[state]: of the cheapest course so far that ends as detected (0) or exchanged (1).
    staying, changing = np.array([0.0, _PER_FRAME * pace]), _PER_CHANGE * pace * (1 - np.eye(2))
    cost = staying + apart[frames[0]] if len(frames) else staying
    came_from = np.zeros((len(frames), 2), np.int64)
    ways = np.zeros((len(frames) + 1, 2, 2))
    for step in range(1, len(frames)):
        before, now = frames[step - 1], frames[step]
        both = seen[:, None, before] & seen[None, :, now]
        way = np.linalg.norm(places[:, None, before] - places[None, :, now], axis=-1) / size
        way = np.minimum(way, _LONGEST_WAY)
        counted = np.maximum(both.sum(-1), 1)
        between = np.where(both, way, 0).sum(-1) / counted
        # A cut tells nothing, nor do frames that share no joint.
        if scene[before] != scene[now] or both.sum(-1).min() == 0:
            between[:] = 0
        between += changing
        ways[step] = between
        total = cost[:, None] + between
        came_from[step] = total.argmin(0)
        cost = total.min(0) + staying + apart[now]
    state = int(cost.argmin())
    for step in range(len(frames) - 1, -1, -1):
        flags[frames[step]] = bool(state)
        state = int(came_from[step, state])
    return flags, _sureness(flags, frames, ways, apart + staying)


def _sureness(
    flags: NDArray[np.bool_],
    frames: NDArray[np.int64],
    ways: NDArray[np.float64],
    standing: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return what share of its costs each exchange spares, at its frames: (frames,).

    Args:
        flags: (frames,), where sides are exchanged.
        frames: (steps,), those that were looked at.
        ways: (steps + 1, 2, 2), costs of getting to each step in either state.
        standing: (frames, 2), costs of each frame in either state.
    """
    sure = np.zeros(len(flags))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags[frames], [False]])))
    for start, stop in edges.reshape(-1, 2):
        run = frames[start:stop]
        exchanged = ways[start, 0, 1] + ways[stop, 1, 0] + standing[run, 1].sum()
        detected = ways[start, 0, 0] + ways[stop, 0, 0] + standing[run, 0].sum()
        sure[run] = np.clip(1 - exchanged / detected, 0, 1) if detected > 0 else 0
    return sure


def _apart(
    points: NDArray[np.float64], known: NDArray[np.bool_], attached: tuple[tuple[int, int], ...]
) -> NDArray[np.float64]:
    """Return how far points are from where they belong, as detected and exchanged: (frames, 2)."""
    result = np.zeros((len(points), 2))
    if not attached:
        return result
    counts = np.zeros((len(points), 2))
    for state in range(2):
        ways, counted = np.zeros(len(points)), counts[:, state]
        for point, joint in attached:
            taken = MIRRORED[point] if state else point
            both = known[:, taken] & known[:, joint]
            ways += np.where(both, np.linalg.norm(points[:, taken] - points[:, joint], axis=-1), 0)
            counted += both
        result[:, state] = ways / np.maximum(counted, 1)
    # As many must be seen either way, or nothing is said.
    sure = (counts[:, :1] == counts[:, 1:]) & (counts[:, :1] > 0)
    return np.where(sure, result - result.min(1, keepdims=True), 0)
