"""The 21 points of a hand: from finger bones, or from a hand at rest where there are none.

Every point hangs rigidly on one bone: the joints of a finger on their own bones, the tip on the
last one, and the points of a hand at rest on the hand bone. Offsets are given at rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from marionext.motion.roles import FINGERS, finger_roles

__all__ = ["HAND_LENGTH", "REST_HAND", "HandFrame", "hand_attachments"]

Floats = NDArray[np.float64]

REST_HAND: Floats = np.array(
    [
        [0.0, 0.0, 0.0],
        [0.14, 0.14, -0.03], [0.33, 0.25, -0.08], [0.47, 0.31, -0.12], [0.60, 0.34, -0.16],
        [0.49, 0.13, 0.0], [0.70, 0.15, -0.05], [0.81, 0.155, -0.11], [0.90, 0.155, -0.18],
        [0.50, 0.02, 0.01], [0.735, 0.025, -0.06], [0.86, 0.025, -0.13], [0.95, 0.025, -0.21],
        [0.47, -0.08, 0.0], [0.685, -0.09, -0.07], [0.80, -0.09, -0.145], [0.88, -0.088, -0.225],
        [0.42, -0.165, -0.02], [0.58, -0.19, -0.085], [0.665, -0.195, -0.14],
        [0.735, -0.195, -0.20],
    ]
)  # fmt: skip
"""(21, 3): a relaxed hand of our own making, its length 1: x along the hand, y towards the thumb,
z out of its back."""

HAND_LENGTH = 0.74
"""Length of a hand in lengths of its forearm (0.108 and 0.146 of the stature)."""
_TIP = 0.8
"""Length of a finger's last bone in lengths of the one before it."""


@dataclass(frozen=True, slots=True)
class HandFrame:
    """A hand's own axes at rest."""

    axes: Floats
    """(3, 3): columns along the hand, towards the thumb, out of the back of the hand."""
    length: float
    """From the wrist to the tip of the middle finger, in metres."""


def _unit(vector: Floats) -> Floats:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-12))


def _turn_between(start: Floats, end: Floats) -> Floats:
    """Return the smallest rotation that brings one unit vector to another."""
    axis = np.cross(start, end)
    cosine = float(start @ end)
    if cosine < -0.999:
        return np.diag([1.0, -1.0, -1.0])
    skew = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.asarray(np.eye(3) + skew + skew @ skew / (1 + cosine))


def hand_frame(
    side: str,
    bones: Mapping[str, int],
    heads: Floats,
    body: Floats,
    wrist: Floats,
    forearm: Floats,
) -> HandFrame:
    """Find a hand's axes at rest: from its knuckles, else from the forearm.

    Without knuckles the palm faces down as in a T-pose, turned along with the arm: an arm that
    hangs down at rest has its palm towards the thigh.

    Args:
        side: ``left`` or ``right``.
        bones: role to bone index.
        heads: (bones, 3), heads at rest.
        body: (3, 3), the body's axes at rest as columns: its left, up, front.
        wrist: (3,) at rest.
        forearm: (3,) from the elbow to the wrist at rest.
    """
    sign = 1.0 if side == "left" else -1.0
    along = _unit(forearm)
    length = HAND_LENGTH * float(np.linalg.norm(forearm))
    turn = _turn_between(sign * body[:, 0], along)
    back, thumb = turn @ body[:, 1], turn @ body[:, 2]
    knuckles = {f: heads[bones[r]] - wrist for f in FINGERS[1:] if (r := f"{side}_{f}_1") in bones}
    reach = {finger: float(np.linalg.norm(to)) for finger, to in knuckles.items()}
    # Stubs that start at the wrist itself (CMU's) say nothing.
    knuckles = {finger: to for finger, to in knuckles.items() if reach[finger] > 0.2 * length}
    if len(knuckles) >= 2:
        order = [finger for finger in FINGERS[1:] if finger in knuckles]
        across = knuckles[order[0]] - knuckles[order[-1]]
        along = _unit(np.mean(list(knuckles.values()), axis=0))
        middle = float(np.mean([reach[finger] for finger in order]))
        length = float(np.clip(middle / 0.48, 0.5 * length, 2.0 * length))
        if np.linalg.norm(across - (across @ along) * along) > 0.05 * length:
            thumb = across
            back = sign * np.cross(thumb, along)
    thumb = _unit(thumb - (thumb @ along) * along)
    normal = _unit(np.cross(along, thumb))
    normal = normal if normal @ back > 0 else -normal
    return HandFrame(np.stack([along, thumb, normal], axis=1), length)


