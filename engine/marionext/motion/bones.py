"""What BVH and glTF leave unsaid about a skeleton: where bones end and which way people face."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["Y_UP_TO_Z_UP", "facing", "find_tails", "mirrored_pairs", "unique_names"]

Floats = NDArray[np.float64]

Y_UP_TO_Z_UP: Floats = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""Turns axes with y up and the front along +z (BVH, glTF) into Blender's: z up, front -y."""

_LEFT = re.compile(r"left|左|l", re.IGNORECASE)
_RIGHT_OF = {"left": "right", "l": "r", "左": "右"}
_GUESSED_LENGTH = 0.5
_NARROW = 0.2


def unique_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names with ``.001`` and so on appended where one was there before."""
    taken: set[str] = set()
    unique: list[str] = []
    for name in names:
        candidate, number = name, 0
        while candidate in taken:
            number += 1
            candidate = f"{name}.{number:03}"
        taken.add(candidate)
        unique.append(candidate)
    return tuple(unique)


def find_tails(
    heads: Floats,
    rest_heads: Floats,
    turns: Floats,
    parents: NDArray[np.int64],
    ends: Floats,
) -> tuple[Floats, Floats]:
    """Find where each bone ends: at its children, at its end site, or at a guess.

    Several children count by the joints that hang from them, so that a forearm ends at the hand
    and not at a twist joint. A bone whose children sit at its own head (CMU's hip joints) ends
    where they end. A leaf without an end goes on as its parent came, half as long.

    Args:
        heads: (frames, bones, 3).
        rest_heads: (bones, 3).
        turns: (frames, bones, 3, 3), rotation of the world from rest to now.
        parents: (bones,), parents first.
        ends: (bones, 3), end sites at rest; NaN where there is none.

    Returns:
        Tails (frames, bones, 3) and tails at rest (bones, 3).
    """
    count = len(parents)
    weight = np.ones(count)
    for bone in range(count - 1, -1, -1):
        if parents[bone] >= 0:
            weight[parents[bone]] += weight[bone]
    # The last frame is the rest pose, so that both are found in the same way.
    joints = np.concatenate([heads, rest_heads[None]])
    turned = np.concatenate([turns, np.broadcast_to(np.eye(3), (1, count, 3, 3))])
    tails = np.full_like(joints, np.nan)
    short = 1e-4 * (1e-9 + np.ptp(rest_heads, axis=0).max())
    for bone in range(count - 1, -1, -1):
        children = np.flatnonzero(parents == bone)
        share = weight[children] / weight[children].sum() if len(children) else None
        for points in (joints, tails):
            if share is None:
                break
            end = np.einsum("c,tcx->tx", share, points[:, children])
            if np.linalg.norm(end[-1] - rest_heads[bone]) > short:
                tails[:, bone] = end
                break
        if np.isfinite(tails[-1, bone]).all():
            continue
        if np.isfinite(ends[bone]).all() and np.linalg.norm(ends[bone] - rest_heads[bone]) > short:
            along = ends[bone] - rest_heads[bone]
        else:
            along = _guessed(rest_heads, parents, bone, short)
        tails[:, bone] = joints[:, bone] + turned[:, bone] @ along
    return tails[:-1], tails[-1]


def _guessed(rest_heads: Floats, parents: NDArray[np.int64], bone: int, short: float) -> Floats:
    """Return a leaf's length and direction: those of the nearest ancestor that has some."""
    ancestor = int(parents[bone])
    while ancestor >= 0:
        along = rest_heads[bone] - rest_heads[ancestor]
        if np.linalg.norm(along) > short:
            return np.asarray(_GUESSED_LENGTH * along)
        ancestor = int(parents[ancestor])
    return np.array([0.0, 0.0, max(1000 * short, 1e-3)])


def mirrored_pairs(names: Sequence[str]) -> list[tuple[int, int]]:
    """Return (left, right) indices of the bones whose names differ in the side only.

    Any ``left`` or lone ``l`` may be the side ("mixamorig:LeftLeg", "Leg.L", "lShldr"): that a
    bone of the other name exists proves it.
    """
    lookup = {name: index for index, name in enumerate(names)}
    pairs = []
    for index, name in enumerate(names):
        for side in _LEFT.finditer(name):
            other = _RIGHT_OF[side[0].lower()]
            if side[0].isupper():
                other = other.upper()
            elif side[0][0].isupper():
                other = other.capitalize()
            partner = lookup.get(name[: side.start()] + other + name[side.end() :])
            if partner is not None:
                pairs.append((index, partner))
                break
    return pairs


def facing(
    names: Sequence[str], parents: NDArray[np.int64], heads: Floats, tails: Floats
) -> Floats:
    """Return which way the body faces in each frame, level: (frames, 3) of length 1.

    The line from right to left across the hips, the shoulders and every other pair of siblings,
    each by its width, a quarter turn clockwise. A skeleton without a left and a right faces -y.

    Args:
        names: (bones,).
        parents: (bones,).
        heads: (frames, bones, 3).
        tails: (frames, bones, 3).
    """
    across = np.zeros((len(heads), 2))
    for left, right in mirrored_pairs(names):
        if parents[left] != parents[right]:
            continue
        # Collar bones and CMU's hip joints start together; they part at their ends.
        apart = (heads[:, left] - heads[:, right])[:, :2]
        ends = (tails[:, left] - tails[:, right])[:, :2]
        wide = np.linalg.norm(apart, axis=1).mean() > _NARROW * np.linalg.norm(ends, axis=1).mean()
        across += apart if wide else ends
    length = np.linalg.norm(across, axis=1, keepdims=True)
    known = length[:, 0] > 1e-6
    front = np.zeros((len(heads), 3))
    front[:, 1] = -1
    front[known, :2] = (across / np.maximum(length, 1e-9))[known][:, ::-1] * [1, -1]
    return front
