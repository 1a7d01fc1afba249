"""Which part lies over which: from the depth of the motion where it is known, else from rules.

Decisions hold on: one is changed only when the pose has clearly passed the border, so that no arm
flickers between before and behind.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marionext.doll.anatomy import SIDES, Anatomy
from marionext.doll.shapes import capsule, unit

__all__ = ["Order", "decide"]

Floats = NDArray[np.floating[Any]]

_HOLD = 0.015
"""How far past the border a pose must be before a decision changes, in statures."""


@dataclass(frozen=True, slots=True)
class Order:
    """Which parts are before others."""

    behind: tuple[str, ...]
    """Sides whose arm is behind the trunk, the farther first; the other arms are before it."""
    before: tuple[str, ...]
    legs: tuple[str, ...]
    """Sides, the farther first."""
    over_head: tuple[str, ...]
    """Sides whose arm is before the head as well."""
    folded: tuple[str, ...]
    """Sides whose forearm lies over the upper arm."""


def decide(body: Anatomy, depths: Floats | None = None, last: Order | None = None) -> Order:
    """Decide what lies over what.

    Args:
        body: the pose.
        depths: (134,) how near each point is in pixels, larger is nearer; None: not known.
        last: the decision of the frame before, which is held on to where it is close.
    """
    arms = _arms(body) if depths is None else _arms_by_depth(body, depths)
    if last is not None:
        for side in SIDES:
            arms[side] += -_HOLD if side in last.behind else _HOLD
    near = sorted(arms, key=lambda side: arms[side])
    legs = _legs(body) if depths is None else _legs_by_depth(body, depths)
    if last is not None:
        legs[last.legs[-1]] += _HOLD
    over = []
    for side, numbers in SIDES.items():
        wrist = numbers.arm[2]
        if depths is None or body.scores[0] < 0.1:
            over.append(side)
        else:
            hold = 0.0 if last is None else _HOLD if side in last.over_head else -_HOLD
            if float(depths[wrist] - depths[1]) / body.stature + hold > 0.02:
                over.append(side)
    folded = []
    for side, numbers in SIDES.items():
        shoulder, elbow, wrist = body.points[list(numbers.arm)]
        bent = float(unit(elbow - shoulder) @ unit(wrist - elbow))
        limit = -0.2 + (0.0 if last is None else 0.1 if side in last.folded else -0.1)
        if depths is None:
            if bent < limit:
                folded.append(side)
        elif depths[numbers.arm[2]] >= depths[numbers.arm[0]]:
            folded.append(side)
    return Order(
        behind=tuple(side for side in near if arms[side] < 0),
        before=tuple(side for side in near if arms[side] >= 0),
        legs=tuple(sorted(legs, key=lambda side: legs[side])),
        over_head=tuple(over),
        folded=tuple(folded),
    )


def _arms(body: Anatomy) -> dict[str, float]:
    """Return how near each arm is by rules, in statures; below 0 it is behind the trunk."""
    trunk, head = body.trunk, body.head
    yaw = float(head.rotation[0, 2])
    narrow = 1 - min(abs(trunk.shoulder) / (0.09 * body.stature), 1)
    shoulders = max(body.scores[2], body.scores[5])
    arms = {}
    for side, numbers in SIDES.items():
        _, elbow, wrist = numbers.arm
        near = 0.02 * trunk.facing
        if head.shows != "back":
            # A figure that looks to the right has its own right side nearer.
            near -= numbers.sign * float(np.sign(yaw)) * narrow * 0.1
        ends = body.points[[elbow, wrist]]
        inside = capsule(ends, trunk.neck, trunk.hips, trunk.chest, trunk.seat).min() < 0.9
        if inside and min(body.scores[[elbow, wrist]]) < 0.5 * shoulders:
            near -= 0.1  # a detector does not see it
        arms[side] = near
    return arms


def _arms_by_depth(body: Anatomy, depths: Floats) -> dict[str, float]:
    return {
        side: float(depths[list(numbers.arm)].mean() - depths[1]) / body.stature + 0.03
        for side, numbers in SIDES.items()
    }


def _legs(body: Anatomy) -> dict[str, float]:
    """Return how near each leg is by rules: what is seen worse is farther."""
    narrow = 1 - min(abs(body.trunk.shoulder) / (0.09 * body.stature), 1)
    yaw = float(np.sign(body.head.rotation[0, 2]))
    return {
        side: float(body.scores[list(numbers.leg[1:])].mean()) - 0.3 * narrow * yaw * numbers.sign
        for side, numbers in SIDES.items()
    }


def _legs_by_depth(body: Anatomy, depths: Floats) -> dict[str, float]:
    return {
        side: float(depths[list(numbers.leg)].mean()) / body.stature
        for side, numbers in SIDES.items()
    }