def hand_attachments(
    side: str,
    bones: Mapping[str, int],
    heads: Floats,
    tails: Floats,
    body: Floats,
) -> tuple[NDArray[np.int64], Floats, HandFrame] | None:
    """Hang the 21 points of a hand on bones.

    Args:
        side: ``left`` or ``right``.
        bones: role to bone index.
        heads: (bones, 3), heads at rest.
        tails: (bones, 3), tails at rest.
        body: (3, 3), the body's axes at rest as columns: its left, up, front.

    Returns:
        The bone of each point (21,), its offset from that bone's head at rest (21, 3), and the
        hand's frame; None if the rig has no forearm on that side.
    """
    elbow = bones.get(f"{side}_forearm")
    if elbow is None:
        return None
    hand = bones.get(f"{side}_hand")
    carrier = elbow if hand is None else hand
    wrist = tails[elbow] if hand is None else heads[hand]
    frame = hand_frame(side, bones, heads, body, wrist, wrist - heads[elbow])
    anchors = np.full(21, carrier, dtype=np.int64)
    places = wrist + frame.length * REST_HAND @ frame.axes.T
    for number, finger in enumerate(FINGERS):
        found = _finger(side, finger, bones, heads, tails, wrist, frame)
        if found is not None:
            first = 1 + 4 * number
            anchors[first : first + 4], places[first : first + 4] = found
    anchors = np.where(anchors < 0, carrier, anchors)
    return anchors, places - heads[anchors], frame


def _finger(
    side: str,
    finger: str,
    bones: Mapping[str, int],
    heads: Floats,
    tails: Floats,
    wrist: Floats,
    frame: HandFrame,
) -> tuple[list[int], list[Floats]] | None:
    """Return bones and places of a finger's four points; None for a stub of one bone or none."""
    roles = finger_roles(side, finger)
    first, second, third, tip = (bones.get(role) for role in roles)
    if third is None and first is not None and second is not None:
        # Two bones, as cartoon hands have: the missing joint lies between the last and the tip.
        end = heads[tip] if tip is not None else _end_of(second, first, heads, tails)
        middle = (heads[second] + end) / 2
        return [first, second, second, second], [heads[first], heads[second], middle, end]
    if second is None or third is None:
        return None
    end = heads[tip] if tip is not None else _end_of(third, second, heads, tails)
    anchors = [-1 if first is None else first, second, third, third if tip is None else tip]
    if first is not None:
        start = heads[first]
    else:
        # MMD's thumb lacks the joint at the wrist: it lies on the way, towards the thumb's side.
        start = wrist + 0.42 * (heads[second] - wrist) + 0.03 * frame.length * frame.axes[:, 1]
    return anchors, [start, heads[second], heads[third], end]


def _end_of(last: int, before: int, heads: Floats, tails: Floats) -> Floats:
    """Return a finger's tip: the bone's own tail where it is plausible, else straight on."""
    step, bone = heads[last] - heads[before], tails[last] - heads[last]
    length, reach = float(np.linalg.norm(step)), float(np.linalg.norm(bone))
    if length <= 0:
        return np.asarray(tails[last])
    # Half as long as the bone before and straight on is what readers guess for a leaf.
    guessed = abs(reach - 0.5 * length) < 1e-3 * length
    if not guessed and 0.35 * length < reach < 1.6 * length and step @ bone > 0.5 * length * reach:
        return np.asarray(tails[last])
    return np.asarray(heads[last] + _TIP * step)
